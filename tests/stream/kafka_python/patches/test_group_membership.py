"""The corrections of a kafka-python consumer's group membership, with a real broker."""

import contextlib

import pytest
from kafka import KafkaAdminClient, TopicPartition
from kafka import errors as kafka_errors
from kafka.admin import MemberToRemove

from detector.records import OutgoingRecord, Partition
from detector.stream.kafka_python.sink import KafkaPythonSink
from detector.stream.kafka_python.source import KafkaPythonSource
from tests.helpers import alive_until, wait_until, write_all
from tests.stream.listeners import RecordingListener
from tests.stream.reading import closing, next_batch


@pytest.fixture
def join(kafka):
    """A function that adds a member to the group; members that are left are closed at the end."""
    with contextlib.ExitStack() as opened:
        yield lambda listener=None: opened.enter_context(
            closing(KafkaPythonSource(kafka, listener or RecordingListener()))
        )


def assigned(*sources):
    """The number of partitions of each source."""
    return [len(source.partitions()) for source in sources]


def evict(kafka, member_id):
    """Have the brokers remove the member from the group without telling it."""
    with contextlib.closing(KafkaAdminClient(bootstrap_servers=kafka.bootstrap_servers)) as admin:
        admin.remove_group_members(kafka.group_id, [MemberToRemove(member_id)])


def poll_until(condition, source, what):
    """Wait with a member that polls for records; there are none."""

    def poll_and_check() -> bool:
        assert not source.poll(1, 0, 0.2).records
        return condition()

    wait_until(poll_and_check, what)


def test_members_that_only_stay_alive_share_the_partitions(join):
    """Otherwise paused instances would make each other join forever, and none would get a partition."""
    first = join()
    alive_until(lambda: assigned(first) == [4], [first], "all partitions")
    second = join()
    alive_until(lambda: assigned(first, second) == [2, 2], [first, second], "two partitions each")
    second.close(5)
    alive_until(lambda: assigned(first) == [4], [first], "all partitions again")


def test_started_join_is_finished(join):
    """Otherwise a member would stop in the middle of a join when its reason is gone, and send no heartbeats."""
    source = join()
    poll_until(lambda: assigned(source) == [4], source, "all partitions")
    coordinator = source._consumer._coordinator
    alive_until(
        lambda: not coordinator.rejoining and not coordinator.need_rejoin(), [source], "the end of all rebalances"
    )
    generation = coordinator._generation.generation_id

    coordinator._assignment_snapshot = {}  # to the leader, the topic's metadata changed
    alive_until(
        lambda: coordinator._generation.generation_id > generation and not coordinator.rejoining,
        [source],
        "the end of the join",
    )

    assert assigned(source) == [4]


def test_returning_partition_is_read_from_its_present_committed_offset(kafka, join):
    """Otherwise records that another member has already processed would cause duplicates."""
    with closing(KafkaPythonSink(kafka)) as sink:
        for _ in range(40):
            write_all(sink, [OutgoingRecord(kafka.events_topic, None, b"x", [])])
    first = join()
    alive_until(lambda: assigned(first) == [4], [first], "all partitions")
    first.commit_now(dict.fromkeys(first.partitions(), 1), 10)
    second = join()
    alive_until(lambda: assigned(first, second) == [2, 2], [first, second], "two partitions each")
    moved = second.partitions()
    with contextlib.suppress(kafka_errors.KafkaTimeoutError):  # the response arrives, but is not read
        first._consumer._coordinator.fetch_committed_offsets([TopicPartition(*tp) for tp in moved], timeout_ms=0)

    processed: dict[Partition, int] = {}

    def has_processed_all_moved() -> bool:
        processed.update(next_batch(second).next_offsets)
        return processed.keys() == moved

    wait_until(has_processed_all_moved, "records of both partitions")
    second.commit_now(processed, 10)
    second.close(5)

    first_read: dict[Partition, int] = {}

    def has_read_everything() -> bool:
        for record in first.poll(100, 0, 0.2).records:
            first_read.setdefault(Partition(record.topic, record.partition), record.offset)
        lag = first.lag()
        return assigned(first) == [4] and lag.keys() == first.partitions() and not any(lag.values())

    wait_until(has_read_everything, "the end of all partitions")
    assert not first_read.keys() & moved


def test_member_evicted_while_it_joins_loses_its_partitions(kafka, join):
    """Otherwise a suspended process would write duplicates for partitions that others own by now."""
    listener = RecordingListener()
    source = join(listener)
    poll_until(lambda: assigned(source) == [4], source, "all partitions")
    coordinator = source._consumer._coordinator

    evict(kafka, coordinator._generation.member_id)
    coordinator.request_rejoin()  # the brokers reject this join: they no longer know the member
    poll_until(lambda: len(listener.rebalances) == 3, source, "all partitions again")

    assert [kind for kind, _ in listener.rebalances[:3]] == ["assigned", "lost", "assigned"]


def test_returning_member_claims_no_partitions(join):
    """Otherwise two members would process the records of the same partition, and write duplicates."""
    listener = RecordingListener()
    first, second = join(), join(listener)
    both = [first, second]
    alive_until(lambda: assigned(first, second) == [2, 2], both, "two partitions each")
    first._consumer._coordinator.maybe_leave_group()  # to the brokers this looks like an eviction
    alive_until(lambda: assigned(second) == [4], [second], "the partitions of the member that left")
    listener.rebalances.clear()

    sent = []
    coordinator = first._consumer._coordinator
    group_protocols = coordinator.group_protocols

    def recorded_protocols():
        sent.append(group_protocols())
        return sent[-1]

    coordinator.group_protocols = recorded_protocols
    alive_until(lambda: assigned(first, second) == [2, 2], both, "two partitions each again")

    ((_, subscription),) = sent[0]
    assert subscription.owned_partitions == []
    assert [len(partitions) for _, partitions in listener.rebalances] == [2]
