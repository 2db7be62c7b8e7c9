"""Partitions and offsets of the replayed records on the events topic."""

from array import array
from bisect import bisect_left
from collections.abc import Iterable, Mapping

from detector.records import Partition


class WrittenOffsets:
    """Which records were written; uses 8 bytes for each. Within a partition, records are added by ascending offset."""

    def __init__(self) -> None:
        self.total = 0
        self._offsets: dict[Partition, array[int]] = {}

    def add(self, written: Iterable[tuple[Partition, int]]) -> None:
        """Add acknowledged records; a record with offset -1 is counted, but its offset is unknown."""
        for partition, offset in written:
            self.total += 1
            if offset >= 0:
                self._offsets.setdefault(partition, array("q")).append(offset)

    def __contains__(self, written: tuple[Partition, int]) -> bool:
        partition, offset = written
        offsets = self._offsets.get(partition, ())
        index = bisect_left(offsets, offset)
        return index < len(offsets) and offsets[index] == offset

    def count_before(self, committed: Mapping[Partition, int]) -> int:
        """How many of the records a group with these committed offsets has read."""
        return sum(bisect_left(offsets, committed.get(partition, 0)) for partition, offsets in self._offsets.items())
