"""When a batch closes that is not full."""

import pytest

from detector.stream.window import Window

WAIT_S = 0.020


@pytest.mark.parametrize(
    ("asked", "came", "expected"),
    [
        pytest.param(10.000, 10.004, 10.024, id="waited for: from its first record"),
        pytest.param(10.006, 10.007, 10.020, id="there already: from the end of the batch before"),
        pytest.param(10.018, 10.019, 10.024, id="there for nearly as long: a quarter for those on their way"),
        pytest.param(15.000, 15.001, 15.006, id="there for longer than that: no less"),
    ],
)
def test_time_runs_from_when_the_first_record_may_have_come(asked, came, expected):
    """Or what gathers while a batch is worked on would wait for all of the time once more."""
    window = Window()
    window.close(10.0)

    assert window.end(asked, came, WAIT_S) == pytest.approx(expected)


def test_first_batch_waits_for_a_quarter_when_it_is_there_already():
    """There was no batch before."""
    assert Window().end(10.000, 10.001, WAIT_S) == pytest.approx(10.006)


def test_without_a_wait_a_batch_is_what_is_there():
    """Whatever came before."""
    window = Window()
    window.close(10.0)

    assert window.end(10.5, 10.501, 0) <= 10.501
