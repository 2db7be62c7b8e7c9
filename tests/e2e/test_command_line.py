"""The commands with a real broker: every event is accounted for, whatever happens to the daemon."""

import csv
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from contextlib import ExitStack

import pytest

from detector.events.rows import read_rows
from detector.features.beth import BETH
from detector.local.broker import EmbeddedBroker
from detector.local.demo import SAMPLE
from detector.records import OutgoingRecord
from detector.settings import KafkaSettings
from detector.stream.admin.topics import create_topics, read_topic
from tests.dead_letters.written import write
from tests.e2e.waiting import reconciliation_of, wait_until_committed
from tests.events.values import INVALID, VALID
from tests.helpers import (
    FULL_ROWS,
    detector,
    event,
    group_progress,
    kafka_options,
    running_detector,
    wait_until,
)


def test_train_run_replay_and_alerts_equal_the_offline_scores(kafka, trained_by_command, tmp_path):
    """Otherwise the README's commands would give other alerts than `detector score` gives for the same file."""
    _, version = trained_by_command
    options = [*kafka_options(kafka), "--set", f"model.path={version.parent / 'current'}"]
    scores_file = tmp_path / "scores.csv"
    scored = detector(*options, "score", SAMPLE, "--output", scores_file)
    assert scored.returncode == 0, scored.stderr
    for measure in ("accuracy", "precision", "recall", "f1", "auroc", "average precision"):
        assert measure in scored.stdout
    with running_detector(options, tmp_path / "log") as daemon:
        daemon.wait_for_log("partitions_assigned")
        replayed = detector(*options, "replay", SAMPLE)
        assert replayed.returncode == 0, replayed.stderr
        assert "replayed 12500 events" in replayed.stdout
        wait_until_committed(kafka)
        assert daemon.metric("detector_records_scored_total") == 12_500
        assert daemon.metric("detector_lag_records") == 0
        alerts_counted = daemon.metric("detector_alerts_total")
        assert daemon.stop(signal.SIGTERM) == 0

    with scores_file.open() as file:
        scores = [(int(row["row"]), float(row["score"]), int(row["suspicious"])) for row in csv.DictReader(file)]
    assert [row for row, _, _ in scores] == list(range(12_500))
    # Replay keeps the order of the file within a partition, so equal rows are in the same order as equal events.
    rows = [row.event for row in read_rows(SAMPLE, BETH.fields)]
    expected: dict[str, list[tuple[int, float, int]]] = {}
    for (number, score, suspicious), row in zip(scores, rows, strict=True):
        expected.setdefault(json.dumps(row, sort_keys=True), []).append((number, score, suspicious))
    alerts = {}
    for record in read_topic(kafka, kafka.alerts_topic):
        alert = json.loads(record.value or b"")
        alerts[alert["source"]["partition"], alert["source"]["offset"]] = alert
    seen = 0
    for record in read_topic(kafka, kafka.events_topic):
        fields = json.loads(record.value or b"")
        _, score, suspicious = expected[json.dumps(fields, sort_keys=True)].pop()
        alert = alerts.pop((record.partition, record.offset), None)
        assert (alert is not None) == bool(suspicious)
        if alert:
            assert abs(alert["score"] - score) <= 1e-6
            assert alert["event"] == fields
            assert alert["source"]["timestamp_ms"] == record.timestamp
        seen += 1
    assert seen == 12_500
    assert alerts == {}
    assert alerts_counted == sum(suspicious for _, _, suspicious in scores)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_restart_during_a_replay_loses_no_event(kafka, options, scorer, tmp_path, number):
    """Otherwise a daemon that is stopped or killed while it reads would lose events."""
    replaying = threading.Thread(target=detector, args=(*options, "replay", SAMPLE, "--rate", "6000"))
    with running_detector(options, tmp_path / "first") as daemon:
        daemon.wait_for_log("partitions_assigned")
        replaying.start()
        wait_until(lambda: daemon.metric("detector_records_scored_total") > 1000, "the first thousand")
        code = daemon.stop(number)
        assert code == (0 if number == signal.SIGTERM else -signal.SIGKILL)
    with running_detector(options, tmp_path / "second"):
        replaying.join()
        result = reconciliation_of(kafka, scorer)

    assert result.events == result.scored == 12_500
    assert (result.lost, result.unexpected) == (0, 0)
    if number == signal.SIGTERM:
        assert result.duplicates == 0


