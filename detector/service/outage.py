"""Logs what lasts without filling the log: at its start, every minute, and at its end."""

import time

from detector.process.log_event import LogEvent

_REMIND_S = 60.0
_NEW_REASON_S = 5.0
"""A reason may alternate with another while brokers start: then it is logged no more often than this."""


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

    def report(self, *, lasted_s: float = 0.0, **details: object) -> None:
        """Note that the outage is there, with these details; only its start is logged.

        Args:
            lasted_s: how long it had lasted when it was noticed, in seconds.
            details: fields of the log lines.
        """
        self._details = details
        if self._since is None:
            self._last_reminder_at = time.monotonic()
            self._since = self._last_reminder_at - lasted_s
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


class ReasonLog:
    """Logs the reason for waiting: at once, when it changes, and every minute.

    Args:
        event: logged with the field `reason`.
    """

    def __init__(self, event: LogEvent) -> None:
        self._event = event
        self._reason = ""
        self._logged_at = float("-inf")

    def note(self, reason: str) -> None:
        """Call it again and again while the reason lasts."""
        now = time.monotonic()
        if now - self._logged_at >= (_REMIND_S if reason == self._reason else _NEW_REASON_S):
            self._reason, self._logged_at = reason, now
            self._event.log(reason=reason)
