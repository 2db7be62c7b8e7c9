"""What is in the dead-letter topic, by reason."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from detector.dead_letters.letter import Letter
from detector.dead_letters.printable import moment, place_of, preview, printable
from detector.dead_letters.selection import Selection
from detector.dead_letters.topic import open_topics
from detector.events.second_opinion import REASONS
from detector.records import Record
from detector.settings import KafkaSettings

OTHER = "(other)"
"""Records that somebody else wrote, and reasons that this version does not know: together, so that they are bounded."""


@dataclass(frozen=True, slots=True)
class Example:
    """One dead letter, ready to be printed: whatever came from outside is escaped."""

    place: str
    time: str
    detail: str
    value: str


@dataclass
class Summary:
    """All dead letters with one reason; the times are those at which they were written."""

    reason: str
    count: int = 0
    first_ms: int = 0
    last_ms: int = 0
    examples: list[Example] = field(default_factory=list)


def summarize(
    kafka: KafkaSettings, selection: Selection, examples: int, stopped: Callable[[], bool] = lambda: False
) -> list[Summary]:
    """Read the dead-letter topic up to its present end; a summary for each reason that occurs, most frequent first.

    Raises:
        DetectorError: the broker or the topic is not there.
    """
    summaries: dict[str, Summary] = {}
    with open_topics(kafka, kafka.dead_letter_topic) as reader:
        for records in reader.read(reader.starts(selection.since_ms), reader.ends(), stopped):
            for record, letter in selection.pick(records):
                reason = letter.reason if letter is not None and letter.reason in REASONS else OTHER
                _count(summaries.setdefault(reason, Summary(reason)), record, letter, examples)
    return sorted(summaries.values(), key=lambda summary: -summary.count)


def _count(summary: Summary, record: Record, letter: Letter | None, examples: int) -> None:
    time = record.timestamp
    summary.first_ms = min(summary.first_ms, time) if summary.count else time
    summary.last_ms = max(summary.last_ms, time) if summary.count else time
    summary.count += 1
    if len(summary.examples) < examples:
        summary.examples.append(_example(record, letter))


def _example(record: Record, letter: Letter | None) -> Example:
    if letter is None:
        place = printable(f"{record.topic}/{record.partition}/{record.offset}")
        return Example(place, moment(record.timestamp), "no dead letter of detector's", preview(record.value))
    tried = f"; sent back before: {letter.attempts}" if letter.attempts else ""
    known = "" if letter.reason in REASONS else f"{letter.reason}: "
    detail = printable(f"{known}{letter.detail}{tried}")
    return Example(place_of(letter), moment(letter.timestamp_ms), detail, preview(record.value))


def lines(summaries: list[Summary]) -> Iterator[str]:
    """The summaries as plain text."""
    for summary in summaries:
        span = f"first {moment(summary.first_ms)}, last {moment(summary.last_ms)}"
        noun = "dead letter" if summary.count == 1 else "dead letters"
        yield f"{summary.reason}: {summary.count} {noun}, {span}"
        for example in summary.examples:
            yield f"  {example.place}  {example.time}  {example.detail}"
            yield f"    {example.value}"
