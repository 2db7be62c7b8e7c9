"""The one rule for a value, wherever an event comes from: what is an integer, and what is a label."""

import re
from collections.abc import Mapping
from typing import Any

INT64 = range(-(2**63), 2**63)
MAX_INT64_CHARS = len(str(INT64.start))
DECIMAL = re.compile(r"-?[0-9]+", re.ASCII)
_NUMBER = re.compile(r"-?[0-9]+(\.[0-9]*)?([eE][+-]?[0-9]+)?", re.ASCII)
_MAX_WHOLE = 2**53
"""Above it, a float no longer says which integer was meant."""
_LABELS: Mapping[str, int] = {"0": 0, "0.0": 0, "false": 0, "1": 1, "1.0": 1, "true": 1}


def integer(value: Any) -> int | None:
    """A JSON value as an integer, of any size: whole numbers, also written as `381.0`, and decimal strings.

    Returns:
        None for any other value. Of a longer text than any 64-bit integer, some integer beyond 64 bits.
    """
    if isinstance(value, str) and DECIMAL.fullmatch(value):
        sign, digits = ("-", value[1:]) if value[0] == "-" else ("", value)
        return bounded_int(sign + (digits.lstrip("0") or "0"))
    if isinstance(value, float):
        return int(value) if value.is_integer() and abs(value) <= _MAX_WHOLE else None
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def label(value: Any) -> int | None:
    """A JSON value as a label: 0 benign, 1 suspicious, however it is written; None for any other value."""
    if isinstance(value, str):
        return _LABELS.get(value.strip().lower())
    return int(value) if isinstance(value, int | float) and value in (0, 1) else None


def cell_number(text: str) -> int | float | str:
    """The number in a CSV cell, which has no types; the text itself when it is not a number that JSON can hold."""
    stripped = text.strip()
    if DECIMAL.fullmatch(stripped):
        number: int | float = int(stripped) if len(stripped) <= MAX_INT64_CHARS else INT64.stop
        return number if number in INT64 else stripped
    if _NUMBER.fullmatch(stripped):
        number = float(stripped)
        whole = integer(number)
        return text if abs(number) == float("inf") else number if whole is None else whole
    return text


def bounded_int(digits: str) -> int:
    """The integer; of a longer text than any 64-bit integer, which would take quadratic time, one beyond 64 bits."""
    return int(digits) if len(digits) <= MAX_INT64_CHARS else INT64.stop
