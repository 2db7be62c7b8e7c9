"""Summarizes the dead-letter topic by reason."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from detector.dead_letters.letter import DeadLetter
from detector.dead_letters.printable import format_timestamp, preview, printable, source_of
from detector.dead_letters.selection import Selection
from detector.events.strict_decode import REASONS
from detector.records import Record
from detector.settings import KafkaSettings
from detector.stream.admin.reader import open_reader

OTHER = "(other)"
"""One summary for all records that the service did not write and all reasons that this version does not know, because
their number is not bounded."""


@dataclass(frozen=True, slots=True)
class Example:
    """One dead letter, ready to be printed: text from outside is escaped."""

    source: str
    time: str
    detail: str
    value: str


@dataclass
class Summary:
    """The dead letters with one reason; the times are when they were written."""

    reason: str
    count: int = 0
    first_ms: int = 0
    last_ms: int = 0
    examples: list[Example] = field(default_factory=list)


def summarize(
    kafka: KafkaSettings, selection: Selection, examples: int, stopped: Callable[[], bool] = lambda: False
) -> list[Summary]:
    """Read the dead-letter topic up to its present end; one summary for each reason that occurs, most frequent first.

    Raises:
        DetectorError: no broker is reachable, or the topic does not exist.
    """
    summaries: dict[str, Summary] = {}
    with open_reader(kafka, kafka.dead_letter_topic) as reader:
        for records in reader.read(reader.starts(selection.since_ms), reader.ends(), stopped):
            for record, letter in selection.pick(records):
                reason = letter.reason if letter is not None and letter.reason in REASONS else OTHER
                _count(summaries.setdefault(reason, Summary(reason)), record, letter, examples)
    return sorted(summaries.values(), key=lambda summary: -summary.count)


def _count(summary: Summary, record: Record, letter: DeadLetter | None, examples: int) -> None:
    time = record.timestamp
    summary.first_ms = min(summary.first_ms, time) if summary.count else time
    summary.last_ms = max(summary.last_ms, time) if summary.count else time
    summary.count += 1
    if len(summary.examples) < examples:
        summary.examples.append(_example(record, letter))


def _example(record: Record, letter: DeadLetter | None) -> Example:
    if letter is None:
        source = printable(f"{record.topic}/{record.partition}/{record.offset}")
        return Example(source, format_timestamp(record.timestamp), "not written by detector", preview(record.value))
    attempts = (
        f"; replayed {letter.attempts} time{'s' if letter.attempts > 1 else ''} before" if letter.attempts else ""
    )
    known = "" if letter.reason in REASONS else f"{letter.reason}: "
    detail = printable(f"{known}{letter.detail}{attempts}")
    return Example(source_of(letter), format_timestamp(letter.timestamp_ms), detail, preview(record.value))


def lines(summaries: list[Summary]) -> Iterator[str]:
    """The summaries as plain text."""
    for summary in summaries:
        span = f"first {format_timestamp(summary.first_ms)}, last {format_timestamp(summary.last_ms)}"
        noun = "dead letter" if summary.count == 1 else "dead letters"
        yield f"{summary.reason}: {summary.count} {noun}, {span}"
        for example in summary.examples:
            yield f"  {example.source}  {example.time}  {example.detail}"
            yield f"    {example.value}"
