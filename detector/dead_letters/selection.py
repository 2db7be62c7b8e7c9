"""Which dead letters are selected: the options that `show` and `replay` share."""

import difflib
import re
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime

from detector.dead_letters.letter import DeadLetter, parse_dead_letter
from detector.errors import UsageError
from detector.events.strict_decode import REASONS
from detector.records import Record

_AGE = re.compile(r"([0-9]{1,9})([smhdw])", re.ASCII)
_UNIT_S = {"s": 1, "m": 60, "h": 3_600, "d": 86_400, "w": 604_800}


@dataclass(frozen=True, slots=True)
class Selection:
    """Selects dead letters by their reason and by the time when they were written; None selects all."""

    reason: str | None = None
    since_ms: int | None = None

    @property
    def everything(self) -> bool:
        """Whether every dead letter is selected."""
        return self.reason is None and self.since_ms is None

    def pick(self, records: Iterable[Record]) -> Iterator[tuple[Record, DeadLetter | None]]:
        """The selected records with their dead letters, None for a record that the service did not write."""
        for record in records:
            # Reading starts at the first record that is new enough, but older timestamps may follow, because the clocks
            # of producers differ.
            if self.since_ms is not None and record.timestamp < self.since_ms:
                continue
            letter = parse_dead_letter(record)
            if self.reason is None or (letter is not None and letter.reason == self.reason):
                yield record, letter


def parse_selection(reason: str | None, since: str | None) -> Selection:
    """Parse the command-line options.

    Raises:
        UsageError: the reason does not exist, or `since` is neither a time nor an age.
    """
    if reason is not None and reason not in REASONS:
        nearest = difflib.get_close_matches(reason, REASONS, n=1)
        hint = f"did you mean {nearest[0]}? " if nearest else ""
        raise UsageError(f"--reason {reason}: no such reason; {hint}the reasons are {', '.join(REASONS)}")
    return Selection(reason, None if since is None else _parse_since(since))


def _parse_since(text: str) -> int:
    age = _AGE.fullmatch(text)
    if age:
        return max(0, int((time.time() - int(age[1]) * _UNIT_S[age[2]]) * 1000))
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        moment = None
    if moment is None or moment.tzinfo is None:
        problem = "neither a time nor an age" if moment is None else "a time without a time zone"
        raise UsageError(f"--since {text}: {problem}; write 2026-11-21T10:00:00Z, or an age such as 30m, 2h or 7d")
    return max(0, int(moment.timestamp() * 1000))
