"""What the pipeline does at the same time and what it does in order, on the in-memory stream."""

from functools import partial
from typing import TYPE_CHECKING

import pytest

from detector.alerts.severity import SEVERITIES
from detector.errors import DeadLetterLimitError
from detector.events.strict_decode import REASONS
from detector.metrics import Metrics
from detector.records import OutgoingRecord
from detector.service.limits import DeadLetterLimits
from detector.service.pipeline import Pipeline
from detector.service.step import BatchStep
from detector.settings import DeadLetterSettings, KafkaSettings
from detector.stream.delivery import DeliveryAbandoned, delivery_for
from detector.stream.interfaces import StreamError, TransactionAborted
from tests.stream.listeners import RecordingListener, RecordingObserver
from tests.stream.memory import MemorySink, MemorySource, MemoryTopics, MemoryTransactions

if TYPE_CHECKING:
    from detector.service.causes import Cause

KAFKA = KafkaSettings()
FULL = 2


class _Pending:
    """Outputs that are in flight until `wait`; then they are written, or their transaction is aborted."""

    def __init__(self, steps, number, write, error=None) -> None:
        self._steps, self._number, self._write, self._error = steps, number, write, error

    def wait(self, timeout_s):
        if self._error:
            self._steps.append(f"{self._number} aborted")
            raise self._error
        self._steps.append(f"{self._number} acknowledged")
        self._write()
        return True

    def failed(self):
        return []


class _NeverAcknowledged:
    def wait(self, timeout_s):
        return False

    def failed(self):
        return []


class Sink(MemorySink):
    """Records when each batch is sent and acknowledged."""

    def __init__(self, topics, steps) -> None:
        super().__init__(topics)
        self._steps, self._sent = steps, 0

    def send(self, records):
        self._sent += 1
        self._steps.append(f"{self._sent} sent")
        write = super().send
        return _Pending(self._steps, self._sent, lambda: write(records))


class Transactions(MemoryTransactions):
    """Like `Sink`, with transactions; those with the given numbers are aborted."""

    def __init__(self, topics, steps, aborted=()) -> None:
        super().__init__(topics)
        self._steps, self._sent, self._aborted = steps, 0, aborted

    def transact(self, batch, records):
        self._sent += 1
        self._steps.append(f"{self._sent} sent")
        write = super().transact
        error = TransactionAborted("x") if self._sent in self._aborted else None
        return _Pending(self._steps, self._sent, lambda: write(batch, records), error)


class UnresponsiveSink(MemorySink):
    """Acknowledges nothing."""

    def __init__(self, topics, steps) -> None:
        super().__init__(topics)

    def send(self, records):
        return _NeverAcknowledged()


class Harness:
    """A pipeline over invalid records: each of them has an output, its dead letter."""

    def __init__(self, scorer, make_sink, records, **limits) -> None:
        self.topics = MemoryTopics()
        self.steps: list[str] = []
        for number in range(records):
            self.topics.append(OutgoingRecord(KAFKA.events_topic, None, b"%d" % number, []))
        self._source = MemorySource(self.topics, KAFKA.events_topic, RecordingListener())
        self.metrics = Metrics(client="kafka-python", severities=SEVERITIES, dead_letter_reasons=REASONS)
        sink = make_sink(self.topics, self.steps)
        self.delivery = delivery_for(self._source, sink, RecordingObserver(), lambda: None)
        self.given_up = False
        step = BatchStep(KAFKA, scorer, DeadLetterLimits(DeadLetterSettings(**limits)))
        self.causes: list[Cause] = []
        self.pipeline = Pipeline(
            step,
            self.delivery,
            self.metrics,
            full=FULL,
            idle_s=0.5,
            busy_s=0.02,
            give_up=lambda: self.given_up,
            on_dead_letters=self.causes.extend,
        )
        self.read_timeouts_s: list[float] = []

    def read(self, timeout_s):
        self.read_timeouts_s.append(timeout_s)
        batch = self._source.poll(FULL, 0, 0)
        self.steps.append(f"read {len(batch.records)}")
        return batch

    def run_once(self):
        return self.pipeline.run_once(self.read)

    @property
    def consumed(self):
        return self.metrics.value("detector_records_consumed_total")

    @property
    def committed(self):
        return sum(self.topics.committed.values())

    @property
    def dead_letters(self):
        return [record.value for record in self.topics.records(KAFKA.dead_letter_topic)]


@pytest.mark.parametrize("make_sink", [Sink, Transactions])
def test_next_batch_is_read_while_a_full_one_is_in_flight(scorer, make_sink):
    """Otherwise throughput would fall, or a batch would be committed before it is acknowledged."""
    harness = Harness(scorer, make_sink, 2 * FULL)

    assert not harness.run_once()  # nothing is settled yet
    assert harness.steps == ["read 2", "1 sent"]
    assert (harness.committed, harness.consumed) == (0, 0)

    assert harness.run_once()
    assert harness.steps == ["read 2", "1 sent", "read 2", "1 acknowledged", "2 sent"]
    assert (harness.committed, harness.consumed) == (FULL, FULL)

    assert harness.run_once()
    assert harness.steps[-2:] == ["read 0", "2 acknowledged"]
    assert harness.committed == harness.consumed == 2 * FULL
    assert harness.dead_letters == [b"0", b"1", b"2", b"3"]
    assert harness.read_timeouts_s == [0.5, 0.02, 0.02]  # a batch in flight must not wait for the idle time


