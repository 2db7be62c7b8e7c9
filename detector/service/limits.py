"""The limits on invalid records. Above them the events topic is probably the wrong one."""

from collections import deque
from collections.abc import Iterable, Sequence
from itertools import islice
from typing import Self

from detector.errors import DeadLetterLimitError
from detector.service.causes import Cause, CauseCount
from detector.settings import DeadLetterSettings

WINDOW = 10_000
"""The share is computed over this many of the latest records."""
MIN_RECORDS = 1_000
"""The share is not checked before this many records were read: all of the first records may be invalid by chance."""


_Numbered = tuple[int, Cause]


class DeadLetterLimits:
    """Counts consecutive invalid records, and their share of the last 10,000 records.

    Args:
        settings: the limits.
        records: how many records there were.
        consecutive: how many of the last records were invalid.
        invalid: the invalid ones among the last 10,000 records: numbers counted from the first record, and causes.
    """

    def __init__(
        self, settings: DeadLetterSettings, records: int = 0, consecutive: int = 0, invalid: Iterable[_Numbered] = ()
    ) -> None:
        self._settings = settings
        self._records = records
        self._consecutive = consecutive
        self._invalid = deque(invalid)

    def after(self, records: int, invalid: Sequence[Cause]) -> Self:
        """Check the records of a batch one by one; to be called before any of its outputs is written.

        This object stays as it is, because a batch whose transaction is aborted will be read and checked again.

        Args:
            records: how many records the batch has.
            invalid: the causes of the invalid ones, in order.

        Returns:
            The counts after the batch.

        Raises:
            DeadLetterLimitError: a limit is exceeded.
        """
        after = type(self)(self._settings, self._records, self._consecutive, self._invalid)
        after.add(records, invalid)
        return after

    def add(self, records: int, invalid: Sequence[Cause]) -> None:
        """Check a batch, and count it; see `after`."""
        first, end = self._records, self._records + records
        valid_from = first
        for cause in invalid:
            number = first + cause.row
            self._check_share(valid_from, number)
            self._consecutive = self._consecutive + 1 if number == valid_from else 1
            self._invalid.append((number, cause))
            valid_from = number + 1
            self._check_consecutive()
            self._check_share(number, valid_from)
        self._check_share(valid_from, end)
        if valid_from != end:
            self._consecutive = 0
        self._records = end

    def _check_consecutive(self) -> None:
        limit = self._settings.max_consecutive
        if self._consecutive > limit:
            raise self._breach(
                f"{self._consecutive} invalid records in a row, ",
                self._consecutive,
                f"DETECTOR_DEAD_LETTER__MAX_CONSECUTIVE={limit}",
            )

    def _check_share(self, before: int, now: int) -> None:
        """Check the records from `before` up to `now`, of which only the last may be invalid.

        Valid records never raise the share, so it is highest after an invalid one, and at the first record at which
        there are enough.
        """
        checked = max(before + 1, MIN_RECORDS)
        if checked > now:
            return
        while self._invalid and self._invalid[0][0] < checked - WINDOW:
            self._invalid.popleft()
        seen = min(checked, WINDOW)
        share = len(self._invalid) / seen
        if share > self._settings.max_ratio:
            raise self._breach(
                f"{share:.0%} of the last {seen} records are invalid; ",
                len(self._invalid),
                f"DETECTOR_DEAD_LETTER__MAX_RATIO={self._settings.max_ratio:g}",
            )

    def _breach(self, what: str, records: int, limit: str) -> DeadLetterLimitError:
        """The error for a limit that the last so many invalid records exceed; they name the cause."""
        invalid = [cause for _, cause in islice(reversed(self._invalid), records)]
        cause, number = CauseCount(reversed(invalid)).commonest()
        return DeadLetterLimitError(
            f"{what}the last: {invalid[0]}; most often ({number} of {len(invalid)}): {cause}; check that "
            f"DETECTOR_KAFKA__EVENTS_TOPIC is the right topic (limit: {limit})"
        )
