"""`dead-letter show` and `dead-letter replay` as processes, with a running daemon."""

import signal
import time

import pytest

from detector.records import OutgoingRecord
from detector.stream.admin.topics import read_topic
from tests.dead_letters.terminal import run_on_terminal
from tests.dead_letters.written import new_dead_letter, write
from tests.helpers import detector, event, kafka_options, running_detector, wait_until


@pytest.fixture
def options(kafka, model):
    return [*kafka_options(kafka), "--set", f"model.path={model}", "--set", "model.engine=numpy"]


def test_dead_letters_are_shown_and_replayed_and_the_outcome_is_printed(kafka, options, tmp_path):
    """Otherwise an operator could neither find the cause of dead letters nor replay them after a fix."""
    write(kafka, [OutgoingRecord(kafka.events_topic, b"k", b"{", [("own", b"1")])])
    with running_detector(options, tmp_path / "log") as daemon:
        wait_until(lambda: read_topic(kafka, kafka.dead_letter_topic), "a dead letter")
        good = new_dead_letter(kafka, event(), "missing_field", key=b"g")  # as after an update that accepts its form
        write(kafka, [good])
        shown = detector(*options, "dead-letter", "show")
        assert shown.returncode == 0, shown.stderr
        assert "missing_field: 1 dead letter, first " in shown.stdout
        assert f"  {kafka.events_topic}/" in shown.stdout

        done = detector(*options, "dead-letter", "replay", "--wait", "60")
        assert (done.returncode, done.stderr) == (0, "")
        assert done.stdout.splitlines() == [
            f"replayed 2 of 2 dead letters to {kafka.events_topic}, skipped 0 (already replayed 3 times)",
            "1 accepted, 1 dead-lettered again",
        ]
        done = detector(
            *options, "dead-letter", "replay", "--reason", "not_json", "--max-attempts", "1", "--wait", "60"
        )
        assert done.stdout.splitlines() == [
            f"replayed 1 of 2 dead letters to {kafka.events_topic}, skipped 1 (already replayed 1 time)",
            "0 accepted, 1 dead-lettered again",
        ]
        assert daemon.metric("detector_records_scored_total") == 1
        assert daemon.stop(signal.SIGTERM) == 0

    bad = [record for record in read_topic(kafka, kafka.dead_letter_topic) if record.value == b"{"]
    attempts = [record.headers[1] for record in bad]
    assert attempts.count(("dead-letter-attempt", b"1")) == 2  # the next dead letter keeps it
    assert all((record.key, record.headers[0]) == (b"k", ("own", b"1")) for record in bad)


def test_dry_run_sends_nothing_and_replay_without_a_daemon_fails(kafka, options):
    """Otherwise a trial would change the topic, or a replay that no daemon reads would look successful."""
    write(kafka, [new_dead_letter(kafka, b"x")])

    done = detector(*options, "dead-letter", "replay", "--dry-run", "--since", "1h", "--wait", "9")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines() == [
        f"{kafka.events_topic}/3/42  not_json  attempt 1  x",
        f"would replay 1 of 1 dead letters to {kafka.events_topic}, skipped 0 (already replayed 3 times)",
    ]
    assert read_topic(kafka, kafka.events_topic) == []

    done = detector(*options, "dead-letter", "replay", "--wait", "0.1")
    assert done.returncode == 1
    assert done.stdout.splitlines()[-1] == "0 accepted, 0 dead-lettered again, 1 not read yet"
    assert done.stderr.startswith(
        f"detector: consumer group {kafka.group_id} has not committed the offsets of all replayed records within 0.1 s"
    )


def test_empty_topic_and_errors_are_one_line_each(options, kafka):
    """Otherwise an operator would see a traceback, or not learn what to do."""
    show = "dead-letter", "show"
    done = detector(*options, *show)
    assert (done.returncode, done.stdout) == (0, f"no dead letters in {kafka.dead_letter_topic}\n")

    done = detector(*options, "--set", "kafka.dead_letter_topic=nowhere", *show)
    assert done.returncode == 1
    assert done.stderr.startswith("detector: topic nowhere does not exist; create it with: kafka-topics.sh")
    assert len(done.stderr.splitlines()) == 1

    done = detector(*options, *show, "--reason", "tombstones")
    assert done.returncode == 2
    assert done.stderr.startswith("detector: --reason tombstones: no such reason; did you mean tombstone?")

    done = detector(*options, *show, "--since", "noon")
    assert done.returncode == 2
    assert done.stderr.startswith("detector: --since noon: neither a time nor an age; write 2026-11-21T10:00:00Z")

    started = time.monotonic()
    done = detector("--set", "kafka.bootstrap_servers=127.0.0.1:1", *show)
    assert (done.returncode, time.monotonic() - started < 20) == (1, True)
    assert done.stderr == (
        "detector: Kafka brokers unreachable: 127.0.0.1:1: Connection refused; check DETECTOR_KAFKA__BOOTSTRAP_SERVERS "
        "and that the brokers are up\n"
    )


def test_terminal_gets_tables_without_escape_sequences(kafka, options):
    """Otherwise dead letters would be hard to read, or a hostile record could control the operator's terminal."""
    write(kafka, [new_dead_letter(kafka, b"\x1b[2J[red]", "not_json", detail="malformed")])

    code, output = run_on_terminal(*options, "dead-letter", "show")

    assert code == 0, output
    assert f"Dead letters in {kafka.dead_letter_topic}" in output
    assert "┃ reason" in output
    assert r"\x1b[2J[red]" in output
    assert "\x1b[2J" not in output
