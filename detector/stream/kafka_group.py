"""Mends of kafka-python 3.0.12's group membership, each held by a test in `tests/stream/test_kafka_group.py`."""

from typing import Any

from kafka import KafkaConsumer


class _Ended:
    """A join that has ended, for a caller that would begin another one if it saw that."""

    is_done = False

    def __init__(self, join: Any) -> None:
        self.add_callback = join.add_callback
        self.add_errback = join.add_errback


def mend_group(consumer: KafkaConsumer) -> None:
    """Let a consumer keep what it was answered, and ask again when what it is asked about has changed.

    A join whose answer arrives between two polls is thrown away and begun again: members that poll for short times, or
    only stay alive while they deliver, make each other join for ever, and no partition moves. The answer is kept here
    until the next poll takes it.

    A join that was begun because the topic changed is forgotten when the leader has taken note of the change: the
    member goes on as before, without a heartbeat, until the brokers give its partitions to others. Here it has to end.

    An unread answer to "what is committed?" is kept until it is asked for, even when the partition has been another
    member's meanwhile: what that one did would be done again. A join makes it void here.

    A member that is thrown out while it joins (a process that slept) joins anew, and goes on from the positions that it
    had, as if it had never been away. Here it loses its partitions first, and the source hears of it.

    A member that lost its partitions claims them all the same when it joins anew, beside those who own them by now. Of
    two who claim one partition, it depends on their order which one's claim counts; a leader that takes the wrong one's
    gives a partition away while its owner still reads and commits it. Here a member claims what it owns.
    """
    coordinator = consumer._coordinator  # noqa: SLF001 - there is no public way to any of this
    join_group, reset_generation = coordinator.join_group_async, coordinator.reset_generation
    wants_to_join, protocols = coordinator.need_rejoin, coordinator.group_protocols

    def need_rejoin() -> bool:
        return bool(coordinator.rejoining or wants_to_join())

    async def join_group_async(timeout_ms: float | None = None) -> Any:
        if not need_rejoin():
            return await join_group(timeout_ms)
        join = coordinator._join_task  # noqa: SLF001
        if join is not None and join.succeeded():
            coordinator._join_task = _Ended(join)  # noqa: SLF001
        joined = await join_group(timeout_ms)
        if joined:
            coordinator._offset_fetch_futures.clear()  # noqa: SLF001
        return joined

    def group_protocols() -> Any:
        for assignor in coordinator._assignors.values():  # noqa: SLF001
            assignor.member_assignment = sorted(consumer.assignment())
        return protocols()

    def thrown_out(*member_id: str) -> None:
        coordinator.rejoining = False  # what precedes a join is due again: there the partitions are given up
        reset_generation(*member_id)

    coordinator.need_rejoin, coordinator.group_protocols = need_rejoin, group_protocols
    coordinator.join_group_async, coordinator.reset_generation = join_group_async, thrown_out
