"""Dead letters for tests, as the daemon writes them."""

from collections.abc import Sequence

from kafka import KafkaProducer

from detector.alerts.dead_letter import dead_letter
from detector.records import Headers, OutgoingRecord, ReadRecord
from detector.settings import KafkaSettings
from detector.stream.kafka_python import KafkaPythonSink
from tests.helpers import write_all

SOURCE_MS = 1_700_000_000_000


def letter(
    kafka: KafkaSettings,
    value: bytes | None,
    reason: str = "not_json",
    *,
    detail: str = "why",
    key: bytes | None = None,
    headers: Headers = (),
    offset: int = 42,
) -> OutgoingRecord:
    record = ReadRecord(kafka.events_topic, 3, offset, SOURCE_MS, key, value, list(headers))
    return dead_letter(kafka.dead_letter_topic, record, reason, detail)


def write(kafka: KafkaSettings, records: Sequence[OutgoingRecord]) -> None:
    sink = KafkaPythonSink(kafka)
    write_all(sink, records)
    sink.close(5)


def write_at(kafka: KafkaSettings, record: OutgoingRecord, timestamp_ms: int) -> None:
    """Write to one partition, at a time of the test's choosing."""
    producer = KafkaProducer(bootstrap_servers=kafka.bootstrap_servers)
    sent = producer.send(
        record.topic, record.value, record.key, list(record.headers), partition=0, timestamp_ms=timestamp_ms
    )
    sent.get(timeout=30)
    producer.close()
