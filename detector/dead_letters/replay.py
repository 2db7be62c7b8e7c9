"""Sends dead letters back to the events topic, as they first came."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

from detector.dead_letters.delivery import Pause, deliver
from detector.dead_letters.letter import Letter, sent_back
from detector.dead_letters.outcome import Outcome, follow
from detector.dead_letters.places import Places
from detector.dead_letters.printable import place_of, preview
from detector.dead_letters.selection import Selection
from detector.dead_letters.topic import TopicReader, open_topics
from detector.errors import DetectorError
from detector.records import Record
from detector.settings import KafkaSettings
from detector.stream.kafka_python import KafkaPythonSink

_CLOSE_S = 5.0


@dataclass(frozen=True, slots=True)
class Rules:
    """Which dead letters go, and how often one may go before it is left where it is."""

    selection: Selection = field(default_factory=Selection)
    max_attempts: int = 3
    limit: int | None = None


@dataclass
class Tally:
    """The books of one run: dead letters meant, let go, tried too often; records that are none; and who arrived."""

    found: int = 0
    chosen: int = 0
    skipped: int = 0
    foreign: int = 0
    arrived: Places = field(default_factory=Places)

    def line(self, rules: Rules, topic: str, *, rehearsed: bool, stopped: bool) -> str:
        """What a person reads at the end."""
        done = f"would replay {self.chosen}" if rehearsed else f"replayed {self.arrived.total}"
        times = "1 time" if rules.max_attempts == 1 else f"{rules.max_attempts} times"
        line = f"{done} of {self.found} dead letters to {topic}, skipped {self.skipped} (tried {times} already)"
        foreign = f", ignored {self.foreign} records that are no dead letters of detector's" if self.foreign else ""
        return line + foreign + ("; stopped by a signal before the end" if stopped else "")


class Replay:
    """One run over the dead letters that were there when it began: what comes back meanwhile is not met again."""

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
        """How many records are looked at, at most."""
        return sum(max(0, self._ends[tp] - start) for tp, start in self._starts.items())

    def send(self, on_record: Callable[[int], None] = lambda _: None) -> None:
        """Send them, batch by batch; whatever ends it, `tally` says how many arrived.

        Raises:
            DetectorError: a record was refused for good, or a topic does not answer.
        """
        sink = KafkaPythonSink(self._kafka)
        try:
            for letters in self._batches(on_record):
                records = [sent_back(letter, self._kafka.events_topic) for letter in letters]
                deliver(sink, records, self.tally.arrived.add, self._pause)
        except DetectorError as error:
            raise DetectorError(f"{error}: {self.tally.arrived.total} dead letters were replayed before") from error
        finally:
            sink.close(_CLOSE_S)

    def rehearse(self) -> Iterator[str]:
        """A line for each that would be sent; nothing is."""
        for letters in self._batches(lambda _: None):
            for letter in letters:
                attempt = f"attempt {letter.attempts + 1}"
                yield f"{place_of(letter)}  {letter.reason}  {attempt}  {preview(letter.record.value)}"

    def follow(self, wait_s: float) -> Outcome:
        """Wait for the daemon to read what was sent, and see which of it came back."""
        return follow(self._kafka, self._reader, self.tally.arrived, self._ends, wait_s, self._pause)

    def _batches(self, on_record: Callable[[int], None]) -> Iterator[list[Letter]]:
        seen = 0
        for records in self._reader.read(self._starts, self._ends, lambda: self._pause(0)):
            yield list(self._choose(records))
            seen += len(records)
            on_record(seen)

    def _choose(self, records: Sequence[Record]) -> Iterator[Letter]:
        for _, letter in self._rules.selection.pick(records):
            if letter is None:
                self.tally.foreign += 1
            elif self._may_go(letter):
                yield letter

    def _may_go(self, letter: Letter) -> bool:
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
    """A run that is ready to begin.

    Args:
        kafka: where the dead letters are, and the events topic.
        rules: which go.
        pause: how to wait, and how to learn of a stop.

    Raises:
        DetectorError: the broker or one of the topics is not there.
    """
    with open_topics(kafka, kafka.dead_letter_topic, kafka.events_topic) as reader:
        yield Replay(kafka, rules, reader, pause)
