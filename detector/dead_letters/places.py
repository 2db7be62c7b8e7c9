"""Where replayed records arrived on the events topic."""

from array import array
from bisect import bisect_left
from collections.abc import Iterable, Mapping

from detector.records import Partition


class Places:
    """Partitions and offsets, eight bytes for each record; they are added in the order of their offsets."""

    def __init__(self) -> None:
        self.total = 0
        self._offsets: dict[Partition, array[int]] = {}

    def add(self, places: Iterable[tuple[Partition, int]]) -> None:
        """More records arrived; one with offset -1 counts, but nobody knows where it is."""
        for partition, offset in places:
            self.total += 1
            if offset >= 0:
                self._offsets.setdefault(partition, array("q")).append(offset)

    def __contains__(self, place: tuple[Partition, int]) -> bool:
        partition, offset = place
        offsets = self._offsets.get(partition, ())
        index = bisect_left(offsets, offset)
        return index < len(offsets) and offsets[index] == offset

    def before(self, positions: Mapping[Partition, int]) -> int:
        """How many of them a group with these positions has read."""
        return sum(bisect_left(offsets, positions.get(partition, 0)) for partition, offsets in self._offsets.items())
