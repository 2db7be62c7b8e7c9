"""Logs where a stalled main loop is stuck, before the process is restarted and the evidence is lost."""

import sys
import threading
import traceback
from collections.abc import Iterator
from contextlib import contextmanager

from detector.process import log_events
from detector.process.health import STALLED_AFTER_S, Health
from detector.process.systemd import notify, watchdog_interval_s

_CHECK_EVERY_S = 1.0


@contextmanager
def watch(health: Health, log_after_s: float = STALLED_AFTER_S / 2) -> Iterator[None]:
    """Within the block, log the stacks of all threads once when the main loop stalls, and notify systemd's watchdog.

    Args:
        health: where the main loop records its progress.
        log_after_s: seconds without progress; shorter than the time after which liveness fails and the process is
            restarted.
    """
    stopped = threading.Event()
    every_s = min(_CHECK_EVERY_S, watchdog_interval_s() or _CHECK_EVERY_S, log_after_s / 2)
    arguments = (health, log_after_s, every_s, stopped)
    thread = threading.Thread(target=_watch, args=arguments, name="watchdog", daemon=True)
    thread.start()
    try:
        yield
    finally:
        stopped.set()
        thread.join()


def _watch(health: Health, log_after_s: float, every_s: float, stopped: threading.Event) -> None:
    systemd_watches = watchdog_interval_s() is not None
    logged = False
    while not stopped.wait(every_s):
        stalled_s = health.stalled_s()
        if stalled_s < log_after_s:
            logged = False
        elif not logged:
            logged = True
            log_events.MAIN_LOOP_STALLED.log(stalled_s=round(stalled_s), stacks=_stacks())
        if systemd_watches and health.not_alive_reason() is None:
            notify("WATCHDOG=1")


def _stacks() -> dict[str, list[str]]:
    """Every thread's stack by the thread's name, innermost call last."""
    names = {thread.ident: thread.name for thread in threading.enumerate()}
    return {
        f"{names.get(identifier, 'unknown')} ({identifier})": [
            f"{frame.filename}:{frame.lineno} {frame.name}" for frame in traceback.extract_stack(top)
        ]
        for identifier, top in sys._current_frames().items()  # noqa: SLF001 - documented in Python's reference despite its name
    }
