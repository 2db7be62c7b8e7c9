"""kafka-python's records as the service knows them, and the service's records as kafka-python takes them."""

from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate, chain
from operator import attrgetter
from typing import Any, Protocol, overload

from kafka import KafkaProducer, Serializer, TopicPartition

from detector.records import NULL_HEADERS, Headers, OutgoingRecord, Partition, ReadRecord, Record
from detector.stream.interfaces import Batch

_NULL = object()
"""Stands for a null value beside a null key, which kafka-python's `send` rejects though Kafka accepts it."""


class RawRecord(Protocol):
    """A record without its topic and partition; `timestamp` is None or -1 when there is none."""

    @property
    def offset(self) -> int: ...  # noqa: D102
    @property
    def timestamp(self) -> int | None: ...  # noqa: D102
    @property
    def key(self) -> bytes | None: ...  # noqa: D102
    @property
    def value(self) -> bytes | None: ...  # noqa: D102
    @property
    def headers(self) -> Headers: ...  # noqa: D102


class FetchedSequence(Sequence[Record]):
    """The records fetched from several partitions as one sequence.

    A `Record` is made only when it is accessed: the service needs most records' values only.
    """

    def __init__(self, fetched: Mapping[TopicPartition, Sequence[RawRecord]]) -> None:
        self.fetched = fetched
        self._parts = list(fetched.items())
        self._ends = list(accumulate(map(len, fetched.values())))

    def __len__(self) -> int:
        return self._ends[-1] if self._ends else 0

    @overload
    def __getitem__(self, index: int) -> Record: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Record]: ...
    def __getitem__(self, index: int | slice) -> Record | Sequence[Record]:
        if isinstance(index, slice):
            return [self[number] for number in range(*index.indices(len(self)))]
        index = range(len(self))[index]
        part = bisect_right(self._ends, index)
        tp, records = self._parts[part]
        return to_record(tp, records[index - self._ends[part]])


@dataclass(frozen=True, slots=True)
class FetchedBatch(Batch):
    """A batch that reads values and offsets from the fetched data without making a `Record` of each."""

    records: FetchedSequence

    def values(self) -> list[bytes | None]:
        """See `Batch.values`."""
        return list(map(attrgetter("value"), chain.from_iterable(self.records.fetched.values())))

    def first_offsets(self) -> dict[Partition, int]:
        """See `Batch.first_offsets`."""
        return {Partition(*tp): records[0].offset for tp, records in self.records.fetched.items()}


def to_record(tp: TopicPartition, record: RawRecord) -> ReadRecord:
    """A record with the topic and partition that it was fetched from."""
    timestamp = -1 if record.timestamp is None else record.timestamp
    return ReadRecord(tp.topic, tp.partition, record.offset, timestamp, record.key, record.value, record.headers)


class NullSerializer(Serializer):  # type: ignore[misc] # kafka-python has no types
    """Turns the placeholder for null into null."""

    def serialize(self, topic: str, headers: Any, data: Any) -> Any:  # noqa: ARG002 - the signature is the library's
        """See kafka-python's `Serializer`."""
        return None if data is _NULL else data


def send(producer: KafkaProducer, record: OutgoingRecord) -> Any:
    """Send a record with a producer that has the `NullSerializer`; returns kafka-python's future, raises its errors."""
    value = _NULL if record.key is None and record.value is None else record.value
    return producer.send(record.topic, value, record.key, _without_nulls(record.headers))


def _without_nulls(headers: Headers) -> list[tuple[str, bytes]]:
    """The headers as kafka-python can write them: null values are empty, and named in one more header."""
    nulls = [name for name, value in headers if value is None]
    written = [(name, b"" if value is None else value) for name, value in headers]
    return [*written, (NULL_HEADERS, ",".join(nulls).encode())] if nulls else written
