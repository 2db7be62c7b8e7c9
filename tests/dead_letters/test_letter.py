"""Parsing a dead letter, and restoring the original record."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from detector.alerts.dead_letter import ADDED, dead_letter
from detector.dead_letters.letter import ATTEMPT, DeadLetter, original_record, parse_dead_letter
from detector.records import NULL_HEADERS, Headers, ReadRecord, Record

UPSTREAM = [("a", b"1"), ("source-topic", b"theirs"), *((name, b"theirs") for name in ADDED), ("a", b""), ("a", b"1")]


def record(headers: Headers, value: bytes = b"{") -> ReadRecord:
    return ReadRecord("process-events", 3, 42, 1_700_000_000_000, b"k", value, headers)


def as_dead_letter(event: Record, extra: Headers = ()) -> ReadRecord:
    """The dead letter that the daemon writes for a record, as it is read from the topic."""
    written = dead_letter("dead-letters", event, "not_json", "why")
    return ReadRecord("dead-letters", 0, 0, 1, written.key, written.value, [*written.headers, *extra])


def parsed(read: Record) -> DeadLetter:
    letter = parse_dead_letter(read)
    assert letter is not None
    return letter


def test_original_record_keeps_its_headers_even_with_the_services_names():
    """Otherwise a record that another detector wrote as a dead letter would lose the headers of that detector."""
    letter = parsed(as_dead_letter(record(UPSTREAM)))

    assert (letter.topic, letter.partition, letter.offset, letter.timestamp_ms) == (
        "process-events",
        3,
        42,
        1_700_000_000_000,
    )
    assert (letter.reason, letter.detail, letter.attempts) == ("not_json", "why", 0)
    assert original_record(letter, "process-events") == ("process-events", b"k", b"{", [*UPSTREAM, (ATTEMPT, b"1")])


names = st.sampled_from([*ADDED, NULL_HEADERS, "other"]) | st.text(max_size=5)


@settings(max_examples=50)
@given(st.lists(st.tuples(names, st.binary(max_size=5))), st.integers(1, 4))
def test_any_headers_are_kept_over_any_number_of_replays(headers, replays):
    """Otherwise a record that is replayed several times would lose headers, or grow with each replay."""
    event = record(headers)
    for attempt in range(1, replays + 1):
        event = record(original_record(parsed(as_dead_letter(event)), "process-events").headers)
        assert event.headers == [*headers, (ATTEMPT, str(attempt).encode())]


def test_names_of_null_headers_are_kept_over_replays():
    """Otherwise consumers could not tell whether a header was null or empty."""
    null_names = (NULL_HEADERS, b"a")
    first = original_record(parsed(as_dead_letter(record([("a", b""), ("b", b"")]), [null_names])), "process-events")
    assert first.headers == [("a", b""), ("b", b""), (ATTEMPT, b"1"), null_names]

    second = original_record(parsed(as_dead_letter(record(first.headers))), "process-events")
    assert second.headers == [("a", b""), ("b", b""), (ATTEMPT, b"2"), null_names]


@pytest.mark.parametrize(
    "own",
    [
        [(ATTEMPT, b"2"), ("x", b"")],
        [(ATTEMPT, b"many")],
        [(ATTEMPT, b"-1")],
        [(ATTEMPT, b"")],
        [(ATTEMPT, None)],
        [(ATTEMPT, b"9" * 5000)],
    ],
)
def test_attempt_header_that_the_service_did_not_write_is_kept(own):
    """Otherwise a producer's own header would stop the replay of its record, or be lost."""
    letter = parsed(as_dead_letter(record(own)))

    assert letter.attempts == 0
    assert original_record(letter, "t").headers == [*own, (ATTEMPT, b"1")]


@pytest.mark.parametrize(
    "headers",
    [
        [],
        [("dead-letter-reason", b"not_json")],
        [(name, b"1") for name in reversed(ADDED)],
        [*((name, b"1") for name in ADDED), ("after", b"")],
        [(name, b"none") for name in ADDED],
        [(name, None) for name in ADDED],
    ],
)
def test_record_that_the_service_did_not_write_is_no_dead_letter(headers):
    """Otherwise other programs' records on the dead-letter topic would be sent to the events topic."""
    assert parse_dead_letter(record(headers)) is None
