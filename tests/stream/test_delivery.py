"""The order of acknowledgements and offset commits, and what happens when acknowledgements are late or negative."""

from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from detector.records import OutgoingRecord, Partition
from detector.stream import delivery as delivery_module
from detector.stream.delivery import AtLeastOnce, DeliveryAbandoned, ExactlyOnce, delivery_for
from detector.stream.interfaces import Batch, CommitDone, CommitError, FailedRecord, StreamError, TransactionAborted
from tests.stream.listeners import RecordingListener, RecordingObserver
from tests.stream.memory import MemorySink, MemorySource, MemoryTopics, MemoryTransactions

PARTITION = Partition("events", 0)
ONE, TWO = (OutgoingRecord("alerts", None, value, []) for value in (b"1", b"2"))


EMPTY = Batch([], {})


class ScriptedDelivery:
    """A pending delivery: the first `waits` waits time out, then these records have failed."""

    def __init__(self, waits: int = 0, failed: Sequence[FailedRecord] = ()) -> None:
        self._waits = waits
        self._failed = list(failed)

    def wait(self, timeout_s: float) -> bool:
        self._waits -= 1
        return self._waits < 0

    def failed(self) -> list[FailedRecord]:
        return self._failed


class ScriptedSink:
    """Answers each `send` with the next of the deliveries."""

    def __init__(self, *deliveries: ScriptedDelivery) -> None:
        self._deliveries = list(deliveries)
        self.sent: list[list[OutgoingRecord]] = []

    def send(self, records: Sequence[OutgoingRecord]) -> ScriptedDelivery:
        self.sent.append(list(records))
        return self._deliveries.pop(0)

    def close(self, timeout_s: float) -> None: ...


class ScriptedSource(MemorySource):
    """A source whose commits may fail or stay unanswered, and which records whether it was paused while kept alive."""

    def __init__(self, topics: MemoryTopics) -> None:
        super().__init__(topics, "events", RecordingListener())
        self.paused_in_keep_alive: list[bool] = []
        self.commit_errors: list[CommitError] = []
        self.unanswered: list[tuple[Mapping[Partition, int], CommitDone]] | None = None
        """Set to a list to leave commits unanswered; each is added to it."""

    @property
    def is_paused(self) -> bool:
        return self._paused

    def keep_alive(self) -> None:
        self.paused_in_keep_alive.append(self._paused)

    def commit(self, next_offsets: Mapping[Partition, int], on_done: CommitDone) -> None:
        if self.unanswered is not None:
            self.unanswered.append((next_offsets, on_done))
        elif self.commit_errors:
            on_done(self.commit_errors.pop())
        else:
            super().commit(next_offsets, on_done)


@pytest.fixture(autouse=True)
def _retry_at_once(monkeypatch):
    monkeypatch.setattr(delivery_module, "_RETRY_S", 0)


@pytest.fixture
def topics():
    return MemoryTopics()


@pytest.fixture
def source(topics):
    return ScriptedSource(topics)


def at_least_once(source, sink):
    observer, signs_of_life = RecordingObserver(), []
    return AtLeastOnce(source, sink, observer, lambda: signs_of_life.append(1)), observer, signs_of_life


def never() -> bool:
    return False


def deliver_batch(delivery, batch, outputs, give_up, ahead=EMPTY) -> bool:
    """Deliver a batch; False when it was aborted."""
    delivery.start(batch, outputs)
    return delivery.settle(ahead, give_up)


def deliver_and_commit(delivery, batch) -> None:
    """Deliver a batch without outputs, and start the commit of its offsets."""
    assert deliver_batch(delivery, batch, [], never)
    delivery.commit(idle=False)


def test_only_failed_records_are_sent_again(source):
    """Otherwise one rejected record would cause duplicates of the acknowledged ones."""
    failure = FailedRecord(TWO, "NotEnoughReplicasError", is_fatal=False)
    sink = ScriptedSink(ScriptedDelivery(failed=[failure]), ScriptedDelivery())
    delivery, observer, _ = at_least_once(source, sink)

    deliver_batch(delivery, EMPTY, [ONE, TWO], never)

    assert sink.sent == [[ONE, TWO], [TWO]]
    assert source.paused_in_keep_alive == [True]  # records that an unpaused source returns now would be lost
    assert observer.events == ["failed: 1 records", "waiting", "recovered"]


def test_reading_is_paused_and_membership_kept_while_delivery_waits(source):
    """Otherwise memory would grow during an outage, or the member would be evicted from its group."""
    delivery, observer, signs_of_life = at_least_once(source, ScriptedSink(ScriptedDelivery(waits=3)))

    deliver_batch(delivery, EMPTY, [ONE], never)

    assert source.paused_in_keep_alive == [True] * 3
    assert len(signs_of_life) == 3
    assert observer.events == ["waiting", "recovered"]
    assert not source.is_paused


