"""The dead letter: a record that is no event, as it came, with the reason in its headers."""

from detector import __version__
from detector.records import OutgoingRecord, Record

_LONGEST_DETAIL = 500


def dead_letter(topic: str, record: Record, reason: str, detail: str) -> OutgoingRecord:
    """The record's own key, value and headers, and behind them the headers that say what happened to it."""
    added = {
        "dead-letter-reason": reason,
        "dead-letter-detail": detail[:_LONGEST_DETAIL],
        "source-topic": record.topic,
        "source-partition": str(record.partition),
        "source-offset": str(record.offset),
        "source-timestamp-ms": str(record.timestamp),
        "detector-version": __version__,
    }
    # A field name quoted in the detail may hold a lone surrogate, which has no UTF-8 form.
    headers = [(name, text.encode("utf-8", "replace")) for name, text in added.items()]
    return OutgoingRecord(topic, record.key, record.value, [*record.headers, *headers])
