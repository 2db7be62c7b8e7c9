"""Which dead letters are meant: the options that `show` and `replay` share."""

import difflib
import re
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime

from detector.dead_letters.letter import Letter, read_letter
from detector.errors import UsageError
from detector.events.second_opinion import REASONS
from detector.records import Record

_AGE = re.compile(r"([0-9]{1,9})([smhdw])", re.ASCII)
_UNIT_S = {"s": 1, "m": 60, "h": 3_600, "d": 86_400, "w": 604_800}


@dataclass(frozen=True, slots=True)
class Selection:
    """Dead letters with this reason, written at or after this moment; None is no restriction."""

    reason: str | None = None
    since_ms: int | None = None

    @property
    def everything(self) -> bool:
        """Whether nothing is left out."""
        return self.reason is None and self.since_ms is None

    def pick(self, records: Iterable[Record]) -> Iterator[tuple[Record, Letter | None]]:
        """Those that are meant, each with what it is as a dead letter; None for a record of somebody else's."""
        for record in records:
            # Reading starts at the first that is new enough, but clocks differ: older ones may stand behind it.
            if self.since_ms is not None and record.timestamp < self.since_ms:
                continue
            letter = read_letter(record)
            if self.reason is None or (letter is not None and letter.reason == self.reason):
                yield record, letter


def parse_selection(reason: str | None, since: str | None) -> Selection:
    """From the command line.

    Raises:
        UsageError: there is no such reason, or no moment can be made of `since`.
    """
    if reason is not None and reason not in REASONS:
        nearest = difflib.get_close_matches(reason, REASONS, n=1)
        hint = f"did you mean {nearest[0]}? " if nearest else ""
        raise UsageError(f"--reason {reason}: no such reason: {hint}There are {', '.join(REASONS)}")
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
        wrong = "not a moment or an age" if moment is None else "a moment without a time zone"
        raise UsageError(f"--since {text}: {wrong}: write 2026-11-21T10:00:00Z, or an age such as 30m, 2h or 7d")
    return max(0, int(moment.timestamp() * 1000))
