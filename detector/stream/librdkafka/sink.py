"""The writing side of the stream over librdkafka: an idempotent producer."""

from collections.abc import Sequence
from functools import partial

from confluent_kafka import KafkaError, KafkaException, Producer

from detector.records import OutgoingRecord
from detector.settings import KafkaSettings
from detector.stream.background import run_within
from detector.stream.interfaces import FailedRecord
from detector.stream.librdkafka.errors import FatalErrors, client_log, describe, is_fatal
from detector.stream.librdkafka.options import producer_options


class Outputs:
    """Records sent with a producer, and those that failed."""

    def __init__(self, producer: Producer, records: Sequence[OutgoingRecord]) -> None:
        self.failed: list[tuple[OutgoingRecord, KafkaError]] = []
        for record in records:
            self._send(producer, record)

    def _send(self, producer: Producer, record: OutgoingRecord) -> None:
        try:
            producer.produce(
                record.topic,
                record.value,
                record.key,
                headers=list(record.headers),
                on_delivery=partial(self._on_delivery, record),
            )
        except KafkaException as error:
            self.failed.append((record, error.args[0]))
        except BufferError:
            self.failed.append((record, KafkaError(KafkaError._QUEUE_FULL)))  # noqa: SLF001 - a public constant

    def _on_delivery(self, record: OutgoingRecord, error: KafkaError | None, _message: object) -> None:
        if error is not None:
            self.failed.append((record, error))


class LibrdkafkaSink:
    """Writes alerts and dead letters."""

    def __init__(self, kafka: KafkaSettings) -> None:
        self._fatal_errors = FatalErrors()
        self._producer = Producer(producer_options(kafka) | {"error_cb": self._fatal_errors}, logger=client_log())

    def send(self, records: Sequence[OutgoingRecord]) -> "_Pending":
        """See `Sink.send`."""
        return _Pending(self._producer, records, self._fatal_errors)

    def close(self, timeout_s: float) -> None:
        """See `Sink.close`."""
        close_producer(self._producer, timeout_s)


class _Pending:
    def __init__(self, producer: Producer, records: Sequence[OutgoingRecord], fatal_errors: FatalErrors) -> None:
        self._producer = producer
        self._fatal_errors = fatal_errors
        self._outputs = Outputs(producer, records)

    def wait(self, timeout_s: float) -> bool:
        in_flight: int = self._producer.flush(timeout_s)  # ends the linger
        self._fatal_errors.raise_first()
        return not in_flight

    def failed(self) -> list[FailedRecord]:
        return [FailedRecord(record, describe(error), is_fatal(error)) for record, error in self._outputs.failed]


def close_producer(producer: Producer, timeout_s: float) -> None:
    """Close a producer within the timeout; records that are still in flight are lost."""
    producer.purge(blocking=False)
    run_within(producer.close, timeout_s)
