"""Settings as librdkafka's options; `detector.stream.kafka_python.options` makes the same choices for kafka-python."""

import ssl
from typing import Any

from confluent_kafka import KafkaException, Producer

from detector.errors import UsageError
from detector.settings import KafkaSettings
from detector.stream.policy import (
    ENVELOPE_BYTES,
    FETCH_BYTES,
    LARGEST_RESPONSE_BYTES,
    LINGER_MS,
    METADATA_AGE_MS,
    RECONNECT_MS,
    SESSION_TIMEOUT_MS,
    TRANSACTION_TIMEOUT_MS,
)
from detector.stream.tls import uses_tls

_LARGEST_WRITE_BYTES = 1_000_000_000
"""The largest `message.max.bytes` that librdkafka permits."""
_READ_AHEAD_KIB = 8 * 1024
_STATISTICS_MS = 2_000
"""How often the library reports statistics; `detector.stream.librdkafka.liveness` reads them."""
_MISSING_TOPIC_MS = 1_000
"""After this time records for a topic that does not exist fail, and are sent again; the default is 30 s."""


def consumer_options(kafka: KafkaSettings) -> dict[str, Any]:
    """How the events topic is read; every option here differs from librdkafka's default for a reason.

    Raises:
        UsageError: a setting has no counterpart in librdkafka.
    """
    return {
        **_connection_options(kafka),
        "group.id": kafka.group_id,
        **({} if kafka.instance_id is None else {"group.instance.id": kafka.instance_id}),
        "enable.auto.commit": False,  # a commit follows the acknowledgements, never a timer
        "enable.auto.offset.store": False,
        "auto.offset.reset": "error",  # the source resets by itself, so that it can count and log the reset
        "session.timeout.ms": SESSION_TIMEOUT_MS,
        "partition.assignment.strategy": "cooperative-sticky",  # a rebalance stops only partitions that move
        "statistics.interval.ms": _STATISTICS_MS,
        "check.crcs": True,  # off by default; records damaged in transit must not be scored
        # How much is read ahead of the current batch: a bound on memory, whatever the backlog.
        "queued.max.messages.kbytes": _READ_AHEAD_KIB,
        "fetch.max.bytes": FETCH_BYTES,
        # Pause before fetching again once enough was read ahead; with the default of 1 s batches wait for records.
        "fetch.queue.backoff.ms": 5,
    }


def producer_options(kafka: KafkaSettings) -> dict[str, Any]:
    """How alerts and dead letters are written.

    Raises:
        UsageError: a setting has no counterpart in librdkafka.
    """
    return {
        **_connection_options(kafka),
        "enable.idempotence": True,  # and with it acks=all
        "message.max.bytes": kafka.max_record_bytes + ENVELOPE_BYTES,
        "linger.ms": LINGER_MS,
        "topic.metadata.propagation.max.ms": _MISSING_TOPIC_MS,
        "log_level": 2,  # an idle producer's log is not polled, and the consumer logs the same
    }


def transaction_options(kafka: KafkaSettings, transactional_id: str) -> dict[str, Any]:
    """How alerts, dead letters and offsets are written together.

    Raises:
        UsageError: a setting has no counterpart in librdkafka.
    """
    return {
        **producer_options(kafka),
        "transactional.id": transactional_id,
        "transaction.timeout.ms": TRANSACTION_TIMEOUT_MS,
        "log.connection.close": True,  # calls error_cb for each; log_level keeps it out of the log
    }


def _connection_options(kafka: KafkaSettings) -> dict[str, Any]:
    if kafka.max_record_bytes > _LARGEST_WRITE_BYTES - ENVELOPE_BYTES:
        raise UsageError(
            f"DETECTOR_KAFKA__MAX_RECORD_BYTES={kafka.max_record_bytes}: with DETECTOR_KAFKA__CLIENT=librdkafka "
            f"the largest value is {_LARGEST_WRITE_BYTES - ENVELOPE_BYTES}"
        )
    return {
        **_sasl(kafka),
        **_tls(kafka),
        "bootstrap.servers": kafka.bootstrap_servers,
        "security.protocol": kafka.security_protocol,
        "client.id": "detector",
        "reconnect.backoff.max.ms": RECONNECT_MS,
        "topic.metadata.refresh.interval.ms": METADATA_AGE_MS,
        "receive.message.max.bytes": LARGEST_RESPONSE_BYTES + kafka.max_record_bytes,
        "allow.auto.create.topics": False,  # a typing error in a setting must not create a topic
        "log.connection.close": False,  # brokers close idle connections
    }


def _sasl(kafka: KafkaSettings) -> dict[str, Any]:
    if not kafka.security_protocol.startswith("SASL"):
        return {}
    if kafka.sasl_mechanism == "GSSAPI":
        return _kerberos(kafka)
    password = kafka.sasl_plain_password
    return {
        "sasl.mechanism": kafka.sasl_mechanism,
        "sasl.username": kafka.sasl_plain_username,
        "sasl.password": "" if password is None else password.get_secret_value(),
    }


def _kerberos(kafka: KafkaSettings) -> dict[str, Any]:
    if kafka.sasl_kerberos_domain_name is not None:
        raise UsageError(
            f"DETECTOR_KAFKA__SASL_KERBEROS_DOMAIN_NAME={kafka.sasl_kerberos_domain_name}: librdkafka takes the domain "
            "from the broker's host name: unset it, or set DETECTOR_KAFKA__CLIENT=kafka-python"
        )
    _require_kerberos()
    principal = kafka.sasl_kerberos_name
    return {
        "sasl.mechanism": "GSSAPI",
        "sasl.kerberos.service.name": kafka.sasl_kerberos_service_name,
        **({} if principal is None else {"sasl.kerberos.principal": principal}),
    }


def _require_kerberos() -> None:
    try:
        Producer({"security.protocol": "SASL_PLAINTEXT", "sasl.mechanism": "GSSAPI"})
    except KafkaException as error:
        raise UsageError(
            f"DETECTOR_KAFKA__SASL_MECHANISM=GSSAPI: {error.args[0].str()}: install confluent-kafka from its "
            "source beside libsasl2, or set DETECTOR_KAFKA__CLIENT=kafka-python"
        ) from error


def _tls(kafka: KafkaSettings) -> dict[str, Any]:
    if not uses_tls(kafka):
        return {}
    certificate = kafka.ssl_certfile
    key = kafka.ssl_keyfile or certificate  # as with kafka-python, one file may hold both
    password = kafka.ssl_password
    given = {
        "ssl.ca.location": kafka.ssl_cafile or _system_authorities(),
        "ssl.certificate.location": certificate,
        "ssl.key.location": key,
        "ssl.key.password": password.get_secret_value() if password else None,
        "ssl.crl.location": kafka.ssl_crlfile,
        "ssl.cipher.suites": kafka.ssl_ciphers,
    }
    return {
        **{name: str(value) for name, value in given.items() if value is not None},
        "ssl.endpoint.identification.algorithm": "https" if kafka.ssl_check_hostname else "none",
    }


def _system_authorities() -> str:
    """The authorities that Python trusts, as the preflight check does; librdkafka has a TLS library of its own."""
    paths = ssl.get_default_verify_paths()
    return paths.cafile or paths.capath or "probe"
