"""The dead letter: an invalid record, unchanged, with the reason in added headers."""

from detector import __version__
from detector.records import OutgoingRecord, Record

ADDED = (
    "dead-letter-reason",
    "dead-letter-detail",
    "source-topic",
    "source-partition",
    "source-offset",
    "source-timestamp-ms",
    "detector-version",
)
"""The added headers, after the record's own: always all of them in this order, so that they can be told apart from
headers of the same names that the record had."""

MAX_DETAIL_CHARS = 500


def dead_letter(topic: str, record: Record, reason: str, detail: str) -> OutgoingRecord:
    """The record's key, value and headers, followed by headers with the reason and the source."""
    texts = (
        reason,
        detail[:MAX_DETAIL_CHARS],
        record.topic,
        str(record.partition),
        str(record.offset),
        str(record.timestamp),
        __version__,
    )
    # A value quoted in the detail may have a lone surrogate, which UTF-8 cannot encode.
    headers = [(name, text.encode("utf-8", "replace")) for name, text in zip(ADDED, texts, strict=True)]
    return OutgoingRecord(topic, record.key, record.value, [*record.headers, *headers])
