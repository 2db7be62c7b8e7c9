"""Wrong credentials, certificates and protocols: each is one line that says what is wrong and what to change."""

from typing import Any

import pytest
from confluent_kafka import KafkaException

from detector.errors import UsageError
from detector.settings import KafkaSettings
from detector.stream.admin.topics import create_topics
from detector.stream.interfaces import StreamError
from detector.stream.librdkafka.source import LibrdkafkaSource
from detector.stream.preflight.handshake import advertised_brokers
from detector.stream.preflight.reachability import unreachable_reason
from tests.helpers import detector
from tests.security.access import (
    WRONG_PASSWORD,
    assert_no_secret,
    client_environment,
    client_settings,
    command_options,
    credentials,
    startup_error,
)
from tests.security.secured_broker import SCRAM, USER
from tests.stream.listeners import RecordingListener
from tests.stream.reading import closing


@pytest.mark.parametrize("mechanism", ["PLAIN", *SCRAM])
@pytest.mark.parametrize("user", [USER, "unknown"])
def test_wrong_credentials_are_one_line(secured, mechanism, user):
    """Otherwise the service would wait without end, as it does for an unavailable broker."""
    kafka = KafkaSettings(
        bootstrap_servers=secured.broker.address("SASL"),
        security_protocol="SASL_PLAINTEXT",
        **credentials(mechanism, user, WRONG_PASSWORD),
    )

    with pytest.raises(
        StreamError, match=rf"credentials rejected for user '{user}' \(SASL {mechanism}\): .*; check DETECTOR_"
    ) as caught:
        unreachable_reason(kafka)
    assert caught.value.exit_code == 1
    assert_no_secret(str(caught.value) + repr(caught.value.__cause__))


