"""The order of delivery and commit, and what happens when acknowledgements do not come."""

from collections.abc import Sequence

import pytest

from detector.records import OutgoingRecord, Partition
from detector.stream import delivery
from detector.stream.delivery import AtLeastOnce, DeliveryAbandoned
from detector.stream.interfaces import Batch, CommitError, Refusal, StreamError
from detector.stream.memory import MemorySink, MemorySource, MemoryTopics
from tests.contract.test_stream import Heard

PARTITION = Partition("events", 0)
ONE, TWO = (OutgoingRecord("alerts", None, value, []) for value in (b"1", b"2"))


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


def test_refused_records_are_sent_again_alone(source):
    """What was acknowledged is not written twice because of its neighbour."""
    sink = ScriptedSink(Script(refusals=[Refusal(TWO, "NotEnoughReplicasError", final=False)]), Script())
    deliver, said, _ = at_least_once(source, sink)

    deliver.deliver([ONE, TWO], never)

    assert sink.sent == [[ONE, TWO], [TWO]]
    assert said.events == ["refused 1"]


def test_reading_is_paused_and_the_group_kept_while_delivery_waits(source):
    """A broker that is away for a while costs neither the membership nor memory."""
    deliver, said, signs = at_least_once(source, ScriptedSink(Script(waits=3)))

    deliver.deliver([ONE], never)

    assert source.kept_alive_paused == [True] * 3
    assert len(signs) == 3
    assert said.events == ["waits", "resumed"]
    assert not source._paused


def test_giving_up_commits_nothing(source, topics):
    """A stop with the brokers down ends, and the batch is read again by the next."""
    deliver, said, _ = at_least_once(source, ScriptedSink(Script(waits=1000)))

    with pytest.raises(DeliveryAbandoned):
        deliver.deliver([ONE], lambda: True)

    assert topics.committed == {}
    assert said.events == ["waits", "resumed"]


def test_final_refusal_stops_with_the_topic_and_what_to_do(source):
    """A record that the topic will never take is not skipped: an alert would be lost silently."""
    sink = ScriptedSink(Script(refusals=[Refusal(ONE, "MessageSizeTooLargeError", final=True)]))
    deliver, *_ = at_least_once(source, sink)

    with pytest.raises(
        StreamError, match=r"topic alerts refuses a record of 1 bytes: MessageSizeTooLarge.*max.message.bytes"
    ):
        deliver.deliver([ONE], never)


def test_failed_commit_is_made_up_for_by_the_next(source, topics):
    """Positions whose commit failed are in the next commit, even when its batch is empty."""
    deliver, said, _ = at_least_once(source, MemorySink(topics))
    source.failures = [CommitError("no coordinator")]

    deliver.commit(Batch([], {PARTITION: 5}))
    assert topics.committed == {}
    deliver.commit(Batch([], {}))

    assert topics.committed == {PARTITION: 5}
    assert said.events == ["failed: no coordinator", "committed"]
    deliver.commit(Batch([], {}))
    assert said.events == ["failed: no coordinator", "committed"]


def test_finish_commits_what_is_left(source, topics):
    """A clean stop leaves nothing to be read again."""
    deliver, *_ = at_least_once(source, MemorySink(topics))
    source.failures = [CommitError("busy")]
    deliver.commit(Batch([], {PARTITION: 7}))

    deliver.finish(1)

    assert topics.committed == {PARTITION: 7}


def test_late_answer_to_an_early_commit_does_not_hide_a_later_position(source, topics):
    """Commits overlap; the answer to the first says nothing of the second."""
    deliver, *_ = at_least_once(source, MemorySink(topics))
    answers = []
    source.commit = lambda offsets, on_done: answers.append(on_done)
    deliver.commit(Batch([], {PARTITION: 1}))
    deliver.commit(Batch([], {PARTITION: 2}))
    answers[0](None)
    answers[1](CommitError("lost"))

    deliver.finish(1)

    assert topics.committed == {PARTITION: 2}
