"""Reads a topic without joining a group or committing offsets, with at most one fetch in memory."""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from kafka import KafkaConsumer, TopicPartition

from detector.errors import DetectorError
from detector.records import Partition, Record
from detector.settings import KafkaSettings
from detector.stream.admin.errors import reported_errors
from detector.stream.admin.topics import reader_options, require_topics

Offsets = Mapping[Partition, int]

_REQUEST_MS = 10_000
_POLL_MS = 200
_POLL_RECORDS = 500
_NO_PROGRESS_S = 30.0
"""Without progress for this long the caller gets an error; a restarting broker takes only some seconds."""


class TopicReader:
    """Reads the committed records of one topic."""

    def __init__(self, consumer: Any, topic: str, partitions: Sequence[int]) -> None:
        self.topic = topic
        self._consumer = consumer
        self._partitions = [TopicPartition(topic, number) for number in partitions]

    def ends(self) -> dict[Partition, int]:
        """The offset after the last committed record of each partition."""
        offsets = self._consumer.end_offsets(self._partitions, timeout_ms=_REQUEST_MS)
        return {Partition(*tp): offset for tp, offset in offsets.items()}

    def starts(self, since_ms: int | None) -> dict[Partition, int]:
        """The offset of each partition's first record, or of its first with a timestamp of at least `since_ms`.

        A partition without such a record is left out.
        """
        if since_ms is None:
            offsets = self._consumer.beginning_offsets(self._partitions, timeout_ms=_REQUEST_MS)
            return {Partition(*tp): offset for tp, offset in offsets.items()}
        found = self._consumer.offsets_for_times(dict.fromkeys(self._partitions, since_ms), timeout_ms=_REQUEST_MS)
        return {Partition(*tp): at.offset for tp, at in found.items() if at is not None}

    def read(self, starts: Offsets, ends: Offsets, stopped: Callable[[], bool]) -> Iterator[list[Record]]:
        """Yield the records between two sets of offsets as they are fetched, until the ends or until `stopped`.

        Raises:
            DetectorError: no progress for 30 s.
        """
        left = {TopicPartition(*tp): end for tp, end in ends.items() if starts.get(tp, end) < end}
        self._consumer.assign(list(left))
        self._consumer.resume(*left)  # an earlier `read` may have left them paused
        for tp in left:
            self._consumer.seek(tp, starts[Partition(*tp)])
        progress_at = time.monotonic()
        while left and not stopped():
            before = {tp: self._consumer.position(tp, timeout_ms=_REQUEST_MS) for tp in left}
            polled = self._consumer.poll(timeout_ms=_POLL_MS, max_records=_POLL_RECORDS)
            for tp, records in polled.items():
                yield [record for record in records if record.offset < ends[Partition(*tp)]]
            after = {tp: self._consumer.position(tp, timeout_ms=_REQUEST_MS) for tp in left}
            if polled or after != before:
                progress_at = time.monotonic()
            elif time.monotonic() - progress_at > _NO_PROGRESS_S:
                raise DetectorError(
                    f"topic {self.topic}: no record arrived for {_NO_PROGRESS_S:g} s; check that the brokers are up"
                )
            left = self._without_finished(left, after)

    def _without_finished(
        self, left: dict[TopicPartition, int], offsets: dict[TopicPartition, int]
    ) -> dict[TopicPartition, int]:
        finished = [tp for tp, end in left.items() if offsets[tp] >= end]
        self._consumer.pause(*finished)  # records that arrived later are not fetched
        return {tp: end for tp, end in left.items() if tp not in finished}


@contextmanager
def open_reader(kafka: KafkaSettings, topic: str, *others: str) -> Iterator[TopicReader]:
    """A reader of the first topic; errors within the block are one line for a person.

    Raises:
        DetectorError: no broker is reachable, a topic does not exist, or a request failed.
    """
    with reported_errors(kafka):
        partitions = require_topics(kafka, (topic, *others))
        consumer = KafkaConsumer(**reader_options(kafka))
        try:
            yield TopicReader(consumer, topic, partitions[topic])
        finally:
            consumer.close()
