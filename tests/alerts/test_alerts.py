"""What goes out."""

import json
import uuid
from datetime import UTC, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from detector.alerts.alert import AlertModel, AlertWriter, timestamp_text
from detector.alerts.dead_letter import ADDED, dead_letter
from detector.alerts.severity import severity
from detector.records import ReadRecord
from tests.helpers import event

RECORD = ReadRecord("process-events", 3, 42, 1_700_000_000_000, b"k", event(args="ä", hostName="h"), [("trace", b"1")])


def test_alert_has_the_form_of_the_contract():
    """Analysts' tools parse exactly this."""
    writer = AlertWriter("process-alerts", AlertModel("beth-mlp", "v1", "abc"), 0.5)
    written = writer.write(RECORD, b"h", 0.9931, "critical", timestamp_text())
    alert = json.loads(written.value)
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
    assert alert == {
        "schema": "detector.alert/1",
        "alert_id": alert_id,
        "score": 0.9931,
        "threshold": 0.5,
        "severity": "critical",
        "model": {"name": "beth-mlp", "version": "v1", "sha256": "abc"},
        "source": {"topic": "process-events", "partition": 3, "offset": 42, "timestamp_ms": 1_700_000_000_000},
        "event": json.loads(RECORD.value),
    }


@settings(max_examples=200, deadline=None)
@given(st.text(), st.integers(0, 2**31 - 1), st.integers(0, 2**63 - 1))
def test_alert_id_is_the_uuid5_of_where_its_event_is(topic, partition, offset):
    """Whoever has the event can tell the alert's id, with any library's UUIDs."""
    writer = AlertWriter("process-alerts", AlertModel("beth-mlp", "v1", "abc"), 0.5)
    record = RECORD._replace(topic=topic, partition=partition, offset=offset)

    written = writer.write(record, None, 1.0, "critical", timestamp_text())

    alert_id = str(uuid.uuid5(uuid.NAMESPACE_URL, f"kafka://{topic}/{partition}/{offset}"))
    assert dict(written.headers)["alert-id"] == alert_id.encode()


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
    """Triage by severity means the same at every threshold."""
    assert severity(score, threshold) == name


def test_dead_letter_is_the_record_with_its_reason():
    """Key, value and headers stay as they came, so that it can be replayed."""
    written = dead_letter("letters", RECORD, "wrong_type", 'userId is "\ud800"')

    assert (written.topic, written.key, written.value) == ("letters", RECORD.key, RECORD.value)
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


def test_count_of_attempts_outlives_the_next_dead_letter():
    """Else a record that comes back each time would be replayed for ever."""
    again = RECORD._replace(headers=[*RECORD.headers, ("dead-letter-attempt", b"2")])

    written = dead_letter("letters", again, "not_json", "why")

    assert written.headers[:2] == [("trace", b"1"), ("dead-letter-attempt", b"2")]
    assert tuple(name for name, _ in written.headers[2:]) == ADDED
