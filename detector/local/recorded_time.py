"""When an event was recorded, from its timestamp: seconds since boot (BETH), nanoseconds (Tracee), or RFC 3339."""

from datetime import UTC, datetime
from typing import Any

from detector.events.values import cell_number

_MIN_FRACTION = 1e11
"""A smaller number is in seconds: as seconds since the epoch, this is the year 5138."""
_EPOCH = {"milliseconds": (1e12, 4e12), "microseconds": (1e15, 4e15)}
"""Since the epoch, until about 2096. Any other large number is in nanoseconds, since the epoch or since boot."""
_PER_SECOND = {"seconds": 1, "milliseconds": 10**3, "microseconds": 10**6, "nanoseconds": 10**9}


class RecordedClock:
    """Reads the timestamps of one file, in the unit of its first."""

    def __init__(self) -> None:
        self.unit: str | None = None
        """None before the first, and for dates."""

    def seconds(self, timestamp: Any) -> float | None:
        """The timestamp in seconds; None when it is neither a finite number nor a date."""
        number = cell_number(timestamp) if isinstance(timestamp, str) else timestamp
        if isinstance(number, str):
            return _date_seconds(number.strip())
        if not isinstance(number, int | float) or isinstance(number, bool) or abs(number) == float("inf"):
            return None
        if self.unit is None:
            self.unit = _unit(number)
        return number / _PER_SECOND[self.unit]


def _unit(number: float) -> str:
    if abs(number) < _MIN_FRACTION:
        return "seconds"
    return next((unit for unit, (low, high) in _EPOCH.items() if low <= number < high), "nanoseconds")


def _date_seconds(text: str) -> float | None:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return None
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
