"""What every stream has to do: the in-memory one and both clients on the real broker pass the same tests."""

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import pytest

from detector.local.topics import GroupProgress, read_topic
from detector.records import OutgoingRecord, Partition, Record
from detector.settings import KafkaSettings
from detector.stream.interfaces import Batch, Sink, Source, TransactionalSink
from detector.stream.kafka_python import KafkaPythonSink, KafkaPythonSource
from detector.stream.kafka_transactions import KafkaPythonTransactions
from detector.stream.librdkafka_sink import LibrdkafkaSink, LibrdkafkaTransactions
from detector.stream.librdkafka_source import LibrdkafkaSource
from detector.stream.memory import MemorySink, MemorySource, MemoryTopics, MemoryTransactions
from tests.helpers import wait_until, write_all


@dataclass
class Heard:
    """A listener that remembers."""

    rebalances: list[tuple[str, list[Partition]]] = field(default_factory=list)
    resets: list[tuple[Partition, int, str]] = field(default_factory=list)

    def rebalanced(self, kind, partitions) -> None:
        self.rebalances.append((kind, list(partitions)))

    def offsets_reset(self, partition, gone, resumed_at) -> None:
        self.resets.append((partition, gone, resumed_at))


class Stream(Protocol):
    """What a test needs of a stream."""

    events: str
    alerts: str
    heard: Heard

    def source(self) -> Source: ...
    def sink(self) -> Sink: ...
    def transactions(self) -> TransactionalSink: ...
    def records(self, topic: str) -> Sequence[Record]: ...
    def committed(self) -> dict[Partition, int]: ...


class InMemory:
    events, alerts = "events", "alerts"

    def __init__(self) -> None:
        self.topics = MemoryTopics(partitions=4)
        self.heard = Heard()

    def source(self) -> Source:
        return MemorySource(self.topics, self.events, self.heard)

    def sink(self) -> Sink:
        return MemorySink(self.topics)

    def transactions(self) -> TransactionalSink:
        return MemoryTransactions(self.topics)

    def records(self, topic: str) -> Sequence[Record]:
        return self.topics.records(topic)

    def committed(self) -> dict[Partition, int]:
        return dict(self.topics.committed)


class OnKafka:
    """One client library's stream on the real broker; the other's has no part in writing or reading."""

    def __init__(self, kafka: KafkaSettings, client: str) -> None:
        self.kafka = kafka
        self._source, self._sink, self._transactions = CLIENTS[client]
        self.events, self.alerts = kafka.events_topic, kafka.alerts_topic
        self.heard = Heard()
        self._opened: list[Any] = []

    def source(self) -> Source:
        return self._keep(self._source(self.kafka, self.heard))

    def sink(self) -> Sink:
        return self._keep(self._sink(self.kafka))

    def transactions(self) -> TransactionalSink:
        return self._keep(self._transactions(self.kafka))

    def records(self, topic: str) -> Sequence[Record]:
        return read_topic(self.kafka, topic)

    def committed(self) -> dict[Partition, int]:
        progress = GroupProgress(self.kafka)
        try:
            return progress.committed()
        finally:
            progress.close()

    def _keep(self, opened: Any) -> Any:
        self._opened.append(opened)
        return opened

    def close(self) -> None:
        for opened in self._opened:
            opened.close(5)


CLIENTS = {
    "kafka-python": (KafkaPythonSource, KafkaPythonSink, KafkaPythonTransactions),
    "librdkafka": (LibrdkafkaSource, LibrdkafkaSink, LibrdkafkaTransactions),
}


@pytest.fixture(params=["memory", *CLIENTS])
def stream(request):
    if request.param == "memory":
        yield InMemory()
    else:
        on_kafka = OnKafka(request.getfixturevalue("kafka"), request.param)
        yield on_kafka
        on_kafka.close()


def write(stream: Stream, *values: bytes | None, keys: Sequence[bytes | None] = ()) -> None:
    keys = keys or [None] * len(values)
    records = [OutgoingRecord(stream.events, key, value, []) for key, value in zip(keys, values, strict=True)]
    write_all(stream.sink(), records)


def read(source: Source, number: int, max_records: int = 100) -> list[Record]:
    """Poll until there are as many records."""
    records: list[Record] = []

    def enough() -> bool:
        records.extend(source.poll(max_records, 0.02, 0.2).records)
        return len(records) >= number

    wait_until(enough, f"{number} records")
    return records