def test_each_invalid_record_becomes_one_dead_letter_with_its_reason(kafka, options, scorer, tmp_path):
    """Otherwise an invalid record would stop the service, be lost, or have the wrong reason."""
    headers = [("trace", b"1")]
    values = [value for value, _ in INVALID.values()]
    records = [OutgoingRecord(kafka.events_topic, b"k", value, headers) for value in values]
    records += [OutgoingRecord(kafka.events_topic, b"g", value, []) for value in VALID.values()]
    records += [OutgoingRecord(kafka.events_topic, None, None, [])]
    big = event(args="x" * 5_000_000)
    records += [OutgoingRecord(kafka.events_topic, b"big", big, [])]
    write(kafka, records)

    with running_detector([*options, "--set", "model.threshold=0"], tmp_path / "log") as daemon:
        wait_until_committed(kafka)
        assert daemon.metric("detector_records_dead_lettered_total") == len(values) + 1
        assert daemon.stop(signal.SIGINT) == 0
        assert "Traceback" not in daemon.log_file.read_text()

    sent = {r.offset: r for r in read_topic(kafka, kafka.events_topic) if r.key == b"k"}
    reasons = [reason for _, reason in INVALID.values()]
    letters = read_topic(kafka, kafka.dead_letter_topic)
    for letter in (letter for letter in letters if letter.key == b"k"):
        found = dict(letter.headers)
        source = sent.pop(int(found["source-offset"] or b""))
        assert letter.value == source.value
        assert letter.headers[0] == headers[0]
        assert (found["dead-letter-reason"] or b"").decode() == reasons[values.index(letter.value)]
    assert sent == {}
    assert len(letters) == len(values) + 1
    # parse_int: one of the valid events has an integer of 5,001 digits, which Python does not convert
    alerts = [json.loads(record.value or b"", parse_int=str) for record in read_topic(kafka, kafka.alerts_topic)]
    assert len(alerts) == len(VALID) + 1
    assert json.loads(big, parse_int=str) in [alert["event"] for alert in alerts]


