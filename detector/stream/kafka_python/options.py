"""Settings as kafka-python's options; `detector.stream.librdkafka.options` makes the same choices for librdkafka."""

from typing import Any

from pydantic import SecretStr

from detector.settings import KafkaSettings
from detector.stream.kafka_python import patches
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
from detector.stream.tls import key_password, tls_context, uses_tls


def connection_options(kafka: KafkaSettings) -> dict[str, Any]:
    """How to reach the brokers: addresses, security, and how fast to reconnect after an outage."""
    return {
        **_sasl(kafka),
        **_tls(kafka),
        "bootstrap_servers": [server.strip() for server in kafka.bootstrap_servers.split(",")],
        "security_protocol": kafka.security_protocol,
        "client_id": "detector",
        "bootstrap_timeout_ms": 5_000,  # one attempt: the caller retries, and checks for signals in between
        "reconnect_backoff_max_ms": RECONNECT_MS,
        "receive_message_max_bytes": LARGEST_RESPONSE_BYTES + kafka.max_record_bytes,
    }


def consumer_options(kafka: KafkaSettings) -> dict[str, Any]:
    """How the events topic is read; every option here differs from kafka-python's default for a reason."""
    # Not at the top of the module: `connection_options` also serves versions that the patches were not tested with.
    from kafka.coordinator.assignors.cooperative_sticky import CooperativeStickyAssignor  # noqa: PLC0415

    return {
        **connection_options(kafka),
        **patches.client_options(),
        "group_id": kafka.group_id,
        "group_instance_id": kafka.instance_id,
        "enable_auto_commit": False,  # a commit follows the acknowledgements, never a timer
        "auto_offset_reset": "none",  # the source resets by itself, so that it can count and log the reset
        "isolation_level": "read_committed",  # records of aborted transactions are no events
        "fetch_max_bytes": FETCH_BYTES,
        "session_timeout_ms": SESSION_TIMEOUT_MS,
        "metadata_max_age_ms": METADATA_AGE_MS,
        "partition_assignment_strategy": [CooperativeStickyAssignor],  # a rebalance stops only partitions that move
        "metrics_enabled": False,  # the service has its own; the library's cost time on every fetch
    }


def producer_options(kafka: KafkaSettings) -> dict[str, Any]:
    """How alerts and dead letters are written, with a patched producer."""
    return {**unpatched_producer_options(kafka), **patches.client_options()}


def unpatched_producer_options(kafka: KafkaSettings) -> dict[str, Any]:
    """How records are written; idempotence and acks=all are the library's defaults."""
    return {
        **connection_options(kafka),
        "max_request_size": kafka.max_record_bytes + ENVELOPE_BYTES,
        "batch_size": 256 * 1024,
        "linger_ms": LINGER_MS,
        "max_block_ms": 1_000,  # longest time that a send blocks when its topic no longer exists
        "metrics_enabled": False,
    }


def transaction_options(kafka: KafkaSettings, transactional_id: str) -> dict[str, Any]:
    """How alerts, dead letters and offsets are written together."""
    return {
        **producer_options(kafka),
        "transactional_id": transactional_id,
        "transaction_timeout_ms": TRANSACTION_TIMEOUT_MS,
        "max_block_ms": 10_000,  # longest time that the producer's start waits for the transaction coordinator
    }


def _sasl(kafka: KafkaSettings) -> dict[str, Any]:
    return {
        name: value.get_secret_value() if isinstance(value, SecretStr) else value
        for name, value in kafka
        if value is not None and name.startswith("sasl_")
    }


def _tls(kafka: KafkaSettings) -> dict[str, Any]:
    """Files, which kafka-python reads again for each connection, so that a renewed certificate needs no restart."""
    if not uses_tls(kafka):
        return {}
    if kafka.ssl_ciphers is not None:  # kafka-python 3.0.12 ignores its option, and its admin client has none
        return {"ssl_context": tls_context(kafka)}
    files = {"ssl_cafile": kafka.ssl_cafile, "ssl_certfile": kafka.ssl_certfile, "ssl_keyfile": kafka.ssl_keyfile}
    files["ssl_crlfile"] = kafka.ssl_crlfile
    return {
        **{name: str(file) for name, file in files.items() if file is not None},
        "ssl_password": key_password(kafka),
        "ssl_check_hostname": kafka.ssl_check_hostname,
    }
