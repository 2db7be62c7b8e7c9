"""A dead letter taken apart and put together again."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from detector.alerts.dead_letter import ADDED, dead_letter
from detector.dead_letters.letter import ATTEMPT, read_letter, sent_back
from detector.records import ReadRecord, Record
from detector.stream.kafka_records import NULL_HEADERS

UPSTREAM = [("a", b"1"), ("source-topic", b"theirs"), *((name, b"theirs") for name in ADDED), ("a", b""), ("a", b"1")]


def record(headers, value=b"{"):
    return ReadRecord("process-events", 3, 42, 1_700_000_000_000, b"k", value, headers)


def as_letter(event: Record, extra=()):
    """What the daemon makes of a record, as it is read back."""
    written = dead_letter("letters", event, "not_json", "why")
    return ReadRecord("letters", 0, 0, 1, written.key, written.value, [*written.headers, *extra])


def test_record_is_as_it_came_even_with_headers_that_have_our_names():
    """A record that a detector upstream wrote must reach the events topic with that detector's headers."""
    letter = read_letter(as_letter(record(UPSTREAM)))

    assert (letter.topic, letter.partition, letter.offset, letter.timestamp_ms) == (
        "process-events",
        3,
        42,
        1_700_000_000_000,
    )
    assert (letter.reason, letter.detail, letter.attempts) == ("not_json", "why", 0)
    assert sent_back(letter, "process-events") == ("process-events", b"k", b"{", [*UPSTREAM, (ATTEMPT, b"1")])


names = st.sampled_from([*ADDED, NULL_HEADERS, "other"]) | st.text(max_size=5)


@settings(max_examples=50)
@given(st.lists(st.tuples(names, st.binary(max_size=5))), st.integers(1, 4))
def test_any_headers_survive_any_number_of_rounds(headers, rounds):
    """However often it goes round, only the count changes: nothing is lost, nothing piles up."""
    event = record(headers)
    for attempt in range(1, rounds + 1):
        event = record(sent_back(read_letter(as_letter(event)), "process-events").headers)
        assert event.headers == [*headers, (ATTEMPT, str(attempt).encode())]


def test_names_of_null_headers_stay_true_over_rounds():
    """A null header had to be written empty: whoever reads the replayed record learns that it was null, once."""
    names = (NULL_HEADERS, b"a")
    first = sent_back(read_letter(as_letter(record([("a", b""), ("b", b"")]), [names])), "process-events")
    assert first.headers == [("a", b""), ("b", b""), (ATTEMPT, b"1"), names]

    second = sent_back(read_letter(as_letter(record(first.headers))), "process-events")
    assert second.headers == [("a", b""), ("b", b""), (ATTEMPT, b"2"), names]


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
def test_attempt_that_we_did_not_write_is_the_records_own(own):
    """Neither does a strange header stop a replay, nor is it taken away."""
    letter = read_letter(as_letter(record(own)))

    assert letter.attempts == 0
    assert sent_back(letter, "t").headers == [*own, (ATTEMPT, b"1")]


@pytest.mark.parametrize(
    "headers",
    [
        [],
        [("dead-letter-reason", b"not_json")],
        [(name, b"1") for name in reversed(ADDED)],
        [*((name, b"1") for name in ADDED), ("behind", b"")],
        [(name, b"none") for name in ADDED],
        [(name, None) for name in ADDED],
    ],
)
def test_record_that_the_service_did_not_write_is_told_apart(headers):
    """Somebody else's record in the topic is not sent to the events topic by guesswork."""
    assert read_letter(record(headers)) is None
