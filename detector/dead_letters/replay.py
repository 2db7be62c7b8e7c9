"""Replays dead letters: writes the original records to the events topic."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

from detector.dead_letters.letter import DeadLetter, original_record
from detector.dead_letters.offsets import WrittenOffsets
from detector.dead_letters.outcome import Outcome, follow
from detector.dead_letters.printable import preview, source_of
from detector.dead_letters.selection import Selection
from detector.errors import DetectorError
from detector.records import Record
from detector.settings import KafkaSettings
from detector.stream.admin.reader import TopicReader, open_reader
from detector.stream.admin.writer import Pause, Writer

_CLOSE_S = 5.0


@dataclass(frozen=True, slots=True)
class Rules:
    """Which dead letters are replayed, and how many attempts each of them has."""

    selection: Selection = field(default_factory=Selection)
    max_attempts: int = 3
    limit: int | None = None


@dataclass
class Tally:
    """The counts of one run."""

    found: int = 0
    """Dead letters that match the selection."""
    chosen: int = 0
    """Matching dead letters that are replayed."""
    skipped: int = 0
    """Matching dead letters that were already replayed `Rules.max_attempts` times."""
    foreign: int = 0
    """Records that the service did not write."""
    written: WrittenOffsets = field(default_factory=WrittenOffsets)

    def line(self, rules: Rules, topic: str, *, dry_run: bool, stopped: bool) -> str:
        """One line for a person."""
        done = f"would replay {self.chosen}" if dry_run else f"replayed {self.written.total}"
        times = "1 time" if rules.max_attempts == 1 else f"{rules.max_attempts} times"
        line = f"{done} of {self.found} dead letters to {topic}, skipped {self.skipped} (already replayed {times})"
        foreign = f", ignored {self.foreign} records that detector did not write" if self.foreign else ""
        return line + foreign + ("; stopped by a signal before the end" if stopped else "")


class Replay:
    """One run over the dead letters that existed at its start; later ones are not replayed, so every run ends."""

    def __init__(self, kafka: KafkaSettings, rules: Rules, reader: TopicReader, pause: Pause) -> None:
        self.tally = Tally()
        self._kafka = kafka
        self._rules = rules
        self._reader = reader
        self._pause = pause
        self._ends = reader.ends()
        self._starts = reader.starts(rules.selection.since_ms)

    @property
    def total(self) -> int:
        """How many records this run reads, at most."""
        return sum(max(0, self._ends[tp] - start) for tp, start in self._starts.items())

    def send(self, on_record: Callable[[int], None] = lambda _: None) -> None:
        """Send the records in batches; `tally` has the number written, also after an error.

        Raises:
            DetectorError: a record was rejected and a retry cannot help, or a topic's brokers are unavailable.
        """
        writer = Writer(self._kafka)
        try:
            for letters in self._batches(on_record):
                records = [original_record(letter, self._kafka.events_topic) for letter in letters]
                writer.write(records, self.tally.written.add, self._pause)
        except DetectorError as error:
            raise DetectorError(
                f"{error}; {self.tally.written.total} dead letters were replayed before the error"
            ) from error
        finally:
            writer.close(_CLOSE_S)

    def dry_run(self) -> Iterator[str]:
        """Send nothing; yield a line for each dead letter that would be replayed."""
        for letters in self._batches(lambda _: None):
            for letter in letters:
                attempt = f"attempt {letter.attempts + 1}"
                yield f"{source_of(letter)}  {letter.reason}  {attempt}  {preview(letter.record.value)}"

    def follow(self, wait_s: float) -> Outcome:
        """Wait until the daemon has processed the replayed records, and count those that are dead letters again."""
        return follow(self._kafka, self._reader, self.tally.written, self._ends, wait_s, self._pause)

    def _batches(self, on_record: Callable[[int], None]) -> Iterator[list[DeadLetter]]:
        seen = 0
        for records in self._reader.read(self._starts, self._ends, lambda: self._pause(0)):
            yield list(self._choose(records))
            seen += len(records)
            on_record(seen)

    def _choose(self, records: Sequence[Record]) -> Iterator[DeadLetter]:
        for _, letter in self._rules.selection.pick(records):
            if letter is None:
                self.tally.foreign += 1
            elif self._is_eligible(letter):
                yield letter

    def _is_eligible(self, letter: DeadLetter) -> bool:
        self.tally.found += 1
        if letter.attempts >= self._rules.max_attempts:
            self.tally.skipped += 1
            return False
        if self._rules.limit is not None and self.tally.chosen >= self._rules.limit:
            return False
        self.tally.chosen += 1
        return True


@contextmanager
def open_replay(kafka: KafkaSettings, rules: Rules, pause: Pause = lambda _: False) -> Iterator[Replay]:
    """A run that is ready to start.

    Args:
        kafka: the dead-letter topic and the events topic.
        rules: which dead letters are sent.
        pause: waits, and reports a stop request.

    Raises:
        DetectorError: no broker is reachable, or a topic does not exist.
    """
    with open_reader(kafka, kafka.dead_letter_topic, kafka.events_topic) as reader:
        yield Replay(kafka, rules, reader, pause)
