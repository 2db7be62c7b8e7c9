"""The limits on dead letters: past them, the wrong topic is more likely than so many bad records."""

from collections import deque
from collections.abc import Sequence

from detector.errors import DeadLetterLimitError
from detector.events.decode import Reject
from detector.settings import DeadLetterSettings

WINDOW = 10_000
JUDGED_FROM = 1_000


class DeadLetterLimits:
    """Counts dead letters in a row, and their share of the last 10,000 records."""

    def __init__(self, settings: DeadLetterSettings) -> None:
        self._settings = settings
        self._in_a_row = 0
        self._window: deque[tuple[int, int]] = deque()
        self._window_records = self._window_rejects = 0

    def check(self, records: int, rejects: Sequence[Reject]) -> None:
        """Take a batch into account, before anything of it is written.

        Args:
            records: how many there are in the batch.
            rejects: those that are no events, in order.

        Raises:
            DeadLetterLimitError: a limit is passed.
        """
        self._check_row(records, rejects)
        self._check_share(records, len(rejects))

    def _check_row(self, records: int, rejects: Sequence[Reject]) -> None:
        expected = 0
        for place, reason, detail in rejects:
            self._in_a_row = self._in_a_row + 1 if place == expected else 1
            expected = place + 1
            if self._in_a_row > self._settings.max_consecutive:
                raise DeadLetterLimitError(
                    f"{self._in_a_row} records in a row could not be read, the last: {reason} ({detail}): is "
                    "DETECTOR_KAFKA__EVENTS_TOPIC the right topic? "
                    f"DETECTOR_DEAD_LETTER__MAX_CONSECUTIVE is {self._settings.max_consecutive}"
                )
        if expected != records:
            self._in_a_row = 0

    def _check_share(self, records: int, rejects: int) -> None:
        self._window.append((records, rejects))
        self._window_records += records
        self._window_rejects += rejects
        while self._window_records - self._window[0][0] >= WINDOW:
            old_records, old_rejects = self._window.popleft()
            self._window_records -= old_records
            self._window_rejects -= old_rejects
        share = self._window_rejects / max(self._window_records, 1)
        if self._window_records >= JUDGED_FROM and share > self._settings.max_ratio:
            raise DeadLetterLimitError(
                f"{share:.0%} of the last {self._window_records} records could not be read: is "
                "DETECTOR_KAFKA__EVENTS_TOPIC the right topic? "
                f"DETECTOR_DEAD_LETTER__MAX_RATIO is {self._settings.max_ratio:g}"
            )