def test_abandoned_delivery_commits_nothing(source, topics):
    """Otherwise a shutdown during an outage would skip a batch that was not delivered."""
    delivery, observer, _ = at_least_once(source, ScriptedSink(ScriptedDelivery(waits=1000)))

    with pytest.raises(DeliveryAbandoned):
        deliver_batch(delivery, EMPTY, [ONE], lambda: True)

    assert topics.committed == {}
    assert observer.events == ["waiting", "recovered"]


def test_fatal_failure_names_the_topic_and_what_to_do(source):
    """Otherwise an alert that its topic never accepts would be lost silently."""
    failure = FailedRecord(ONE, "MessageSizeTooLargeError", is_fatal=True)
    sink = ScriptedSink(ScriptedDelivery(failed=[failure]))
    delivery, *_ = at_least_once(source, sink)

    with pytest.raises(
        StreamError, match=r"topic alerts rejects a record of 1 bytes: MessageSizeTooLarge.*max.message.bytes"
    ):
        deliver_batch(delivery, EMPTY, [ONE], never)


def test_next_commit_includes_the_offsets_of_a_failed_one(source, topics):
    """Otherwise offsets would stay uncommitted after one failed commit on a quiet topic."""
    delivery, observer, _ = at_least_once(source, MemorySink(topics))
    source.commit_errors = [CommitError("no coordinator")]

    deliver_and_commit(delivery, Batch([], {PARTITION: 5}))
    assert topics.committed == {}
    delivery.commit(idle=True)

    assert topics.committed == {PARTITION: 5}
    assert observer.events == ["commit failed: no coordinator", "committed"]
    delivery.commit(idle=True)
    assert observer.events == ["commit failed: no coordinator", "committed"]


def test_finish_commits_the_remaining_offsets(source, topics):
    """Otherwise the last batch would be read again after a graceful shutdown."""
    delivery, *_ = at_least_once(source, MemorySink(topics))
    source.commit_errors = [CommitError("rebalance in progress")]
    deliver_and_commit(delivery, Batch([], {PARTITION: 7}))

    delivery.finish(1)

    assert topics.committed == {PARTITION: 7}


def test_answer_to_an_earlier_commit_does_not_confirm_a_later_one(source, topics):
    """Otherwise the success of one commit would hide that the next one failed, and its offsets would be lost."""
    delivery, *_ = at_least_once(source, MemorySink(topics))
    source.unanswered = []
    deliver_and_commit(delivery, Batch([], {PARTITION: 1}))
    deliver_and_commit(delivery, Batch([], {PARTITION: 2}))
    (_, first_done), (_, second_done) = source.unanswered
    first_done(None)
    second_done(CommitError("connection lost"))

    delivery.finish(1)

    assert topics.committed == {PARTITION: 2}


def test_unanswered_commit_is_not_repeated_with_every_poll(source, topics, monkeypatch):
    """Otherwise brokers would receive a hundred commits when they recover after a minute."""
    now = [0.0]
    monkeypatch.setattr("time.monotonic", lambda: now[0])
    delivery, *_ = at_least_once(source, MemorySink(topics))
    source.unanswered = []
    deliver_and_commit(delivery, Batch([], {PARTITION: 1}))

    for _ in range(25):
        now[0] += 0.5
        delivery.commit(idle=True)

    assert [offsets for offsets, _ in source.unanswered] == [{PARTITION: 1}] * 2


class ScriptedTransaction:
    """A pending transaction: the first `waits` waits time out, then it is committed or raises the error."""

    def __init__(self, waits: int = 0, error: Exception | None = None) -> None:
        self._waits, self._error = waits, error

    def wait(self, timeout_s: float) -> bool:
        self._waits -= 1
        if self._waits < 0 and self._error:
            raise self._error
        return self._waits < 0


class ScriptedTransactions(MemoryTransactions):
    """Returns the given transactions first, and commits all later ones."""

    def __init__(self, topics: MemoryTopics, *transactions: ScriptedTransaction) -> None:
        super().__init__(topics)
        self._transactions = list(transactions)

    def transact(self, batch: Batch, records: Sequence[OutgoingRecord]) -> Any:
        return self._transactions.pop(0) if self._transactions else super().transact(batch, records)


def exactly_once(source, sink):
    observer = RecordingObserver()
    return ExactlyOnce(source, sink, observer, lambda: None), observer


def write_two_events(topics):
    for value in (b"1", b"2"):
        topics.append(OutgoingRecord("events", None, value, []))


