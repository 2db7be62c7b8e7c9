"""The order of delivery and commit, and what happens when acknowledgements do not come."""

from collections.abc import Sequence

import pytest

from detector.records import OutgoingRecord, Partition
from detector.stream import delivery
from detector.stream.delivery import AtLeastOnce, DeliveryAbandoned, ExactlyOnce, delivery_over
from detector.stream.interfaces import Batch, CommitError, Refusal, StreamError, TransactionAborted
from detector.stream.memory import MemorySink, MemorySource, MemoryTopics, MemoryTransactions
from tests.contract.test_stream import Heard

PARTITION = Partition("events", 0)
ONE, TWO = (OutgoingRecord("alerts", None, value, []) for value in (b"1", b"2"))


EMPTY = Batch([], {})


class Script:
    """A pending delivery that takes some waits, and then refuses some records."""

    def __init__(self, waits: int = 0, refusals: Sequence[Refusal] = ()) -> None:
        self._waits = waits
        self._refusals = list(refusals)

    def wait(self, timeout_s: float) -> bool:
        self._waits -= 1
        return self._waits < 0

    def refused(self) -> list[Refusal]:
        return self._refusals


class ScriptedSink:
    def __init__(self, *scripts: Script) -> None:
        self.scripts = list(scripts)
        self.sent: list[list[OutgoingRecord]] = []

    def send(self, records):
        self.sent.append(list(records))
        return self.scripts.pop(0)

    def close(self, timeout_s: float) -> None: ...


class Said:
    """An observer that remembers."""

    def __init__(self) -> None:
        self.events: list[str] = []

    def delivery_waits(self) -> None:
        self.events.append("waits")

    def delivery_resumed(self) -> None:
        self.events.append("resumed")

    def delivery_refused(self, refusals) -> None:
        self.events.append(f"refused {len(refusals)}")

    def transaction_aborted(self, reason) -> None:
        self.events.append(f"aborted: {reason}")

    def committed(self, seconds) -> None:
        self.events.append("committed")

    def commit_failed(self, error) -> None:
        self.events.append(f"failed: {error}")


class WatchedSource(MemorySource):
    """A source whose commits may fail, and which notes whether it was paused while kept alive."""

    def __init__(self, topics: MemoryTopics) -> None:
        super().__init__(topics, "events", Heard())
        self.kept_alive_paused: list[bool] = []
        self.failures: list[CommitError] = []

    def keep_alive(self) -> None:
        self.kept_alive_paused.append(self._paused)

    def commit(self, next_offsets, on_done) -> None:
        if self.failures:
            on_done(self.failures.pop())
        else:
            super().commit(next_offsets, on_done)


@pytest.fixture(autouse=True)
def _no_pauses(monkeypatch):
    monkeypatch.setattr(delivery, "_RETRY_S", 0)


@pytest.fixture
def topics():
    return MemoryTopics()


@pytest.fixture
def source(topics):
    return WatchedSource(topics)


def at_least_once(source, sink):
    said, signs = Said(), []
    return AtLeastOnce(source, sink, said, lambda: signs.append(1)), said, signs


def never() -> bool:
    return False


def delivered(deliver, batch, outputs, give_up, ahead=EMPTY) -> bool:
    deliver.start(batch, outputs)
    return deliver.settle(ahead, give_up)


def safe(deliver, batch) -> None:
    """A batch without outputs, committed."""
    assert delivered(deliver, batch, [], never)
    deliver.commit(idle=False)


def test_refused_records_are_sent_again_alone(source):
    """What was acknowledged is not written twice because of its neighbour."""
    sink = ScriptedSink(Script(refusals=[Refusal(TWO, "NotEnoughReplicasError", final=False)]), Script())
    deliver, said, _ = at_least_once(source, sink)

    delivered(deliver, EMPTY, [ONE, TWO], never)

    assert sink.sent == [[ONE, TWO], [TWO]]
    assert source.kept_alive_paused == [True]  # what a source that reads would give meanwhile would be lost
    assert said.events == ["refused 1", "waits", "resumed"]


def test_reading_is_paused_and_the_group_kept_while_delivery_waits(source):
    """A broker that is away for a while costs neither the membership nor memory."""
    deliver, said, signs = at_least_once(source, ScriptedSink(Script(waits=3)))

    delivered(deliver, EMPTY, [ONE], never)

    assert source.kept_alive_paused == [True] * 3
    assert len(signs) == 3
    assert said.events == ["waits", "resumed"]
    assert not source._paused


