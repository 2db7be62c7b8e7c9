"""Waiting for acknowledgements: reading is paused, the observer is notified, and a shutdown can abandon the wait."""

from collections.abc import Callable, Sequence
from typing import Protocol

from detector.stream.interfaces import CommitError, FailedRecord, SignOfLife, Source

_FIRST_WAIT_S = 1.0
"""How long a delivery may take before reading is paused."""
_NEXT_WAIT_S = 0.2
"""Pause between two signs of life during a wait."""
GiveUp = Callable[[], bool]
"""Asked while waiting; True abandons the delivery."""


class DeliveryAbandoned(Exception):  # noqa: N818 - requested, by a shutdown
    """Delivery was abandoned before every record was acknowledged; nothing of the batch was committed."""


class DeliveryObserver(Protocol):
    """Its methods are called when a delivery makes progress or has a problem."""

    def delivery_waiting(self) -> None:
        """Acknowledgements are late; reading is paused meanwhile."""
        ...

    def delivery_recovered(self) -> None:
        """Everything was acknowledged; reading resumes."""
        ...

    def records_failed(self, failed: Sequence[FailedRecord]) -> None:
        """Records were rejected; they are sent again."""
        ...

    def transaction_aborted(self, reason: str) -> None:
        """A transaction was aborted; its batch is read again."""
        ...

    def committed(self, seconds: float) -> None:
        """A commit succeeded, this many seconds after it was started."""
        ...

    def commit_failed(self, error: CommitError) -> None:
        """A commit failed; the next one includes its offsets."""
        ...


class PausedWait:
    """Waits with the source paused and the group membership kept alive, until it is done or told to give up."""

    def __init__(self, source: Source, observer: DeliveryObserver, alive: SignOfLife, give_up: GiveUp) -> None:
        self._source = source
        self._observer = observer
        self._alive = alive
        self._give_up = give_up
        self._paused = self._reported = False

    def until(self, done: Callable[[float], bool]) -> None:
        """Call `done` with a timeout until it returns True; the first call may take longer than the following ones."""
        timeout_s = _FIRST_WAIT_S
        while not done(timeout_s):
            self.stay_alive()
            timeout_s = _NEXT_WAIT_S

    def pause(self) -> None:
        """Pause reading, and report the first pause."""
        if not self._paused:
            self._paused = True
            self._source.pause()
            if not self._reported:
                self._reported = True
                self._observer.delivery_waiting()

    def resume(self) -> None:
        """Resume reading, although the delivery has not recovered yet."""
        if self._paused:
            self._paused = False
            self._source.resume()

    def end(self) -> None:
        """Resume reading, and report that the delivery has recovered."""
        self.resume()
        if self._reported:
            self._reported = False
            self._observer.delivery_recovered()

    def stay_alive(self) -> None:
        """Show a sign of life, and keep the group membership.

        Raises:
            DeliveryAbandoned: `give_up` returned True.
        """
        self.pause()  # first: records that an unpaused source returned now would be lost
        self._alive()
        self._source.keep_alive()
        if self._give_up():
            raise DeliveryAbandoned
