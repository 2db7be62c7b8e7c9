"""Replaying files to the events topic."""

import gzip
import json
import os
import threading
import time
from itertools import count
from pathlib import Path

import pytest

from detector.errors import DetectorError, UsageError
from detector.events.rows import read_rows
from detector.features.beth import BETH
from detector.local.demo import SAMPLE
from detector.local.replay import Pace, replay
from detector.stream.admin.topics import read_topic
from tests.helpers import FULL_ROWS, event


def test_rows_become_events_with_the_host_as_their_key(kafka):
    """Otherwise events would differ from their rows, or events of one host would lose their order."""
    done = replay(kafka, [FULL_ROWS])

    records = read_topic(kafka, kafka.events_topic)
    assert done.events == len(records) == 100
    rows = [row.event for row in read_rows(FULL_ROWS, BETH.fields)]
    assert sorted(map(repr, rows)) == sorted(repr(json.loads(record.value or b"")) for record in records)
    assert {record.key for record in records} == {row["hostName"].encode() for row in rows}


def test_limit_and_loop_set_the_number_of_events(kafka):
    """Otherwise users could not produce a given number of events from a small file."""
    assert replay(kafka, [FULL_ROWS], limit=7).events == 7
    assert replay(kafka, [FULL_ROWS], limit=250, loop=True).events == 250
    assert len(read_topic(kafka, kafka.events_topic)) == 257


def test_rate_is_kept(kafka):
    """Otherwise events would be produced faster or slower than requested."""
    done = replay(kafka, [SAMPLE], pace=Pace(rate=400), limit=200)

    assert 0.45 < done.seconds < 5


def test_speed_follows_the_recorded_timestamps(kafka):
    """Otherwise events would not arrive at the recorded pace, or at the requested multiple of it."""
    timestamps = [row.event["timestamp"] for row in read_rows(FULL_ROWS, BETH.fields)]
    span = max(timestamps) - timestamps[0]

    done = replay(kafka, [FULL_ROWS], pace=Pace(speed=span / 0.5))

    assert 0.4 < done.seconds < 5


def test_speed_without_timestamps_is_an_error(kafka):
    """Otherwise users of files without timestamps would not learn which option to use instead."""
    with pytest.raises(
        UsageError, match=r"\.csv:2: no timestamp that --speed can follow: use --rate instead; nothing was sent"
    ):
        replay(kafka, [SAMPLE], pace=Pace(speed=1))


def test_stop_request_ends_the_replay_with_the_right_count(kafka):
    """Otherwise the number that is printed after Ctrl-C would be wrong."""
    calls, checked = count(), threading.Event()
    done = replay(
        kafka,
        [SAMPLE],
        loop=True,
        on_event=lambda *_: checked.set(),
        stopped=lambda: checked.is_set() and next(calls) >= 1000,
    )

    assert done.events == 1000 == len(read_topic(kafka, kafka.events_topic))


def test_loop_over_files_without_rows_ends(kafka, tmp_path):
    """Otherwise a file that has only a header would be read without end."""
    (tmp_path / "rows.csv").write_text(SAMPLE.read_text().splitlines()[0] + "\n")

    assert replay(kafka, [tmp_path / "rows.csv"], loop=True).events == 0


def test_missing_topic_and_unreachable_broker_are_errors(kafka):
    """Otherwise users would see a traceback, or not learn what to do."""
    with pytest.raises(
        DetectorError, match=r"topic nowhere does not exist; create it with: kafka-topics.sh .*--topic nowhere"
    ):
        replay(kafka.model_copy(update={"events_topic": "nowhere"}), [SAMPLE])
    started = time.monotonic()
    with pytest.raises(DetectorError, match=r"Kafka brokers unreachable: 127.0.0.1:1: Connection refused"):
        replay(kafka.model_copy(update={"bootstrap_servers": "127.0.0.1:1"}), [SAMPLE])
    assert time.monotonic() - started < 5


