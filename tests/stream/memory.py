"""A stream in memory, for tests that need no broker; `tests/contract` holds it to the same behaviour as Kafka."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from itertools import count

from detector.records import OutgoingRecord, Partition, ReadRecord
from detector.stream.interfaces import Batch, CommitDone, FailedRecord, SourceListener


class MemoryTopics:
    """Topics and committed offsets, which outlive the sources and sinks that use them."""

    def __init__(self, partitions: int = 1) -> None:
        self.logs: dict[str, list[list[ReadRecord]]] = defaultdict(lambda: [[] for _ in range(partitions)])
        self.committed: dict[Partition, int] = {}
        self._next_partition = count()

    def append(self, record: OutgoingRecord, timestamp: int = 0) -> ReadRecord:
        """Append a record. Its key decides the partition; records without a key take turns."""
        logs = self.logs[record.topic]
        number = (next(self._next_partition) if record.key is None else sum(record.key)) % len(logs)
        log = logs[number]
        stored = ReadRecord(record.topic, number, len(log), timestamp, record.key, record.value, list(record.headers))
        log.append(stored)
        return stored

    def records(self, topic: str) -> list[ReadRecord]:
        """Every record of a topic."""
        return [record for log in self.logs[topic] for record in log]


class MemorySource:
    """Reads one topic as the only member of its group."""

    def __init__(self, topics: MemoryTopics, topic: str, listener: SourceListener) -> None:
        self._topics = topics
        self._partitions = [Partition(topic, number) for number in range(len(topics.logs[topic]))]
        self._offsets = {partition: topics.committed.get(partition, 0) for partition in self._partitions}
        self._paused = False
        listener.rebalanced("assigned", self._partitions)

    def poll(self, max_records: int, max_wait_s: float, idle_s: float) -> Batch:
        """See `Source.poll`."""
        records: list[ReadRecord] = []
        next_offsets: dict[Partition, int] = {}
        for partition in [] if self._paused else self._partitions:
            start = self._offsets[partition]
            found = self._log(partition)[start : start + max_records - len(records)]
            if found:
                records += found
                self._offsets[partition] = next_offsets[partition] = found[-1].offset + 1
        return Batch(records, next_offsets)

    def commit(self, next_offsets: Mapping[Partition, int], on_done: CommitDone) -> None:
        """See `Source.commit`."""
        self.commit_now(next_offsets, timeout_s=0)
        on_done(None)

    def commit_now(self, next_offsets: Mapping[Partition, int], timeout_s: float) -> None:
        """See `Source.commit_now`."""
        self._topics.committed |= {p: offset for p, offset in next_offsets.items() if p in self._offsets}

    def rewind(self, batch: Batch, timeout_s: float) -> bool:
        """See `Source.rewind`."""
        for partition, first in batch.first_offsets().items():
            self._offsets[partition] = self._topics.committed.get(partition, first)
        return True

    def pause(self) -> None:
        """See `Source.pause`."""
        self._paused = True

    def resume(self) -> None:
        """See `Source.resume`."""
        self._paused = False

    def keep_alive(self) -> None:
        """See `Source.keep_alive`; there is no consumer group to stay a member of."""

    def partitions(self) -> frozenset[Partition]:
        """See `Source.partitions`."""
        return frozenset(self._partitions)

    def lag(self) -> dict[Partition, int]:
        """See `Source.lag`."""
        return {partition: len(self._log(partition)) - offset for partition, offset in self._offsets.items()}

    def since_response_s(self) -> float:
        """See `Source.since_response_s`; there are no brokers."""
        return 0.0

    def close(self, timeout_s: float) -> None:
        """See `Source.close`."""
        self._partitions, self._offsets = [], {}

    def _log(self, partition: Partition) -> list[ReadRecord]:
        return self._topics.logs[partition.topic][partition.partition]


class _Acknowledged:
    def wait(self, timeout_s: float) -> bool:
        return True

    def failed(self) -> list[FailedRecord]:
        return []


class MemorySink:
    """Appends records at once."""

    def __init__(self, topics: MemoryTopics) -> None:
        self._topics = topics

    def send(self, records: Sequence[OutgoingRecord]) -> _Acknowledged:
        """See `Sink.send`."""
        for record in records:
            self._topics.append(record)
        return _Acknowledged()

    def close(self, timeout_s: float) -> None:
        """See `Sink.close`."""


class _Committed:
    def wait(self, timeout_s: float) -> bool:
        return True


class MemoryTransactions:
    """Appends records and commits offsets at once."""

    def __init__(self, topics: MemoryTopics) -> None:
        self._topics = topics

    def transact(self, batch: Batch, records: Sequence[OutgoingRecord]) -> _Committed:
        """See `TransactionalSink.transact`."""
        for record in records:
            self._topics.append(record)
        self._topics.committed |= batch.next_offsets
        return _Committed()

    def close(self, timeout_s: float) -> None:
        """See `TransactionalSink.close`."""
