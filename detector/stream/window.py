"""How long a batch stays open for more records."""

_AT_ONCE_S = 0.003
"""A look that finds something takes its client a millisecond or so."""
_LEAST = 0.25
"""Of the wait: in a backlog more comes within that, and a full batch costs least."""


class Window:
    """When to close a batch that is not full: so long after its first record, if that had to be waited for.

    One that was there when it was asked for may have come at any time since the batch before was closed, so its time
    runs from there: what gathers while a batch is worked on does not wait for all of the time once more.

    All times are seconds of one clock.
    """

    def __init__(self) -> None:
        self._closed = float("-inf")

    def end(self, asked: float, came: float, max_wait_s: float) -> float:
        """When the batch closes whose first record was asked for, and came, at these times."""
        if came - asked > _AT_ONCE_S:
            return came + max_wait_s
        return max(self._closed + max_wait_s, came + _LEAST * max_wait_s)

    def close(self, at: float) -> None:
        """Note that it is closed."""
        self._closed = at