CASES: dict[str, tuple[str, dict[str, Any], str]] = {
    "wrong password": (
        "SASLTLS",
        {"sasl_plain_password": WRONG_PASSWORD},
        (
            "credentials rejected for user 'detector' (SASL PLAIN): Authentication failed: Invalid username or "
            "password; check DETECTOR_KAFKA__SASL_PLAIN_USERNAME and DETECTOR_KAFKA__SASL_PLAIN_PASSWORD"
        ),
    ),
    "expired certificate": (
        "EXPIRED",
        {},
        "its certificate is not trusted: certificate has expired: renew the broker's certificate",
    ),
    "wrong authority": (
        "TLS",
        {"ssl_cafile": "other_authority"},
        (
            "its certificate is not trusted: unable to get local issuer certificate: set DETECTOR_KAFKA__SSL_CAFILE to "
            "the authority that signed the broker's certificate"
        ),
    ),
    "wrong host name": (
        "MISNAMED",
        {},
        (
            "its certificate is not trusted: IP address mismatch, certificate is not valid for '127.0.0.1': use the "
            "host name in the certificate for DETECTOR_KAFKA__BOOTSTRAP_SERVERS and for the broker's "
            "advertised.listeners, or issue a certificate for this host name"
        ),
    ),
    "no client certificate": (
        "MTLS",
        {"ssl_certfile": None, "ssl_keyfile": None, "ssl_password": None},
        (
            "it requires a client certificate (tlsv13 alert certificate required): set DETECTOR_KAFKA__SSL_CERTFILE "
            "and its SSL_KEYFILE"
        ),
    ),
    "plaintext on a TLS port": (
        "TLS",
        {"security_protocol": "PLAINTEXT"},
        "DETECTOR_KAFKA__SECURITY_PROTOCOL=PLAINTEXT, but the broker expects TLS: use SSL",
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_rejected_client_is_one_line_and_exit_code_1(secured, topics, model, case):
    """Otherwise a command would hang or print a traceback, and its user would not learn what to change."""
    listener, changes, expected = CASES[case]
    if "ssl_cafile" in changes:
        changes = {"ssl_cafile": secured.certificates.other_authority}

    line = startup_error(command_options(topics, model), client_environment(secured, listener, **changes))

    assert line == f"{secured.broker.address(listener)}: {expected}"


@pytest.mark.parametrize(
    ("listener", "changes", "expected"),
    [
        (
            "PLAINTEXT",
            {"security_protocol": "SSL"},
            "the broker does not use TLS on this port: use its TLS port, or PLAINTEXT",
        ),
        (
            "SASL",
            {"security_protocol": "PLAINTEXT", "sasl_mechanism": None},
            r"the broker requires SASL authentication \(PLAIN, SCRAM-.*\): use SASL_PLAINTEXT",
        ),
        (
            "SASLTLS",
            {"security_protocol": "SSL", "sasl_mechanism": None},
            r"the broker requires SASL authentication \(PLAIN, SCRAM-.*\): use SASL_SSL",
        ),
        ("SASLTLS", {"security_protocol": "SASL_PLAINTEXT"}, "the broker expects TLS: use SASL_SSL"),
        (
            "TLS",
            {"security_protocol": "SASL_SSL", **credentials("PLAIN")},
            "the broker does not use SASL authentication: use SSL",
        ),
        (
            "SASL",
            {"sasl_mechanism": "GSSAPI"},
            "the broker does not enable SASL mechanism GSSAPI, only PLAIN, SCRAM-SHA-256",
        ),
    ],
)
def test_wrong_protocol_is_reported_with_the_setting_to_change(secured, listener, changes, expected):
    """Otherwise a user who chose the wrong port would not learn which protocol it expects."""
    with pytest.raises(StreamError, match=expected):
        unreachable_reason(client_settings(secured, listener, **changes))


def test_expired_client_certificate_is_reported(secured):
    """Otherwise the reason would be lost, because with TLS 1.3 it arrives only after the handshake."""
    files = secured.certificates
    kafka = client_settings(secured, "MTLS", ssl_certfile=files.expired_client, ssl_keyfile=files.expired_client_key)

    with pytest.raises(
        StreamError, match=r"it rejects the client certificate DETECTOR_KAFKA__SSL_CERTFILE=.*: renew it"
    ):
        unreachable_reason(kafka)


@pytest.mark.parametrize("listener", ["EXPIRED", "MISNAMED"])
def test_librdkafka_trusts_no_wrong_certificate(secured, topics, listener):
    """Otherwise somebody could imitate a broker as soon as the check at the start is over."""
    with (
        closing(LibrdkafkaSource(client_settings(secured, listener), RecordingListener())) as source,
        pytest.raises(KafkaException, match="_TRANSPORT|_TIMED_OUT|_ALL_BROKERS_DOWN|_SSL"),
    ):
        source.missing_topics([topics.events_topic])


def test_certificate_for_the_bootstrap_name_only_is_reported(secured):
    """Otherwise only the first connection would succeed, and all to the advertised addresses would fail forever."""
    port = secured.broker.address("MISNAMED").split(":")[1]
    kafka = client_settings(secured, "MISNAMED", bootstrap_servers=f"localhost:{port}")

    assert advertised_brokers(f"localhost:{port}", kafka) == [f"127.0.0.1:{port}"]
    with pytest.raises(StreamError, match=r"IP address mismatch, certificate is not valid for '127.0.0.1'"):
        unreachable_reason(kafka)


@pytest.mark.parametrize("password", [None, WRONG_PASSWORD])
def test_key_without_its_password_is_a_wrong_setting(secured, topics, model, password):
    """Otherwise OpenSSL would prompt on a terminal that nobody watches, or the password would be in the error."""
    environment = client_environment(secured, "MTLS", ssl_password=password)

    done = detector(*command_options(topics, model), "run", **environment)

    assert done.returncode == 2
    (line,) = [line for line in done.stderr.splitlines() if line.startswith("detector: ")]
    assert "SSL_KEYFILE or SSL_PASSWORD: cannot be used for TLS" in line
    assert_no_secret(done.stdout + done.stderr)


def test_one_working_broker_of_several_is_enough(secured):
    """Otherwise one broker that is down or has a wrong certificate would stop the service."""
    good, expired = secured.broker.address("TLS"), secured.broker.address("EXPIRED")

    kafka = client_settings(secured, "TLS", bootstrap_servers=f"127.0.0.1:1,{expired},{good}")

    assert unreachable_reason(kafka) is None


def test_ciphers_of_the_settings_are_used(secured, topics):
    """Otherwise the setting would have no effect, because kafka-python has no option for ciphers."""
    kafka = client_settings(secured, "TLS", ssl_ciphers="ECDHE+AESGCM")
    assert unreachable_reason(kafka) is None
    create_topics(kafka.model_copy(update={"events_topic": f"{topics.events_topic}-ciphers"}), partitions=1)

    with pytest.raises(UsageError, match=r"DETECTOR_KAFKA__SSL_CIPHERS=none-of-these: cannot be used for TLS"):
        unreachable_reason(client_settings(secured, "TLS", ssl_ciphers="none-of-these"))


def test_login_without_a_password_is_a_wrong_setting():
    """Otherwise the client library would fail with a TypeError at its first connection."""
    with pytest.raises(ValueError, match="PLAIN needs sasl_plain_username and sasl_plain_password"):
        KafkaSettings(security_protocol="SASL_SSL", **credentials("PLAIN", password=None))
