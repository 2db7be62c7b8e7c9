"""The dead letter: a record that is no event, as it came, with the reason in its headers."""

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
"""The headers behind the record's own, always all and in this order: that is how they are told from the record's."""

_LONGEST_DETAIL = 500


def dead_letter(topic: str, record: Record, reason: str, detail: str) -> OutgoingRecord:
    """The record's own key, value and headers, and behind them the headers that say what happened to it."""
    texts = (
        reason,
        detail[:_LONGEST_DETAIL],
        record.topic,
        str(record.partition),
        str(record.offset),
        str(record.timestamp),
        __version__,
    )
    # A field name quoted in the detail may hold a lone surrogate, which has no UTF-8 form.
    headers = [(name, text.encode("utf-8", "replace")) for name, text in zip(ADDED, texts, strict=True)]
    return OutgoingRecord(topic, record.key, record.value, [*record.headers, *headers])
