"""The daemon as a process, on the real broker: nothing is lost, whatever happens to it."""

import csv
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time

import pytest

from detector.events.csv_rows import read_rows
from detector.local.demo import SAMPLE
from detector.local.ledger import reconcile
from detector.local.topics import GroupProgress, create_topics, read_topic
from detector.records import OutgoingRecord
from detector.stream.kafka_python import KafkaPythonSink
from tests.events.test_decode import BAD, GOOD_ONES
from tests.helpers import (
    FULL_ROWS,
    detector,
    event,
    group_progress,
    kafka_options,
    running_detector,
    wait_until,
    write_all,
)


def wait_until_done(kafka, timeout_s=60):
    """Every record of the events topic is committed."""
    with group_progress(kafka) as progress:
        wait_until(lambda: progress.behind() == 0, "the end of the events topic", timeout_s)
        return progress.committed()


def ledger_of(kafka, scorer):
    topics = kafka.events_topic, kafka.alerts_topic, kafka.dead_letter_topic
    committed = wait_until_done(kafka)
    return reconcile(*(read_topic(kafka, topic) for topic in topics), committed, scorer)


def test_train_run_replay_and_alerts_equal_the_offline_scores(kafka, trained_by_command, tmp_path):
    """The whole way, with the README's commands: alert by alert, offset by offset, what `score` says of the file."""
    _, version = trained_by_command
    options = [*kafka_options(kafka), "--set", f"model.path={version.parent / 'current'}"]
    scores_file = tmp_path / "scores.csv"
    scored = detector(*options, "score", SAMPLE, "--output", scores_file)
    assert scored.returncode == 0, scored.stderr
    for measure in ("accuracy", "precision", "recall", "f1", "auroc", "average precision"):
        assert measure in scored.stdout
    with running_detector(options, tmp_path / "log") as daemon:
        daemon.wait_for_log("partitions assigned")
        replayed = detector(*options, "replay", SAMPLE)
        assert replayed.returncode == 0, replayed.stderr
        assert "replayed 12500 events" in replayed.stdout
        wait_until_done(kafka)
        assert daemon.metric("detector_records_scored_total") == 12_500
        assert daemon.metric("detector_lag_records") == 0
        alerts_counted = daemon.metric("detector_alerts_total")
        assert daemon.stop(signal.SIGTERM) == 0

    with scores_file.open() as file:
        scores = [(int(row["row"]), float(row["score"]), int(row["suspicious"])) for row in csv.DictReader(file)]
    assert [row for row, _, _ in scores] == list(range(12_500))
    # Replay keeps the order of the file within a partition, so equal events can be told apart by their place.
    rows = [row.event for row in read_rows(SAMPLE)]
    expected = {}
    for (number, score, suspicious), row in zip(scores, rows, strict=True):
        expected.setdefault(json.dumps(row, sort_keys=True), []).append((number, score, suspicious))
    alerts = {}
    for record in read_topic(kafka, kafka.alerts_topic):
        alert = json.loads(record.value)
        alerts[alert["source"]["partition"], alert["source"]["offset"]] = alert
    seen = 0
    for record in read_topic(kafka, kafka.events_topic):
        fields = json.loads(record.value)
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
def test_restart_in_the_middle_of_a_replay_loses_nothing(kafka, options, scorer, tmp_path, number):
    """Stopped or killed while events come in: the next one goes on, and the books are complete."""
    replaying = threading.Thread(target=detector, args=(*options, "replay", SAMPLE, "--rate", "6000"))
    with running_detector(options, tmp_path / "first") as daemon:
        daemon.wait_for_log("partitions assigned")
        replaying.start()
        wait_until(lambda: daemon.metric("detector_records_scored_total") > 1000, "the first thousand")
        code = daemon.stop(number)
        assert code == (0 if number == signal.SIGTERM else -signal.SIGKILL)
    with running_detector(options, tmp_path / "second"):
        replaying.join()
        ledger = ledger_of(kafka, scorer)

    assert ledger.events == ledger.scored == 12_500
    assert (ledger.lost, ledger.unexpected) == (0, 0)
    if number == signal.SIGTERM:
        assert ledger.duplicates == 0


