"""Why records became dead letters: reason, detail and place, and the commonest of many."""

from collections import Counter
from collections.abc import Iterable
from typing import NamedTuple

from detector.alerts.dead_letter import MAX_DETAIL_CHARS
from detector.events.decode import InvalidRecord
from detector.records import Record

_MAX_DETAILS = 1000
"""Largest number of different details that are counted: details may quote values, so each record may have its own."""


class Cause(NamedTuple):
    """Why a record is invalid, and where it is: enough to find and to understand it."""

    row: int
    """In its batch."""
    reason: str
    detail: str
    place: str
    """TOPIC-PARTITION@OFFSET."""

    def __str__(self) -> str:
        return f"{self.reason} ({self.detail}) at {self.place}"


def cause_of(invalid: InvalidRecord, record: Record) -> Cause:
    """The cause of an invalid record, without the record itself: causes are kept, and a record may be large."""
    place = f"{record.topic}-{record.partition}@{record.offset}"
    return Cause(invalid.row, invalid.reason, invalid.detail[:MAX_DETAIL_CHARS], place)


class CauseCount:
    """Counts causes by reason, and by detail."""

    def __init__(self, causes: Iterable[Cause] = ()) -> None:
        self._reasons: Counter[str] = Counter()
        self._details: dict[tuple[str, str], _CountedDetail] = {}
        self.add(causes)

    def add(self, causes: Iterable[Cause]) -> None:
        """Count causes."""
        for cause in causes:
            self._reasons[cause.reason] += 1
            counted = self._details.get((cause.reason, cause.detail))
            if counted is not None:
                counted.number += 1
            elif len(self._details) < _MAX_DETAILS or self._reasons[cause.reason] == 1:
                self._details[cause.reason, cause.detail] = _CountedDetail(cause)

    def total(self) -> int:
        """How many causes were counted."""
        return self._reasons.total()

    def commonest(self) -> tuple[Cause, int]:
        """Of the commonest reason, the first cause with the commonest detail; and how many have that reason."""
        ((reason, number),) = self._reasons.most_common(1)
        counted = (detail for (of, _), detail in self._details.items() if of == reason)
        return max(counted, key=lambda detail: detail.number).first, number


class _CountedDetail:
    __slots__ = ("first", "number")

    def __init__(self, first: Cause) -> None:
        self.first = first
        self.number = 1
