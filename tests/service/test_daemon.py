"""The daemon's loop over the in-memory stream: fast, and exact to the record."""

import json
import re
import subprocess
import sys
import time
import weakref
from collections import Counter

import pytest

from detector.alerts.severity import SEVERITIES, severity
from detector.errors import DeadLetterLimitError, ModelError
from detector.events.csv_rows import read_rows
from detector.local.demo import SAMPLE
from detector.local.ledger import reconcile
from detector.records import OutgoingRecord
from detector.service import health
from detector.service.daemon import Daemon
from detector.settings import (
    BatchSettings,
    DeadLetterSettings,
    DeliverySettings,
    HttpSettings,
    KafkaSettings,
    ModelSettings,
    Settings,
)
from detector.stream.memory import MemorySink, MemorySource, MemoryTopics, MemoryTransactions
from tests.events.test_decode import BAD
from tests.helpers import event, wait_until

KAFKA = KafkaSettings()


def settings(model, **groups) -> Settings:
    return Settings(model=ModelSettings(path=model), http=HttpSettings(port=0), **groups)


def run_to_the_end(topics: MemoryTopics, chosen: Settings, source=MemorySource, sink=None) -> Daemon:
    """Run the daemon until it finds nothing more to read."""
    sinks = {"at-least-once": MemorySink, "exactly-once": MemoryTransactions}

    class EndingSource(source):
        def poll(self, *arguments):
            batch = super().poll(*arguments)
            if not batch.records:
                daemon.stop()
            return batch

    daemon = Daemon(
        chosen,
        lambda kafka, guarantee, listener, _wait: (
            EndingSource(topics, kafka.events_topic, listener),
            (sink or sinks[guarantee])(topics),
        ),
    )
    daemon.run()
    return daemon


def fill(topics, values, keys=None):
    for number, value in enumerate(values):
        topics.append(
            OutgoingRecord(KAFKA.events_topic, keys[number] if keys else None, value, [("n", b"%d" % number)])
        )


def test_every_record_is_scored_or_dead_lettered(model, scorer):
    """The ledger over real rows with every kind of bad record among them: nothing lost, nothing twice."""
    rows = [json.dumps(row.event).encode() for row in read_rows(SAMPLE)][:3000]
    bad = [value for value, _ in BAD.values()]
    topics = MemoryTopics(partitions=3)
    fill(
        topics,
        [
            value
            for number, row in enumerate(rows)
            for value in ([row, bad[number % len(bad)]] if number % 9 == 0 else [row])
        ],
    )

    daemon = run_to_the_end(topics, settings(model, batch=BatchSettings(max_records=500)))

    events, alerts, letters = (
        topics.records(name) for name in (KAFKA.events_topic, KAFKA.alerts_topic, KAFKA.dead_letter_topic)
    )
    ledger = reconcile(events, alerts, letters, topics.committed, scorer)
    assert (ledger.lost, ledger.duplicates, ledger.unexpected) == (0, 0, 0)
    assert ledger.dead_lettered == len(letters) > 300
    assert ledger.alerts == len(alerts) > 200
    value = daemon.metrics.value
    assert value("detector_records_consumed_total") == len(events) == ledger.scored + ledger.dead_lettered
    assert value("detector_records_scored_total") == ledger.scored
    assert value("detector_score_count") == ledger.scored
    said = Counter(_severity_as_scored(json.loads(alert.value)) for alert in alerts)
    assert {name: value("detector_alerts_total", severity=name) for name in SEVERITIES} == {
        name: said[name] for name in SEVERITIES
    }
    assert value("detector_records_dead_lettered_total", reason="tombstone") == sum(r.value is None for r in letters)
    labelled = {
        (label, verdict): value("detector_labelled_records_total", label=label, verdict=verdict)
        for label in ("benign", "suspicious")
        for verdict in ("benign", "suspicious")
    }
    assert sum(labelled.values()) == ledger.scored == len(ledger.labels)
    assert labelled["suspicious", "suspicious"] == (ledger.verdicts & (ledger.labels == 1)).sum()
    assert value("detector_model_info", **_model_labels(scorer)) == 1


def _severity_as_scored(alert):
    assert alert["severity"] == severity(alert["score"], alert["threshold"])
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", alert["detected_at"])
    return alert["severity"]


def _model_labels(scorer):
    model = scorer.identity
    return {"name": model.name, "version": model.version, "sha256": model.sha256, "engine": "torch"}


def test_dead_letter_is_the_record_as_it_came(model):
    """Key, value and headers survive, so that the record can be replayed once its producer is mended."""
    topics = MemoryTopics()
    fill(topics, [b"{", None], keys=[b"k", None])

    run_to_the_end(topics, settings(model))

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
)
def test_alert_is_keyed_by_host(model, fields, key):
    """All alerts of a host are in one partition, in order; without a host the record's own key stays."""
    topics = MemoryTopics()
    fill(topics, [event(**fields)], keys=[b"k"])

    run_to_the_end(topics, settings(model).model_copy(update={"model": ModelSettings(path=model, threshold=0)}))

    (alert,) = topics.records(KAFKA.alerts_topic)
    assert alert.key == key


def test_alert_of_an_event_with_a_lone_surrogate_as_host(model):
    """JSON that has no UTF-8 form as text stops nothing, and is carried as it came."""
    value = event()[:-1] + b',"hostName":"\\ud800"}'
    topics = MemoryTopics()
    fill(topics, [value], keys=[b"k"])

    run_to_the_end(topics, settings(model).model_copy(update={"model": ModelSettings(path=model, threshold=0)}))

    (alert,) = topics.records(KAFKA.alerts_topic)
    assert alert.key == b"k"
    assert json.loads(alert.value)["event"] == json.loads(value)


