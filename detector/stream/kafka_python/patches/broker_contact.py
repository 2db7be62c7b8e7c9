"""When a broker last answered.

Symptom: a consumer of an idle topic and a consumer whose brokers do not respond look the same from outside: `poll`
returns nothing.
Upstream: kafka-python 3.0.12 has no public statistic of this; `kafka.net.transport.KafkaTCPTransport.last_read` has it.
Can go when: there is a public metric of the last response (the option `metrics_enabled` has none for it, and costs on
every fetch).
"""

from kafka import KafkaConsumer


def last_response_at(consumer: KafkaConsumer, since: float) -> float:
    """The time of the last byte from any broker, on the clock `time.monotonic()`; `since` when there was none later.

    An accepted connection is not enough: a frozen broker's port accepts connections too.
    """
    latest = since
    for connection in list(consumer._manager._conns.values()):
        transport = connection.transport
        if connection.connected and transport is not None:
            latest = max(latest, transport.last_read)
    return latest


def request_metadata(consumer: KafkaConsumer) -> None:
    """Send a metadata request soon, without waiting for the answer."""
    consumer._cluster.request_update()
