"""Writes dead letters to a broker, as the daemon does."""

from collections.abc import Sequence
from contextlib import closing

from kafka import KafkaProducer

from detector.alerts.dead_letter import dead_letter
from detector.records import Headers, OutgoingRecord, ReadRecord
from detector.settings import KafkaSettings
from detector.stream.kafka_python.sink import KafkaPythonSink
from tests.helpers import write_all

SOURCE_MS = 1_700_000_000_000


def new_dead_letter(
    kafka: KafkaSettings,
    value: bytes | None,
    reason: str = "not_json",
    *,
    detail: str = "why",
    key: bytes | None = None,
    headers: Headers = (),
    offset: int = 42,
) -> OutgoingRecord:
    """The dead letter of a record that was read from the events topic."""
    record = ReadRecord(kafka.events_topic, 3, offset, SOURCE_MS, key, value, list(headers))
    return dead_letter(kafka.dead_letter_topic, record, reason, detail)


def write(kafka: KafkaSettings, records: Sequence[OutgoingRecord]) -> None:
    sink = KafkaPythonSink(kafka)
    try:
        write_all(sink, records)
    finally:
        sink.close(5)


def write_at(kafka: KafkaSettings, record: OutgoingRecord, timestamp_ms: int) -> None:
    """Write to partition 0 with a given timestamp."""
    with closing(KafkaProducer(bootstrap_servers=kafka.bootstrap_servers)) as producer:
        sent = producer.send(
            record.topic, record.value, record.key, list(record.headers), partition=0, timestamp_ms=timestamp_ms
        )
        sent.get(timeout=30)