def test_bad_records_each_become_one_dead_letter_with_the_right_reason(kafka, options, scorer, tmp_path):
    """Every kind of bad record on the real broker, among good ones: none stops or slows the rest, nothing is lost."""
    sink = KafkaPythonSink(kafka)
    headers = [("trace", b"1")]
    values = [value for value, _ in BAD.values()]
    records = [OutgoingRecord(kafka.events_topic, b"k", value, headers) for value in values]
    records += [OutgoingRecord(kafka.events_topic, b"g", value, []) for value in GOOD_ONES.values()]
    records += [OutgoingRecord(kafka.events_topic, None, None, [])]
    big = event(args="x" * 5_000_000)
    records += [OutgoingRecord(kafka.events_topic, b"big", big, [])]
    assert sink.send(records).wait(60)
    sink.close(5)

    with running_detector([*options, "--set", "model.threshold=0"], tmp_path / "log") as daemon:
        wait_until_done(kafka)
        assert daemon.metric("detector_records_dead_lettered_total") == len(values) + 1
        assert daemon.stop(signal.SIGINT) == 0
        assert "Traceback" not in daemon.log_file.read_text()

    sent = {r.offset: r for r in read_topic(kafka, kafka.events_topic) if r.key == b"k"}
    reasons = [reason for _, reason in BAD.values()]
    letters = read_topic(kafka, kafka.dead_letter_topic)
    for letter in (letter for letter in letters if letter.key == b"k"):
        found = dict(letter.headers)
        source = sent.pop(int(found["source-offset"]))
        assert letter.value == source.value
        assert letter.headers[0] == headers[0]
        assert found["dead-letter-reason"].decode() == reasons[values.index(letter.value)]
    assert sent == {}
    assert len(letters) == len(values) + 1
    # parse_int: one of the good ones carries an integer of 5,001 digits, which Python reads only as text
    alerts = [json.loads(record.value, parse_int=str) for record in read_topic(kafka, kafka.alerts_topic)]
    assert len(alerts) == len(GOOD_ONES) + 1
    assert json.loads(big, parse_int=str) in [alert["event"] for alert in alerts]


def test_waits_for_the_broker_and_the_topics_and_then_works(model, tmp_path, broker, scorer):
    """Started first, before Kafka and before its topics: it says what it waits for, and goes on by itself."""
    from detector.local.broker import EmbeddedBroker
    from detector.settings import KafkaSettings

    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    kafka = KafkaSettings(bootstrap_servers=f"127.0.0.1:{port}")
    options = [*kafka_options(kafka), "--set", f"model.path={model}"]
    with running_detector(options, tmp_path / "log") as daemon:
        assert "no broker can be reached" in daemon.wait_for_log("waiting")["reason"]
        status, reason = daemon.get("/readyz")
        assert status == 503
        assert "no broker can be reached" in reason
        assert daemon.get("/healthz")[0] == 200
        with EmbeddedBroker(port=port):
            wait_until(lambda: "missing topics" in daemon.logged("waiting")["reason"], "word of the topics")
            assert (
                f"kafka-topics.sh --bootstrap-server 127.0.0.1:{port} --create --topic process-events"
                in daemon.logged("waiting")["reason"]
            )
            create_topics(kafka, partitions=2)
            daemon.wait_for_log("partitions assigned")
            wait_until(lambda: daemon.get("/readyz")[0] == 200, "readiness")
            assert detector(*options, "replay", FULL_ROWS).returncode == 0
            assert ledger_of(kafka, scorer).lost == 0
            assert daemon.stop(signal.SIGTERM) == 0


