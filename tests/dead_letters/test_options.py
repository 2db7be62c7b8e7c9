"""The options that select dead letters, and the escaping of what is printed."""

import time

import pytest

from detector.dead_letters.letter import parse_dead_letter
from detector.dead_letters.printable import format_timestamp, preview
from detector.dead_letters.selection import Selection, parse_selection
from detector.errors import UsageError
from detector.records import ReadRecord
from detector.settings import KafkaSettings
from tests.dead_letters.written import new_dead_letter


@pytest.mark.parametrize(
    ("text", "age_s"), [("90s", 90), ("30m", 1800), ("2h", 7200), ("7d", 604_800), ("1w", 604_800)]
)
def test_since_is_an_age(text, age_s):
    """Otherwise operators could not select the dead letters of the last minutes or hours."""
    since_s = (parse_selection(None, text).since_ms or 0) / 1000

    assert time.time() - since_s == pytest.approx(age_s, abs=5)


@pytest.mark.parametrize(
    "text", ["2023-11-14T22:13:20Z", "2023-11-14T22:13:20+00:00", "2023-11-14T23:13:20+01:00", "20231114T221320Z"]
)
def test_since_is_a_time(text):
    """Otherwise operators could not use a time that they copied from a log line."""
    assert parse_selection(None, text).since_ms == 1_700_000_000_000


def test_since_before_the_epoch_selects_everything():
    """Otherwise a very large age would be an error, because Kafka has no timestamps before 1970."""
    assert parse_selection(None, "0001-01-01T00:00:00Z").since_ms == 0
    assert parse_selection(None, "999999999w").since_ms == 0


@pytest.mark.parametrize("text", ["", "yesterday", "2", "2 h", "-2h", "2023-11-14", "2023-11-14T22:13:20", "٣h"])
def test_invalid_since_is_an_error_that_says_what_to_write(text):
    """Otherwise operators would not learn the valid forms, or a time would mean something else on each machine."""
    with pytest.raises(UsageError, match=rf"^--since {text}: .*; write 2026-11-21T10:00:00Z, or an age such as 30m"):
        parse_selection(None, text)


def test_unknown_reason_is_an_error_with_the_nearest_and_all_reasons():
    """Otherwise a mistyped reason would look as if there were no dead letters."""
    with pytest.raises(
        UsageError,
        match="^--reason wrong-type: no such reason; did you mean wrong_type[?] the reasons are tombstone, not_utf8",
    ):
        parse_selection("wrong-type", None)
    with pytest.raises(UsageError, match="^--reason x: no such reason; the reasons are tombstone"):
        parse_selection("x", None)


def test_selection_is_by_reason_and_by_each_records_own_time():
    """Otherwise old dead letters would be selected when the clocks of instances differ."""
    kafka = KafkaSettings()

    def written(reason: str, timestamp: int) -> ReadRecord:
        out = new_dead_letter(kafka, b"x", reason)
        return ReadRecord(out.topic, 0, 0, timestamp, out.key, out.value, out.headers)

    records = [written("not_json", 9), written("not_json", 11), written("wrong_type", 11), written("not_json", 10)]
    foreign = ReadRecord(kafka.dead_letter_topic, 0, 0, 12, None, b"", [])

    assert [record for record, _ in Selection("not_json", 10).pick([*records, foreign])] == [records[1], records[3]]
    assert list(Selection().pick([records[0], foreign])) == [
        (records[0], parse_dead_letter(records[0])),
        (foreign, None),
    ]


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
def test_preview_has_no_effect_on_a_terminal(value, shown):
    """Otherwise anyone who can write to the events topic could control an operator's terminal."""
    assert preview(value) == shown


def test_any_timestamp_can_be_printed():
    """Otherwise `dead-letter show` would fail on a record whose producer wrote an impossible timestamp."""
    assert format_timestamp(1_700_000_000_000) == "2023-11-14T22:13:20Z"
    assert format_timestamp(-1) == "(no time)"
    assert format_timestamp(2**63 - 1) == f"{2**63 - 1} ms"
    assert format_timestamp(-(2**63)) == f"-{2**63} ms"
