"""What overlaps and what keeps its order, over the stream in memory."""

import pytest

from detector.alerts.severity import SEVERITIES
from detector.errors import DeadLetterLimitError
from detector.events.second_opinion import REASONS
from detector.metrics import Metrics
from detector.records import OutgoingRecord
from detector.service.limits import DeadLetterLimits
from detector.service.pipeline import Pipeline
from detector.service.step import BatchStep
from detector.settings import DeadLetterSettings, KafkaSettings
from detector.stream.delivery import DeliveryAbandoned, delivery_over
from detector.stream.interfaces import StreamError, TransactionAborted
from detector.stream.memory import MemorySink, MemorySource, MemoryTopics, MemoryTransactions
from tests.contract.test_stream import Heard
from tests.stream.test_delivery import Said

KAFKA = KafkaSettings()
FULL = 2


class _Awaited:
    """On its way until somebody waits for it; then written, or aborted."""

    def __init__(self, story, number, write, error=None) -> None:
        self._story, self._number, self._write, self._error = story, number, write, error

    def wait(self, timeout_s):
        if self._error:
            self._story.append(f"{self._number} aborted")
            raise self._error
        self._story.append(f"{self._number} safe")
        self._write()
        return True

    def refused(self):
        return []


class Sink(MemorySink):
    """Tells what was sent, and what was waited for."""

    def __init__(self, topics, story) -> None:
        super().__init__(topics)
        self._story, self._sent = story, 0

    def send(self, records):
        self._sent += 1
        self._story.append(f"{self._sent} sent")
        write = super().send
        return _Awaited(self._story, self._sent, lambda: write(records))


class Transactions(MemoryTransactions):
    """Tells the same; those whose numbers are given are aborted."""

    def __init__(self, topics, story, aborted=()) -> None:
        super().__init__(topics)
        self._story, self._sent, self._aborted = story, 0, aborted

    def transact(self, batch, records):
        self._sent += 1
        self._story.append(f"{self._sent} sent")
        write = super().transact
        error = TransactionAborted("x") if self._sent in self._aborted else None
        return _Awaited(self._story, self._sent, lambda: write(batch, records), error)


class Silent(Sink):
    """Acknowledges nothing."""

    def send(self, records):
        pending = super().send([])
        pending.wait = lambda timeout_s: False
        return pending


class Stage:
    """A pipeline over records of which none is an event: each is a dead letter, and so an output."""

    def __init__(self, scorer, make_sink, records, **limits) -> None:
        self.topics, self.story = MemoryTopics(), []
        for number in range(records):
            self.topics.append(OutgoingRecord(KAFKA.events_topic, None, b"%d" % number, []))
        self._source = MemorySource(self.topics, KAFKA.events_topic, Heard())
        self.metrics = Metrics(client="kafka-python", severities=SEVERITIES, reject_reasons=REASONS)
        sink = make_sink(self.topics, self.story)
        self.delivery = delivery_over(self._source, sink, Said(), lambda: None)
        self.given_up = False
        step = BatchStep(KAFKA, scorer, DeadLetterLimits(DeadLetterSettings(**limits)))
        self.pipeline = Pipeline(
            step, self.delivery, self.metrics, full=FULL, idle_s=0.5, busy_s=0.02, give_up=lambda: self.given_up
        )
        self.waits = []

    def read(self, idle_s):
        self.waits.append(idle_s)
        batch = self._source.poll(FULL, 0, 0)
        self.story.append(f"read {len(batch.records)}")
        return batch

    def turn(self):
        return self.pipeline.turn(self.read)

    @property
    def committed(self):
        return sum(self.topics.committed.values())

    @property
    def letters(self):
        return [record.value for record in self.topics.records(KAFKA.dead_letter_topic)]


@pytest.mark.parametrize("make_sink", [Sink, Transactions])
def test_a_full_batch_is_on_its_way_while_the_next_is_read(scorer, make_sink):
    """Its outputs are safe before it is counted and committed, and before the next one's are sent."""
    stage = Stage(scorer, make_sink, 2 * FULL)

    assert not stage.turn()  # nothing is finished yet
    assert stage.story == ["read 2", "1 sent"]
    assert (stage.committed, stage.metrics.value("detector_records_consumed_total")) == (0, 0)

    assert stage.turn()
    assert stage.story == ["read 2", "1 sent", "read 2", "1 safe", "2 sent"]
    assert (stage.committed, stage.metrics.value("detector_records_consumed_total")) == (FULL, FULL)

    assert stage.turn()
    assert stage.story[-2:] == ["read 0", "2 safe"]
    assert stage.committed == stage.metrics.value("detector_records_consumed_total") == 2 * FULL
    assert stage.letters == [b"0", b"1", b"2", b"3"]
    assert stage.waits == [0.5, 0.02, 0.02]  # what is on its way is not to wait for half a second


