"""The replay producer."""

import json
import time
from itertools import count

import pytest

from detector.errors import DetectorError, UsageError
from detector.events.csv_rows import read_rows
from detector.local.demo import SAMPLE
from detector.local.replay import Pace, replay
from detector.local.topics import read_topic
from tests.helpers import FULL_ROWS


def test_rows_become_events_as_they_are_keyed_by_host(kafka):
    """What the daemon reads is the row, typed; all events of a host are in order in one partition."""
    done = replay(kafka, [FULL_ROWS])

    records = read_topic(kafka, kafka.events_topic)
    assert done.events == len(records) == 100
    rows = [row.event for row in read_rows(FULL_ROWS)]
    assert sorted(map(repr, rows)) == sorted(repr(json.loads(record.value)) for record in records)
    assert {record.key for record in records} == {row["hostName"].encode() for row in rows}


def test_limit_and_loop(kafka):
    """A small file can feed a long test."""
    assert replay(kafka, [FULL_ROWS], limit=7).events == 7
    assert replay(kafka, [FULL_ROWS], limit=250, loop=True).events == 250
    assert len(read_topic(kafka, kafka.events_topic)) == 257


def test_rate_is_kept(kafka):
    """200 events at 400/s take half a second, not less."""
    done = replay(kafka, [SAMPLE], pace=Pace(rate=400), limit=200)

    assert 0.45 < done.seconds < 5


def test_speed_follows_the_recorded_timestamps(kafka):
    """The first 100 rows of BETH's training file span 7.6 s; ten times as fast they take a tenth."""
    stamps = [row.event["timestamp"] for row in read_rows(FULL_ROWS)]
    span = max(stamps) - stamps[0]

    done = replay(kafka, [FULL_ROWS], pace=Pace(speed=span / 0.5))

    assert 0.4 < done.seconds < 5


def test_speed_needs_timestamps(kafka):
    """The preprocessed files have none; the error says what to use instead."""
    with pytest.raises(UsageError, match="no timestamp column: --speed needs the original 16 columns; use --rate"):
        replay(kafka, [SAMPLE], pace=Pace(speed=1))


def test_stops_when_asked_and_what_was_counted_is_there(kafka):
    """Ctrl-C ends a loop without losing what was already said to be produced."""
    asked = count()
    done = replay(kafka, [SAMPLE], loop=True, stopped=lambda: next(asked) >= 1000)

    assert done.events == 1000 == len(read_topic(kafka, kafka.events_topic))


def test_loop_over_nothing_ends(kafka, tmp_path):
    """A file with a header only is not replayed for ever."""
    (tmp_path / "rows.csv").write_text(SAMPLE.read_text().splitlines()[0] + "\n")

    assert replay(kafka, [tmp_path / "rows.csv"], loop=True).events == 0


def test_missing_topic_and_broker_are_one_line(kafka):
    """Each with what to do."""
    with pytest.raises(
        DetectorError, match=r"topic nowhere does not exist: create it: kafka-topics.sh .*--topic nowhere"
    ):
        replay(kafka.model_copy(update={"events_topic": "nowhere"}), [SAMPLE])
    started = time.monotonic()
    with pytest.raises(DetectorError, match=r"no broker can be reached: 127.0.0.1:1: Connection refused"):
        replay(kafka.model_copy(update={"bootstrap_servers": "127.0.0.1:1"}), [SAMPLE])
    assert time.monotonic() - started < 5


def test_bad_row_stops_with_its_place(kafka, tmp_path):
    """Events before it are produced; the file is mended and replayed again."""
    text = SAMPLE.read_text().splitlines()[:5]
    text[3] = text[3].replace(",", ",x", 1)
    (tmp_path / "rows.csv").write_text("\n".join(text))

    with pytest.raises(UsageError, match=r"rows.csv:4: column threadId: 'x"):
        replay(kafka, [tmp_path / "rows.csv"])
