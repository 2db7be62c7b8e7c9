"""The limits on dead letters."""

import pytest

from detector.errors import DeadLetterLimitError
from detector.events.decode import Reject
from detector.service.limits import DeadLetterLimits
from detector.settings import DeadLetterSettings


def rejects(*places: int) -> list[Reject]:
    return [Reject(place, "not_json", "x") for place in places]


def limits(**settings) -> DeadLetterLimits:
    return DeadLetterLimits(DeadLetterSettings(**settings))


def test_run_of_rejects_is_counted_across_batches():
    """A topic that turned bad is noticed however small the batches are."""
    check = limits(max_consecutive=5).check
    check(4, rejects(2, 3))
    check(3, rejects(0, 1, 2))

    with pytest.raises(DeadLetterLimitError, match=r"6 records in a row .*MAX_CONSECUTIVE is 5"):
        check(1, rejects(0))


def test_good_record_ends_the_run():
    """Some bad records now and then are no reason to stop."""
    check = limits(max_consecutive=2).check
    for _ in range(10):
        check(3, rejects(0, 2))
    check(2, [])
    check(2, rejects(0, 1))


def test_empty_batch_changes_nothing():
    """Quiet moments neither forgive nor condemn."""
    check = limits(max_consecutive=2).check
    check(2, rejects(0, 1))
    check(0, [])

    with pytest.raises(DeadLetterLimitError):
        check(1, rejects(0))


def test_share_is_judged_from_1000_records_on():
    """The first records of a new topic may all be bad."""
    check = limits(max_ratio=0.5, max_consecutive=10_000).check
    check(999, rejects(*range(999)))

    with pytest.raises(DeadLetterLimitError, match=r"100% of the last 1000 records .*MAX_RATIO is 0.5"):
        check(1, rejects(0))


def test_share_at_the_limit_is_tolerated():
    """Past the limit stops; at it goes on."""
    check = limits(max_ratio=0.5, max_consecutive=10_000).check
    check(2000, rejects(*range(0, 2000, 2)))

    with pytest.raises(DeadLetterLimitError):
        check(100, rejects(*range(100)))


def test_share_is_of_the_last_10_000_records():
    """A good past does not hide a bad present."""
    check = limits(max_ratio=0.5, max_consecutive=10_000).check
    for _ in range(100):
        check(2000, [])
    for _ in range(2):
        check(2000, rejects(*range(2000)))

    with pytest.raises(DeadLetterLimitError):
        check(2000, rejects(*range(2000)))
