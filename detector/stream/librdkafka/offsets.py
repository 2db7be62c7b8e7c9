"""Offsets of a librdkafka consumer: commits in flight, committed offsets, and the lag."""

import contextlib
from collections import deque
from collections.abc import Collection, Mapping

from confluent_kafka import OFFSET_BEGINNING, OFFSET_END, Consumer, KafkaError, KafkaException, TopicPartition

from detector.records import Partition
from detector.stream.interfaces import CommitDone, CommitError
from detector.stream.librdkafka.errors import FATAL, FatalErrors, describe

_REQUEST_S = 0.5


class Commits:
    """Offset commits in flight, in the order in which they were started."""

    def __init__(self, fatal_errors: FatalErrors) -> None:
        self._fatal_errors = fatal_errors
        self._in_flight: deque[tuple[dict[int, int], CommitDone]] = deque()

    def started(self, offsets: dict[int, int], on_done: CommitDone) -> None:
        """Note a commit whose answer will come."""
        self._in_flight.append((offsets, on_done))

    def on_commit(self, error: KafkaError | None, partitions: list[TopicPartition]) -> None:
        """Called by librdkafka within `consume`, in the order of the commits; a commit may remain unanswered."""
        answered = {tp.partition: tp.offset for tp in partitions}
        error = error or next((tp.error for tp in partitions if tp.error is not None), None)
        while self._in_flight:
            offsets, on_done = self._in_flight.popleft()
            if offsets == answered:
                if error is not None and error.code() in FATAL:
                    self._fatal_errors(error)
                on_done(None if error is None else CommitError(describe(error)))
                return
            on_done(CommitError("not answered"))


def topic_partitions(topic: str, offsets: Mapping[int, int]) -> list[TopicPartition]:
    """Partition numbers and offsets in librdkafka's form."""
    return [TopicPartition(topic, number, offset) for number, offset in offsets.items()]


def committed_offsets(
    consumer: Consumer, topic: str, numbers: Collection[int], timeout_s: float
) -> dict[int, int | None]:
    """The group's committed offset of each partition; None where it has none.

    Raises:
        KafkaException: the brokers did not return all of them within the timeout.
    """
    if not numbers:
        return {}
    answers = consumer.committed(topic_partitions(topic, dict.fromkeys(numbers, 0)), timeout=timeout_s)
    for tp in answers:
        if tp.error is not None:
            raise KafkaException(tp.error)
    return {tp.partition: tp.offset if tp.offset >= 0 else None for tp in answers}


class Lag:
    """The lag of each assigned partition, also of one of which nothing was read yet.

    Args:
        consumer: the member of the group.
        topic: the topic that it reads.
    """

    def __init__(self, consumer: Consumer, topic: str) -> None:
        self._consumer = consumer
        self._topic = topic
        self._starts: dict[int, int] = {}
        """Where reading starts in partitions of which nothing was read yet."""

    def starts_at(self, number: int, offset: int) -> None:
        """Reading of this partition starts at an offset, or at librdkafka's OFFSET_BEGINNING or OFFSET_END."""
        self._starts[number] = offset

    def forget(self, number: int) -> None:
        """The partition is not assigned any more."""
        self._starts.pop(number, None)

    def records(self, assigned: Collection[int]) -> dict[Partition, int]:
        """Records between the current offset and the end; end offsets are known from fetches."""
        asked = topic_partitions(self._topic, dict.fromkeys(assigned, 0))
        current: dict[int, int] = {tp.partition: tp.offset for tp in self._consumer.position(asked) if tp.offset >= 0}
        self._fetch_starts(set(assigned) - current.keys() - self._starts.keys())
        lags = {}
        for tp in asked:
            low, high = self._consumer.get_watermark_offsets(tp, cached=True)
            offset = current.get(tp.partition, self._start(tp.partition, low, high))
            if high >= 0 and offset is not None:
                lags[Partition(self._topic, tp.partition)] = max(0, high - offset)
        return lags

    def _start(self, number: int, low: int, high: int) -> int | None:
        start = self._starts.get(number)
        if start == OFFSET_BEGINNING:
            return low
        return high if start == OFFSET_END else start

    def _fetch_starts(self, numbers: Collection[int]) -> None:
        """Fetch the committed offsets once, for partitions of which nothing was read since their assignment."""
        with contextlib.suppress(KafkaException):  # a call that depends on the answer will report the error
            committed = committed_offsets(self._consumer, self._topic, numbers, _REQUEST_S)
            self._starts |= {number: offset for number, offset in committed.items() if offset is not None}
