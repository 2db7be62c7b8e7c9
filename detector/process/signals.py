"""Stop signals: the first asks for a graceful shutdown, the second exits at once. Other signals call a function."""

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

_STOP_SIGNALS = (signal.SIGTERM, signal.SIGINT)


class StopRequest:
    """Set by the first stop signal; code that would otherwise sleep waits on it.

    Args:
        on_request: called when the stop is requested; must be safe in a signal handler.
    """

    def __init__(self, on_request: Callable[[], None] = lambda: None) -> None:
        self._on_request = on_request
        self._event = threading.Event()
        self._requested_at = 0.0

    def __bool__(self) -> bool:
        return self._event.is_set()

    def request(self) -> None:
        """Request the stop."""
        self._requested_at = time.monotonic()
        self._event.set()
        self._on_request()

    def seconds_since(self) -> float:
        """Seconds since the stop was requested; 0 when it was not."""
        return time.monotonic() - self._requested_at if self else 0.0

    def wait(self, timeout_s: float) -> bool:
        """Sleep until the timeout or until the stop is requested; True when it was requested."""
        return self._event.wait(timeout_s)


@contextmanager
def stop_on_signals(stop: StopRequest) -> Iterator[None]:
    """Within the block, SIGTERM and SIGINT request the stop; a second one exits at once with 128 + its number."""

    def handle(number: int, _frame: FrameType | None) -> None:
        if stop:
            os._exit(128 + number)
        stop.request()

    before = {number: signal.signal(number, handle) for number in _STOP_SIGNALS}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def call_on(number: signal.Signals, call: Callable[[], None]) -> Iterator[None]:
    """Within the block, this signal calls this function."""
    before = signal.signal(number, lambda _number, _frame: call())
    try:
        yield
    finally:
        signal.signal(number, before)