def commit(source: Source, next_offsets) -> None:
    outcomes: list[Any] = []
    source.commit(next_offsets, outcomes.append)
    wait_until(lambda: outcomes or source.poll(1, 0, 0) is None, "the commit's outcome")
    assert outcomes == [None]


def place(record: Record) -> tuple[int, int]:
    return record.partition, record.offset


def test_everything_written_is_read_once_and_in_order_by_partition(stream):
    """No event is lost between producer and batch."""
    values = [str(number).encode() for number in range(50)]
    write(stream, *values, keys=[value[-1:] for value in values])

    records = read(stream.source(), 50)

    assert sorted(record.value for record in records) == sorted(values)
    for number in range(4):
        offsets = [record.offset for record in records if record.partition == number]
        assert offsets == list(range(len(offsets)))


def test_record_arrives_as_it_was_written(stream):
    """Key, value, headers, topic; bytes stay bytes."""
    record = OutgoingRecord(stream.events, b"\x00key", b"\xffvalue", [("a", b"1"), ("a", b"2"), ("empty", b"")])
    write_all(stream.sink(), [record])

    (arrived,) = read(stream.source(), 1)

    assert (arrived.topic, arrived.key, arrived.value) == (stream.events, record.key, record.value)
    assert list(arrived.headers) == record.headers


def test_records_without_key_or_value_can_be_written(stream):
    """A dead letter for a tombstone is written as it came; other clients send key and value both null."""
    written = [
        OutgoingRecord(stream.alerts, None, None, [("a", b"1")]),
        OutgoingRecord(stream.alerts, b"k", None, []),
        OutgoingRecord(stream.alerts, None, b"", []),
    ]
    write_all(stream.sink(), written)

    arrived = stream.records(stream.alerts)

    assert {(record.key, record.value) for record in arrived} == {(None, None), (b"k", None), (None, b"")}


def test_batch_closes_at_its_size(stream):
    """Memory is bounded by the batch, however much is waiting."""
    write(stream, *[b"x"] * 30)
    source = stream.source()
    sizes: list[int] = []

    def all_read() -> bool:
        sizes.append(len(source.poll(7, 0.5, 0.2).records))
        return sum(sizes) == 30

    wait_until(all_read, "30 records")
    assert max(sizes) == 7


def test_next_offsets_are_behind_the_last_records(stream):
    """What is committed after a batch is exactly what was in it."""
    write(stream, *[b"x"] * 9)
    source = stream.source()
    expected: dict[Partition, int] = {}
    seen: dict[Partition, int] = {}

    def all_read() -> bool:
        batch = source.poll(4, 0.5, 0.2)
        seen.update(batch.next_offsets)
        for record in batch.records:
            expected[Partition(record.topic, record.partition)] = record.offset + 1
        return sum(seen.values()) == 9

    wait_until(all_read, "9 records")
    assert seen == expected


def test_next_member_goes_on_at_the_committed_position(stream):
    """Nothing committed is read again, nothing uncommitted is skipped."""
    write(stream, *[b"x"] * 20)
    first = stream.source()
    batch = wait_until(lambda: (b := first.poll(8, 0.5, 0.2)).records and b, "a batch")
    commit(first, batch.next_offsets)
    first.close(5)

    again = read(stream.source(), 20 - len(batch.records))

    assert {place(record) for record in again}.isdisjoint(map(place, batch.records))
    assert len(again) + len(batch.records) == 20


def test_without_a_commit_everything_comes_again(stream):
    """A crash before the commit costs a repetition, never a record."""
    write(stream, *[b"x"] * 5)
    first = stream.source()
    read(first, 5)
    first.close(5)

    assert len(read(stream.source(), 5)) == 5


def test_commit_now_is_there_when_it_returns(stream):
    """The last commit before a stop is waited for."""
    write(stream, *[b"x"] * 3)
    source = stream.source()
    read(source, 3)
    offsets = {Partition(r.topic, r.partition): r.offset + 1 for r in sorted(stream.records(stream.events), key=place)}

    source.commit_now(offsets, 10)

    assert stream.committed() == offsets


def test_commits_of_partitions_that_are_not_ours_are_left_out(stream):
    """After a rebalance the new owner's position is not touched."""
    source = stream.source()
    wait_until(lambda: source.poll(1, 0, 0.1).records or source.partitions(), "an assignment")

    source.commit_now({Partition(stream.events, 17): 5}, 10)
    commit(source, {Partition(stream.events, 17): 5})

    assert Partition(stream.events, 17) not in stream.committed()


