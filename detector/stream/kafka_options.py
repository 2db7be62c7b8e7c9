"""Settings to kafka-python's options, the same for every client that the project makes."""

from typing import Any

from pydantic import SecretStr

from detector.settings import KafkaSettings
from detector.stream.tls import key_password, tls_context, uses_tls

ENVELOPE_BYTES = 64 * 1024
"""What an alert or a dead letter adds to the record that it carries, generously."""
RECONNECT_MS = 1_000
"""Clients' own defaults of 10 to 30 s kept a daemon away for up to 35 s after its broker was back."""
SESSION_TIMEOUT_MS = 10_000
"""The default of 45 s is how long a killed instance's partitions would lie still; heartbeats (every 3 s) come from a
thread of the client's own, so a busy loop does not miss them."""
METADATA_AGE_MS = 30_000
"""New partitions are read after this at the latest; the default is 5 minutes."""
TRANSACTION_TIMEOUT_MS = 10_000
"""An instance that was killed leaves its transaction open, and nobody reads past it until it times out: let it take no
longer than the group needs to find out (`SESSION_TIMEOUT_MS`)."""
FETCH_BYTES = 2 * 1024 * 1024
"""An answer is in memory some three times while it is taken apart: this is how much memory goes up and down. At 50 MiB,
the default, that follows the number of partitions; half of this costs a tenth more processor time, twice gains none."""
LARGEST_RESPONSE_BYTES = 100_000_000
"""What a broker's answer may have beside one record of the largest size."""
LINGER_MS = 1
"""A batch's outputs go out together, while the next batch is read; a flush sends them at once. With 5 a librdkafka
batch of 7 ms waited for them another millisecond, 7 to 12 % of its rate; with 0 each output wakes the thread that
sends."""


def connection_options(kafka: KafkaSettings) -> dict[str, Any]:
    """How to reach the brokers: addresses, security, and how fast to come back after an outage."""
    return {
        **_sasl(kafka),
        **_tls(kafka),
        "bootstrap_servers": bootstrap_servers(kafka),
        "security_protocol": kafka.security_protocol,
        "client_id": "detector",
        "bootstrap_timeout_ms": 5_000,  # one attempt; whoever waits for brokers tries again, and looks for signals
        "reconnect_backoff_max_ms": RECONNECT_MS,
        "receive_message_max_bytes": LARGEST_RESPONSE_BYTES + kafka.max_record_bytes,
        "kafka_client": _client,
    }


def consumer_options(kafka: KafkaSettings) -> dict[str, Any]:
    """How the events topic is read; every option here differs from kafka-python's default for a reason."""
    from kafka.coordinator.assignors.cooperative_sticky import CooperativeStickyAssignor  # noqa: PLC0415

    from detector.stream.decompression import bound_decompression  # noqa: PLC0415

    bound_decompression()
    return {
        **connection_options(kafka),
        "group_id": kafka.group_id,
        "group_instance_id": kafka.instance_id,
        "enable_auto_commit": False,  # a commit follows the acknowledgements, never a clock
        "auto_offset_reset": "none",  # the source resets by itself, so that it can count and tell
        "isolation_level": "read_committed",  # aborted transactions are no events
        "fetch_max_bytes": FETCH_BYTES,
        "session_timeout_ms": SESSION_TIMEOUT_MS,
        "metadata_max_age_ms": METADATA_AGE_MS,
        "partition_assignment_strategy": [CooperativeStickyAssignor],  # a rebalance stops only what moves
        "metrics_enabled": False,  # the service has its own; these cost on every fetch
    }


def producer_options(kafka: KafkaSettings) -> dict[str, Any]:
    """How alerts and dead letters are written; idempotence and acks=all are the library's defaults."""
    return {
        **connection_options(kafka),
        "max_request_size": kafka.max_record_bytes + ENVELOPE_BYTES,
        "batch_size": 256 * 1024,
        "linger_ms": LINGER_MS,
        "max_block_ms": 1_000,  # a send blocks this long at most, when the topic has gone
        "metrics_enabled": False,
    }


def transaction_options(kafka: KafkaSettings, transactional_id: str) -> dict[str, Any]:
    """How alerts, dead letters and positions are written together."""
    return {
        **producer_options(kafka),
        "transactional_id": transactional_id,
        "transaction_timeout_ms": TRANSACTION_TIMEOUT_MS,
        "max_block_ms": 10_000,  # the start of transactions waits so long for a coordinator
    }


def _client(**config: Any) -> Any:
    """A client whose look at a missing topic does not create it: a typing error must not make a topic.

    The option `allow_auto_create_topics` is meant for this, but kafka-python 3.0.12 does not hand it on.
    """
    # Only where kafka-python is the client.
    from kafka.net.compat import KafkaNetClient  # noqa: PLC0415

    from detector.stream.kafka_transport import receive_in_large_pieces  # noqa: PLC0415

    client = KafkaNetClient(**config)
    client.cluster.config["allow_auto_create_topics"] = False
    receive_in_large_pieces(client)
    return client


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
    if kafka.ssl_ciphers is not None:  # kafka-python 3.0.12 does not hand them on, and its admin client refuses them
        return {"ssl_context": tls_context(kafka)}
    files = {"ssl_cafile": kafka.ssl_cafile, "ssl_certfile": kafka.ssl_certfile, "ssl_keyfile": kafka.ssl_keyfile}
    files["ssl_crlfile"] = kafka.ssl_crlfile
    return {
        **{name: str(file) for name, file in files.items() if file is not None},
        "ssl_password": key_password(kafka),
        "ssl_check_hostname": kafka.ssl_check_hostname,
    }


def bootstrap_servers(kafka: KafkaSettings) -> list[str]:
    """The addresses one by one."""
    return [server.strip() for server in kafka.bootstrap_servers.split(",")]
