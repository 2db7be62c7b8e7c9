"""What every stream must do: the in-memory one, and each Kafka client with a real broker, pass the same tests."""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from typing import Any, Protocol

import pytest

from detector.records import OutgoingRecord, Partition, Record
from detector.settings import KafkaSettings
from detector.stream.admin.topics import read_topic
from detector.stream.interfaces import Batch, Sink, Source, SourceListener, TransactionalSink
from detector.stream.kafka_python.sink import KafkaPythonSink
from detector.stream.kafka_python.source import KafkaPythonSource
from detector.stream.kafka_python.transactions import kafka_python_transactions
from detector.stream.librdkafka.sink import LibrdkafkaSink
from detector.stream.librdkafka.source import LibrdkafkaSource
from detector.stream.librdkafka.transactions import librdkafka_transactions
from tests.helpers import group_progress, wait_until, write_all
from tests.stream.listeners import RecordingListener
from tests.stream.memory import MemorySink, MemorySource, MemoryTopics, MemoryTransactions
from tests.stream.reading import closing, next_batch, next_record, run_transaction


class Stream(Protocol):
    """What the tests need from a stream."""

    events: str
    alerts: str
    listener: RecordingListener

    def source(self) -> Source: ...
    def sink(self) -> Sink: ...
    def transactions(self) -> TransactionalSink: ...
    def records(self, topic: str) -> Sequence[Record]: ...
    def committed(self) -> dict[Partition, int]: ...


class InMemory:
    def __init__(self) -> None:
        self.events, self.alerts = "events", "alerts"
        self.topics = MemoryTopics(partitions=4)
        self.listener = RecordingListener()

    def source(self) -> Source:
        return MemorySource(self.topics, self.events, self.listener)

    def sink(self) -> Sink:
        return MemorySink(self.topics)

    def transactions(self) -> TransactionalSink:
        return MemoryTransactions(self.topics)

    def records(self, topic: str) -> Sequence[Record]:
        return self.topics.records(topic)

    def committed(self) -> dict[Partition, int]:
        return dict(self.topics.committed)


class OnKafka:
    """One client's source and sinks with the real broker; `opened` closes everything that they open."""

    def __init__(self, kafka: KafkaSettings, client: str, opened: ExitStack) -> None:
        self._kafka = kafka
        self._source, self._sink, self._transactions = CLIENTS[client]
        self._opened = opened
        self.events, self.alerts = kafka.events_topic, kafka.alerts_topic
        self.listener = RecordingListener()

    def source(self) -> Source:
        return self._opened.enter_context(closing(self._source(self._kafka, self.listener)))

    def sink(self) -> Sink:
        return self._opened.enter_context(closing(self._sink(self._kafka)))

    def transactions(self) -> TransactionalSink:
        return self._opened.enter_context(closing(self._transactions(self._kafka)))

    def records(self, topic: str) -> Sequence[Record]:
        return read_topic(self._kafka, topic)

    def committed(self) -> dict[Partition, int]:
        with group_progress(self._kafka) as progress:
            return progress.committed()


CLIENTS: dict[
    str,
    tuple[
        Callable[[KafkaSettings, SourceListener], Source],
        Callable[[KafkaSettings], Sink],
        Callable[[KafkaSettings], TransactionalSink],
    ],
] = {
    "kafka-python": (KafkaPythonSource, KafkaPythonSink, kafka_python_transactions),
    "librdkafka": (LibrdkafkaSource, LibrdkafkaSink, librdkafka_transactions),
}


@pytest.fixture(params=["memory", *CLIENTS])
def stream(request) -> Iterator[Stream]:
    if request.param == "memory":
        yield InMemory()
    else:
        with ExitStack() as opened:
            yield OnKafka(request.getfixturevalue("kafka"), request.param, opened)


def write(stream: Stream, *values: bytes | None, keys: Sequence[bytes | None] = ()) -> None:
    """Write records to the events topic."""
    keys = keys or [None] * len(values)
    records = [OutgoingRecord(stream.events, key, value, []) for key, value in zip(keys, values, strict=True)]
    write_all(stream.sink(), records)


def read(source: Source, number: int, max_records: int = 100) -> list[Record]:
    """Poll until this many records have been returned."""
    records: list[Record] = []

    def has_enough() -> bool:
        records.extend(source.poll(max_records, 0.02, 0.2).records)
        return len(records) >= number

    wait_until(has_enough, f"{number} records")
    return records


