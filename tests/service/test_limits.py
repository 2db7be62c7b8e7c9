"""The limits on dead letters."""

import itertools
from unittest.mock import patch

import pytest
from hypothesis import given
from hypothesis import strategies as st

from detector.errors import DeadLetterLimitError
from detector.service.causes import Cause
from detector.service.limits import DeadLetterLimits
from detector.settings import DeadLetterSettings


def invalid(*rows: int, reason: str = "not_json", detail: str = "x") -> list[Cause]:
    return [Cause(row, reason, detail, f"events-0@{row}") for row in rows]


def checker(**settings):
    """A function that checks one batch after another."""
    limits = DeadLetterLimits(DeadLetterSettings(**settings))

    def check(records, invalid_records) -> None:
        nonlocal limits
        limits = limits.after(records, invalid_records)

    return check


def test_consecutive_invalid_records_are_counted_across_batches():
    """Otherwise small batches would hide that a topic has only invalid records."""
    check = checker(max_consecutive=5)
    check(4, invalid(2, 3))
    check(3, invalid(0, 1, 2))

    with pytest.raises(DeadLetterLimitError, match=r"6 invalid records in a row, .*MAX_CONSECUTIVE=5"):
        check(1, invalid(0))


def test_valid_record_resets_the_consecutive_count():
    """Otherwise a few invalid records now and then would stop the service."""
    check = checker(max_consecutive=2)
    for _ in range(10):
        check(3, invalid(0, 2))
    check(2, [])
    check(2, invalid(0, 1))


def test_empty_batch_changes_nothing():
    """Otherwise a poll without records would hide invalid records, or count as one."""
    check = checker(max_consecutive=2)
    check(2, invalid(0, 1))
    check(0, [])

    with pytest.raises(DeadLetterLimitError):
        check(1, invalid(0))


def test_share_is_checked_from_1000_records_on():
    """Otherwise a few invalid records at the start of a topic would stop the service."""
    check = checker(max_ratio=0.5, max_consecutive=10_000)
    check(999, invalid(*range(999)))

    with pytest.raises(DeadLetterLimitError, match=r"100% of the last 1000 records are invalid; .*MAX_RATIO=0\.5"):
        check(1, invalid(0))


def test_share_at_the_limit_is_tolerated():
    """Otherwise the service would stop although the share of invalid records is permitted."""
    check = checker(max_ratio=0.5, max_consecutive=10_000)
    check(2000, invalid(*range(1, 2000, 2)))

    with pytest.raises(DeadLetterLimitError):
        check(100, invalid(*range(100)))


def test_share_is_of_the_last_10_000_records():
    """Otherwise many valid records in the past would hide that all records are invalid now."""
    check = checker(max_ratio=0.5, max_consecutive=10_000)
    for _ in range(100):
        check(2000, [])
    for _ in range(2):
        check(2000, invalid(*range(2000)))

    with pytest.raises(DeadLetterLimitError):
        check(2000, invalid(*range(2000)))


@pytest.mark.parametrize("size", [1000, 4999, 5000])
def test_batch_size_does_not_change_the_result(size):
    """Otherwise a larger batch could hide so many invalid records that the service does not stop."""
    check = checker(max_ratio=0.5, max_consecutive=10_000)

    with pytest.raises(DeadLetterLimitError, match=r"60% of the last 1000 records are invalid"):
        check(size, invalid(*range(600)))


def test_breach_of_the_ratio_names_the_commonest_cause_and_the_last():
    """Otherwise users would see that records are invalid, but not why, nor where to look."""
    check = checker(max_ratio=0.5, max_consecutive=10_000)
    causes = [
        *invalid(*range(100), reason="tombstone", detail="null value"),
        *invalid(*range(100, 500), reason="missing_field", detail="userId"),
        *invalid(*range(500, 700), reason="wrong_type", detail='userId is "x", not an integer'),
    ]

    with pytest.raises(DeadLetterLimitError) as stopped:
        check(1000, causes)

    assert str(stopped.value).startswith(
        '70% of the last 1000 records are invalid; the last: wrong_type (userId is "x", not an integer) at '
        "events-0@699; most often (400 of 700): missing_field (userId) at events-0@100; check"
    )


def test_breach_of_the_number_in_a_row_names_the_commonest_cause_of_these():
    """Otherwise a cause long gone would be blamed."""
    check = checker(max_consecutive=5)
    check(4, invalid(0, 1, 2, reason="tombstone", detail="null value"))
    check(3, [*invalid(0, reason="not_utf8"), *invalid(1, 2)])

    with pytest.raises(
        DeadLetterLimitError, match=r"not_json \(x\) at events-0@2; most often \(5 of 6\): not_json \(x\)"
    ):
        check(3, invalid(0, 1, 2))


def test_commonest_cause_is_found_among_details_that_all_differ():
    """Otherwise a rare cause whose detail is constant would be named before a common one that quotes its value."""
    check = checker(max_ratio=1.0, max_consecutive=3000)
    differing = [cause._replace(reason="wrong_type", detail=str(cause.row)) for cause in invalid(*range(2500))]
    check(2500, differing)

    with pytest.raises(DeadLetterLimitError, match=r"most often \(2500 of 3001\): wrong_type \(0\) at events-0@0"):
        check(501, invalid(*range(501)))


def test_batch_that_is_read_again_counts_once():
    """Otherwise a batch whose transaction is aborted again and again would exceed the limit."""
    limits = DeadLetterLimits(DeadLetterSettings(max_consecutive=5))

    for _ in range(10):
        after = limits.after(4, invalid(0, 1, 2, 3))

    after.after(1, invalid(0))
    with pytest.raises(DeadLetterLimitError, match="6 invalid records in a row"):
        after.after(2, invalid(0, 1))


@given(
    st.lists(st.lists(st.booleans(), max_size=8), max_size=40),
    st.integers(1, 6),
    st.sampled_from([0.2, 0.5, 0.9]),
)
def test_limits_agree_with_a_simple_count(batches, max_consecutive, max_ratio):
    """Otherwise the service would stop at another record than its settings say."""
    settings = DeadLetterSettings(max_consecutive=max_consecutive, max_ratio=max_ratio)
    limits, stopped = DeadLetterLimits(settings), False
    with patch.multiple("detector.service.limits", WINDOW=20, MIN_RECORDS=5):
        try:
            for batch in batches:
                limits = limits.after(len(batch), invalid(*(row for row, is_invalid in enumerate(batch) if is_invalid)))
        except DeadLetterLimitError:
            stopped = True

    expected, seen = False, []
    for is_invalid in itertools.chain.from_iterable(batches):
        seen.append(is_invalid)
        expected |= len(seen) > max_consecutive and all(seen[-max_consecutive - 1 :])
        expected |= len(seen) >= 5 and sum(seen[-20:]) / len(seen[-20:]) > max_ratio
    assert stopped == expected
