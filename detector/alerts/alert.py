"""The alert: a record for each suspicious event, in the form `detector.alert/1`."""

import uuid
from datetime import UTC, datetime

import msgspec

from detector.alerts.severity import severity
from detector.records import Headers, OutgoingRecord, Record

SCHEMA = "detector.alert/1"


class AlertModel(msgspec.Struct, frozen=True):
    """The model that scored: enough to find it again."""

    name: str
    version: str
    sha256: str


class Source(msgspec.Struct, frozen=True):
    """Where the event was read."""

    topic: str
    partition: int
    offset: int
    timestamp_ms: int


class Alert(msgspec.Struct, frozen=True):
    """The value of an alert record; the field names and their order are the wire format's."""

    schema: str
    alert_id: str
    detected_at: str
    score: float
    threshold: float
    severity: str
    model: AlertModel
    source: Source
    event: msgspec.Raw
    """The event's own bytes: as it came, to the letter."""


class AlertWriter:
    """Builds the alerts of one model for one topic."""

    def __init__(self, topic: str, model: AlertModel, threshold: float) -> None:
        self._topic = topic
        self._model = model
        self._threshold = threshold
        self._encode = msgspec.json.Encoder().encode

    def write(self, record: Record, score: float, key: bytes | None) -> OutgoingRecord:
        """The alert for a record: the same record always gives the same `alert_id`.

        Args:
            record: a record that was read as an event.
            score: its score, at or above the threshold.
            key: the alert's key.
        """
        alert_id = _alert_id(record)
        source = Source(record.topic, record.partition, record.offset, record.timestamp)
        alert = Alert(
            schema=SCHEMA,
            alert_id=alert_id,
            detected_at=datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            score=score,
            threshold=self._threshold,
            severity=severity(score, self._threshold),
            model=self._model,
            source=source,
            event=msgspec.Raw(record.value or b""),
        )
        return OutgoingRecord(self._topic, key, self._encode(alert), _headers(alert_id))


def _alert_id(record: Record) -> str:
    return str(uuid.uuid5(uuid.NAMESPACE_URL, f"kafka://{record.topic}/{record.partition}/{record.offset}"))


def _headers(alert_id: str) -> Headers:
    return [
        ("content-type", b"application/json"),
        ("alert-id", alert_id.encode()),
        ("schema", SCHEMA.encode()),
    ]
