"""The verbs as processes, with the daemon on the other side."""

import os
import pty
import signal
import subprocess
import sys
import threading
import time

import pytest

from detector.local.topics import read_topic
from detector.records import OutgoingRecord
from tests.dead_letters.letters import letter, write
from tests.helpers import detector, event, kafka_options, running_detector, wait_until


@pytest.fixture
def options(kafka, model):
    return [*kafka_options(kafka), "--set", f"model.path={model}", "--set", "model.engine=numpy"]


def test_show_fix_replay_and_what_became_of_it(kafka, options, tmp_path):
    """The whole way: the daemon refuses, somebody looks and sends back; what is still bad returns, counted, thrice."""
    write(kafka, [OutgoingRecord(kafka.events_topic, b"k", b"{", [("own", b"1")])])
    with running_detector(options, tmp_path / "log") as daemon:
        wait_until(lambda: read_topic(kafka, kafka.dead_letter_topic), "a dead letter")
        good = letter(kafka, event(), "missing_field", key=b"g")  # one that a newer version can read
        write(kafka, [good])
        shown = detector(*options, "dead-letter", "show")
        assert shown.returncode == 0, shown.stderr
        assert "missing_field: 1 dead letter, first " in shown.stdout
        assert f"  {kafka.events_topic}/" in shown.stdout

        done = detector(*options, "dead-letter", "replay", "--wait", "60")
        assert (done.returncode, done.stderr) == (0, "")
        assert done.stdout.splitlines() == [
            f"replayed 2 of 2 dead letters to {kafka.events_topic}, skipped 0 (tried 3 times already)",
            "1 went through, 1 came back",
        ]
        done = detector(
            *options, "dead-letter", "replay", "--reason", "not_json", "--max-attempts", "1", "--wait", "60"
        )
        assert done.stdout.splitlines() == [
            f"replayed 1 of 2 dead letters to {kafka.events_topic}, skipped 1 (tried 1 time already)",
            "0 went through, 1 came back",
        ]
        assert daemon.metric("detector_records_scored_total") == 1
        assert daemon.stop(signal.SIGTERM) == 0

    bad = [record for record in read_topic(kafka, kafka.dead_letter_topic) if record.value == b"{"]
    attempts = [record.headers[1] for record in bad]
    assert attempts.count(("dead-letter-attempt", b"1")) == 2  # it outlives the next dead letter
    assert all((record.key, record.headers[0]) == (b"k", ("own", b"1")) for record in bad)


def test_dry_run_and_no_daemon(kafka, options):
    """Nothing is sent by a rehearsal; a wait in vain is an error that says what it waited for."""
    write(kafka, [letter(kafka, b"x")])

    done = detector(*options, "dead-letter", "replay", "--dry-run", "--since", "1h", "--wait", "9")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines() == [
        f"{kafka.events_topic}/3/42  not_json  attempt 1  x",
        f"would replay 1 of 1 dead letters to {kafka.events_topic}, skipped 0 (tried 3 times already)",
    ]
    assert read_topic(kafka, kafka.events_topic) == []

    done = detector(*options, "dead-letter", "replay", "--wait", "0.1")
    assert done.returncode == 1
    assert done.stdout.splitlines()[-1] == "0 went through, 0 came back, 1 are not read yet"
    assert done.stderr.startswith(f"detector: group {kafka.group_id} has not committed past all of them within 0.1 s")


def test_empty_missing_wrong_and_unreachable_are_one_line_each(options, kafka):
    """Each with what to do, and at once."""
    show = "dead-letter", "show"
    done = detector(*options, *show)
    assert (done.returncode, done.stdout) == (0, f"no dead letters in {kafka.dead_letter_topic}\n")

    done = detector(*options, "--set", "kafka.dead_letter_topic=nowhere", *show)
    assert done.returncode == 1
    assert done.stderr.startswith("detector: topic nowhere does not exist: create it: kafka-topics.sh")
    assert len(done.stderr.splitlines()) == 1

    done = detector(*options, *show, "--reason", "tombstones")
    assert done.returncode == 2
    assert done.stderr.startswith("detector: --reason tombstones: no such reason: did you mean tombstone?")

    done = detector(*options, *show, "--since", "noon")
    assert done.returncode == 2
    assert done.stderr.startswith("detector: --since noon: not a moment or an age: write 2026-11-21T10:00:00Z")

    started = time.monotonic()
    done = detector("--set", "kafka.bootstrap_servers=127.0.0.1:1", *show)
    assert (done.returncode, time.monotonic() - started < 20) == (1, True)
    assert done.stderr == "detector: no broker can be reached: 127.0.0.1:1: Connection refused\n"


def on_a_terminal(*arguments):
    """What a command writes to a terminal, and its exit code."""
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "detector", *arguments],
        stdin=subprocess.DEVNULL,
        stdout=theirs,
        stderr=theirs,
        env=os.environ | {"TERM": "dumb", "COLUMNS": "120", "PYTHONIOENCODING": "utf-8"},
    )
    os.close(theirs)
    written = bytearray()

    def read():
        try:
            while piece := os.read(ours, 4096):
                written.extend(piece)
        except OSError:  # how a terminal ends on Linux
            pass

    reader = threading.Thread(target=read)
    reader.start()
    code = process.wait(60)
    reader.join(10)
    os.close(ours)
    return code, written.decode()


def test_tables_on_a_terminal(kafka, options):
    """For eyes: a table of reasons, tables of examples; still nothing of a hostile value's effects."""
    write(kafka, [letter(kafka, b"\x1b[2J[red]", "not_json", detail="malformed")])

    code, output = on_a_terminal(*options, "dead-letter", "show")

    assert code == 0, output
    assert f"Dead letters in {kafka.dead_letter_topic}" in output
    assert "┃ reason" in output
    assert r"\x1b[2J[red]" in output
    assert "\x1b[2J" not in output