def commit(source: Source, next_offsets: Mapping[Partition, int]) -> None:
    """Start a commit, and poll until it has succeeded."""
    outcomes: list[Any] = []
    source.commit(next_offsets, outcomes.append)

    def is_answered() -> bool:
        source.poll(1, 0, 0)
        return bool(outcomes)

    wait_until(is_answered, "the answer to the commit")
    assert outcomes == [None]


def wait_for_assignment(source: Source) -> None:
    """Poll a topic without records until partitions are assigned."""

    def is_assigned() -> bool:
        source.poll(1, 0, 0.1)
        return bool(source.partitions())

    wait_until(is_assigned, "an assignment")


def partition_and_offset(record: Record) -> tuple[int, int]:
    return record.partition, record.offset


def test_every_record_is_read_once_and_in_the_order_of_its_partition(stream: Stream) -> None:
    """Otherwise events would be lost, scored twice, or scored in the wrong order."""
    values = [str(number).encode() for number in range(50)]
    write(stream, *values, keys=[value[-1:] for value in values])

    records = read(stream.source(), 50)

    assert sorted(record.value or b"" for record in records) == sorted(values)
    for number in range(4):
        offsets = [record.offset for record in records if record.partition == number]
        assert offsets == list(range(len(offsets)))


def test_record_is_read_as_it_was_written(stream: Stream) -> None:
    """Otherwise a dead letter would differ from the record that it carries, for example in the bytes of its key."""
    record = OutgoingRecord(stream.events, b"\x00key", b"\xffvalue", [("a", b"1"), ("a", b"2"), ("empty", b"")])
    write_all(stream.sink(), [record])

    (arrived,) = read(stream.source(), 1)

    assert (arrived.topic, arrived.key, arrived.value) == (stream.events, record.key, record.value)
    assert list(arrived.headers) == record.headers


def test_records_without_key_or_value_can_be_written(stream: Stream) -> None:
    """Otherwise the dead letter of a tombstone, whose key may be null too, could not be written."""
    written = [
        OutgoingRecord(stream.alerts, None, None, [("a", b"1")]),
        OutgoingRecord(stream.alerts, b"k", None, []),
        OutgoingRecord(stream.alerts, None, b"", []),
    ]
    write_all(stream.sink(), written)

    arrived = stream.records(stream.alerts)

    assert {(record.key, record.value) for record in arrived} == {(None, None), (b"k", None), (None, b"")}


def test_batch_closes_at_its_largest_size(stream: Stream) -> None:
    """Otherwise memory would grow with the backlog instead of the batch size."""
    write(stream, *[b"x"] * 30)
    source = stream.source()
    sizes: list[int] = []

    def is_everything_read() -> bool:
        sizes.append(len(source.poll(7, 0.5, 0.2).records))
        return sum(sizes) == 30

    wait_until(is_everything_read, "30 records")
    assert max(sizes) == 7


def test_next_offsets_follow_the_last_records(stream: Stream) -> None:
    """Otherwise a commit would skip records that are in no batch, or cause records to be processed again."""
    write(stream, *[b"x"] * 9)
    source = stream.source()
    expected: dict[Partition, int] = {}
    seen: dict[Partition, int] = {}

    def is_everything_read() -> bool:
        batch = source.poll(4, 0.5, 0.2)
        seen.update(batch.next_offsets)
        for record in batch.records:
            expected[Partition(record.topic, record.partition)] = record.offset + 1
        return sum(seen.values()) == 9

    wait_until(is_everything_read, "9 records")
    assert seen == expected


def test_next_member_continues_at_the_committed_offset(stream: Stream) -> None:
    """Otherwise a restart would read committed records again, or skip records that were not committed."""
    write(stream, *[b"x"] * 20)
    first = stream.source()
    batch = next_batch(first, max_records=8)
    commit(first, batch.next_offsets)
    first.close(5)

    others = read(stream.source(), 20 - len(batch.records))

    assert {partition_and_offset(record) for record in others}.isdisjoint(map(partition_and_offset, batch.records))
    assert len(others) + len(batch.records) == 20


def test_uncommitted_records_are_read_again(stream: Stream) -> None:
    """Otherwise a crash before the commit would lose records."""
    write(stream, *[b"x"] * 5)
    first = stream.source()
    read(first, 5)
    first.close(5)

    assert len(read(stream.source(), 5)) == 5


def test_commit_now_returns_after_the_commit(stream: Stream) -> None:
    """Otherwise a shutdown would end before its last commit, and every restart would read records again."""
    write(stream, *[b"x"] * 3)
    source = stream.source()
    read(source, 3)
    records = sorted(stream.records(stream.events), key=partition_and_offset)
    offsets = {Partition(record.topic, record.partition): record.offset + 1 for record in records}

    source.commit_now(offsets, 10)

    assert stream.committed() == offsets


