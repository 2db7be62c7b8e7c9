"""Produces BETH rows to the events topic, as fast as Kafka takes them or at a chosen pace."""

import contextlib
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
from kafka import KafkaProducer
from kafka import errors as kafka_errors

from detector.errors import DetectorError, UsageError
from detector.events.csv_rows import Row, read_rows
from detector.settings import KafkaSettings
from detector.stream.kafka_faults import explain
from detector.stream.kafka_options import producer_options
from detector.stream.readiness import how_to_create, unreachable

_FLUSH_TIMEOUT_S = 60.0
_TELL_EVERY = 256
_AHEAD = 20_000
_LONGEST_NAP_S = 0.2
_NAP_S = 0.002
"""The least pause worth making: below it the producer is let run ahead."""


@dataclass(frozen=True)
class Pace:
    """How fast: `rate` events a second, or `speed` times the recorded pace; neither is as fast as possible."""

    rate: float | None = None
    speed: float | None = None


@dataclass(frozen=True)
class Replayed:
    """What was produced and acknowledged."""

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
    """Produce rows as events until the files, the limit or the patience of the caller end.

    Args:
        kafka: where to.
        files: BETH CSV files, either format.
        pace: how fast.
        loop: start again at the end of the last file.
        limit: produce at most this many.
        on_event: called with the number produced so far, now and then.
        stopped: asked before each event.

    Raises:
        UsageError: a file is wrong, or has no timestamps to replay at their pace.
        DetectorError: the broker or the topic is not there, or an event was refused.
    """
    producer = _producer(kafka)
    refused: list[Exception] = []
    started = time.monotonic()
    number = 0
    try:
        rows = _paced(_rows(files, loop=loop), pace, stopped)
        while (limit is None or number < limit) and not refused:
            row = next(rows, None)
            if row is None or stopped():
                break
            host = row.event.get("hostName")
            key = host.encode() if host else None
            producer.send(kafka.events_topic, msgspec.json.encode(row.event), key).add_errback(refused.append)
            number += 1
            if number % _TELL_EVERY == 0:
                on_event(number)
            if number % _AHEAD == 0:
                producer.flush(timeout=_FLUSH_TIMEOUT_S)  # the library would buffer without a bound
        producer.flush(timeout=_FLUSH_TIMEOUT_S)
        on_event(number)
    except kafka_errors.KafkaError as error:
        refused.append(error)
    finally:
        with contextlib.suppress(kafka_errors.KafkaError):  # it flushes once more; what was refused is known already
            producer.close(timeout=1)
    if refused:
        raise DetectorError(f"{kafka.events_topic}: the broker refused events: {explain(refused[0])}")
    return Replayed(number, time.monotonic() - started)


def count_rows(files: Sequence[Path]) -> int:
    """About how many rows the files have: their lines, but for the headers."""
    total = 0
    for path in files:
        try:
            with path.open("rb") as file:
                total += sum(chunk.count(b"\n") for chunk in iter(lambda: file.read(1 << 20), b"")) - 1
        except OSError as error:
            raise UsageError(f"{path}: cannot be read: {error.strerror}") from error
    return total


def _producer(kafka: KafkaSettings) -> Any:
    reason = unreachable(kafka)
    if reason is not None:
        raise DetectorError(f"no broker can be reached: {reason}")
    try:
        # A longer linger than the daemon's: here every event is its own send, and full batches are what counts.
        producer = KafkaProducer(**producer_options(kafka) | {"linger_ms": 20, "max_block_ms": 3_000})
    except kafka_errors.KafkaError as error:
        raise DetectorError(f"{kafka.bootstrap_servers}: {explain(error)}") from error
    try:
        producer.partitions_for(kafka.events_topic)
    except kafka_errors.KafkaError:
        producer.close(timeout=1)
        command = how_to_create(kafka.events_topic, kafka)
        raise DetectorError(f"topic {kafka.events_topic} does not exist: create it: {command}") from None
    return producer


def _rows(files: Sequence[Path], *, loop: bool) -> Iterator[Row]:
    some = True
    while some:
        some = False
        for path in files:
            for row in read_rows(path):
                yield row
                some = loop


def _paced(rows: Iterator[Row], pace: Pace, stopped: Callable[[], bool]) -> Iterator[Row]:
    timed = _at_rate(rows, pace.rate) if pace.rate else _at_recorded_pace(rows, pace.speed) if pace.speed else None
    if timed is None:
        yield from rows
        return
    for when, row in timed:
        while (left := when - time.monotonic()) > _NAP_S and not stopped():
            time.sleep(min(left, _LONGEST_NAP_S))
        yield row


def _at_rate(rows: Iterator[Row], rate: float) -> Iterator[tuple[float, Row]]:
    """Each row with the moment at which it is due."""
    started = time.monotonic()
    for number, row in enumerate(rows):
        yield started + number / rate, row


def _at_recorded_pace(rows: Iterator[Row], speed: float) -> Iterator[tuple[float, Row]]:
    """Each row with the moment at which it is due."""
    anchor_s = previous_s = started = 0.0
    for number, row in enumerate(rows):
        recorded_s = row.event.get("timestamp")
        if recorded_s is None:
            raise UsageError(f"line {row.line}: no timestamp column: --speed needs the original 16 columns; use --rate")
        if number == 0 or recorded_s < previous_s:  # another file, or the same again: its clock starts anew
            anchor_s, started = recorded_s, time.monotonic()
        previous_s = recorded_s
        yield started + (recorded_s - anchor_s) / speed, row
