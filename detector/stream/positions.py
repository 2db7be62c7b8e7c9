"""What is said when a partition has no position to read from, the same with every client."""

from collections.abc import Iterable

from detector.records import Partition
from detector.stream.interfaces import StreamError


def no_position(partitions: Iterable[Partition]) -> StreamError:
    """The group has never committed there, and the settings forbid to guess."""
    names = ", ".join(sorted(f"{topic}/{number}" for topic, number in partitions))
    return StreamError(
        f"the group has no committed position for {names} and DETECTOR_KAFKA__AUTO_OFFSET_RESET is fail: "
        "set it to earliest or latest, or commit a position"
    )


def position_gone(partition: Partition, offset: int) -> StreamError:
    """What was committed is not there any more, and the settings forbid to go on elsewhere."""
    return StreamError(
        f"{partition.topic}/{partition.partition}: offset {offset} is not there any more (retention, or the topic was "
        "made anew) and DETECTOR_KAFKA__AUTO_OFFSET_RESET is fail"
    )
