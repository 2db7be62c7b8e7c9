"""An alert, independent of the format in which it is written."""

from datetime import UTC, datetime

import msgspec

from detector.records import Record


class AlertModel(msgspec.Struct, frozen=True):
    """The identity of the model that scored the event."""

    name: str
    version: str
    sha256: str


class Alert(msgspec.Struct, frozen=True, gc=False):
    """A suspicious event; a struct of msgspec, because a named tuple takes three times as long to make."""

    record: Record
    """The record whose value is the event."""
    key: bytes | None
    """The key of the alert record."""
    score: float
    """At or above the threshold."""
    severity: str
    detected_at: str
    """As `timestamp_text` returns it."""


def timestamp_text() -> str:
    """The current time in RFC 3339, UTC, in milliseconds; all alerts of a batch have the same."""
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