def test_paused_source_gives_nothing_and_loses_nothing(stream):
    """While delivery waits, reading stops without leaving the group; then it goes on where it was."""
    write(stream, *[b"x"] * 5)
    source = stream.source()
    wait_until(lambda: source.poll(1, 0, 0.1).records, "the first record")
    source.pause()
    for _ in range(3):
        source.keep_alive()
        assert not source.poll(100, 0.05, 0.05).records
    source.resume()

    assert len(read(source, 4)) == 4


def test_lag_is_what_is_left_to_read(stream):
    """The lag on the dashboard is the number of records behind."""
    write(stream, *[b"x"] * 12)
    source = stream.source()
    taken: list[int] = []

    def look() -> bool:
        taken.append(len(source.poll(5, 0.0, 0.2).records))
        return sum(taken) >= 12

    wait_until(look, "12 records")
    wait_until(lambda: source.poll(5, 0, 0.1) and len(source.lag()) == 4, "the ends of all partitions")

    assert sum(source.lag().values()) == 0
    write(stream, *[b"x"] * 3)
    assert len(read(source, 3, max_records=3)) == 3


def test_listener_hears_the_assignment(stream):
    """Readiness and the rebalance counters rest on this."""
    source = stream.source()
    wait_until(lambda: source.poll(1, 0, 0.1).records or source.partitions(), "an assignment")

    assert [(kind, sorted(partitions)) for kind, partitions in stream.heard.rebalances] == [
        ("assigned", [Partition(stream.events, number) for number in range(4)])
    ]


def test_brokers_with_nothing_to_say_are_not_silent(stream):
    """Readiness and the time of the last progress rest on this: an idle topic must not look like an outage."""
    source = stream.source()
    wait_until(lambda: source.poll(1, 0, 0.1).records or source.partitions(), "an assignment")
    source.pause()

    longest_s, end = 0.0, time.monotonic() + 12
    while time.monotonic() < end:
        source.keep_alive()
        longest_s = max(longest_s, source.silent_s())
        time.sleep(0.2)

    assert longest_s < 10


def next_batch(source: Source) -> Batch:
    """The next batch that has records."""
    return wait_until(lambda: (batch := source.poll(100, 0.5, 0.5)).records and batch, "a batch")


def wait_until_committed(stream: Stream, batch: Batch) -> None:
    """Brokers answer the end of a transaction before its marks are written: what it holds is seen a moment later."""
    wait_until(lambda: stream.committed() == dict(batch.next_offsets), "the positions of the transaction")


def test_transaction_writes_and_commits_together(stream):
    """Outputs, and the positions behind them: one is never there without the other."""
    write(stream, b"1", b"2", keys=[b"k", b"k"])
    source, transactions = stream.source(), stream.transactions()

    for number in range(2):
        batch = next_batch(source)
        output = OutgoingRecord(stream.alerts, None, b"%d outputs" % len(batch.records), [])
        assert transactions.transact(batch, [output] * len(batch.records)).wait(20)
        wait_until_committed(stream, batch)
        wait_until(lambda number=number: len(stream.records(stream.alerts)) == 2 + number, "the outputs")
        write(stream, b"3", keys=[b"k"])


def test_transaction_without_outputs_commits(stream):
    """Most batches have no alert."""
    write(stream, b"1")
    source, transactions = stream.source(), stream.transactions()
    batch = next_batch(source)

    assert transactions.transact(batch, []).wait(20)
    wait_until_committed(stream, batch)


def test_rewound_source_reads_again_what_is_not_committed(stream):
    """After an aborted transaction; from the committed position, or from where the batch began when there is none."""
    write(stream, b"1", b"2", keys=[b"k", b"k"])
    source, transactions = stream.source(), stream.transactions()
    first = next_batch(source)

    assert wait_until(lambda: source.rewind(first, 1), "the rewind")
    again = next_batch(source)
    assert [record.offset for record in again.records] == [record.offset for record in first.records]
    assert transactions.transact(again, []).wait(20)
    write(stream, b"3", keys=[b"k"])
    third = next_batch(source)
    assert wait_until(lambda: source.rewind(first, 1), "the rewind")
    assert [record.value for record in next_batch(source).records] == [record.value for record in third.records]
