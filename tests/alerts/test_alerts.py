"""Outputs: alerts, their severity, and dead letters."""

import json
import uuid
from datetime import UTC, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from detector.alerts.alert import Alert, AlertModel, timestamp_text
from detector.alerts.dead_letter import ADDED, dead_letter
from detector.alerts.formats import ALERT_FORMATS
from detector.alerts.severity import severity
from detector.records import OutgoingRecord, ReadRecord, Record
from tests.helpers import event

RECORD = ReadRecord("process-events", 3, 42, 1_700_000_000_000, b"k", event(args="ä", hostName="h"), [("trace", b"1")])
MODEL = AlertModel("beth-mlp", "v1", "abc")


def encode(record: Record, key: bytes | None, score: float, severity: str) -> OutgoingRecord:
    """The alert as the service writes it."""
    make_encoder = ALERT_FORMATS["detector"]
    return make_encoder("process-alerts", MODEL, 0.5)(Alert(record, key, score, severity, timestamp_text()))


def test_alert_has_the_form_of_the_contract():
    """Otherwise analysts' tools, which parse exactly this form, would fail."""
    written = encode(RECORD, b"h", 0.9931, "critical")
    alert = json.loads(written.value or b"")
    alert_id = str(uuid.uuid5(uuid.NAMESPACE_URL, "kafka://process-events/3/42"))

    assert (written.topic, written.key) == ("process-alerts", b"h")
    assert dict(written.headers) == {
        "content-type": b"application/json",
        "alert-id": alert_id.encode(),
        "schema": b"detector.alert/1",
    }
    detected_at = datetime.fromisoformat(alert.pop("detected_at"))
    assert detected_at.tzinfo == UTC
    assert abs((datetime.now(UTC) - detected_at).total_seconds()) < 10
    assert list(alert.items()) == [
        ("schema", "detector.alert/1"),
        ("alert_id", alert_id),
        ("score", 0.9931),
        ("threshold", 0.5),
        ("severity", "critical"),
        ("model", {"name": "beth-mlp", "version": "v1", "sha256": "abc"}),
        ("source", {"topic": "process-events", "partition": 3, "offset": 42, "timestamp_ms": 1_700_000_000_000}),
        ("event", json.loads(RECORD.value or b"")),
    ]


def test_event_is_carried_byte_for_byte():
    """Otherwise an alert could show other numbers or text than its event, for example for integers beyond 2**53."""
    value = b'{ "processId":1,"x":1e400,"y":100000000000000000000001,"z":"\\ud800" }'

    assert value in (encode(RECORD._replace(value=value), None, 1.0, "critical").value or b"")


@pytest.mark.parametrize("line_break", ["\n", "\r\n", "\r"])
def test_alert_is_one_line_whatever_whitespace_the_event_has(line_break):
    """Otherwise tools that read one alert from each line would fail on events with indented JSON."""
    fields = {"processId": 1, "args": "two\nlines", "tags": ["a", {}]}
    value = json.dumps(fields, indent=2).replace("\n", line_break).encode() + b"\r\n"

    written = encode(RECORD._replace(value=value), None, 1.0, "critical").value or b""

    assert len(written.splitlines()) == 1
    assert json.loads(written)["event"] == fields


@settings(max_examples=200)
@given(st.text(), st.integers(0, 2**31 - 1), st.integers(0, 2**63 - 1))
def test_alert_id_is_the_uuid5_of_the_event_record(topic, partition, offset):
    """Otherwise consumers could not drop duplicate alerts, or compute an alert's id with their own UUID library."""
    record = RECORD._replace(topic=topic, partition=partition, offset=offset)

    written = encode(record, None, 1.0, "critical")

    alert_id = str(uuid.uuid5(uuid.NAMESPACE_URL, f"kafka://{topic}/{partition}/{offset}"))
    assert dict(written.headers)["alert-id"] == alert_id.encode()


@pytest.mark.parametrize("name", ALERT_FORMATS)
def test_each_format_writes_to_its_topic_with_the_given_key(name):
    """Otherwise a new format could write to the wrong topic, or mix up the order of a host's alerts."""
    first, second = (ALERT_FORMATS[name](topic, MODEL, 0.5) for topic in ("one", "two"))
    alert = Alert(RECORD, b"h", 0.9, "critical", timestamp_text())

    assert [(encode(alert).topic, encode(alert).key) for encode in (first, second)] == [("one", b"h"), ("two", b"h")]
    assert first(alert).value == first(alert).value


@pytest.mark.parametrize(
    ("score", "threshold", "name"),
    [
        (0.5, 0.5, "low"),
        (0.624, 0.5, "low"),
        (0.625, 0.5, "medium"),
        (0.75, 0.5, "high"),
        (0.875, 0.5, "critical"),
        (1.0, 0.5, "critical"),
        (0.0, 0.0, "low"),
        (0.3, 0.0, "medium"),
        (1.0, 1.0, "critical"),
    ],
)
def test_severity_is_the_quarter_between_threshold_and_one(score, threshold, name):
    """Otherwise the same severity would mean something else after each change of the threshold."""
    assert severity(score, threshold) == name


def test_dead_letter_is_the_unchanged_record_with_its_reason():
    """Otherwise a dead letter could not be replayed as the record that the producer wrote."""
    written = dead_letter("dead-letters", RECORD, "wrong_type", 'userId is "\ud800"')

    assert (written.topic, written.key, written.value) == ("dead-letters", RECORD.key, RECORD.value)
    assert written.headers[0] == ("trace", b"1")
    added = dict(written.headers[1:])
    assert added.pop("detector-version")
    assert added == {
        "dead-letter-reason": b"wrong_type",
        "dead-letter-detail": b'userId is "?"',
        "source-topic": b"process-events",
        "source-partition": b"3",
        "source-offset": b"42",
        "source-timestamp-ms": b"1700000000000",
    }


def test_next_dead_letter_keeps_the_number_of_attempts():
    """Otherwise a record that is always invalid would be replayed without end."""
    again = RECORD._replace(headers=[*RECORD.headers, ("dead-letter-attempt", b"2")])

    written = dead_letter("dead-letters", again, "not_json", "why")

    assert written.headers[:2] == [("trace", b"1"), ("dead-letter-attempt", b"2")]
    assert tuple(name for name, _ in written.headers[2:]) == ADDED
