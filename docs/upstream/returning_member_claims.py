"""kafka-python: a member that lost its partitions claims them when it joins again, although another member owns them.

Argument: HOST:PORT of a broker.
"""

import sys
from typing import Any, ClassVar
from uuid import uuid4

from kafka import KafkaAdminClient, KafkaConsumer
from kafka.admin import MemberToRemove
from kafka.coordinator.assignors.cooperative_sticky import CooperativeStickyAssignor
from members import polled, wait_for

PARTITIONS = 4


class Watched(CooperativeStickyAssignor):
    """The leader's assignor: notes which partitions each member claims to own."""

    seen: ClassVar[list[dict[str, set[int]]]] = []

    def assign(self, cluster: Any, members: Any) -> Any:
        """See kafka-python's `AbstractPartitionAssignor`."""
        self.seen.append(
            {
                member.member_id: {n for _, numbers in member.metadata.owned_partitions for n in numbers}
                for member in members
            }
        )
        return super().assign(cluster, members)


def main(broker: str) -> bool:
    """Whether a member that was evicted, and joins again, claims partitions that another member owns by then."""
    topic, group = f"claims-{uuid4().hex}", uuid4().hex
    admin = KafkaAdminClient(bootstrap_servers=broker)
    admin.create_topics({topic: {"num_partitions": PARTITIONS}}, wait_for_metadata=True)
    members = [
        KafkaConsumer(
            bootstrap_servers=broker,
            group_id=group,
            enable_auto_commit=False,
            heartbeat_interval_ms=200,
            session_timeout_ms=6_000,
            partition_assignment_strategy=[Watched],
        )
        for _ in range(2)
    ]
    stays, returns = members
    try:
        for member in members:
            member.partitions_for_topic(topic)  # a leader that does not know the topic assigns nothing
            member.subscribe([topic])
        with polled(*members):
            wait_for(lambda: [len(member.assignment()) for member in members] == [PARTITIONS // 2] * 2)
        former = {member.group_metadata().member_id for member in members}
        admin.remove_group_members(group, [MemberToRemove(returns.group_metadata().member_id)])
        with polled(stays):
            wait_for(lambda: len(stays.assignment()) == PARTITIONS)
            with polled(returns):
                wait_for(lambda: Watched.seen[-1].keys() - former)
        claimed = next(claims for joined in Watched.seen for member, claims in joined.items() if member not in former)
    finally:
        for member in members:
            member.close(timeout_ms=500)  # an unanswered join would delay its leaving the group
        admin.close()
    print("expected: the member that joins again claims nothing, because the other member owns all 4 partitions")
    print(f"happened: it claims the partitions {claimed}")
    return bool(claimed)


if __name__ == "__main__":
    sys.exit(0 if main(sys.argv[1]) else 1)
