"""Is the loop alive, and is the service ready: written by the loop, read by the HTTP threads."""

import time

STUCK_AFTER_S = 60.0
"""Longer than any single step of the loop takes when all is well: a batch, a commit, a wait for acknowledgements."""


class Health:
    """Liveness is a recent sign of life; readiness is that nothing is in the way.

    Attributes are assigned whole, so a reader sees the old or the new value and no lock is needed.
    """

    def __init__(self) -> None:
        self._last_sign = time.monotonic()
        self.not_ready_because: str | None = "starting"

    def sign_of_life(self) -> None:
        """The loop made progress, or looked and found nothing to do."""
        self._last_sign = time.monotonic()

    def silent_s(self) -> float:
        """How long ago the last sign of life was, in seconds."""
        return time.monotonic() - self._last_sign

    def not_alive_because(self) -> str | None:
        """Why the process should be restarted, or None."""
        silent_s = self.silent_s()
        return f"no sign of life from the loop for {silent_s:.0f} s" if silent_s > STUCK_AFTER_S else None
