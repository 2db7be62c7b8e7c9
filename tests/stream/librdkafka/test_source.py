"""The librdkafka source with a real broker."""

import time

import confluent_kafka
import pytest
from confluent_kafka import KafkaError
from kafka import KafkaAdminClient, TopicPartition

from detector.records import OutgoingRecord, Partition
from detector.stream.interfaces import CommitError, StreamError
from detector.stream.librdkafka.sink import LibrdkafkaSink
from detector.stream.librdkafka.source import LibrdkafkaSource
from tests.helpers import alive_until, wait_until, write_all
from tests.stream.listeners import RecordingListener
from tests.stream.reading import closing, next_batch, next_record


@pytest.fixture
def sink(kafka):
    with closing(LibrdkafkaSink(kafka)) as opened:
        yield opened


def write_events(sink, kafka, number, key=b"same"):
    """Write records to the partition that belongs to the key."""
    write_all(sink, [OutgoingRecord(kafka.events_topic, key, b"x", []) for _ in range(number)])


def write_to_all_partitions(sink, kafka):
    for number in range(40):
        write_events(sink, kafka, 1, key=b"%d" % number)


def new_member(kafka, listener=None):
    return closing(LibrdkafkaSource(kafka, listener or RecordingListener()))


def new_group(kafka, policy):
    """A source in a consumer group that has not committed anything."""
    changes = {"group_id": f"{kafka.group_id}-{policy}", "auto_offset_reset": policy}
    return new_member(kafka.model_copy(update=changes))


def wait_for_all_partitions(source):
    alive_until(lambda: len(source.partitions()) == 4, [source], "all partitions")


def wait_for_two_each(first, second):
    alive_until(
        lambda: len(first.partitions()) == len(second.partitions()) == 2, [first, second], "two partitions each"
    )


def test_offset_reset_is_reported_and_reading_resumes(kafka, sink):
    """Otherwise the daemon would stop, or silently skip records, after retention deletes unread ones."""
    write_events(sink, kafka, 10)
    listener = RecordingListener()
    with new_member(kafka, listener) as source:
        record = next_record(source)
        partition = Partition(record.topic, record.partition)
        source.commit_now(dict.fromkeys(source.partitions(), 0) | {partition: 1}, 10)
    admin = KafkaAdminClient(bootstrap_servers=kafka.bootstrap_servers)
    try:
        admin.delete_records({TopicPartition(*partition): 6})
    finally:
        admin.close()

    with new_member(kafka, listener) as source:
        assert next_record(source).offset == 6
    assert listener.resets == [(partition, 1, "earliest")]

    with (
        new_member(kafka.model_copy(update={"auto_offset_reset": "fail"})) as source,
        pytest.raises(
            StreamError,
            match=r"committed offset 1 no longer exists .* DETECTOR_KAFKA__AUTO_OFFSET_RESET is fail",
        ),
    ):
        next_record(source)


def test_new_group_starts_at_earliest(kafka, sink):
    """Otherwise a new deployment would not score the events that are already in the topic."""
    write_events(sink, kafka, 3)

    with new_group(kafka, "earliest") as source:
        assert next_record(source).offset == 0


def test_new_group_starts_at_latest(kafka, sink):
    """Otherwise a new deployment with DETECTOR_KAFKA__AUTO_OFFSET_RESET=latest would score old events."""
    write_events(sink, kafka, 3)

    with new_group(kafka, "latest") as source:

        def has_started() -> bool:
            assert not source.poll(1, 0, 0.2).records
            return len(source.lag()) == 4

        wait_until(has_started, "an offset to start at in each partition")
        write_events(sink, kafka, 1)
        assert next_record(source).offset == 3


def test_new_group_without_a_reset_policy_is_an_error(kafka, sink):
    """Otherwise a service with DETECTOR_KAFKA__AUTO_OFFSET_RESET=fail would guess where to start."""
    write_events(sink, kafka, 3)

    with (
        new_group(kafka, "fail") as source,
        pytest.raises(StreamError, match=r"no committed offset .* DETECTOR_KAFKA__AUTO_OFFSET_RESET is fail"),
    ):
        next_record(source)


def test_join_that_finishes_while_the_member_leaves_is_not_reported(kafka):
    """Otherwise a daemon that is stopped in its first seconds would report partitions that it never reads."""
    listener = RecordingListener()
    source = LibrdkafkaSource(kafka, listener)
    source.close(5)

    source._on_assigned([confluent_kafka.TopicPartition(kafka.events_topic, 0)])  # librdkafka calls this in `close`

    assert not source.partitions()
    assert not listener.rebalances


