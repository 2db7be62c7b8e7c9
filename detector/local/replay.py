"""Produces BETH rows to the events topic, as fast as possible or at a given pace."""

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import msgspec

from detector.errors import UsageError
from detector.events.csv_rows import Row, read_rows
from detector.features.beth import BETH
from detector.settings import KafkaSettings
from detector.stream.admin.bulk_producer import bulk_producer

_REPORT_EVERY = 256
_MAX_SLEEP_S = 0.2
_MIN_SLEEP_S = 0.002
"""Shorter pauses are skipped, so events may be up to 2 ms early."""


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
    on_event: Callable[[int], None] = lambda _: None,
    stopped: Callable[[], bool] = lambda: False,
) -> Replayed:
    """Produce rows as events until the end of the files, the limit, or a stop.

    Args:
        kafka: the brokers and the events topic.
        files: BETH CSV files, either format.
        pace: how fast.
        loop: start again after the last file.
        limit: produce at most this many.
        on_event: called with the number produced so far, every 256 events.
        stopped: called before each event; returns whether to stop.

    Raises:
        UsageError: a file is invalid, or has no timestamps although `pace.speed` needs them.
        DetectorError: no broker is reachable, the topic does not exist, or an event was rejected.
    """
    started = time.monotonic()
    number = 0
    with bulk_producer(kafka, kafka.events_topic) as producer:
        for row in _paced(islice(_rows(files, loop=loop, timed=bool(pace.speed)), limit), pace, stopped):
            if stopped():
                break
            host = row.event.get("hostName")
            producer.send(host.encode() if host else None, msgspec.json.encode(row.event))
            number += 1
            if number % _REPORT_EVERY == 0:
                on_event(number)
        producer.flush()
        on_event(number)
    return Replayed(number, time.monotonic() - started)


def count_rows(files: Sequence[Path]) -> int:
    """The approximate number of rows: the lines of the files without their headers."""
    total = 0
    for path in files:
        try:
            with path.open("rb") as file:
                total += sum(chunk.count(b"\n") for chunk in iter(lambda: file.read(1 << 20), b"")) - 1
        except OSError as error:
            raise UsageError(f"{path}: cannot be read: {error.strerror}") from error
    return total


def _rows(files: Sequence[Path], *, loop: bool, timed: bool) -> Iterator[Row]:
    again = True
    while again:
        again = False  # files without a row would otherwise be read without end
        for path in files:
            for row in read_rows(path, BETH.fields):
                if timed and "timestamp" not in row.event:
                    raise UsageError(
                        f"{path}: no timestamp column; --speed needs the original 16 columns: use --rate instead"
                    )
                yield row
                again = loop


def _paced(rows: Iterator[Row], pace: Pace, stopped: Callable[[], bool]) -> Iterator[Row]:
    timed = _at_rate(rows, pace.rate) if pace.rate else _at_recorded_pace(rows, pace.speed) if pace.speed else None
    if timed is None:
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


def _at_recorded_pace(rows: Iterator[Row], speed: float) -> Iterator[tuple[float, Row]]:
    """Each row with the time at which it is due, on the clock `time.monotonic()`."""
    anchor_s = previous_s = started = 0.0
    for number, row in enumerate(rows):
        recorded_s = row.event["timestamp"]
        if number == 0 or recorded_s < previous_s:  # the next file, or the same file again, starts at an earlier time
            anchor_s, started = recorded_s, time.monotonic()
        previous_s = recorded_s
        yield started + (recorded_s - anchor_s) / speed, row
