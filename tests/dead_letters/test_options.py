"""What can be asked for, and what is printed of hostile bytes."""

import time

import pytest

from detector.dead_letters.letter import read_letter
from detector.dead_letters.printable import moment, preview
from detector.dead_letters.selection import Selection, parse_selection
from detector.errors import UsageError
from detector.records import ReadRecord
from detector.settings import KafkaSettings
from tests.dead_letters.letters import letter


@pytest.mark.parametrize(
    ("text", "age_s"), [("90s", 90), ("30m", 1800), ("2h", 7200), ("7d", 604_800), ("1w", 604_800)]
)
def test_since_is_an_age(text, age_s):
    """What operators type in a hurry."""
    since_s = parse_selection(None, text).since_ms / 1000

    assert time.time() - since_s == pytest.approx(age_s, abs=5)


@pytest.mark.parametrize(
    "text", ["2023-11-14T22:13:20Z", "2023-11-14T22:13:20+00:00", "2023-11-14T23:13:20+01:00", "20231114T221320Z"]
)
def test_since_is_a_moment(text):
    """What is copied from a log line."""
    assert parse_selection(None, text).since_ms == 1_700_000_000_000


def test_since_before_the_epoch_is_everything():
    """Kafka knows no earlier moment, and refuses to be asked for one."""
    assert parse_selection(None, "0001-01-01T00:00:00Z").since_ms == 0
    assert parse_selection(None, "999999999w").since_ms == 0


@pytest.mark.parametrize("text", ["", "yesterday", "2", "2 h", "-2h", "2023-11-14", "2023-11-14T22:13:20", "٣h"])
def test_wrong_since_says_what_to_write(text):
    """A moment without a time zone would be read differently on each machine."""
    with pytest.raises(UsageError, match=rf"^--since {text}: .*: write 2026-11-21T10:00:00Z, or an age such as 30m"):
        parse_selection(None, text)


def test_wrong_reason_gets_the_nearest_and_all():
    """A typing error must not look like an empty topic."""
    with pytest.raises(
        UsageError,
        match="^--reason wrong-type: no such reason: did you mean wrong_type[?] There are tombstone, not_utf8",
    ):
        parse_selection("wrong-type", None)
    with pytest.raises(UsageError, match="^--reason x: no such reason: There are tombstone"):
        parse_selection("x", None)


def test_selection_is_by_reason_and_by_each_records_own_time():
    """Clocks of instances differ: an older record behind a newer one is still older."""
    kafka = KafkaSettings()

    def written(reason, timestamp):
        out = letter(kafka, b"x", reason)
        return ReadRecord(out.topic, 0, 0, timestamp, out.key, out.value, out.headers)

    records = [written("not_json", 9), written("not_json", 11), written("wrong_type", 11), written("not_json", 10)]
    stranger = ReadRecord(kafka.dead_letter_topic, 0, 0, 12, None, b"", [])

    assert [record for record, _ in Selection("not_json", 10).pick([*records, stranger])] == [records[1], records[3]]
    assert list(Selection().pick([records[0], stranger])) == [(records[0], read_letter(records[0])), (stranger, None)]


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (None, "(null)"),
        (b"", "(empty)"),
        ('{"ä": "日本"}'.encode(), '{"ä": "日本"}'),
        (b"\x1b[2J\x1b]0;title\x07\r\n", r"\x1b[2J\x1b]0;title\x07\r\n"),
        (b"\xff\xfe\x9b1m", r"\xff\xfe\x9b1m"),
        ("\u009b1m\u202eevil\u2066\u200b\U000e0041".encode(), r"\x9b1m\u202eevil\u2066\u200b\U000e0041"),
        (b"x" * 12_345, "x" * 100 + "… (12,345 bytes)"),
    ],
)
def test_preview_is_harmless_on_a_terminal(value, shown):
    """Whoever can write to the events topic must not write to an operator's terminal."""
    assert preview(value) == shown


def test_any_timestamp_can_be_shown():
    """A producer can write any 64-bit number as the time."""
    assert moment(1_700_000_000_000) == "2023-11-14T22:13:20Z"
    assert moment(-1) == "(no time)"
    assert moment(2**63 - 1) == f"{2**63 - 1} ms"
    assert moment(-(2**63)) == f"-{2**63} ms"
