"""The writing side of the stream over kafka-python: an idempotent producer."""

import contextlib
import time
from collections.abc import Sequence
from typing import Any

from kafka import KafkaProducer
from kafka import errors as kafka_errors

from detector.records import OutgoingRecord, Partition
from detector.settings import KafkaSettings
from detector.stream.interfaces import FailedRecord
from detector.stream.kafka_python import patches
from detector.stream.kafka_python.errors import describe, is_fatal
from detector.stream.kafka_python.options import producer_options
from detector.stream.kafka_python.records import NullSerializer, send

FLUSH_S = 0.1


class KafkaPythonSink:
    """Writes alerts and dead letters.

    Raises:
        UsageError: this version of kafka-python was not tested with the patches.
        KafkaError: the brokers could not be reached in time, or rejected this client.
    """

    def __init__(self, kafka: KafkaSettings) -> None:
        patches.apply()
        from detector.stream.kafka_python.patches.producer_close import close_producer  # noqa: PLC0415
        from detector.stream.kafka_python.patches.producer_id_reset import has_fatal_error  # noqa: PLC0415

        self._close_producer, self._has_fatal_error = close_producer, has_fatal_error
        self._options = producer_options(kafka)
        self._producer = self._connect()

    def send(self, records: Sequence[OutgoingRecord]) -> "SentRecords":
        """See `Sink.send`."""
        sent: list[tuple[OutgoingRecord, Any]] = []
        unavailable: dict[str, Exception] = {}
        if self._has_fatal_error(self._producer):
            try:
                self._replace_producer()
            except kafka_errors.KafkaError as error:
                unavailable = dict.fromkeys({record.topic for record in records}, error)
        for record in records:
            outcome = unavailable.get(record.topic) or try_to_send(self._producer, record)
            if isinstance(outcome, kafka_errors.KafkaTimeoutError):
                unavailable[record.topic] = outcome  # it took max_block_ms to learn this; the other records need not
            sent.append((record, outcome))
        return SentRecords(self._producer, sent)

    def close(self, timeout_s: float) -> None:
        """See `Sink.close`."""
        self._close_producer(self._producer, timeout_s)

    def _connect(self) -> KafkaProducer:
        producer = KafkaProducer(**self._options, value_serializer=NullSerializer())
        patches.patch_producer(producer)
        return producer

    def _replace_producer(self) -> None:
        producer = self._connect()
        self._close_producer(self._producer, 0.0)
        self._producer = producer


def try_to_send(producer: KafkaProducer, record: OutgoingRecord) -> Any:
    """Send a record; returns kafka-python's future, or the error that it raised instead."""
    try:
        return send(producer, record)
    except (kafka_errors.KafkaError, ValueError, TypeError) as error:
        return error


class SentRecords:
    """Records sent with a producer: see `PendingDelivery`.

    Args:
        producer: the producer.
        sent: each record with kafka-python's future, or with the error that `send` raised.
    """

    def __init__(self, producer: KafkaProducer, sent: list[tuple[OutgoingRecord, Any]]) -> None:
        self._producer = producer
        self._sent = sent

    def wait(self, timeout_s: float) -> bool:
        """See `PendingDelivery.wait`."""
        deadline = time.monotonic() + timeout_s
        with contextlib.suppress(kafka_errors.KafkaTimeoutError):
            self._producer.flush(timeout=FLUSH_S)  # ends the linger; it would wait this long for each partition
        for _, outcome in self._sent:
            if isinstance(outcome, Exception) or outcome.is_done:
                continue
            # `get` raises both at its timeout and when the record failed; `is_done` tells which it was.
            with contextlib.suppress(kafka_errors.KafkaError):
                outcome.get(timeout=max(0.0, deadline - time.monotonic()))
            if not outcome.is_done:
                return False
        return True

    def failed(self) -> list[FailedRecord]:
        """See `PendingDelivery.failed`."""
        failed = []
        for record, outcome in self._sent:
            error = outcome if isinstance(outcome, Exception) else outcome.exception
            if error is not None:
                failed.append(FailedRecord(record, describe(error), is_fatal(error)))
        return failed

    def written(self) -> list[tuple[Partition, int]]:
        """Partition and offset of each record that is acknowledged by now; offset -1 when the broker did not say."""
        acknowledged = [outcome.value for _, outcome in self._sent if not isinstance(outcome, Exception)]
        return [(Partition(at.topic, at.partition), at.offset) for at in acknowledged if at is not None]
