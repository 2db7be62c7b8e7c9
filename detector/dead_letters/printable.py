"""Escapes text from records, so that hostile bytes have no effect on a terminal."""

from datetime import UTC, datetime

from detector.dead_letters.letter import DeadLetter

_SHOWN_BYTES = 100


def printable(text: str) -> str:
    """The text with every non-printable character as an escape sequence."""
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in text)


def preview(value: bytes | None) -> str:
    """The beginning of a value, and its length when it was cut."""
    if value is None:
        return "(null)"
    if not value:
        return "(empty)"
    shown = printable(value[:_SHOWN_BYTES].decode("utf-8", "backslashreplace"))
    return shown if len(value) <= _SHOWN_BYTES else f"{shown}… ({len(value):,} bytes)"


def source_of(letter: DeadLetter) -> str:
    """Where the service read the original record: topic/partition/offset."""
    return printable(f"{letter.topic}/{letter.partition}/{letter.offset}")


def format_timestamp(timestamp_ms: int) -> str:
    """A timestamp as ISO 8601 in UTC; a number outside the range of dates is shown as it is."""
    try:
        time = datetime.fromtimestamp(timestamp_ms / 1000, UTC)
    except (OverflowError, ValueError, OSError):
        return f"{timestamp_ms} ms"
    return "(no time)" if timestamp_ms == -1 else time.isoformat(timespec="seconds").replace("+00:00", "Z")