@pytest.mark.parametrize(
    ("name", "bad", "error"),
    [
        ("rows.csv", "1,x,1,0,4026531840,2,0,0", r"rows.csv:12502: wrong_type: threadId is .x., not an integer"),
        ("rows.csv", "1,2", r"rows.csv:12502: 2 cells, but the header has 8"),
        ("rows.ndjson", "{", r"rows.ndjson:2: not_json: .*; correct or remove this line: nothing was sent"),
    ],
)
def test_files_are_checked_before_anything_is_sent(kafka, tmp_path, name, bad, error):
    """Otherwise a replay would end in the middle, and nobody would know how much of it is in the topic."""
    good = SAMPLE.read_text() if name == "rows.csv" else event().decode() + "\n"
    (tmp_path / name).write_text(f"{good}{bad}\n")

    with pytest.raises(UsageError, match=error):
        replay(kafka, [SAMPLE, tmp_path / name])

    assert read_topic(kafka, kafka.events_topic) == []


def test_ndjson_events_are_sent_as_they_are(kafka, tmp_path):
    """Otherwise recordings of sensors could not be replayed, or their events would change on the way."""
    values = [event(hostName="web-1", container={"id": "x"}), b'{ "timestamp": 1.50, "hostName": "" }']
    (tmp_path / "events.ndjson.gz").write_bytes(gzip.compress(b"\n".join(values)))

    assert replay(kafka, [tmp_path / "events.ndjson.gz"]).events == 2

    records = read_topic(kafka, kafka.events_topic)
    assert {(record.key, record.value) for record in records} == {(b"web-1", values[0]), (None, values[1])}


@pytest.mark.parametrize(
    ("timestamps", "unit"),
    [
        ([1809.5, 1810.0], None),
        ([1657321167356748797, 1657321167856748797], "nanoseconds"),
        ([620311624458929, 620312124458929], "nanoseconds"),
        ([1657321167356748, 1657321167856748], "microseconds"),
        ([1657321167356, 1657321167856], "milliseconds"),
        (["2021-05-16T17:13:14Z", "2021-05-16T17:13:14.5Z"], None),
        (["1809.5", "1810.0"], None),
    ],
)
def test_speed_follows_timestamps_in_any_unit_and_says_which(kafka, tmp_path, timestamps, unit):
    """Otherwise a replay of Tracee's events, in nanoseconds, would wait for days between two of them."""
    path = tmp_path / "events.ndjson"
    path.write_bytes(b"\n".join(event(timestamp=timestamp) for timestamp in timestamps))
    notices: list[str] = []

    done = replay(kafka, [path], pace=Pace(speed=1), notify=notices.append)

    assert 0.4 < done.seconds < 5
    assert notices == ([f"{path}: timestamps are read as {unit}"] if unit else [])


def test_absurd_wait_is_announced(kafka, tmp_path):
    """Otherwise a replay with --speed would fall silent for days, and look as if it hung."""
    path = tmp_path / "events.ndjson"
    path.write_bytes(b"\n".join(event(timestamp=timestamp) for timestamp in (10, 1_000_010)))
    notices: list[str] = []

    done = replay(kafka, [path], pace=Pace(speed=1), notify=notices.append, stopped=lambda: bool(notices))

    assert done.events == 1
    (notice,) = notices
    assert notice.startswith(f"{path}:2: waiting 11 days, 13:46:40 for this event, which was recorded 1000000 s after")


def test_pipe_and_standard_input_are_refused(kafka, tmp_path):
    """Otherwise a replay would read its input for the check, and then have nothing to send."""
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path / "pipe", Path("-")):
        with pytest.raises(
            UsageError, match="is not a regular file; a replay reads its files twice: save it to a file"
        ):
            replay(kafka, [path])


def test_failure_says_how_many_events_were_sent(kafka, tmp_path):
    """Otherwise users could not tell whether a replay that failed must be repeated."""
    path = tmp_path / "events.ndjson"
    path.write_bytes(event() + b"\n" + event(args="x" * 11_000_000) + b"\n")

    with pytest.raises(DetectorError, match=r"; [12] events were sent before, and may be in the topic$"):
        replay(kafka, [path])