def test_broker_that_goes_and_comes_back_costs_nothing(model, tmp_path, scorer):
    """An outage in the middle of a replay: the daemon stays up, goes on by itself, and the books are complete."""
    from detector.local.broker import EmbeddedBroker
    from detector.settings import KafkaSettings

    first = EmbeddedBroker(data_dir=tmp_path / "data").start()
    port = int(first.bootstrap_servers.rpartition(":")[2])
    kafka = KafkaSettings(bootstrap_servers=first.bootstrap_servers)
    create_topics(kafka, partitions=2)
    options = [*kafka_options(kafka), "--set", f"model.path={model}", "--set", "model.engine=numpy"]
    assert detector(*options, "replay", SAMPLE, "--limit", "6000").returncode == 0
    with running_detector([*options, "--set", "batch.max_records=50"], tmp_path / "log") as daemon:
        wait_until(lambda: daemon.metric("detector_records_scored_total") > 500, "the first records")
        first.stop()
        assert daemon.process.poll() is None
        assert daemon.get("/healthz")[0] == 200
        with EmbeddedBroker(port=port, data_dir=tmp_path / "data"):
            assert detector(*options, "replay", SAMPLE, "--limit", "1000").returncode == 0
            ledger = ledger_of(kafka, scorer)
            assert daemon.stop(signal.SIGTERM) == 0

    assert ledger.events == ledger.scored == 7000
    assert (ledger.lost, ledger.unexpected) == (0, 0)


def test_stop_while_waiting_for_the_broker(model, tmp_path):
    """A service that never reached Kafka stops at once, with 0."""
    options = ["--set", "kafka.bootstrap_servers=127.0.0.1:1", "--set", f"model.path={model}"]
    with running_detector(options, tmp_path / "log") as daemon:
        daemon.wait_for_log("waiting")
        started = time.monotonic()
        assert daemon.stop(signal.SIGTERM) == 0
        assert time.monotonic() - started < 5


def test_second_signal_forces_the_exit(model, tmp_path, kafka, options):
    """Whoever is in a hurry presses Ctrl-C twice."""
    process = subprocess.Popen(
        [sys.executable, "-c", _SLOW_TO_STOP], stdout=subprocess.PIPE, env=os.environ | {"PYTHONUNBUFFERED": "1"}
    )
    assert process.stdout.readline() == b"ready\n"
    process.send_signal(signal.SIGINT)
    assert process.stdout.readline() == b"stopping\n"
    process.send_signal(signal.SIGTERM)

    assert process.wait(10) == 143
    process.stdout.close()


_SLOW_TO_STOP = """
import time
from detector.service.signals import Stop, stop_on_signals

stop = Stop()
with stop_on_signals(stop):
    print("ready")
    while not stop:
        time.sleep(0.01)
    print("stopping")
    time.sleep(60)
"""


def test_two_daemons_share_the_work(kafka, options, scorer, tmp_path):
    """A second instance takes half of the partitions; together they lose nothing."""
    with running_detector(options, tmp_path / "one") as one, running_detector(options, tmp_path / "two") as two:
        both = (one, two)
        wait_until(lambda: [d.metric("detector_assigned_partitions") for d in both] == [2, 2], "two partitions each")
        assert detector(*options, "replay", SAMPLE).returncode == 0
        ledger = ledger_of(kafka, scorer)
        assert all(daemon.metric("detector_records_scored_total") > 0 for daemon in both)
        assert one.stop(signal.SIGTERM) == two.stop(signal.SIGTERM) == 0

    assert (ledger.scored, ledger.lost, ledger.duplicates) == (12_500, 0, 0)


@pytest.mark.parametrize("guarantee", ["at-least-once", "exactly-once"])
def test_wrong_topic_stops_with_nothing_committed_past_the_breach(options, kafka, guarantee):
    """What was committed is in the dead-letter topic, and the rest of the topic waits for whoever mends the setting."""
    sink = KafkaPythonSink(kafka)
    records = [OutgoingRecord(kafka.events_topic, b"one partition", b"?", [])] * 100
    write_all(sink, records)
    sink.close(5)

    limits = ["--set", "dead_letter.max_consecutive=30", "--set", "batch.max_records=10"]
    done = detector(*options, *limits, "--set", f"delivery.guarantee={guarantee}", "--set", "http.port=0", "run")

    progress = GroupProgress(kafka)
    committed = sum(progress.committed().values())
    progress.close()
    assert done.returncode == 4
    assert len(read_topic(kafka, kafka.dead_letter_topic)) == committed
    assert 0 < committed <= 30