@pytest.mark.parametrize("limit", [DeadLetterSettings(max_consecutive=10), DeadLetterSettings(max_ratio=0.2)])
def test_wrong_topic_stops_before_it_is_walked_through(model, limit):
    """Past the limit nothing is written or committed, and the exit code says which kind of trouble it is."""
    topics = MemoryTopics()
    fill(topics, [event()] * 1000 + [b"not an event"] * 800)

    with pytest.raises(DeadLetterLimitError, match="is DETECTOR_KAFKA__EVENTS_TOPIC the right topic") as caught:
        run_to_the_end(topics, settings(model, dead_letter=limit, batch=BatchSettings(max_records=500)))

    assert caught.value.exit_code == 4
    (committed,) = topics.committed.values()
    assert committed + 500 <= 1800
    assert len(topics.records(KAFKA.dead_letter_topic)) == max(0, committed - 1000)


def test_threshold_of_the_settings_wins(model):
    """A detection engineer can tune the threshold without making a model."""
    topics = MemoryTopics()
    fill(topics, [event()] * 3)

    chosen = settings(model).model_copy(update={"model": ModelSettings(path=model, threshold=0)})
    run_to_the_end(topics, chosen)

    alerts = [json.loads(record.value) for record in topics.records(KAFKA.alerts_topic)]
    assert [alert["threshold"] for alert in alerts] == [0.0] * 3


def test_missing_model_is_exit_3(tmp_path):
    """Told apart from every other reason not to start."""
    with pytest.raises(ModelError) as caught:
        run_to_the_end(MemoryTopics(), settings(tmp_path / "none"))
    assert caught.value.exit_code == 3


def test_liveness_tells_a_stuck_loop_from_an_idle_topic(model, monkeypatch):
    """An empty topic for longer than a stuck loop is allowed is no reason to be restarted; a step without an end is."""
    monkeypatch.setattr(health, "STUCK_AFTER_S", 0.5)
    verdicts = {}

    class Source(MemorySource):
        began = time.monotonic()

        def poll(self, *arguments):
            if time.monotonic() - self.began > 1.5:
                verdicts["idle"] = daemon.health.not_alive_because()
                wait_until(daemon.health.not_alive_because, "the loop to be called stuck")
                verdicts["stuck"] = daemon.health.not_alive_because()
                daemon.stop()
            return super().poll(*arguments)

    topics = MemoryTopics()
    daemon = Daemon(
        settings(model),
        lambda kafka, _guarantee, listener, _wait: (Source(topics, kafka.events_topic, listener), MemorySink(topics)),
    )
    daemon.run()

    assert verdicts["idle"] is None
    assert "no sign of life" in verdicts["stuck"]


def test_progress_counts_from_the_start(model):
    """A service that waits for its brokers has made none since then, and not since 1970."""
    progress = []

    class Source(MemorySource):
        def poll(self, *arguments):
            progress.append(daemon.metrics.value("detector_last_progress_timestamp_seconds"))
            daemon.stop()
            return super().poll(*arguments)

    topics, before = MemoryTopics(), time.time()
    daemon = Daemon(
        settings(model),
        lambda kafka, _guarantee, listener, _wait: (Source(topics, kafka.events_topic, listener), MemorySink(topics)),
    )
    daemon.run()

    assert before <= progress[0] <= time.time()


def test_positions_are_committed_behind_the_acknowledgements(model):
    """The order that everything rests on: a position is never committed while an output of its batch is on its way."""
    topics, happened = MemoryTopics(), []
    fill(topics, [event(userId=10**12), b"{"])

    class Pending:
        def wait(self, timeout_s):
            happened.append("acknowledged")
            return True

        def refused(self):
            return []

    class Sink(MemorySink):
        def send(self, records):
            happened.append(f"{len(records)} sent")
            return Pending()

    class Source(MemorySource):
        def commit(self, next_offsets, on_done):
            happened.append("committed")
            super().commit(next_offsets, on_done)

    run_to_the_end(topics, settings(model), Source, Sink)

    assert happened == ["2 sent", "acknowledged", "committed"]


def test_garbage_is_collected_while_a_delivery_waits(model):
    """For hours, when the brokers are away, and each attempt to reach them leaves cycles behind."""
    topics, seen = MemoryTopics(), {}
    fill(topics, [b"{"])

    class Cycle:
        def __init__(self):
            self.itself = self

    class Pending:
        until = time.monotonic() + 30

        def __init__(self):
            self.cycle = weakref.ref(Cycle())

        def wait(self, timeout_s):
            time.sleep(timeout_s)  # as long as a broker that is away takes
            seen["collected"] = self.cycle() is None
            return seen["collected"] or time.monotonic() > self.until

        def refused(self):
            return []

    class Sink(MemorySink):
        def send(self, records):
            return Pending()

    run_to_the_end(topics, settings(model), sink=Sink)

    assert seen["collected"]


def test_exactly_once_settles_the_same_books(model, scorer):
    """The same records, the same outputs, the same positions; only how they are committed differs."""
    topics = MemoryTopics()
    fill(topics, [event(), b"{", None] * 5)

    run_to_the_end(topics, settings(model, delivery=DeliverySettings(guarantee="exactly-once")))

    books = [topics.records(topic) for topic in (KAFKA.events_topic, KAFKA.alerts_topic, KAFKA.dead_letter_topic)]
    assert reconcile(*books, topics.committed, scorer).complete


def test_the_service_loads_no_training_library():
    """The daemon's image needs neither pandas nor scikit-learn nor matplotlib."""
    code = (
        "import detector.service, detector.service.daemon, sys; "
        "print([m for m in ('pandas', 'sklearn', 'matplotlib', 'torchmetrics', 'torch') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert done.stdout.strip() == "[]"
