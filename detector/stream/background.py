"""Calls that may block for as long as a broker is unavailable, on a thread of their own."""

import contextlib
import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import TypeVar

T = TypeVar("T")


def in_background(call: Callable[[], T]) -> "Future[T]":
    """Start a call on a thread of its own, which does not keep the process from exiting."""
    future: Future[T] = Future()

    def run() -> None:
        try:
            future.set_result(call())
        except BaseException as error:  # noqa: BLE001 - raised again where the result is read
            future.set_exception(error)

    threading.Thread(target=run, name="detector-background", daemon=True).start()
    return future


def run_within(call: Callable[[], object], timeout_s: float) -> None:
    """Make a call and wait at most this long for it; a call that takes longer continues in the background."""
    with contextlib.suppress(TimeoutError):
        in_background(call).result(timeout_s)
