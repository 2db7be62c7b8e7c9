"""The daemon's main loop on the in-memory stream: fast, and exact to the record."""

import json
import re
import subprocess
import sys
import time
import weakref
from collections import Counter
from typing import Any

import pytest

from detector.alerts.severity import SEVERITIES, severity
from detector.errors import DeadLetterLimitError, ModelError
from detector.events.rows import read_rows
from detector.events.strict_decode import REASONS
from detector.features.beth import BETH
from detector.local.demo import SAMPLE
from detector.local.reconciliation import reconcile
from detector.process import health
from detector.service.scoring import Scorer
from detector.settings import BatchSettings, DeadLetterSettings, DeliverySettings
from tests.helpers import event, wait_until
from tests.service.in_memory import (
    INVALID_VALUES,
    KAFKA,
    ControllingSource,
    make_settings,
    run_until_read,
    run_with,
    write_events,
)
from tests.stream.memory import MemorySink, MemoryTopics


def test_every_record_is_scored_or_dead_lettered(model, scorer):
    """Otherwise invalid records could make valid ones disappear, or the metrics would be wrong."""
    assert set(INVALID_VALUES) == set(REASONS)
    rows = [json.dumps(row.event).encode() for row in read_rows(SAMPLE, BETH.fields)][:3000]
    invalid = list(INVALID_VALUES.values())
    topics = MemoryTopics(partitions=3)
    write_events(
        topics,
        [
            value
            for number, row in enumerate(rows)
            for value in ([row, invalid[number % len(invalid)]] if number % 9 == 0 else [row])
        ],
    )

    daemon = run_until_read(topics, make_settings(model, batch=BatchSettings(max_records=500)))

    events, alerts, dead_letters = (
        topics.records(name) for name in (KAFKA.events_topic, KAFKA.alerts_topic, KAFKA.dead_letter_topic)
    )
    result = reconcile(events, alerts, dead_letters, topics.committed, scorer)
    assert (result.lost, result.duplicates, result.unexpected) == (0, 0, 0)
    assert result.dead_lettered == len(dead_letters) > 300
    assert result.alerts == len(alerts) > 200
    value = daemon.metrics.value
    assert value("detector_records_consumed_total") == len(events) == result.scored + result.dead_lettered
    assert value("detector_records_scored_total") == result.scored
    assert value("detector_score_count") == result.scored
    severities = Counter(_checked_severity(json.loads(alert.value or b"")) for alert in alerts)
    assert {name: value("detector_alerts_total", severity=name) for name in SEVERITIES} == {
        name: severities[name] for name in SEVERITIES
    }
    reasons = Counter((dict(record.headers)["dead-letter-reason"] or b"").decode() for record in dead_letters)
    assert {reason: value("detector_records_dead_lettered_total", reason=reason) for reason in REASONS} == reasons
    labelled = {
        (label, verdict): value("detector_labelled_records_total", label=label, verdict=verdict)
        for label in ("benign", "suspicious")
        for verdict in ("benign", "suspicious")
    }
    assert sum(labelled.values()) == result.scored == len(result.labels)
    assert labelled["suspicious", "suspicious"] == (result.alerted & (result.labels == 1)).sum()
    assert value("detector_model_info", **_model_labels(scorer)) == 1


def _checked_severity(alert: dict[str, Any]) -> str:
    assert alert["severity"] == severity(alert["score"], alert["threshold"])
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", alert["detected_at"])
    return str(alert["severity"])


def _model_labels(scorer: Scorer) -> dict[str, str]:
    model = scorer.identity
    return {"name": model.name, "version": model.version, "sha256": model.sha256, "engine": "torch"}


def test_dead_letter_is_the_record_as_it_came(model):
    """Otherwise a record could not be replayed after its producer is fixed."""
    topics = MemoryTopics()
    write_events(topics, [b"{", None], keys=[b"k", None])

    run_until_read(topics, make_settings(model))

    first, second = topics.records(KAFKA.dead_letter_topic)
    assert (first.key, first.value, first.headers[0]) == (b"k", b"{", ("n", b"0"))
    assert (second.key, second.value) == (None, None)
    assert dict(second.headers)["dead-letter-reason"] == b"tombstone"


@pytest.mark.parametrize(
    ("fields", "key"),
    [
        ({"hostName": "web-1"}, b"web-1"),
        ({"hostName": ""}, b"k"),
        ({"hostName": 7}, b"k"),
        ({}, b"k"),
        ({"hostName": "x" * 6_000_000}, b"k"),
    ],
    ids=["name", "empty", "number", "missing", "too long"],
)
def test_alert_is_keyed_by_host(model, fields, key):
    """Otherwise the alerts of a host would be in several partitions, and consumers would read them out of order."""
    topics = MemoryTopics()
    write_events(topics, [event(**fields)], keys=[b"k"])

    run_until_read(topics, make_settings(model, threshold=0))

    (alert,) = topics.records(KAFKA.alerts_topic)
    assert alert.key == key


def test_host_name_with_a_lone_surrogate_is_in_the_alert(model):
    """Otherwise a host name that has no UTF-8 form would stop the service, or be changed in the alert."""
    value = event()[:-1] + b',"hostName":"\\ud800"}'
    topics = MemoryTopics()
    write_events(topics, [value], keys=[b"k"])

    run_until_read(topics, make_settings(model, threshold=0))

    (alert,) = topics.records(KAFKA.alerts_topic)
    assert alert.key == b"k"
    assert json.loads(alert.value or b"")["event"] == json.loads(value)


