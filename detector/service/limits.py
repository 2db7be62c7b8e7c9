"""The limits on dead letters: past them, the wrong topic is more likely than so many bad records."""

from collections import deque
from collections.abc import Iterable, Sequence
from typing import Self

from detector.errors import DeadLetterLimitError
from detector.events.decode import Reject
from detector.settings import DeadLetterSettings

WINDOW = 10_000
JUDGED_FROM = 1_000


class DeadLetterLimits:
    """Counts dead letters in a row, and their share of the last 10,000 records.

    Args:
        settings: where the limits are.
        records: how many there were.
        in_a_row: how many of the last of them were no events.
        bad: of the last 10,000, those that were no events, numbered from the first record of all.
    """

    def __init__(
        self, settings: DeadLetterSettings, records: int = 0, in_a_row: int = 0, bad: Iterable[int] = ()
    ) -> None:
        self._settings = settings
        self._records = records
        self._in_a_row = in_a_row
        self._bad = deque(bad)

    def after(self, records: int, rejects: Sequence[Reject]) -> Self:
        """The limits behind a batch, whose records are judged one by one; to be asked before anything is written.

        These here stay as they are: a batch whose transaction is aborted is read, and judged, again.

        Args:
            records: how many there are in the batch.
            rejects: those that are no events, in order.

        Raises:
            DeadLetterLimitError: a limit is passed.
        """
        behind = type(self)(self._settings, self._records, self._in_a_row, self._bad)
        behind.take(records, rejects)
        return behind

    def take(self, records: int, rejects: Sequence[Reject]) -> None:
        """Judge a batch, and count it; see `after`."""
        first, end = self._records, self._records + records
        good_from = first
        for place, reason, detail in rejects:
            number = first + place
            self._judge_share(good_from, number)
            self._in_a_row = self._in_a_row + 1 if number == good_from else 1
            self._bad.append(number)
            good_from = number + 1
            self._judge_row(reason, detail)
            self._judge_share(number, good_from)
        self._judge_share(good_from, end)
        if good_from != end:
            self._in_a_row = 0
        self._records = end

    def _judge_row(self, reason: str, detail: str) -> None:
        if self._in_a_row > self._settings.max_consecutive:
            raise DeadLetterLimitError(
                f"{self._in_a_row} records in a row could not be read, the last: {reason} ({detail}): is "
                "DETECTOR_KAFKA__EVENTS_TOPIC the right topic? "
                f"DETECTOR_DEAD_LETTER__MAX_CONSECUTIVE is {self._settings.max_consecutive}"
            )

    def _judge_share(self, before: int, now: int) -> None:
        """Judge the records from `before` up to `now`, of which only the last may be bad.

        Good records lower the share, or leave it as it is: it is highest behind the first that there are enough for,
        and behind a bad one.
        """
        judged = max(before + 1, JUDGED_FROM)
        if judged > now:
            return
        while self._bad and self._bad[0] < judged - WINDOW:
            self._bad.popleft()
        seen = min(judged, WINDOW)
        share = len(self._bad) / seen
        if share > self._settings.max_ratio:
            raise DeadLetterLimitError(
                f"{share:.0%} of the last {seen} records could not be read: is "
                "DETECTOR_KAFKA__EVENTS_TOPIC the right topic? "
                f"DETECTOR_DEAD_LETTER__MAX_RATIO is {self._settings.max_ratio:g}"
            )
