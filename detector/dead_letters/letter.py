"""Parses a dead letter: the original record, and what the service added to it."""

import re
from dataclasses import dataclass

from detector.alerts.dead_letter import ADDED
from detector.records import NULL_HEADERS, Headers, OutgoingRecord, Record

ATTEMPT = "dead-letter-attempt"
"""Header: how often a record was replayed. It follows the record's own headers, so the next dead letter keeps it."""

_DECIMAL = re.compile(rb"-?[0-9]{1,18}")


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """One dead letter: the record on the dead-letter topic, and what its headers say."""

    record: Record
    reason: str
    detail: str
    topic: str
    """Topic of the original record; so are the next four attributes the original record's."""
    partition: int
    offset: int
    timestamp_ms: int
    headers: Headers
    """Without the headers that the service added."""
    attempts: int
    """How often the record was replayed before."""
    null_names: Headers
    """The header `NULL_HEADERS`, if there is one: it names headers that were null and were written empty."""


def parse_dead_letter(record: Record) -> DeadLetter | None:
    """Parse a dead letter; None when the service did not write it.

    The service's headers are at the end, in a fixed order. Headers with the same names elsewhere are the original
    record's, for example from another detector upstream.
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
    return DeadLetter(
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


def original_record(letter: DeadLetter, topic: str) -> OutgoingRecord:
    """The record as it was first read, with the attempt number after its headers."""
    attempt = (ATTEMPT, str(letter.attempts + 1).encode())
    record = letter.record
    # A header that was null stays empty, because the client cannot write null; its name is added again.
    return OutgoingRecord(topic, record.key, record.value, [*letter.headers, attempt, *letter.null_names])


def _text(value: bytes) -> str:
    return value.decode("utf-8", "backslashreplace")


def _split_null_names(headers: Headers) -> tuple[Headers, Headers]:
    cut = len(headers) - 1 if headers and headers[-1][0] == NULL_HEADERS else len(headers)
    return headers[:cut], headers[cut:]


def _split_attempt(headers: Headers) -> tuple[Headers, int, Headers]:
    """The record's own headers, the number of attempts, and the header `NULL_HEADERS` if there is one."""
    own, carried = _split_null_names(headers)
    name, value = own[-1] if own else ("", None)
    if name == ATTEMPT and value and _DECIMAL.fullmatch(value) and int(value) > 0:
        return own[:-1], int(value), carried
    return headers, 0, []