@pytest.mark.parametrize(
    "limits",
    [DeadLetterSettings(max_consecutive=10), DeadLetterSettings(max_ratio=0.2)],
    ids=["max_consecutive", "max_ratio"],
)
def test_wrong_topic_stops_with_nothing_committed_past_the_breach(model, limits):
    """Otherwise events would be skipped while the service reads the wrong topic, and no exit code would say why."""
    topics = MemoryTopics()
    write_events(topics, [event()] * 1000 + [b"not an event"] * 800)

    with pytest.raises(
        DeadLetterLimitError, match="check that DETECTOR_KAFKA__EVENTS_TOPIC is the right topic"
    ) as caught:
        run_until_read(topics, make_settings(model, dead_letter=limits, batch=BatchSettings(max_records=500)))

    assert caught.value.exit_code == 4
    (committed,) = topics.committed.values()
    assert committed + 500 <= 1800
    assert len(topics.records(KAFKA.dead_letter_topic)) == max(0, committed - 1000)


def test_threshold_of_the_settings_is_used(model):
    """Otherwise a detection engineer would have to train another model to change the threshold."""
    topics = MemoryTopics()
    write_events(topics, [event()] * 3)

    run_until_read(topics, make_settings(model, threshold=0))

    alerts = [json.loads(record.value or b"") for record in topics.records(KAFKA.alerts_topic)]
    assert [alert["threshold"] for alert in alerts] == [0.0] * 3


def test_missing_model_is_exit_3(tmp_path):
    """Otherwise a supervisor could not tell a missing model from other reasons not to start."""
    with pytest.raises(ModelError) as caught:
        run_until_read(MemoryTopics(), make_settings(tmp_path / "none"))
    assert caught.value.exit_code == 3


def test_liveness_tells_a_stalled_main_loop_from_an_idle_topic(model, monkeypatch):
    """Otherwise an orchestrator would not restart a stalled main loop, or would restart a service without work."""
    monkeypatch.setattr(health, "STALLED_AFTER_S", 0.5)
    reasons: dict[str, str | None] = {}

    class IdleThenStalled(ControllingSource):
        started = time.monotonic()

        def poll(self, *arguments):
            if time.monotonic() - self.started > 1.5:
                reasons["idle"] = self.daemon.health.not_alive_reason()
                reasons["stalled"] = wait_until(self.daemon.health.not_alive_reason, "failing liveness")
                self.daemon.stop()
            return super().poll(*arguments)

    run_with(IdleThenStalled, MemoryTopics(), make_settings(model))

    assert reasons["idle"] is None
    assert "no progress" in (reasons["stalled"] or "")


def test_progress_counts_from_the_start(model):
    """Otherwise an alert would fire at every start, because the time of the last progress would be in 1970."""
    progress = []

    class OnePoll(ControllingSource):
        def poll(self, *arguments):
            progress.append(self.daemon.metrics.value("detector_last_progress_timestamp_seconds"))
            self.daemon.stop()
            return super().poll(*arguments)

    before = time.time()
    run_with(OnePoll, MemoryTopics(), make_settings(model))

    assert before <= progress[0] <= time.time()


def test_offsets_are_committed_after_the_acknowledgements(model):
    """Otherwise a crash would lose the alerts that were not acknowledged yet."""
    topics, steps = MemoryTopics(), []
    write_events(topics, [event(userId=10**12), b"{"])

    class Pending:
        def wait(self, timeout_s):
            steps.append("acknowledged")
            return True

        def failed(self):
            return []

    class Sink(MemorySink):
        def send(self, records):
            steps.append(f"{len(records)} sent")
            return Pending()

    class Source(ControllingSource):
        def commit(self, next_offsets, on_done):
            steps.append("committed")
            super().commit(next_offsets, on_done)

    run_until_read(topics, make_settings(model), Source, Sink)

    assert steps == ["2 sent", "acknowledged", "committed"]


def test_garbage_is_collected_while_a_delivery_waits(model):
    """Otherwise memory would grow during a long outage, because each connection attempt leaves reference cycles."""
    topics, seen = MemoryTopics(), {}
    write_events(topics, [b"{"])

    class Cycle:
        def __init__(self):
            self.itself = self

    class Pending:
        until = time.monotonic() + 30

        def __init__(self):
            self.cycle = weakref.ref(Cycle())

        def wait(self, timeout_s):
            time.sleep(timeout_s)  # what a delivery to unavailable brokers takes
            seen["collected"] = self.cycle() is None
            return seen["collected"] or time.monotonic() > self.until

        def failed(self):
            return []

    class Sink(MemorySink):
        def send(self, records):
            return Pending()

    run_until_read(topics, make_settings(model), sink=Sink)

    assert seen["collected"]


def test_exactly_once_accounts_for_every_event(model, scorer):
    """Otherwise users of exactly-once would lose events that at-least-once keeps."""
    topics = MemoryTopics()
    write_events(topics, [event(), b"{", None] * 5)

    run_until_read(topics, make_settings(model, delivery=DeliverySettings(guarantee="exactly-once")))

    events, alerts, dead_letters = (
        topics.records(topic) for topic in (KAFKA.events_topic, KAFKA.alerts_topic, KAFKA.dead_letter_topic)
    )
    assert reconcile(events, alerts, dead_letters, topics.committed, scorer).complete


def test_the_service_loads_no_training_library():
    """Otherwise the service would not start in an image without pandas, scikit-learn and matplotlib."""
    code = (
        "import detector.service, detector.service.daemon, sys; "
        "print([m for m in ('pandas', 'sklearn', 'matplotlib', 'torchmetrics', 'torch') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert done.stdout.strip() == "[]"