@pytest.mark.parametrize("make_sink", [Sink, Transactions])
def test_any_other_batch_is_waited_for_at_once(scorer, make_sink):
    """Nobody knows when the next one comes: a trickle's positions and figures are not held back for it."""
    stage = Stage(scorer, make_sink, FULL - 1)
    assert stage.turn()
    assert stage.story == ["read 1", "1 sent", "1 safe"]
    assert stage.committed == 1


def test_what_was_read_ahead_of_an_aborted_batch_is_dropped(scorer, monkeypatch):
    """Both are read again, each output is written once, and no dead letter is judged twice."""
    monkeypatch.setattr("detector.stream.delivery._RETRY_S", 0)
    stage = Stage(
        scorer, lambda topics, story: Transactions(topics, story, aborted=(1,)), 2 * FULL, max_consecutive=2 * FULL + 1
    )
    assert [stage.turn(), stage.turn()] == [False, False]  # no progress
    assert stage.story == ["read 2", "1 sent", "read 2", "1 aborted"]
    assert (stage.letters, stage.committed) == ([], 0)

    assert [stage.turn() for _ in range(3)] == [False, True, True]
    assert stage.letters == [b"0", b"1", b"2", b"3"]
    assert stage.committed == stage.metrics.value("detector_records_consumed_total") == 2 * FULL


@pytest.mark.parametrize("make_sink", [Sink, Transactions])
def test_a_breach_of_the_limits_leaves_what_came_before_it_committed(scorer, make_sink):
    """And commits nothing beyond."""
    stage = Stage(scorer, make_sink, 2 * FULL, max_consecutive=FULL + 1)
    stage.turn()
    with pytest.raises(DeadLetterLimitError):
        stage.turn()
    assert stage.committed == FULL
    assert stage.letters == [b"0", b"1"]


@pytest.mark.parametrize("make_sink", [Sink, Transactions])
def test_a_stream_that_cannot_go_on_leaves_what_was_read_before_committed(scorer, make_sink):
    """The next instance does not do it again."""
    stage = Stage(scorer, make_sink, FULL)
    stage.turn()

    def broken(_):
        raise StreamError("the position is gone")

    with pytest.raises(StreamError):
        stage.pipeline.turn(broken)
    assert stage.committed == FULL


@pytest.mark.parametrize("make_sink", [Sink, Transactions])
def test_a_stop_settles_what_is_on_its_way(scorer, make_sink):
    """As the daemon does when it was asked to stop."""
    stage = Stage(scorer, make_sink, FULL)
    stage.turn()
    assert stage.pipeline.settle()
    assert stage.committed == FULL
    assert stage.pipeline.settle()  # there is nothing more


def test_a_stop_that_takes_too_long_commits_nothing(scorer):
    """What is on its way when the drain ends is read again."""
    stage = Stage(scorer, Silent, 2 * FULL)
    stage.turn()
    stage.given_up = True
    with pytest.raises(DeliveryAbandoned):
        stage.turn()
    stage.delivery.finish(0.1)
    assert stage.committed == 0


def test_a_breach_of_the_limits_is_told_though_nothing_is_acknowledged(scorer, monkeypatch):
    """Neither a stop nor brokers that are away hide why the service ends."""
    monkeypatch.setattr("detector.service.pipeline._LAST_S", 0)
    stage = Stage(scorer, Silent, 2 * FULL, max_consecutive=FULL + 1)
    stage.turn()
    with pytest.raises(DeadLetterLimitError):
        stage.turn()
    assert stage.committed == 0


def test_nothing_is_started_once_the_drain_is_over(scorer):
    """Even when the batch before arrives at the last moment."""
    stage = Stage(scorer, Sink, 2 * FULL)
    stage.turn()
    stage.given_up = True
    with pytest.raises(DeliveryAbandoned):
        stage.turn()
    assert stage.story == ["read 2", "1 sent", "read 2", "1 safe"]
    assert stage.committed == FULL
