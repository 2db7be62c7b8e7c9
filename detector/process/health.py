"""Liveness and readiness: written by the main loop, read by the HTTP threads."""

import time

STALLED_AFTER_S = 60.0
"""Longer than any single step of a healthy main loop: a batch, a commit, a wait for acknowledgements."""


class Health:
    """Alive: the main loop made progress recently. Ready: `not_ready_reason` is None.

    Each attribute is replaced as a whole, so a reader sees its old or its new value and needs no lock.
    """

    def __init__(self) -> None:
        self._last_progress_at = time.monotonic()
        self.not_ready_reason: str | None = "starting"

    def sign_of_life(self) -> None:
        """Note that the main loop made progress, or had nothing to do."""
        self._last_progress_at = time.monotonic()

    def stalled_s(self) -> float:
        """Seconds since the last sign of life."""
        return time.monotonic() - self._last_progress_at

    def not_alive_reason(self) -> str | None:
        """Why the process should be restarted; None when it is alive."""
        stalled_s = self.stalled_s()
        return f"main loop has made no progress for {stalled_s:.0f} s" if stalled_s > STALLED_AFTER_S else None
