"""Replaying files to the events topic."""

import json
import time
from itertools import count

import pytest

from detector.errors import DetectorError, UsageError
from detector.events.csv_rows import read_rows
from detector.features.beth import BETH
from detector.local.demo import SAMPLE
from detector.local.replay import Pace, replay
from detector.stream.admin.topics import read_topic
from tests.helpers import FULL_ROWS


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
        UsageError, match=r"\.csv: no timestamp column; --speed needs the original 16 columns: use --rate instead"
    ):
        replay(kafka, [SAMPLE], pace=Pace(speed=1))


def test_stop_request_ends_the_replay_with_the_right_count(kafka):
    """Otherwise the number that is printed after Ctrl-C would be wrong."""
    calls = count()
    done = replay(kafka, [SAMPLE], loop=True, stopped=lambda: next(calls) >= 1000)

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


def test_invalid_row_is_an_error_with_its_file_and_line(kafka, tmp_path):
    """Otherwise users would not know which line of a file to fix."""
    text = SAMPLE.read_text().splitlines()[:5]
    text[3] = text[3].replace(",", ",x", 1)
    (tmp_path / "rows.csv").write_text("\n".join(text))

    with pytest.raises(UsageError, match=r"rows.csv:4: column threadId: 'x"):
        replay(kafka, [tmp_path / "rows.csv"])