def test_daemon_started_before_kafka_waits_for_the_broker_and_the_topics(model, tmp_path, broker, scorer):
    """Otherwise a daemon that starts before Kafka would need a restart, or not say what it waits for."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    kafka = KafkaSettings(bootstrap_servers=f"127.0.0.1:{port}")
    options = [*kafka_options(kafka), "--set", f"model.path={model}"]
    with running_detector(options, tmp_path / "log") as daemon:

        def waiting_reason() -> str:
            return daemon.wait_for_log("waiting_for_kafka")["reason"]

        assert "Kafka brokers unreachable" in waiting_reason()
        status, reason = daemon.get("/readyz")
        assert status == 503
        assert "Kafka brokers unreachable" in reason
        assert daemon.get("/healthz")[0] == 200
        with EmbeddedBroker(port=port):
            wait_until(lambda: "topics do not exist" in waiting_reason(), "the missing topics as the reason")
            assert (
                f"kafka-topics.sh --bootstrap-server 127.0.0.1:{port} --create --topic process-events"
                in waiting_reason()
            )
            create_topics(kafka, partitions=2)
            daemon.wait_for_log("partitions_assigned")
            wait_until(lambda: daemon.get("/readyz")[0] == 200, "readiness")
            assert detector(*options, "replay", FULL_ROWS).returncode == 0
            assert reconciliation_of(kafka, scorer).lost == 0
            assert daemon.stop(signal.SIGTERM) == 0


def test_broker_outage_during_a_replay_loses_no_event(model, tmp_path, scorer):
    """Otherwise an outage of the broker would cost events, or a restart of the daemon."""
    with ExitStack() as stack:
        first = stack.enter_context(EmbeddedBroker(data_dir=tmp_path / "data"))
        port = int(first.bootstrap_servers.rpartition(":")[2])
        kafka = KafkaSettings(bootstrap_servers=first.bootstrap_servers)
        create_topics(kafka, partitions=2)
        options = [*kafka_options(kafka), "--set", f"model.path={model}", "--set", "model.engine=numpy"]
        assert detector(*options, "replay", SAMPLE, "--limit", "6000").returncode == 0
        daemon = stack.enter_context(running_detector([*options, "--set", "batch.max_records=50"], tmp_path / "log"))
        wait_until(lambda: daemon.metric("detector_records_scored_total") > 500, "the first records")
        first.stop()
        assert daemon.process.poll() is None
        assert daemon.get("/healthz")[0] == 200
        with EmbeddedBroker(port=port, data_dir=tmp_path / "data"):
            assert detector(*options, "replay", SAMPLE, "--limit", "1000").returncode == 0
            result = reconciliation_of(kafka, scorer)
            assert daemon.stop(signal.SIGTERM) == 0

    assert result.events == result.scored == 7000
    assert (result.lost, result.unexpected) == (0, 0)


def test_stop_while_waiting_for_the_broker_is_quick(model, tmp_path):
    """Otherwise a daemon that never connected to Kafka would have to be killed."""
    options = ["--set", "kafka.bootstrap_servers=127.0.0.1:1", "--set", f"model.path={model}"]
    with running_detector(options, tmp_path / "log") as daemon:
        daemon.wait_for_log("waiting_for_kafka")
        started = time.monotonic()
        assert daemon.stop(signal.SIGTERM) == 0
        assert time.monotonic() - started < 5


def test_second_signal_forces_the_exit():
    """Otherwise an operator could not end a drain that takes too long, except with SIGKILL."""
    with subprocess.Popen(
        [sys.executable, "-c", _SLOW_TO_STOP], stdout=subprocess.PIPE, env=os.environ | {"PYTHONUNBUFFERED": "1"}
    ) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == b"ready\n"
            process.send_signal(signal.SIGINT)
            assert process.stdout.readline() == b"stopping\n"
            process.send_signal(signal.SIGTERM)

            assert process.wait(10) == 143
        finally:
            process.kill()


_SLOW_TO_STOP = """
import time
from detector.process.signals import StopRequest, stop_on_signals

stop = StopRequest()
with stop_on_signals(stop):
    print("ready")
    while not stop:
        time.sleep(0.01)
    print("stopping")
    time.sleep(60)
"""


def test_two_daemons_share_the_partitions(kafka, options, scorer, tmp_path):
    """Otherwise a second instance would not help, or events would be lost when partitions move."""
    with running_detector(options, tmp_path / "one") as one, running_detector(options, tmp_path / "two") as two:
        both = (one, two)
        wait_until(lambda: [d.metric("detector_assigned_partitions") for d in both] == [2, 2], "two partitions each")
        assert detector(*options, "replay", SAMPLE).returncode == 0
        result = reconciliation_of(kafka, scorer)
        assert all(daemon.metric("detector_records_scored_total") > 0 for daemon in both)
        assert one.stop(signal.SIGTERM) == two.stop(signal.SIGTERM) == 0

    assert (result.scored, result.lost, result.duplicates) == (12_500, 0, 0)


@pytest.mark.parametrize("guarantee", ["at-least-once", "exactly-once"])
def test_limit_on_dead_letters_stops_the_daemon_before_it_commits_further(options, kafka, guarantee):
    """Otherwise a daemon with a wrong topic in its settings would turn the whole topic into dead letters."""
    write(kafka, [OutgoingRecord(kafka.events_topic, b"one partition", b"?", [])] * 100)

    limits = ["--set", "dead_letter.max_consecutive=30", "--set", "batch.max_records=10"]
    done = detector(*options, *limits, "--set", f"delivery.guarantee={guarantee}", "--set", "http.port=0", "run")

    with group_progress(kafka) as progress:
        committed = sum(progress.committed().values())
    assert done.returncode == 4
    assert len(read_topic(kafka, kafka.dead_letter_topic)) == committed
    assert 0 < committed <= 30
