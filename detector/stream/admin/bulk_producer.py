"""Writes many records to one topic as fast as the brokers accept them."""

import contextlib
from collections.abc import Iterator
from contextlib import contextmanager

from kafka import KafkaProducer
from kafka import errors as kafka_errors

from detector.errors import DetectorError
from detector.settings import KafkaSettings
from detector.stream.admin.errors import reported_errors
from detector.stream.admin.topics import require_topics
from detector.stream.kafka_python.errors import describe
from detector.stream.kafka_python.options import unpatched_producer_options

_FLUSH_TIMEOUT_S = 60.0
_LINGER_MS = 20
"""Longer than the daemon's: each event is sent alone, and full batches decide the rate."""
_MAX_BLOCK_MS = 3_000
_MAX_IN_FLIGHT = 20_000
"""Records after which a flush waits: the library would buffer without a limit."""


class BulkProducer:
    """Sends records without waiting for each; the first rejected one ends it."""

    def __init__(self, producer: KafkaProducer, topic: str) -> None:
        self._producer = producer
        self._topic = topic
        self._errors: list[Exception] = []
        self._sent = 0

    def send(self, key: bytes | None, value: bytes) -> None:
        """Send a record.

        Raises:
            DetectorError: this or an earlier record was rejected.
        """
        self._raise_first_error()
        self._producer.send(self._topic, value, key).add_errback(self._errors.append)
        self._sent += 1
        if self._sent % _MAX_IN_FLIGHT == 0:
            self._producer.flush(timeout=_FLUSH_TIMEOUT_S)

    def flush(self) -> None:
        """Return once every record is acknowledged.

        Raises:
            DetectorError: a record was rejected.
        """
        self._producer.flush(timeout=_FLUSH_TIMEOUT_S)
        self._raise_first_error()

    def _raise_first_error(self) -> None:
        if self._errors:
            raise DetectorError(
                f"topic {self._topic}: the broker rejected an event: {describe(self._errors[0])}; check that this "
                "client may WRITE to the topic, and that its max.message.bytes permits the event"
            )


@contextmanager
def bulk_producer(kafka: KafkaSettings, topic: str) -> Iterator[BulkProducer]:
    """A producer for one topic.

    Raises:
        DetectorError: no broker is reachable, the topic does not exist, or a request failed.
    """
    with reported_errors(kafka):
        require_topics(kafka, [topic])
        producer = KafkaProducer(
            **unpatched_producer_options(kafka) | {"linger_ms": _LINGER_MS, "max_block_ms": _MAX_BLOCK_MS}
        )
        try:
            yield BulkProducer(producer, topic)
        finally:
            with contextlib.suppress(kafka_errors.KafkaError):  # it flushes again; errors were reported by `flush`
                producer.close(timeout=1)
