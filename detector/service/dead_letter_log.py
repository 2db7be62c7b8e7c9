"""Logs why records become dead letters, at most once a minute."""

import time
from collections.abc import Sequence

from detector.process import log_events
from detector.service.causes import Cause, CauseCount

_EVERY_S = 60.0


class DeadLetterLog:
    """Logs the first dead letters at once, and then those of each minute together, so that none goes unsaid."""

    def __init__(self) -> None:
        self._next_at = float("-inf")
        self._causes = CauseCount()

    def add(self, causes: Sequence[Cause]) -> None:
        """Note dead letters that were written; logs them unless there was a line within the last minute."""
        self._causes.add(causes)
        self.log_if_due()

    def log_if_due(self) -> None:
        """Log the dead letters that were noted, if the last line is at least a minute old."""
        records = self._causes.total()
        if not records or time.monotonic() < self._next_at:
            return
        cause, _ = self._causes.commonest()
        log_events.RECORDS_DEAD_LETTERED.log(
            records=records, reason=cause.reason, detail=cause.detail, place=cause.place
        )
        self._causes = CauseCount()
        self._next_at = time.monotonic() + _EVERY_S
