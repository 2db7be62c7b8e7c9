"""A broker with a listener for each kind of encryption and authentication, its certificates and ACLs."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import trustme
from cryptography.hazmat.primitives import serialization
from kafka import KafkaAdminClient
from kafka.admin import (
    ACL,
    ACLOperation,
    ACLPermissionType,
    ACLResourcePatternType,
    ResourcePattern,
    ResourceType,
    UserScramCredentialUpsertion,
)

from detector.local.broker import EmbeddedBroker
from detector.settings import KafkaSettings

PASSWORD = "correct-horse-battery"  # noqa: S105 - of a broker that lives for one test run
SCRAM = ("SCRAM-SHA-256", "SCRAM-SHA-512")
KEY_PASSWORD = "staple-of-the-key"  # noqa: S105
USER = "detector"
PREFIXED = {ResourceType.TRANSACTIONAL_ID}
"""Resource types whose ACLs apply to every name with a prefix."""

Acl = tuple[ResourceType, str, ACLOperation]


@dataclass(frozen=True)
class Certificates:
    """PEM files: the trusted authorities, and the certificates of clients and brokers."""

    authority: Path
    other_authority: Path
    client: Path
    client_key: Path
    """Encrypted with `KEY_PASSWORD`."""
    expired_client: Path
    expired_client_key: Path
    stores: dict[str, Path]
    """The key and the certificate of the broker, by kind."""


@dataclass(frozen=True)
class SecuredBroker:
    """The running broker and its certificates."""

    broker: EmbeddedBroker
    certificates: Certificates

    def admin(self) -> KafkaAdminClient:
        """An admin client of a super user, on the listener without authentication."""
        return KafkaAdminClient(bootstrap_servers=self.broker.bootstrap_servers)

    def grant(self, principal: str, acls: Iterable[Acl]) -> None:
        """Add these ACLs for a principal."""
        admin = self.admin()
        try:
            admin.create_acls(
                [
                    ACL(principal, "*", operation, ACLPermissionType.ALLOW, _pattern(resource, name))
                    for resource, name, operation in acls
                ]
            )
        finally:
            admin.close()


def _pattern(resource: ResourceType, name: str) -> ResourcePattern:
    kind = ACLResourcePatternType.PREFIXED if resource in PREFIXED else ACLResourcePatternType.LITERAL
    return ResourcePattern(resource, name, kind)


def required_transaction_acls(kafka: KafkaSettings) -> list[Acl]:
    """The ACLs that exactly-once needs in addition, and no more."""
    kind, prefix = ResourceType.TRANSACTIONAL_ID, f"{kafka.group_id}-"
    return [(kind, prefix, ACLOperation.WRITE), (kind, prefix, ACLOperation.DESCRIBE)]


def required_acls(kafka: KafkaSettings) -> list[Acl]:
    """The ACLs that the documentation says the service needs, and no more."""
    topic, op = ResourceType.TOPIC, ACLOperation
    return [
        (topic, kafka.events_topic, op.READ),
        (topic, kafka.events_topic, op.DESCRIBE),
        (topic, kafka.alerts_topic, op.WRITE),
        (topic, kafka.alerts_topic, op.DESCRIBE),
        (topic, kafka.dead_letter_topic, op.WRITE),
        (topic, kafka.dead_letter_topic, op.DESCRIBE),
        (ResourceType.GROUP, kafka.group_id, op.READ),
    ]


def make_certificates(folder: Path) -> Certificates:
    """Make two authorities, and certificates that are valid, expired or for another host name."""
    authority, other = trustme.CA(), trustme.CA()
    expired = datetime.now(UTC) - timedelta(days=1)
    authority.cert_pem.write_to_path(folder / "authority.pem")
    other.cert_pem.write_to_path(folder / "other.pem")
    stores = {
        "good": authority.issue_cert("127.0.0.1", "localhost"),
        "expired": authority.issue_cert("127.0.0.1", "localhost", not_after=expired),
        "misnamed": authority.issue_cert("kafka.example.org", "localhost"),
    }
    for name, certificate in stores.items():
        _write_store(folder / f"{name}.pem", certificate)
    client = authority.issue_cert("client.example.org", common_name=USER)
    expired_client = authority.issue_cert("client.example.org", common_name=USER, not_after=expired)
    for name, certificate in {"client": client, "expired-client": expired_client}.items():
        certificate.cert_chain_pems[0].write_to_path(folder / f"{name}.pem")
        (folder / f"{name}.key").write_bytes(_key(certificate, KEY_PASSWORD))
    return Certificates(
        folder / "authority.pem",
        folder / "other.pem",
        folder / "client.pem",
        folder / "client.key",
        folder / "expired-client.pem",
        folder / "expired-client.key",
        {name: folder / f"{name}.pem" for name in stores},
    )


@contextmanager
def secured_broker(folder: Path) -> Iterator[SecuredBroker]:
    """A broker with a listener for each kind of access, and two with wrong certificates."""
    certificates = make_certificates(folder)
    listeners = {
        "TLS": "SSL",
        "MTLS": "SSL",
        "EXPIRED": "SSL",
        "MISNAMED": "SSL",
        "SASL": "SASL_PLAINTEXT",
        "SASLTLS": "SASL_SSL",
    }
    with EmbeddedBroker(properties=_properties(certificates, listeners), listeners=listeners) as broker:
        secured = SecuredBroker(broker, certificates)
        admin = secured.admin()
        try:
            for mechanism in SCRAM:  # a request must not name a user twice
                credential = UserScramCredentialUpsertion(USER, mechanism, PASSWORD)
                assert admin.alter_user_scram_credentials([credential]) == {USER: None}
        finally:
            admin.close()
        yield secured


def _properties(certificates: Certificates, listeners: dict[str, str]) -> dict[str, str]:
    properties = {
        "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
        "super.users": "User:ANONYMOUS",  # without credentials: the administrator of the tests
        "auto.create.topics.enable": "false",
        "connections.max.reauth.ms": "3600000",
    }
    for name, protocol in listeners.items():
        listener = f"listener.name.{name.lower()}"
        if protocol.endswith("SSL"):
            kind = name.lower() if name.lower() in certificates.stores else "good"
            properties |= {
                f"{listener}.ssl.keystore.type": "PEM",
                f"{listener}.ssl.keystore.location": str(certificates.stores[kind]),
                f"{listener}.ssl.truststore.type": "PEM",
                f"{listener}.ssl.truststore.location": str(certificates.authority),
                f"{listener}.ssl.client.auth": "required" if name == "MTLS" else "none",
                f"{listener}.ssl.principal.mapping.rules": "RULE:^.*CN=([^,]+).*$/$1/,DEFAULT",
            }
        if protocol.startswith("SASL"):
            module = "org.apache.kafka.common.security"
            properties[f"{listener}.sasl.enabled.mechanisms"] = ",".join(("PLAIN", *SCRAM))
            properties[f"{listener}.plain.sasl.jaas.config"] = (
                f'{module}.plain.PlainLoginModule required user_{USER}="{PASSWORD}";'
            )
            for mechanism in SCRAM:
                properties[f"{listener}.{mechanism.lower()}.sasl.jaas.config"] = (
                    f"{module}.scram.ScramLoginModule required;"
                )
    return properties


def _write_store(file: Path, certificate: trustme.LeafCert) -> None:
    chain = b"".join(blob.bytes() for blob in certificate.cert_chain_pems)
    file.write_bytes(_key(certificate, None) + chain)


def _key(certificate: trustme.LeafCert, password: str | None) -> bytes:
    """The private key in PKCS#8, the only form that Kafka reads."""
    key = serialization.load_pem_private_key(certificate.private_key_pem.bytes(), None)
    encryption = serialization.BestAvailableEncryption(password.encode()) if password else serialization.NoEncryption()
    return key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, encryption)
