"""A topic read from outside: no group is joined, nothing is committed, and no more is held than one fetch."""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from kafka import KafkaConsumer, TopicPartition
from kafka import errors as kafka_errors

from detector.errors import DetectorError
from detector.records import Partition, Record
from detector.settings import KafkaSettings
from detector.stream.kafka_faults import explain
from detector.stream.kafka_options import connection_options
from detector.stream.readiness import how_to_create, unreachable

Offsets = Mapping[Partition, int]

_ASK_MS = 10_000
_POLL_MS = 200
_POLL_RECORDS = 500
_SILENCE_S = 30.0
"""Without a step forward for this long, whoever waits is told: a broker may take some seconds to come back."""


class TopicReader:
    """Reads the committed records of one topic."""

    def __init__(self, consumer: Any, topic: str, partitions: Sequence[int]) -> None:
        self.topic = topic
        self._consumer = consumer
        self._partitions = [TopicPartition(topic, number) for number in partitions]

    def ends(self) -> dict[Partition, int]:
        """The offsets behind the last committed records."""
        offsets = self._consumer.end_offsets(self._partitions, timeout_ms=_ASK_MS)
        return {Partition(*tp): offset for tp, offset in offsets.items()}

    def starts(self, since_ms: int | None) -> dict[Partition, int]:
        """The offsets of the first records, or of the first with a timestamp from `since_ms` on; none, no entry."""
        if since_ms is None:
            offsets = self._consumer.beginning_offsets(self._partitions, timeout_ms=_ASK_MS)
            return {Partition(*tp): offset for tp, offset in offsets.items()}
        found = self._consumer.offsets_for_times(dict.fromkeys(self._partitions, since_ms), timeout_ms=_ASK_MS)
        return {Partition(*tp): at.offset for tp, at in found.items() if at is not None}

    def read(self, starts: Offsets, ends: Offsets, stopped: Callable[[], bool]) -> Iterator[list[Record]]:
        """Give the records between two sets of offsets as they are fetched, until all came or `stopped`.

        Raises:
            DetectorError: nothing came for long.
        """
        left = {TopicPartition(*tp): end for tp, end in ends.items() if starts.get(tp, end) < end}
        self._consumer.assign(list(left))
        self._consumer.resume(*left)  # an earlier reading may have left them paused
        for tp in left:
            self._consumer.seek(tp, starts[Partition(*tp)])
        moved_at = time.monotonic()
        while left and not stopped():
            before = {tp: self._consumer.position(tp, timeout_ms=_ASK_MS) for tp in left}
            polled = self._consumer.poll(timeout_ms=_POLL_MS, max_records=_POLL_RECORDS)
            for tp, records in polled.items():
                yield [record for record in records if record.offset < ends[Partition(*tp)]]
            after = {tp: self._consumer.position(tp, timeout_ms=_ASK_MS) for tp in left}
            if polled or after != before:
                moved_at = time.monotonic()
            elif time.monotonic() - moved_at > _SILENCE_S:
                raise DetectorError(f"topic {self.topic}: nothing came for {_SILENCE_S:g} s: are its brokers up?")
            left = self._without_finished(left, after)

    def _without_finished(
        self, left: dict[TopicPartition, int], positions: dict[TopicPartition, int]
    ) -> dict[TopicPartition, int]:
        finished = [tp for tp, end in left.items() if positions[tp] >= end]
        self._consumer.pause(*finished)  # what came meanwhile is not asked for
        return {tp: end for tp, end in left.items() if tp not in finished}


@contextmanager
def open_topics(kafka: KafkaSettings, topic: str, *others: str) -> Iterator[TopicReader]:
    """A reader of the first topic; what Kafka refuses within the block is one line for a person.

    Raises:
        DetectorError: no broker can be reached, or one of the topics is not there.
    """
    reason = unreachable(kafka)
    if reason is not None:
        raise DetectorError(f"no broker can be reached: {reason}")
    with _explained(kafka):
        consumer = KafkaConsumer(
            **connection_options(kafka),
            group_id=None,
            enable_auto_commit=False,
            isolation_level="read_committed",
            auto_offset_reset="earliest",  # retention may overtake a reader: it goes on with what is left
        )
        try:
            partitions = [_partitions(consumer, name, kafka) for name in (topic, *others)]
            yield TopicReader(consumer, topic, partitions[0])
        finally:
            consumer.close()


def _partitions(consumer: Any, topic: str, kafka: KafkaSettings) -> list[int]:
    partitions = consumer.partitions_for_topic(topic)
    if not partitions:
        command = how_to_create(topic, kafka)
        raise DetectorError(f"topic {topic} does not exist: create it: {command}")
    return sorted(partitions)


@contextmanager
def _explained(kafka: KafkaSettings) -> Iterator[None]:
    try:
        yield
    except kafka_errors.KafkaError as error:
        raise DetectorError(f"{kafka.bootstrap_servers}: {explain(error)}") from error