def test_aborted_batch_is_read_again_from_the_committed_offsets(topics):
    """Otherwise the alerts of an aborted batch would be lost."""
    write_two_events(topics)
    source = ScriptedSource(topics)
    delivery, observer = exactly_once(
        source, ScriptedTransactions(topics, ScriptedTransaction(2, TransactionAborted("x")))
    )
    batch = source.poll(10, 0, 0)

    assert not deliver_batch(delivery, batch, [ONE], never)
    again = source.poll(10, 0, 0)

    assert again.records == batch.records
    assert deliver_batch(delivery, again, [ONE], never)
    assert topics.committed == {PARTITION: 2}
    assert [record.value for record in topics.records("alerts")] == [b"1"]
    assert [event.split()[0] for event in observer.events] == ["waiting", "aborted:", "recovered", "committed"]


def test_batch_read_ahead_of_an_aborted_one_is_read_again_too(topics):
    """Otherwise records would be skipped, or processed in the wrong order."""
    write_two_events(topics)
    source = ScriptedSource(topics)
    delivery, _ = exactly_once(source, ScriptedTransactions(topics, ScriptedTransaction(0, TransactionAborted("x"))))
    first, ahead = source.poll(1, 0, 0), source.poll(1, 0, 0)
    assert ahead.records

    assert not deliver_batch(delivery, first, [ONE], never, ahead)

    assert source.poll(10, 0, 0).records == [*first.records, *ahead.records]


def test_nothing_is_committed_while_outputs_are_in_flight(source, topics):
    """Otherwise a crash would lose alerts that were not acknowledged yet."""
    delivery, *_ = at_least_once(source, ScriptedSink(ScriptedDelivery(waits=1)))
    delivery.start(Batch([], {PARTITION: 5}), [ONE])
    delivery.commit(idle=True)
    delivery.finish(1)
    assert topics.committed == {}

    assert delivery.settle(EMPTY, never)
    delivery.commit(idle=False)
    assert topics.committed == {PARTITION: 5}


def test_repeated_aborts_are_one_outage(topics):
    """Otherwise readiness would flap, and every attempt would be logged, while a topic rejects alerts."""
    write_two_events(topics)
    source = ScriptedSource(topics)
    failure = FailedRecord(ONE, "NotEnoughReplicasError", is_fatal=False)
    attempts = [ScriptedTransaction(1, TransactionAborted("x", [failure])) for _ in range(3)]
    delivery, observer = exactly_once(source, ScriptedTransactions(topics, *attempts))

    while not deliver_batch(delivery, source.poll(10, 0, 0), [ONE], never):
        assert not source.is_paused
        delivery.commit(idle=True)  # the source has not read the batch again yet

    assert observer.events == ["waiting", *["failed: 1 records", "aborted: x"] * 3, "recovered", "committed"]


def test_aborted_batch_that_another_member_processed_is_not_waited_for(topics):
    """Otherwise this instance would never be ready again if its own partitions have no more records."""
    write_two_events(topics)
    source = ScriptedSource(topics)
    delivery, observer = exactly_once(
        source, ScriptedTransactions(topics, ScriptedTransaction(0, TransactionAborted("x")))
    )
    batch = source.poll(10, 0, 0)
    topics.committed |= batch.next_offsets

    assert not deliver_batch(delivery, batch, [ONE], never)
    assert observer.events == ["aborted: x", "waiting"]
    assert not source.poll(10, 0, 0).records
    delivery.commit(idle=True)

    assert observer.events == ["aborted: x", "waiting", "recovered"]


def test_committed_offsets_decide_about_a_transaction_with_unknown_outcome(topics):
    """Otherwise alerts would be written twice when the connection is lost right after a commit."""
    write_two_events(topics)
    source = ScriptedSource(topics)
    delivery, _ = exactly_once(
        source, ScriptedTransactions(topics, ScriptedTransaction(0, TransactionAborted("connection lost")))
    )
    batch = source.poll(10, 0, 0)
    topics.committed |= batch.next_offsets

    assert not deliver_batch(delivery, batch, [ONE], never)
    assert source.poll(10, 0, 0).records == []


def test_abandoned_transaction_commits_nothing(topics):
    """Otherwise a shutdown during an outage would skip a batch that was not delivered."""
    write_two_events(topics)
    source = ScriptedSource(topics)
    delivery, observer = exactly_once(source, ScriptedTransactions(topics, ScriptedTransaction(waits=1000)))

    with pytest.raises(DeliveryAbandoned):
        deliver_batch(delivery, source.poll(10, 0, 0), [ONE], lambda: True)

    assert topics.committed == {}
    assert observer.events == ["waiting", "recovered"]


@pytest.mark.parametrize(("sink", "guarantee"), [(MemorySink, AtLeastOnce), (MemoryTransactions, ExactlyOnce)])
def test_sink_decides_the_guarantee(topics, source, sink, guarantee):
    """Otherwise a user who chose exactly-once would silently get at-least-once."""
    assert isinstance(delivery_for(source, sink(topics), RecordingObserver(), lambda: None), guarantee)
