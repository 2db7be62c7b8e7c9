"""Logs an outage with one line when it starts, one each minute, and one when it ends."""

import time

from detector.process.log_events import LogEvent

_REMIND_S = 60.0


class Outage:
    """Logs the start, the duration and the end of something that prevents normal work.

    Args:
        started: logged when it starts.
        continues: logged every minute while it lasts.
        ended: logged when it ends.
    """

    def __init__(self, started: LogEvent, continues: LogEvent, ended: LogEvent) -> None:
        self._started, self._continues, self._ended = started, continues, ended
        self._since: float | None = None
        self._last_reminder_at = 0.0
        self._details: dict[str, object] = {}

    def __bool__(self) -> bool:
        return self._since is not None

    def report(self, **details: object) -> None:
        """Note that the outage is there, with these details; only its start is logged."""
        self._details = details
        if self._since is None:
            self._since = self._last_reminder_at = time.monotonic()
            self._started.log(**details)

    def remind(self) -> None:
        """Log that the outage continues, if its last line is at least a minute old."""
        now = time.monotonic()
        if self._since is not None and now - self._last_reminder_at >= _REMIND_S:
            self._last_reminder_at = now
            self._continues.log(waited_s=round(now - self._since), **self._details)

    def end(self) -> None:
        """Log the end of the outage, if there was one."""
        if self._since is not None:
            self._ended.log(waited_s=round(time.monotonic() - self._since, 1))
            self._since = None
