"""kafka-python: a member that is evicted while it joins is not notified, and continues from its old offsets.

Argument: HOST:PORT of a broker.
"""

import sys
from collections.abc import Collection
from uuid import uuid4

from kafka import ConsumerRebalanceListener, KafkaAdminClient, KafkaConsumer, TopicPartition
from kafka.admin import MemberToRemove
from kafka.coordinator.assignors.cooperative_sticky import CooperativeStickyAssignor
from members import polled, wait_for


class Heard(ConsumerRebalanceListener):
    """Remembers the partitions of the last call of each method."""

    def __init__(self) -> None:
        self.told: dict[str, Collection[TopicPartition]] = {}

    def on_partitions_assigned(self, assigned: Collection[TopicPartition]) -> None:
        """See kafka-python's `ConsumerRebalanceListener`."""
        self.told["assigned"] = assigned

    def on_partitions_revoked(self, revoked: Collection[TopicPartition]) -> None:
        """See kafka-python's `ConsumerRebalanceListener`."""
        self.told["revoked"] = revoked

    def on_partitions_lost(self, lost: Collection[TopicPartition]) -> None:
        """See kafka-python's `ConsumerRebalanceListener`."""
        self.told["lost"] = lost


def main(broker: str) -> bool:
    """Whether a member was evicted, and `on_partitions_lost` of its listener was not called."""
    topics, group = [f"evicted-{uuid4().hex}-{n}" for n in range(2)], uuid4().hex
    admin = KafkaAdminClient(bootstrap_servers=broker)
    admin.create_topics({topic: {"num_partitions": 2} for topic in topics}, wait_for_metadata=True)
    first, second = (
        KafkaConsumer(
            bootstrap_servers=broker,
            group_id=group,
            enable_auto_commit=False,
            heartbeat_interval_ms=200,
            session_timeout_ms=6_000,
            partition_assignment_strategy=[CooperativeStickyAssignor],
        )
        for _ in range(2)
    )
    heard = Heard()
    try:
        for member in (first, second):
            member.partitions_for_topic(topics[0])  # a leader that does not know the topic assigns nothing
        first.subscribe(topics[:1], listener=heard)
        second.subscribe(topics[:1])
        with polled(first, second):
            wait_for(lambda: len(first.assignment()) == len(second.assignment()) == 1)
        before = first.group_metadata()
        first.subscribe(topics, listener=heard)  # starts a new join, which has to wait for the second member
        while admin.describe_groups([group])[group]["group_state"] != "PreparingRebalance":
            first.poll(timeout_ms=100)
        admin.remove_group_members(group, [MemberToRemove(before.member_id)])
        heard.told.clear()
        with polled(first, second):
            wait_for(lambda: first.group_metadata().generation_id > before.generation_id)
        is_another = first.group_metadata().member_id not in ("", before.member_id)
    finally:
        for member in (first, second):
            member.close(timeout_ms=500)  # an unanswered join would delay its leaving the group
        admin.close()
    print("expected: the listener of the evicted member is called with 'lost' before 'assigned', as in the Java client")
    print(f"happened: the member was evicted and joined as a new one: {is_another}; calls: {list(heard.told)}")
    return is_another and "lost" not in heard.told


if __name__ == "__main__":
    sys.exit(0 if main(sys.argv[1]) else 1)
