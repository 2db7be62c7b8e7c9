"""What happens when the main loop stalls."""

import socket
import threading

import pytest
import structlog

from detector.process import health as health_module
from detector.process.health import Health
from detector.process.watchdog import watch
from tests.helpers import wait_until


def test_stacks_of_a_stalled_main_loop_are_logged():
    """Otherwise nobody could find out why a main loop stalled, because the restart destroys the evidence."""
    health = Health()
    release = threading.Event()

    def stalled_in_this_function():
        release.wait()

    thread = threading.Thread(target=stalled_in_this_function, name="main loop")
    thread.start()
    try:
        with structlog.testing.capture_logs() as lines, watch(health, log_after_s=0.05):
            wait_until(lambda: lines, "the stacks")
            health.sign_of_life()
            wait_until(lambda: len(lines) > 1, "a line for the next stall")
    finally:
        release.set()
        thread.join()

    assert {line["event_name"] for line in lines} == {"main_loop_stalled"}
    (stack,) = (stack for name, stack in lines[0]["stacks"].items() if name.startswith("main loop"))
    assert any("stalled_in_this_function" in frame for frame in stack)


def test_watchdog_of_a_stalled_service_is_not_notified(tmp_path, monkeypatch):
    """Otherwise systemd would never restart a service whose main loop stalls."""
    address = str(tmp_path / "notify")
    monkeypatch.setenv("NOTIFY_SOCKET", address)
    monkeypatch.setenv("WATCHDOG_USEC", "200000")
    monkeypatch.setattr(health_module, "STALLED_AFTER_S", 1.0)
    health = Health()
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager, watch(health):
        manager.bind(address)
        manager.settimeout(10)
        assert manager.recv(4096) == b"WATCHDOG=1"
        wait_until(health.not_alive_reason, "failing liveness")
        manager.settimeout(0.5)  # five times the interval of the notifications
        with pytest.raises(TimeoutError):  # after at most 30 that were sent before
            [manager.recv(4096) for _ in range(30)]
        health.sign_of_life()
        assert manager.recv(4096) == b"WATCHDOG=1"