def test_lag_is_known_before_anything_is_read(kafka, sink):
    """Otherwise the dashboard would show no lag, or an old one, after a restart on a quiet topic."""
    write_events(sink, kafka, 5)
    with new_member(kafka) as source:
        source.commit_now(next_batch(source).next_offsets, 10)

    with new_member(kafka) as source:

        def is_lag_known() -> bool:
            assert not source.poll(1, 0, 0.1).records
            return len(source.lag()) == 4

        wait_until(is_lag_known, "the lag of every partition")
        assert not any(source.lag().values())


def test_partition_revoked_while_paused_is_read_when_it_returns(kafka, sink):
    """Otherwise nobody would read the partition until a restart, because librdkafka keeps it paused."""
    with new_member(kafka) as first:
        wait_for_all_partitions(first)
        first.pause()
        with new_member(kafka) as second:
            wait_for_two_each(first, second)
            first.resume()
        wait_for_all_partitions(first)
        write_to_all_partitions(sink, kafka)

        seen: set[int] = set()

        def has_seen_all() -> bool:
            seen.update(record.partition for record in first.poll(100, 0, 0.2).records)
            return len(seen) == 4

        wait_until(has_seen_all, "records of all partitions")


def test_records_read_while_staying_alive_are_in_the_next_batch(kafka, sink):
    """Otherwise records that arrive just before a pause would be lost."""
    write_events(sink, kafka, 5)
    with new_member(kafka) as source:
        alive_until(lambda: len(source._collected) >= 2, [source], "records that were read early")

        offsets: list[int] = []

        def has_all() -> bool:
            offsets.extend(record.offset for record in source.poll(2, 0, 0.2).records)
            return len(offsets) == 5

        wait_until(has_all, "all records")

    assert offsets == [0, 1, 2, 3, 4]


def test_two_members_share_the_partitions(kafka):
    """Otherwise a second instance would not help, or nobody would read its partitions after it stops."""
    listener = RecordingListener()
    with new_member(kafka, listener) as first:
        wait_for_all_partitions(first)
        with new_member(kafka) as second:
            wait_for_two_each(first, second)
            assert first.partitions().isdisjoint(second.partitions())
            assert sum(len(partitions) for kind, partitions in listener.rebalances if kind == "revoked") == 2
        wait_for_all_partitions(first)


def test_collected_records_of_a_revoked_partition_are_dropped(kafka, sink):
    """Otherwise their alerts would be duplicates, because the partition's new owner reads these records too."""
    write_to_all_partitions(sink, kafka)
    with new_member(kafka) as first:
        alive_until(
            lambda: {message.partition() for message in first._collected} == set(range(4)),
            [first],
            "records of all partitions",
        )
        with new_member(kafka) as second:
            wait_for_two_each(first, second)

            returned = {Partition(record.topic, record.partition) for record in first.poll(1000, 0, 0).records}

            assert returned == first.partitions()


def test_fatal_error_of_a_callback_stops_the_service(kafka):
    """Otherwise nobody would notice revoked credentials, which librdkafka reports only to a callback."""
    with new_member(kafka) as source:
        source._fatal_errors(KafkaError(KafkaError._TRANSPORT))
        source.poll(1, 0, 0)
        source._fatal_errors(KafkaError(KafkaError._AUTHENTICATION, "credentials revoked"))

        with pytest.raises(StreamError, match="_AUTHENTICATION: credentials revoked"):
            source.poll(1, 0, 0)


def test_unanswered_commit_fails_at_its_timeout(kafka, sink):
    """Otherwise a shutdown could take longer than DETECTOR_SHUTDOWN__TIMEOUT_S because of its last commit."""
    write_events(sink, kafka, 1)
    with new_member(kafka) as source:
        batch = next_batch(source)
        source._consumer = CommitsAreLost(source._consumer)
        started = time.monotonic()

        with pytest.raises(CommitError, match=r"no answer within 0.3 s"):
            source.commit_now(batch.next_offsets, 0.3)

        assert time.monotonic() - started < 5


class CommitsAreLost:
    """A consumer whose commits are never sent."""

    def __init__(self, consumer) -> None:
        self._consumer = consumer

    def __getattr__(self, name):
        return getattr(self._consumer, name)

    def commit(self, **_) -> None: ...
