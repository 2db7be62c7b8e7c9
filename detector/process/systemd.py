"""Notifications to systemd: sd_notify(3). Without `NOTIFY_SOCKET` in the environment nothing happens."""

import contextlib
import os
import socket
import time


def notify(*states: str) -> None:
    """Send states such as `READY=1`; a service manager that does not listen is ignored."""
    address = os.environ.get("NOTIFY_SOCKET")
    if not address:
        return
    if address.startswith("@"):
        address = "\0" + address[1:]  # an abstract socket
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender, contextlib.suppress(OSError):
        sender.sendto("\n".join(states).encode(), address)


def notify_reloading() -> None:
    """Announce a reload, with the timestamp that `Type=notify-reload` requires; `READY=1` ends it."""
    notify("RELOADING=1", f"MONOTONIC_USEC={time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000}")


def watchdog_interval_s() -> float | None:
    """How often to notify systemd's watchdog: half of its timeout, as sd_watchdog_enabled(3) advises; None: never."""
    usec = os.environ.get("WATCHDOG_USEC", "")
    is_mine = os.environ.get("WATCHDOG_PID", str(os.getpid())) == str(os.getpid())
    return int(usec) / 2e6 if usec.isdecimal() and is_mine else None