def test_giving_up_commits_nothing(source, topics):
    """A stop with the brokers down ends, and the batch is read again by the next."""
    deliver, said, _ = at_least_once(source, ScriptedSink(Script(waits=1000)))

    with pytest.raises(DeliveryAbandoned):
        delivered(deliver, EMPTY, [ONE], lambda: True)

    assert topics.committed == {}
    assert said.events == ["waits", "resumed"]


def test_final_refusal_stops_with_the_topic_and_what_to_do(source):
    """A record that the topic will never take is not skipped: an alert would be lost silently."""
    sink = ScriptedSink(Script(refusals=[Refusal(ONE, "MessageSizeTooLargeError", final=True)]))
    deliver, *_ = at_least_once(source, sink)

    with pytest.raises(
        StreamError, match=r"topic alerts refuses a record of 1 bytes: MessageSizeTooLarge.*max.message.bytes"
    ):
        delivered(deliver, EMPTY, [ONE], never)


def test_failed_commit_is_made_up_for_by_the_next(source, topics):
    """Positions whose commit failed are in the next commit, even when its batch is empty."""
    deliver, said, _ = at_least_once(source, MemorySink(topics))
    source.failures = [CommitError("no coordinator")]

    safe(deliver, Batch([], {PARTITION: 5}))
    assert topics.committed == {}
    deliver.commit(idle=True)

    assert topics.committed == {PARTITION: 5}
    assert said.events == ["failed: no coordinator", "committed"]
    deliver.commit(idle=True)
    assert said.events == ["failed: no coordinator", "committed"]


def test_finish_commits_what_is_left(source, topics):
    """A clean stop leaves nothing to be read again."""
    deliver, *_ = at_least_once(source, MemorySink(topics))
    source.failures = [CommitError("busy")]
    safe(deliver, Batch([], {PARTITION: 7}))

    deliver.finish(1)

    assert topics.committed == {PARTITION: 7}


def test_late_answer_to_an_early_commit_does_not_hide_a_later_position(source, topics):
    """Commits overlap; the answer to the first says nothing of the second."""
    deliver, *_ = at_least_once(source, MemorySink(topics))
    answers = []
    source.commit = lambda offsets, on_done: answers.append(on_done)
    safe(deliver, Batch([], {PARTITION: 1}))
    safe(deliver, Batch([], {PARTITION: 2}))
    answers[0](None)
    answers[1](CommitError("lost"))

    deliver.finish(1)

    assert topics.committed == {PARTITION: 2}


def test_commit_without_an_answer_is_not_repeated_at_every_look(source, topics, monkeypatch):
    """An idle service looks twice a second; brokers that are silent for a minute would find a hundred commits."""
    now = [0.0]
    monkeypatch.setattr("time.monotonic", lambda: now[0])
    deliver, *_ = at_least_once(source, MemorySink(topics))
    started = []
    source.commit = lambda offsets, on_done: started.append(offsets)
    safe(deliver, Batch([], {PARTITION: 1}))

    for _ in range(25):
        now[0] += 0.5
        deliver.commit(idle=True)

    assert started == [{PARTITION: 1}] * 2


class ScriptedTransaction:
    """Takes some waits, then is committed or fails."""

    def __init__(self, waits=0, error=None) -> None:
        self._waits, self._error = waits, error

    def wait(self, timeout_s: float) -> bool:
        self._waits -= 1
        if self._waits < 0 and self._error:
            raise self._error
        return self._waits < 0


class ScriptedTransactions(MemoryTransactions):
    def __init__(self, topics, *scripts) -> None:
        super().__init__(topics)
        self.scripts = list(scripts)

    def transact(self, batch, records):
        return self.scripts.pop(0) if self.scripts else super().transact(batch, records)


def exactly_once(source, sink):
    said = Said()
    return ExactlyOnce(source, sink, said, lambda: None), said


def two_events(topics):
    for value in (b"1", b"2"):
        topics.append(OutgoingRecord("events", None, value, []))


def test_aborted_batch_is_read_again_from_the_committed_positions(topics):
    """Nothing of it was written, so nothing of it may be skipped: paused meanwhile, then from the start."""
    two_events(topics)
    source = WatchedSource(topics)
    deliver, said = exactly_once(source, ScriptedTransactions(topics, ScriptedTransaction(2, TransactionAborted("x"))))
    batch = source.poll(10, 0, 0)

    assert not delivered(deliver, batch, [ONE], never)
    again = source.poll(10, 0, 0)

    assert again.records == batch.records
    assert delivered(deliver, again, [ONE], never)
    assert topics.committed == {PARTITION: 2}
    assert [record.value for record in topics.records("alerts")] == [b"1"]
    assert [event.split()[0] for event in said.events] == ["waits", "aborted:", "resumed", "committed"]


