"""Hostile bytes for a terminal: what is printed moves no cursor, changes no colour, and turns no text around."""

from datetime import UTC, datetime

from detector.dead_letters.letter import Letter

_SHOWN_BYTES = 100


def printable(text: str) -> str:
    """The text with every character that is not plainly visible written as an escape."""
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in text)


def preview(value: bytes | None) -> str:
    """The beginning of a value, and how long it is when that is not all."""
    if value is None:
        return "(null)"
    if not value:
        return "(empty)"
    shown = printable(value[:_SHOWN_BYTES].decode("utf-8", "backslashreplace"))
    return shown if len(value) <= _SHOWN_BYTES else f"{shown}… ({len(value):,} bytes)"


def place_of(letter: Letter) -> str:
    """Where the service read the record: topic/partition/offset."""
    return printable(f"{letter.topic}/{letter.partition}/{letter.offset}")


def moment(timestamp_ms: int) -> str:
    """A timestamp as ISO 8601 in UTC; a producer may have written any number, which is then shown as it is."""
    try:
        time = datetime.fromtimestamp(timestamp_ms / 1000, UTC)
    except (OverflowError, ValueError, OSError):
        return f"{timestamp_ms} ms"
    return "(no time)" if timestamp_ms == -1 else time.isoformat(timespec="seconds").replace("+00:00", "Z")
