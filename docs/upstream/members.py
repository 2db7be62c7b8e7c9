"""Polls members of a consumer group, each on its own thread; other scripts in this folder import it."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from kafka import KafkaConsumer

_LIMIT_S = 30.0
_LOOK_S = 0.02
_LOOKS = 25


@contextmanager
def polled(*members: KafkaConsumer, timeout_ms: int = 1_000, work_s: float = 0.0) -> Iterator[None]:
    """Poll the members until the block ends.

    Args:
        members: each is polled on its own thread, again and again.
        timeout_ms: how long each poll waits for records.
        work_s: the time between two polls of a member.
    """
    stop = threading.Event()

    def poll(member: KafkaConsumer) -> None:
        while not stop.is_set():
            member.poll(timeout_ms=timeout_ms)
            time.sleep(work_s)

    threads = [threading.Thread(target=poll, args=(member,)) for member in members]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        stop.set()
        for thread in threads:
            thread.join()


def wait_for(condition: Callable[[], object]) -> None:
    """Return when the condition has been true for half a second, because one rebalance often follows another.

    Raises:
        TimeoutError: the condition did not become true within 30 s.
    """
    deadline, looks = time.monotonic() + _LIMIT_S, 0
    while looks < _LOOKS:
        if time.monotonic() > deadline:
            raise TimeoutError("the group did not reach the expected state")
        looks = looks + 1 if condition() else 0
        time.sleep(_LOOK_S)
