"""Errors when DETECTOR_KAFKA__AUTO_OFFSET_RESET is `fail` and a partition has no usable offset, for every client."""

from collections.abc import Iterable

from detector.records import Partition
from detector.stream.interfaces import StreamError


def no_committed_offset(partitions: Iterable[Partition]) -> StreamError:
    """The consumer group has never committed an offset for these partitions."""
    names = ", ".join(sorted(f"{topic}/{number}" for topic, number in partitions))
    return StreamError(
        f"the consumer group has no committed offset for {names}, and DETECTOR_KAFKA__AUTO_OFFSET_RESET is fail: "
        "set it to earliest or latest, or commit an offset with kafka-consumer-groups.sh --reset-offsets"
    )


def offset_out_of_range(partition: Partition, offset: int) -> StreamError:
    """The committed offset no longer exists."""
    return StreamError(
        f"{partition.topic}/{partition.partition}: committed offset {offset} no longer exists (retention, or the topic "
        "was recreated), and DETECTOR_KAFKA__AUTO_OFFSET_RESET is fail: set it to earliest or latest, or commit an "
        "existing offset with kafka-consumer-groups.sh --reset-offsets"
    )
