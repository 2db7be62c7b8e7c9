"""Calls on a thread of their own."""

import threading
import time

import pytest

from detector.stream.background import in_background, run_within


def test_error_is_raised_where_the_result_is_read():
    """Otherwise the service would wait for brokers that never accept its login."""
    with pytest.raises(ZeroDivisionError):
        in_background(lambda: 1 / 0).result(20)


def test_call_that_takes_longer_does_not_delay_the_caller():
    """Otherwise a shutdown would exceed DETECTOR_SHUTDOWN__TIMEOUT_S when a broker does not respond."""
    is_released, has_ended = threading.Event(), threading.Event()

    def blocked() -> None:
        is_released.wait(20)
        has_ended.set()

    started = time.monotonic()
    try:
        run_within(blocked, 0.1)
        assert time.monotonic() - started < 10
    finally:
        is_released.set()

    assert has_ended.wait(20)
