"""Produces the events of files to the events topic, as fast as possible or at a given pace."""

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from itertools import islice
from pathlib import Path

from detector.errors import DetectorError
from detector.events.rows import Row
from detector.events.strict_decode import host_name
from detector.local.recorded_time import RecordedClock
from detector.local.recording import check_recording, rows_of
from detector.settings import KafkaSettings
from detector.stream.admin.bulk_producer import BulkProducer, bulk_producer

_REPORT_EVERY = 256
_MAX_SLEEP_S = 0.2
_MIN_SLEEP_S = 0.002
"""Shorter pauses are skipped, so events may be up to 2 ms early."""
_ANNOUNCED_WAIT_S = 60.0

Notify = Callable[[str], None]
OnEvent = Callable[[int, int | None], None]


@dataclass(frozen=True)
class Pace:
    """`rate` events per second, or `speed` times the recorded pace; as fast as possible when both are None."""

    rate: float | None = None
    speed: float | None = None


@dataclass(frozen=True)
class Replayed:
    """The number of events that were produced and acknowledged, and the time that it took."""

    events: int
    seconds: float


def replay(
    kafka: KafkaSettings,
    files: Sequence[Path],
    *,
    pace: Pace = Pace(),
    loop: bool = False,
    limit: int | None = None,
    on_event: OnEvent = lambda *_: None,
    notify: Notify = lambda _: None,
    stopped: Callable[[], bool] = lambda: False,
) -> Replayed:
    """Produce the events of files until their end, the limit, or a stop; all of them are checked before.

    Args:
        kafka: the brokers and the events topic.
        files: as for `detector.events.rows.read_rows`, but no standard input.
        pace: how fast.
        loop: start again after the last file.
        limit: produce at most this many.
        on_event: called with the number produced so far, every 256 events, and the total; None with no end.
        notify: called with lines for people, about the recorded pace.
        stopped: called before each event; returns whether to stop.

    Raises:
        UsageError: an event is invalid, or has no timestamp although `pace.speed` needs one.
        DetectorError: no broker is reachable, the topic does not exist, or an event was rejected.
    """
    total: int | None = check_recording(files, limit, timed=bool(pace.speed), notify=notify, stopped=stopped)
    if loop:
        total = limit
    started = time.monotonic()
    rows = _paced(islice(rows_of(files, loop=loop), limit), pace, notify, stopped)
    number = 0
    on_event(number, total)
    try:
        with bulk_producer(kafka, kafka.events_topic) as producer:
            for row in rows:
                if stopped():
                    break
                _send(producer, row)
                number += 1
                if number % _REPORT_EVERY == 0:
                    on_event(number, total)
            producer.flush()
    except DetectorError as error:
        if not number:
            raise
        raise type(error)(f"{error}; {number} events were sent before, and may be in the topic") from error
    on_event(number, total)
    return Replayed(number, time.monotonic() - started)


def _send(producer: BulkProducer, row: Row) -> None:
    host = host_name(row.value)
    producer.send(host.encode("utf-8", "replace") if host else None, row.value)


def _paced(rows: Iterator[Row], pace: Pace, notify: Notify, stopped: Callable[[], bool]) -> Iterator[Row]:
    if pace.rate:
        timed = _at_rate(rows, pace.rate)
    elif pace.speed:
        timed = _at_recorded_pace(rows, pace.speed, notify)
    else:
        yield from rows
        return
    for when, row in timed:
        while (left := when - time.monotonic()) > _MIN_SLEEP_S and not stopped():
            time.sleep(min(left, _MAX_SLEEP_S))
        yield row


def _at_rate(rows: Iterator[Row], rate: float) -> Iterator[tuple[float, Row]]:
    """Each row with the time at which it is due, on the clock `time.monotonic()`."""
    started = time.monotonic()
    for number, row in enumerate(rows):
        yield started + number / rate, row


def _at_recorded_pace(rows: Iterator[Row], speed: float, notify: Notify) -> Iterator[tuple[float, Row]]:
    """Each row with the time at which it is due, on the clock `time.monotonic()`."""
    anchor_s = previous_s = started = 0.0
    file, clock = None, RecordedClock()
    for row in rows:
        if row.file != file:
            file, clock, previous_s = row.file, RecordedClock(), float("inf")
        recorded_s = clock.seconds(row.event.get("timestamp")) or 0.0  # checked before
        if recorded_s < previous_s:  # the next file, or the same file again, starts at an earlier time
            anchor_s, started = recorded_s, time.monotonic()
        due = started + (recorded_s - anchor_s) / speed
        if (wait_s := due - time.monotonic()) > _ANNOUNCED_WAIT_S:
            notify(
                f"{row.place}: waiting {timedelta(seconds=round(wait_s))} for this event, which was recorded "
                f"{recorded_s - previous_s:.0f} s after the one before (--speed {speed:g}); give a higher --speed, or "
                "--rate"
            )
        previous_s = recorded_s
        yield due, row
