"""The limits on invalid records. Above them the events topic is probably the wrong one."""

from collections import deque
from collections.abc import Iterable, Sequence
from typing import Self

from detector.errors import DeadLetterLimitError
from detector.events.decode import InvalidRecord
from detector.settings import DeadLetterSettings

WINDOW = 10_000
"""The share is computed over this many of the latest records."""
MIN_RECORDS = 1_000
"""The share is not checked before this many records were read: all of the first records may be invalid by chance."""


class DeadLetterLimits:
    """Counts consecutive invalid records, and their share of the last 10,000 records.

    Args:
        settings: the limits.
        records: how many records there were.
        consecutive: how many of the last records were invalid.
        invalid: the invalid ones among the last 10,000 records, as numbers counted from the first record.
    """

    def __init__(
        self, settings: DeadLetterSettings, records: int = 0, consecutive: int = 0, invalid: Iterable[int] = ()
    ) -> None:
        self._settings = settings
        self._records = records
        self._consecutive = consecutive
        self._invalid = deque(invalid)

    def after(self, records: int, invalid: Sequence[InvalidRecord]) -> Self:
        """Check the records of a batch one by one; to be called before any of its outputs is written.

        This object stays as it is, because a batch whose transaction is aborted will be read and checked again.

        Args:
            records: how many records the batch has.
            invalid: the invalid ones, in order.

        Returns:
            The counts after the batch.

        Raises:
            DeadLetterLimitError: a limit is exceeded.
        """
        after = type(self)(self._settings, self._records, self._consecutive, self._invalid)
        after.add(records, invalid)
        return after

    def add(self, records: int, invalid: Sequence[InvalidRecord]) -> None:
        """Check a batch, and count it; see `after`."""
        first, end = self._records, self._records + records
        valid_from = first
        for index, reason, detail in invalid:
            number = first + index
            self._check_share(valid_from, number)
            self._consecutive = self._consecutive + 1 if number == valid_from else 1
            self._invalid.append(number)
            valid_from = number + 1
            self._check_consecutive(reason, detail)
            self._check_share(number, valid_from)
        self._check_share(valid_from, end)
        if valid_from != end:
            self._consecutive = 0
        self._records = end

    def _check_consecutive(self, reason: str, detail: str) -> None:
        if self._consecutive > self._settings.max_consecutive:
            raise DeadLetterLimitError(
                f"{self._consecutive} invalid records in a row, the last: {reason} ({detail}); check that "
                "DETECTOR_KAFKA__EVENTS_TOPIC is the right topic "
                f"(limit: DETECTOR_DEAD_LETTER__MAX_CONSECUTIVE={self._settings.max_consecutive})"
            )

    def _check_share(self, before: int, now: int) -> None:
        """Check the records from `before` up to `now`, of which only the last may be invalid.

        Valid records never raise the share, so it is highest after an invalid one, and at the first record at which
        there are enough.
        """
        checked = max(before + 1, MIN_RECORDS)
        if checked > now:
            return
        while self._invalid and self._invalid[0] < checked - WINDOW:
            self._invalid.popleft()
        seen = min(checked, WINDOW)
        share = len(self._invalid) / seen
        if share > self._settings.max_ratio:
            raise DeadLetterLimitError(
                f"{share:.0%} of the last {seen} records are invalid; check that DETECTOR_KAFKA__EVENTS_TOPIC is the "
                f"right topic (limit: DETECTOR_DEAD_LETTER__MAX_RATIO={self._settings.max_ratio:g})"
            )
