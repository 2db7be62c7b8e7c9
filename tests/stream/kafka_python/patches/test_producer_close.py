"""A producer closes within its timeout, with a real broker."""

import time

import pytest
from kafka import KafkaProducer
from kafka import errors as kafka_errors

from detector.stream.kafka_python.patches.producer_close import close_producer


@pytest.fixture
def producer(kafka):
    opened = KafkaProducer(bootstrap_servers=kafka.bootstrap_servers)
    yield opened
    opened.close(timeout=5)  # does nothing when it is closed


def test_producer_is_closed_when_its_flush_times_out(producer, monkeypatch):
    """Otherwise a shutdown during an outage would exceed its timeout and end with a traceback."""

    def flush_times_out(timeout: float) -> None:
        time.sleep(timeout)
        raise kafka_errors.KafkaTimeoutError

    monkeypatch.setattr(producer, "flush", flush_times_out)
    started = time.monotonic()

    close_producer(producer, 0.2)

    assert time.monotonic() - started < 5
    producer._sender.join(20)
    assert not producer._sender.is_alive()
    with pytest.raises(kafka_errors.IllegalStateError, match="already closed"):
        producer.send("any", b"x")
