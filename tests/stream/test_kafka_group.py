"""Members that come and go on the real broker: what kafka-python gets wrong there, and is mended."""

import contextlib

from kafka import TopicPartition
from kafka import errors as kafka_errors

from detector.records import OutgoingRecord, Partition
from detector.stream.kafka_python import KafkaPythonSink, KafkaPythonSource
from tests.contract.test_stream import Heard, next_batch
from tests.helpers import alive_until, wait_until, write_all


def owned(*sources):
    return [len(source.partitions()) for source in sources]


def test_members_that_only_stay_alive_share_the_partitions(kafka):
    """A join that ends while nobody looks counts: otherwise all members join again, and again."""
    first = KafkaPythonSource(kafka, Heard())
    alive_until(lambda: owned(first) == [4], [first], "all partitions")
    second = KafkaPythonSource(kafka, Heard())
    alive_until(lambda: owned(first, second) == [2, 2], [first, second], "two partitions each")
    second.close(5)
    alive_until(lambda: owned(first) == [4], [first], "all partitions again")
    first.close(5)


def test_join_that_was_begun_is_ended(kafka):
    """Also when its reason is gone by then: a member in the middle of a join sends no heartbeats."""
    source = KafkaPythonSource(kafka, Heard())
    wait_until(lambda: source.poll(1, 0, 0.2) and owned(source) == [4], "all partitions")
    group = source._consumer._coordinator
    alive_until(lambda: not group.rejoining and not group.need_rejoin(), [source], "peace")
    generation = group._generation.generation_id

    group._assignment_snapshot = {}  # to the leader, another topic than the one that it shared out
    alive_until(
        lambda: group._generation.generation_id > generation and not group.rejoining, [source], "the end of the join"
    )

    assert owned(source) == [4]
    source.close(5)


def test_partition_that_comes_back_is_read_from_what_is_committed_now(kafka):
    """Not from what was committed when its position was last asked for: others worked on it meanwhile."""
    sink = KafkaPythonSink(kafka)
    for _ in range(40):
        write_all(sink, [OutgoingRecord(kafka.events_topic, None, b"x", [])])
    sink.close(5)
    first = KafkaPythonSource(kafka, Heard())
    alive_until(lambda: owned(first) == [4], [first], "all partitions")
    first.commit_now(dict.fromkeys(first.partitions(), 1), 10)
    second = KafkaPythonSource(kafka, Heard())
    alive_until(lambda: owned(first, second) == [2, 2], [first, second], "two partitions each")
    moved = second.partitions()
    with contextlib.suppress(kafka_errors.KafkaTimeoutError):  # the answer comes, and nobody reads it
        first._consumer._coordinator.fetch_committed_offsets([TopicPartition(*tp) for tp in moved], timeout_ms=0)

    done: dict[Partition, int] = {}
    wait_until(lambda: done.update(next_batch(second).next_offsets) or done.keys() == moved, "records of both")
    second.commit_now(done, 10)
    second.close(5)

    read: dict[Partition, int] = {}

    def read_on() -> bool:
        for record in first.poll(100, 0, 0.2).records:
            read.setdefault(Partition(record.topic, record.partition), record.offset)
        return owned(first) == [4] and first.lag().keys() == first.partitions() and not any(first.lag().values())

    wait_until(read_on, "the end of all partitions")
    first.close(5)
    assert not read.keys() & moved


def test_member_that_is_thrown_out_while_it_joins_loses_its_partitions(kafka):
    """A process that slept: what it had in hand, and its positions, belong to another by then."""
    heard = Heard()
    source = KafkaPythonSource(kafka, heard)
    wait_until(lambda: source.poll(1, 0, 0.2) and owned(source) == [4], "all partitions")
    group = source._consumer._coordinator

    group.request_rejoin()
    source.keep_alive()
    assert group.rejoining
    group.reset_generation()  # as the brokers' answer to the join does
    wait_until(lambda: source.poll(1, 0, 0.2) and len(heard.rebalances) == 3, "all partitions again")
    source.close(5)

    assert [kind for kind, _ in heard.rebalances[:3]] == ["assigned", "lost", "assigned"]


def test_member_that_returns_claims_nothing(kafka):
    """What it had before it was thrown out is another's, who gives up no more than what moves."""
    heard = Heard()
    first, second = KafkaPythonSource(kafka, Heard()), KafkaPythonSource(kafka, heard)
    both = [first, second]
    alive_until(lambda: owned(first, second) == [2, 2], both, "two partitions each")
    first._consumer._coordinator.maybe_leave_group()  # in the brokers' eyes what a process that slept has done
    alive_until(lambda: owned(second) == [4], [second], "the partitions of the one that left")
    heard.rebalances.clear()

    claims = []
    group = first._consumer._coordinator
    protocols = group.group_protocols
    group.group_protocols = lambda: claims.append(protocols()) or claims[-1]
    alive_until(lambda: owned(first, second) == [2, 2], both, "two partitions each again")
    given_up = [len(partitions) for _, partitions in heard.rebalances]
    for source in both:
        source.close(5)

    ((_, claim),) = claims[0]
    assert claim.owned_partitions == []
    assert given_up == [2]