def test_offsets_of_partitions_that_are_not_assigned_are_not_committed(stream: Stream) -> None:
    """Otherwise a member would overwrite the committed offset of a partition's new owner after a rebalance."""
    source = stream.source()
    wait_for_assignment(source)

    source.commit_now({Partition(stream.events, 17): 5}, 10)
    commit(source, {Partition(stream.events, 17): 5})

    assert Partition(stream.events, 17) not in stream.committed()


def test_paused_source_returns_nothing_and_loses_nothing(stream: Stream) -> None:
    """Otherwise records would be lost, or fill the memory, while a delivery waits for acknowledgements."""
    write(stream, *[b"x"] * 5)
    source = stream.source()
    next_record(source)
    source.pause()
    for _ in range(3):
        source.keep_alive()
        assert not source.poll(100, 0.05, 0.05).records
    source.resume()

    assert len(read(source, 4)) == 4


def test_lag_is_the_number_of_records_left_to_read(stream: Stream) -> None:
    """Otherwise the dashboard would show a lag that does not exist, or hide a real one."""
    write(stream, *[b"x"] * 12)
    source = stream.source()
    read(source, 12, max_records=5)

    def is_lag_known() -> bool:
        source.poll(5, 0, 0.1)
        return len(source.lag()) == 4

    wait_until(is_lag_known, "the end offsets of all partitions")

    assert sum(source.lag().values()) == 0
    write(stream, *[b"x"] * 3)
    assert len(read(source, 3, max_records=3)) == 3


def test_listener_is_told_about_the_assignment(stream: Stream) -> None:
    """Otherwise the service would never become ready, and the rebalance counters would be wrong."""
    wait_for_assignment(stream.source())

    assert [(kind, sorted(partitions)) for kind, partitions in stream.listener.rebalances] == [
        ("assigned", [Partition(stream.events, number) for number in range(4)])
    ]


def test_idle_topic_does_not_look_like_an_outage(stream: Stream) -> None:
    """Otherwise the service would report on every quiet topic that brokers are not responding."""
    source = stream.source()
    wait_for_assignment(source)
    source.pause()

    longest_s, end = 0.0, time.monotonic() + 12
    while time.monotonic() < end:
        source.keep_alive()
        longest_s = max(longest_s, source.since_response_s())
        time.sleep(0.2)  # as often as the service asks while it is paused

    assert longest_s < 10


def wait_until_committed(stream: Stream, batch: Batch) -> None:
    """Wait for the batch's offsets: brokers answer a commit before they write the markers that make it visible."""
    wait_until(lambda: stream.committed() == dict(batch.next_offsets), "the offsets of the transaction")


def wait_until_written(stream: Stream, number: int) -> None:
    """Wait for this number of alerts, which become visible a moment after the commit too."""
    wait_until(lambda: len(stream.records(stream.alerts)) == number, f"{number} alerts")


def test_transaction_writes_outputs_and_commits_offsets(stream: Stream) -> None:
    """Otherwise exactly-once would lose alerts or write duplicates."""
    write(stream, b"1", b"2", keys=[b"k", b"k"])
    source, transactions = stream.source(), stream.transactions()

    for number in range(2):
        batch = next_batch(source)
        output = OutgoingRecord(stream.alerts, None, b"%d outputs" % len(batch.records), [])
        run_transaction(transactions, batch, [output] * len(batch.records))
        wait_until_committed(stream, batch)
        wait_until_written(stream, 2 + number)
        write(stream, b"3", keys=[b"k"])


def test_transaction_without_outputs_commits_offsets(stream: Stream) -> None:
    """Otherwise every restart would read batches without an alert again, and most batches have none."""
    write(stream, b"1")
    source, transactions = stream.source(), stream.transactions()
    batch = next_batch(source)

    run_transaction(transactions, batch, [])
    wait_until_committed(stream, batch)


def test_rewound_source_reads_uncommitted_records_again(stream: Stream) -> None:
    """Otherwise the records of an aborted transaction would be skipped."""
    write(stream, b"1", b"2", keys=[b"k", b"k"])
    source, transactions = stream.source(), stream.transactions()
    first = next_batch(source)

    wait_until(lambda: source.rewind(first, 1), "the rewind")
    again = next_batch(source)
    assert [record.offset for record in again.records] == [record.offset for record in first.records]
    run_transaction(transactions, again, [])
    write(stream, b"3", keys=[b"k"])
    third = next_batch(source)
    wait_until(lambda: source.rewind(first, 1), "the rewind")
    assert [record.value for record in next_batch(source).records] == [record.value for record in third.records]
