"""The kafka-python source with a real broker."""

import pytest
from kafka import KafkaAdminClient, TopicPartition

from detector.records import OutgoingRecord, Partition
from detector.stream.interfaces import StreamError
from detector.stream.kafka_python.sink import KafkaPythonSink
from detector.stream.kafka_python.source import KafkaPythonSource
from tests.helpers import wait_until, write_all
from tests.stream.listeners import RecordingListener
from tests.stream.reading import closing, next_record


@pytest.fixture
def sink(kafka):
    with closing(KafkaPythonSink(kafka)) as opened:
        yield opened


def write_events(sink, kafka, number):
    """Write records to one partition of the events topic."""
    write_all(sink, [OutgoingRecord(kafka.events_topic, b"same", b"x", []) for _ in range(number)])


def new_group(kafka, **changes):
    """A source in a consumer group that has not committed anything."""
    policy = kafka.model_copy(update={"group_id": f"{kafka.group_id}-{changes['auto_offset_reset']}", **changes})
    return closing(KafkaPythonSource(policy, RecordingListener()))


def test_offset_reset_is_reported_and_reading_resumes(kafka, sink):
    """Otherwise the daemon would stop, or silently skip records, after retention deletes unread ones."""
    write_events(sink, kafka, 10)
    listener = RecordingListener()
    with closing(KafkaPythonSource(kafka, listener)) as source:
        record = next_record(source)
        partition = Partition(record.topic, record.partition)
        source.commit_now({partition: 1}, 10)
    admin = KafkaAdminClient(bootstrap_servers=kafka.bootstrap_servers)
    try:
        admin.delete_records({TopicPartition(*partition): 6})
    finally:
        admin.close()

    with closing(KafkaPythonSource(kafka, listener)) as source:
        assert next_record(source).offset == 6

    assert listener.resets == [(partition, 1, "earliest")]


def test_new_group_starts_at_earliest(kafka, sink):
    """Otherwise a new deployment would not score the events that are already in the topic."""
    write_events(sink, kafka, 3)

    with new_group(kafka, auto_offset_reset="earliest") as source:
        assert next_record(source).offset == 0


def test_new_group_starts_at_latest(kafka, sink):
    """Otherwise a new deployment with DETECTOR_KAFKA__AUTO_OFFSET_RESET=latest would score old events."""
    write_events(sink, kafka, 3)

    with new_group(kafka, auto_offset_reset="latest") as source:

        def has_started() -> bool:
            assert not source.poll(1, 0, 0.2).records
            return bool(source.lag())

        wait_until(has_started, "an offset to start at")
        write_events(sink, kafka, 1)
        assert next_record(source).offset == 3


def test_new_group_without_a_reset_policy_is_an_error(kafka, sink):
    """Otherwise a service with DETECTOR_KAFKA__AUTO_OFFSET_RESET=fail would guess where to start."""
    write_events(sink, kafka, 3)

    with (
        new_group(kafka, auto_offset_reset="fail") as source,
        pytest.raises(StreamError, match=r"no committed offset .* DETECTOR_KAFKA__AUTO_OFFSET_RESET is fail"),
    ):
        next_record(source)


def test_two_members_share_the_partitions(kafka):
    """Otherwise a second instance would not help, or nobody would read its partitions after it stops."""
    listener = RecordingListener()
    with closing(KafkaPythonSource(kafka, listener)) as first:

        def first_has_all() -> bool:
            first.poll(1, 0, 0.05)
            return len(first.partitions()) == 4

        wait_until(first_has_all, "all partitions")
        with closing(KafkaPythonSource(kafka, RecordingListener())) as second:

            def both_have_two() -> bool:
                first.poll(1, 0, 0.05)
                second.poll(1, 0, 0.05)
                return len(first.partitions()) == len(second.partitions()) == 2

            wait_until(both_have_two, "two partitions each")
            assert first.partitions().isdisjoint(second.partitions())
            assert sum(len(partitions) for kind, partitions in listener.rebalances if kind == "revoked") == 2
        wait_until(first_has_all, "all partitions again")
