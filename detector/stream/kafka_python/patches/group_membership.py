"""Five corrections of a consumer's group membership.

Symptoms, in kafka-python 3.0.12:

1. A JoinGroup response that arrives between two polls is discarded, and the join starts again. Members that poll for
   short times, or that are paused, make each other join forever, and no partition is assigned.
2. A join that started because the topic's metadata changed is forgotten when the leader has noticed the change. The
   member continues without heartbeats until the brokers give its partitions to others.
3. An unread response to OffsetFetch is kept until the next request, although another member may have owned the
   partition meanwhile: committed records would be processed again.
4. A member that is evicted while it joins (a process that was suspended) joins again and continues from its old
   offsets, as if it had never been evicted. Its partitions must be lost first, and the source must be told.
5. A member that lost its partitions still claims them when it joins again, beside their new owners. Which of two claims
   counts depends on their order: the leader may give a partition away that its owner still reads and commits.

Upstream: `kafka.coordinator.base.BaseCoordinator` and `kafka.coordinator.consumer.ConsumerCoordinator`.
Found by: the fault tests: rebalances that never ended, and duplicates with exactly-once in one of 95 runs (5).
Can go when: each of the tests in `tests/stream/kafka_python/patches/test_group_membership.py` passes without it.
"""

from typing import Any

from kafka import KafkaConsumer


class _FinishedJoin:
    """A join that has finished, for a caller that would start another one if it saw `is_done`."""

    is_done = False

    def __init__(self, join: Any) -> None:
        self.add_callback = join.add_callback
        self.add_errback = join.add_errback


def patch_group_membership(consumer: KafkaConsumer) -> None:
    """Apply the five corrections; the numbers refer to the module's docstring."""
    coordinator = consumer._coordinator
    join_group, reset_generation = coordinator.join_group_async, coordinator.reset_generation
    wants_to_join, protocols = coordinator.need_rejoin, coordinator.group_protocols

    def need_rejoin() -> bool:
        return bool(coordinator.rejoining or wants_to_join())  # 2

    async def join_group_async(timeout_ms: float | None = None) -> Any:
        if not need_rejoin():
            return await join_group(timeout_ms)
        join = coordinator._join_task
        if join is not None and join.succeeded():
            coordinator._join_task = _FinishedJoin(join)  # 1
        joined = await join_group(timeout_ms)
        if joined:
            coordinator._offset_fetch_futures.clear()  # 3
        return joined

    def group_protocols() -> Any:
        for assignor in coordinator._assignors.values():
            assignor.member_assignment = sorted(consumer.assignment())  # 5
        return protocols()

    def on_member_evicted(*member_id: str) -> None:
        coordinator.rejoining = False  # 4: the preparation of a join runs again, and gives the partitions up
        reset_generation(*member_id)

    coordinator.need_rejoin, coordinator.group_protocols = need_rejoin, group_protocols
    coordinator.join_group_async, coordinator.reset_generation = join_group_async, on_member_evicted