@pytest.mark.parametrize("make_sink", [Sink, Transactions])
def test_batch_that_is_not_full_is_settled_at_once(scorer, make_sink):
    """Otherwise the last records would stay uncommitted until another one arrives, perhaps for an hour."""
    harness = Harness(scorer, make_sink, FULL - 1)

    assert harness.run_once()

    assert harness.steps == ["read 1", "1 sent", "1 acknowledged"]
    assert harness.committed == 1


def test_batch_read_ahead_of_an_aborted_one_is_dropped(scorer, monkeypatch):
    """Otherwise its outputs would be written twice, and its invalid records would count twice for the limits."""
    monkeypatch.setattr("detector.stream.delivery._RETRY_S", 0)
    harness = Harness(
        scorer, lambda topics, steps: Transactions(topics, steps, aborted=(1,)), 2 * FULL, max_consecutive=2 * FULL + 1
    )
    assert [harness.run_once(), harness.run_once()] == [False, False]  # no progress
    assert harness.steps == ["read 2", "1 sent", "read 2", "1 aborted"]
    assert (harness.dead_letters, harness.committed) == ([], 0)

    assert [harness.run_once() for _ in range(3)] == [False, True, True]
    assert harness.dead_letters == [b"0", b"1", b"2", b"3"]
    assert harness.committed == harness.consumed == 2 * FULL


@pytest.mark.parametrize("make_sink", [Sink, Transactions])
def test_batch_before_an_exceeded_limit_is_committed(scorer, make_sink):
    """Otherwise that batch would be processed again after the restart."""
    harness = Harness(scorer, make_sink, 2 * FULL, max_consecutive=FULL + 1)
    harness.run_once()

    with pytest.raises(DeadLetterLimitError):
        harness.run_once()

    assert harness.committed == FULL
    assert harness.dead_letters == [b"0", b"1"]


@pytest.mark.parametrize("make_sink", [Sink, Transactions])
def test_batch_before_a_fatal_stream_error_is_committed(scorer, make_sink):
    """Otherwise the next instance would process that batch again."""
    harness = Harness(scorer, make_sink, FULL)
    harness.run_once()

    def fail(_timeout_s):
        raise StreamError("the committed offset no longer exists")

    with pytest.raises(StreamError):
        harness.pipeline.run_once(fail)
    assert harness.committed == FULL


@pytest.mark.parametrize("make_sink", [Sink, Transactions])
def test_shutdown_settles_the_batch_in_flight(scorer, make_sink):
    """Otherwise the next instance would process that batch again after each graceful shutdown."""
    harness = Harness(scorer, make_sink, FULL)
    harness.run_once()

    assert harness.pipeline.settle()
    assert harness.committed == FULL
    assert harness.pipeline.settle()  # nothing is left


def test_shutdown_that_times_out_commits_nothing(scorer):
    """Otherwise a batch whose outputs are not acknowledged would be skipped, and its alerts lost."""
    harness = Harness(scorer, UnresponsiveSink, 2 * FULL)
    harness.run_once()
    harness.given_up = True

    with pytest.raises(DeliveryAbandoned):
        harness.run_once()

    harness.delivery.finish(0.1)
    assert harness.committed == 0


def test_exceeded_limit_is_reported_although_nothing_is_acknowledged(scorer, monkeypatch):
    """Otherwise nobody would learn why the service exits when brokers are unavailable at that moment."""
    monkeypatch.setattr("detector.service.pipeline._LAST_BATCH_S", 0)
    harness = Harness(scorer, UnresponsiveSink, 2 * FULL, max_consecutive=FULL + 1)
    harness.run_once()

    with pytest.raises(DeadLetterLimitError):
        harness.run_once()

    assert harness.committed == 0


def test_causes_are_reported_once_although_a_transaction_was_aborted(scorer):
    """Otherwise the log would count dead letters that were never written."""
    harness = Harness(scorer, partial(Transactions, aborted=[1]), 1)
    for _ in range(3):
        harness.run_once()

    assert [(cause.reason, cause.place) for cause in harness.causes] == [("not_an_object", f"{KAFKA.events_topic}-0@0")]


def test_no_delivery_starts_after_the_drain_timed_out(scorer):
    """Otherwise a stop would take too long when the previous batch is acknowledged at the last moment."""
    harness = Harness(scorer, Sink, 2 * FULL)
    harness.run_once()
    harness.given_up = True

    with pytest.raises(DeliveryAbandoned):
        harness.run_once()

    assert harness.steps == ["read 2", "1 sent", "read 2", "1 acknowledged"]
    assert harness.committed == FULL
