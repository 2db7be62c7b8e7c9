"""The limits on dead letters."""

import itertools
from unittest.mock import patch

import pytest
from hypothesis import given
from hypothesis import strategies as st

from detector.errors import DeadLetterLimitError
from detector.events.decode import Reject
from detector.service.limits import DeadLetterLimits
from detector.settings import DeadLetterSettings


def rejects(*places: int) -> list[Reject]:
    return [Reject(place, "not_json", "x") for place in places]


def checking(**settings):
    """A check of batch after batch, each behind the one before."""
    limits = DeadLetterLimits(DeadLetterSettings(**settings))

    def check(records, rejected) -> None:
        nonlocal limits
        limits = limits.after(records, rejected)

    return check


def test_run_of_rejects_is_counted_across_batches():
    """A topic that turned bad is noticed however small the batches are."""
    check = checking(max_consecutive=5)
    check(4, rejects(2, 3))
    check(3, rejects(0, 1, 2))

    with pytest.raises(DeadLetterLimitError, match=r"6 records in a row .*MAX_CONSECUTIVE is 5"):
        check(1, rejects(0))


def test_good_record_ends_the_run():
    """Some bad records now and then are no reason to stop."""
    check = checking(max_consecutive=2)
    for _ in range(10):
        check(3, rejects(0, 2))
    check(2, [])
    check(2, rejects(0, 1))


def test_empty_batch_changes_nothing():
    """Quiet moments neither forgive nor condemn."""
    check = checking(max_consecutive=2)
    check(2, rejects(0, 1))
    check(0, [])

    with pytest.raises(DeadLetterLimitError):
        check(1, rejects(0))


def test_share_is_judged_from_1000_records_on():
    """The first records of a new topic may all be bad."""
    check = checking(max_ratio=0.5, max_consecutive=10_000)
    check(999, rejects(*range(999)))

    with pytest.raises(DeadLetterLimitError, match=r"100% of the last 1000 records .*MAX_RATIO is 0.5"):
        check(1, rejects(0))


def test_share_at_the_limit_is_tolerated():
    """Past the limit stops; at it goes on."""
    check = checking(max_ratio=0.5, max_consecutive=10_000)
    check(2000, rejects(*range(1, 2000, 2)))

    with pytest.raises(DeadLetterLimitError):
        check(100, rejects(*range(100)))


def test_share_is_of_the_last_10_000_records():
    """A good past does not hide a bad present."""
    check = checking(max_ratio=0.5, max_consecutive=10_000)
    for _ in range(100):
        check(2000, [])
    for _ in range(2):
        check(2000, rejects(*range(2000)))

    with pytest.raises(DeadLetterLimitError):
        check(2000, rejects(*range(2000)))


@pytest.mark.parametrize("size", [1000, 4999, 5000])
def test_size_of_the_batches_decides_nothing(size):
    """600 bad records among the first 1,000 are as many in a batch of 5,000."""
    check = checking(max_ratio=0.5, max_consecutive=10_000)

    with pytest.raises(DeadLetterLimitError, match=r"60% of the last 1000 records"):
        check(size, rejects(*range(600)))


def test_batch_that_is_read_again_counts_once():
    """Its transaction was aborted, as often as you like: the records are the same ones."""
    limits = DeadLetterLimits(DeadLetterSettings(max_consecutive=5))

    for _ in range(10):
        behind = limits.after(4, rejects(0, 1, 2, 3))

    behind.after(1, rejects(0))
    with pytest.raises(DeadLetterLimitError, match="6 records in a row"):
        behind.after(2, rejects(0, 1))


@given(
    st.lists(st.lists(st.booleans(), max_size=8), max_size=40),
    st.integers(1, 6),
    st.sampled_from([0.2, 0.5, 0.9]),
)
def test_limits_are_those_of_a_slow_count(batches, row, ratio):
    """Whatever the batches: the row, and the share of the window once enough is in it, record by record."""
    limits, seen, stopped = DeadLetterLimits(DeadLetterSettings(max_consecutive=row, max_ratio=ratio)), [], False
    with patch.multiple("detector.service.limits", WINDOW=20, JUDGED_FROM=5):
        try:
            for batch in batches:
                limits = limits.after(len(batch), rejects(*(i for i, bad in enumerate(batch) if bad)))
        except DeadLetterLimitError:
            stopped = True

    expected = False
    for bad in itertools.chain.from_iterable(batches):
        seen.append(bad)
        expected |= len(seen) > row and all(seen[-row - 1 :])
        expected |= len(seen) >= 5 and sum(seen[-20:]) / len(seen[-20:]) > ratio
    assert stopped == expected