def test_what_was_read_ahead_of_an_aborted_batch_is_read_again_too(topics):
    """In its order, and from the first record of the first of the two, where nothing was committed before."""
    two_events(topics)
    source = WatchedSource(topics)
    deliver, _ = exactly_once(source, ScriptedTransactions(topics, ScriptedTransaction(0, TransactionAborted("x"))))
    first, ahead = source.poll(1, 0, 0), source.poll(1, 0, 0)
    assert ahead.records

    assert not delivered(deliver, first, [ONE], never, ahead)

    assert source.poll(10, 0, 0).records == [*first.records, *ahead.records]


def test_nothing_is_committed_before_it_is_settled(source, topics):
    """What is on its way may be refused yet."""
    deliver, *_ = at_least_once(source, ScriptedSink(Script(waits=1)))
    deliver.start(Batch([], {PARTITION: 5}), [ONE])
    deliver.commit(idle=True)
    deliver.finish(1)
    assert topics.committed == {}

    assert deliver.settle(EMPTY, never)
    deliver.commit(idle=False)
    assert topics.committed == {PARTITION: 5}


def test_transactions_that_are_aborted_again_and_again_are_one_outage(topics):
    """A topic that refuses for an hour: not a line, and a moment of readiness, at each attempt."""
    two_events(topics)
    source = WatchedSource(topics)
    refusal = Refusal(ONE, "NotEnoughReplicasError", final=False)
    attempts = [ScriptedTransaction(1, TransactionAborted("x", [refusal])) for _ in range(3)]
    deliver, said = exactly_once(source, ScriptedTransactions(topics, *attempts))

    while not delivered(deliver, source.poll(10, 0, 0), [ONE], never):
        assert not source._paused
        deliver.commit(idle=True)  # the source has not read on yet

    assert said.events == ["waits", *["refused 1", "aborted: x"] * 3, "resumed", "committed"]


def test_aborted_batch_that_is_anothers_by_now_is_not_waited_for(topics):
    """Its partitions were taken away, and those that are left are empty: the instance is ready."""
    two_events(topics)
    source = WatchedSource(topics)
    deliver, said = exactly_once(source, ScriptedTransactions(topics, ScriptedTransaction(0, TransactionAborted("x"))))
    batch = source.poll(10, 0, 0)
    topics.committed |= batch.next_offsets

    assert not delivered(deliver, batch, [ONE], never)
    assert said.events == ["aborted: x", "waits"]
    assert not source.poll(10, 0, 0).records
    deliver.commit(idle=True)

    assert said.events == ["aborted: x", "waits", "resumed"]


def test_transaction_whose_end_is_unknown_is_settled_by_the_brokers_positions(topics):
    """The connection broke behind the commit: what is committed is not written twice."""
    two_events(topics)
    source = WatchedSource(topics)
    deliver, _ = exactly_once(
        source, ScriptedTransactions(topics, ScriptedTransaction(0, TransactionAborted("broken")))
    )
    batch = source.poll(10, 0, 0)
    topics.committed |= batch.next_offsets

    assert not delivered(deliver, batch, [ONE], never)
    assert source.poll(10, 0, 0).records == []


def test_giving_up_a_transaction_commits_nothing(topics):
    """A stop with the brokers down ends, and the batch is read again by the next."""
    two_events(topics)
    source = WatchedSource(topics)
    deliver, said = exactly_once(source, ScriptedTransactions(topics, ScriptedTransaction(waits=1000)))

    with pytest.raises(DeliveryAbandoned):
        delivered(deliver, source.poll(10, 0, 0), [ONE], lambda: True)

    assert topics.committed == {}
    assert said.events == ["waits", "resumed"]


@pytest.mark.parametrize(("sink", "guarantee"), [(MemorySink, AtLeastOnce), (MemoryTransactions, ExactlyOnce)])
def test_guarantee_is_what_the_sink_can_give(topics, source, sink, guarantee):
    """Never a lesser one in silence."""
    assert isinstance(delivery_over(source, sink(topics), Said(), lambda: None), guarantee)
