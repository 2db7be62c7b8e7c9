"""Says where a stuck loop is stuck, before anybody restarts it and the evidence is gone."""

import sys
import threading
import traceback
from collections.abc import Iterator
from contextlib import contextmanager

import structlog

from detector.service.health import STUCK_AFTER_S, Health
from detector.service.systemd import notify, watchdog_every_s

_log = structlog.get_logger("detector")
_LOOK_EVERY_S = 1.0


@contextmanager
def watch(health: Health, dump_after_s: float = STUCK_AFTER_S / 2) -> Iterator[None]:
    """Within the block, log every thread's stack once when the loop gives no sign of life, and feed systemd's watchdog.

    Args:
        health: where the loop leaves its signs of life.
        dump_after_s: how long without one, in seconds; well before liveness fails and the process is restarted.
    """
    stopped = threading.Event()
    every_s = min(_LOOK_EVERY_S, watchdog_every_s() or _LOOK_EVERY_S, dump_after_s / 2)
    arguments = (health, dump_after_s, every_s, stopped)
    thread = threading.Thread(target=_watch, args=arguments, name="watchdog", daemon=True)
    thread.start()
    try:
        yield
    finally:
        stopped.set()
        thread.join()


def _watch(health: Health, dump_after_s: float, every_s: float, stopped: threading.Event) -> None:
    feeds = watchdog_every_s() is not None
    dumped = False
    while not stopped.wait(every_s):
        silent_s = health.silent_s()
        if silent_s < dump_after_s:
            dumped = False
        elif not dumped:
            dumped = True
            _log.error("the loop gives no sign of life", silent_s=round(silent_s), stacks=_stacks())
        if feeds and health.not_alive_because() is None:
            notify("WATCHDOG=1")


def _stacks() -> dict[str, list[str]]:
    """Every thread's stack by the thread's name, innermost call last."""
    names = {thread.ident: thread.name for thread in threading.enumerate()}
    return {
        f"{names.get(identifier, 'unknown')} ({identifier})": [
            f"{frame.filename}:{frame.lineno} {frame.name}" for frame in traceback.extract_stack(top)
        ]
        for identifier, top in sys._current_frames().items()  # noqa: SLF001 - the documented way to other threads' stacks
    }
