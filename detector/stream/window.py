"""How long a batch stays open for more records."""

_AT_ONCE_S = 0.003
"""A poll that finds records takes its client about a millisecond."""
_MIN_SHARE = 0.25
"""Smallest share of the wait: in a backlog more records arrive within it, and full batches cost least per record."""


class BatchWindow:
    """Decides when to close a batch that is not full.

    When the poll waited for the first record, the batch closes a fixed time after it. A first record that was available
    at once may have arrived at any time since the previous batch closed, so its time counts from there: records that
    arrive while a batch is processed do not wait for the full time again.

    All times are seconds on one clock.
    """

    def __init__(self) -> None:
        self._closed_at = float("-inf")

    def close_time(self, asked_at: float, first_at: float, max_wait_s: float) -> float:
        """When to close the batch whose first record was asked for, and returned, at these times."""
        if first_at - asked_at > _AT_ONCE_S:
            return first_at + max_wait_s
        return max(self._closed_at + max_wait_s, first_at + _MIN_SHARE * max_wait_s)

    def close(self, now: float) -> None:
        """Note that the batch was closed."""
        self._closed_at = now
