"""Telling systemd how it goes: sd_notify(3). Without `NOTIFY_SOCKET` in the environment nothing happens."""

import contextlib
import os
import socket
import time


def notify(*states: str) -> None:
    """Send states such as `READY=1`; a service manager that does not listen is no reason to stop."""
    address = os.environ.get("NOTIFY_SOCKET")
    if not address:
        return
    if address.startswith("@"):
        address = "\0" + address[1:]  # an abstract socket
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender, contextlib.suppress(OSError):
        sender.sendto("\n".join(states).encode(), address)


def notify_reloading() -> None:
    """Say that a reload begins, with the clock that `Type=notify-reload` asks for; `READY=1` ends it."""
    notify("RELOADING=1", f"MONOTONIC_USEC={time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000}")


def watchdog_every_s() -> float | None:
    """How often systemd is to hear of us: half of what it allows, as sd_watchdog_enabled(3) advises; None: never."""
    usec = os.environ.get("WATCHDOG_USEC", "")
    mine = os.environ.get("WATCHDOG_PID", str(os.getpid())) == str(os.getpid())
    return int(usec) / 2e6 if usec.isdecimal() and mine else None
