"""When a batch that is not full closes."""

import pytest

from detector.stream.window import BatchWindow

WAIT_S = 0.020


@pytest.mark.parametrize(
    ("asked_at", "first_at", "expected"),
    [
        pytest.param(10.000, 10.004, 10.024, id="the poll waited for the first record: from its arrival"),
        pytest.param(10.006, 10.007, 10.020, id="the first record was available: from the end of the previous batch"),
        pytest.param(10.018, 10.019, 10.024, id="most of the wait is over: still a quarter of it for more records"),
        pytest.param(15.000, 15.001, 15.006, id="all of the wait is over: still a quarter of it for more records"),
    ],
)
def test_wait_counts_from_when_the_first_record_may_have_arrived(asked_at, first_at, expected):
    """Otherwise records that arrive while a batch is processed would wait too long, and alerts would be late."""
    window = BatchWindow()
    window.close(10.0)

    assert window.close_time(asked_at, first_at, WAIT_S) == pytest.approx(expected)


def test_first_batch_waits_a_quarter_when_its_first_record_was_available():
    """Otherwise the first batch after a start would be delivered almost empty."""
    assert BatchWindow().close_time(10.000, 10.001, WAIT_S) == pytest.approx(10.006)


def test_without_a_wait_a_batch_closes_at_once():
    """Otherwise `DETECTOR_BATCH__MAX_WAIT_MS=0` would still wait for more records."""
    window = BatchWindow()
    window.close(10.0)

    assert window.close_time(10.5, 10.501, 0) <= 10.501
