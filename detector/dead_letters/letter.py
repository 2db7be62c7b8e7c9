"""A dead letter read back: the record as it first came, apart from what was added to it on its way."""

import re
from dataclasses import dataclass

from detector.alerts.dead_letter import ADDED
from detector.records import Headers, OutgoingRecord, Record
from detector.stream.kafka_records import NULL_HEADERS

ATTEMPT = "dead-letter-attempt"
"""How often a record was sent back; behind the record's own headers, so that it outlives the next dead letter."""

_DECIMAL = re.compile(rb"-?[0-9]{1,18}")


@dataclass(frozen=True, slots=True)
class Letter:
    """One dead letter: `headers` are the record's own, `attempts` how often it was sent back before.

    `null_names` is the header that names those of the record's own that were null and had to be written empty, if any.
    """

    record: Record
    reason: str
    detail: str
    topic: str
    partition: int
    offset: int
    timestamp_ms: int
    headers: Headers
    attempts: int
    null_names: Headers


def read_letter(record: Record) -> Letter | None:
    """Take a dead letter apart; None when the service did not write it.

    Only what stands at the end and in the service's order is the service's: a record may have come with headers of the
    same names, from another instance upstream.
    """
    headers, null_names = _split_null_names(list(record.headers))
    cut = len(headers) - len(ADDED)
    if tuple(name for name, _ in headers[max(cut, 0) :]) != ADDED:
        return None
    reason, detail, topic, *numbers, _version = [value or b"" for _, value in headers[cut:]]
    if not all(map(_DECIMAL.fullmatch, numbers)):
        return None
    own, attempts, carried = _split_attempt(headers[:cut])
    partition, offset, timestamp_ms = map(int, numbers)
    return Letter(
        record=record,
        reason=_text(reason),
        detail=_text(detail),
        topic=_text(topic),
        partition=partition,
        offset=offset,
        timestamp_ms=timestamp_ms,
        headers=own,
        attempts=attempts,
        null_names=[*carried, *null_names],
    )


def sent_back(letter: Letter, topic: str) -> OutgoingRecord:
    """The record as it first came, with one attempt more behind its headers."""
    attempt = (ATTEMPT, str(letter.attempts + 1).encode())
    record = letter.record
    # Null headers go out empty once more, for kafka-python cannot write them: so their names go with them.
    return OutgoingRecord(topic, record.key, record.value, [*letter.headers, attempt, *letter.null_names])


def _text(value: bytes) -> str:
    return value.decode("utf-8", "backslashreplace")


def _split_null_names(headers: Headers) -> tuple[Headers, Headers]:
    cut = len(headers) - 1 if headers and headers[-1][0] == NULL_HEADERS else len(headers)
    return headers[:cut], headers[cut:]


def _split_attempt(headers: Headers) -> tuple[Headers, int, Headers]:
    """The record's own headers, the attempts, and the names that were carried behind them."""
    own, carried = _split_null_names(headers)
    name, value = own[-1] if own else ("", None)
    if name == ATTEMPT and value and _DECIMAL.fullmatch(value) and int(value) > 0:
        return own[:-1], int(value), carried
    return headers, 0, []
