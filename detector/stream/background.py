"""Calls that may block for as long as a broker is away, made where they block nobody."""

import contextlib
import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import TypeVar

T = TypeVar("T")


def in_background(call: Callable[[], T]) -> "Future[T]":
    """Start a call on a thread of its own that does not keep the process from ending."""
    future: Future[T] = Future()

    def run() -> None:
        try:
            future.set_result(call())
        except BaseException as error:  # noqa: BLE001 - it is raised again where the result is asked for
            future.set_exception(error)

    threading.Thread(target=run, name="detector-background", daemon=True).start()
    return future


def run_within(call: Callable[[], object], timeout_s: float) -> None:
    """Make a call and wait so long for its end; one that takes longer goes on where it blocks nobody."""
    with contextlib.suppress(TimeoutError):
        in_background(call).result(timeout_s)
