"""Waits until a daemon is ready, by its `/readyz`."""

import dataclasses
import socket
import urllib.error
import urllib.request

from benchmarks.measure import RunError, raise_if_exited
from benchmarks.process import MeasuredProcess
from benchmarks.systems import System

_READY_TIMEOUT_S = 60.0
_POLL_INTERVAL_S = 0.01


def with_http_port(system: System) -> tuple[System, int]:
    """The same system with HTTP on a free port; returns the port, too."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    environment = {**system.environment, "DETECTOR_HTTP__PORT": str(port)}
    return dataclasses.replace(system, environment=environment), port


def wait_until_ready(process: MeasuredProcess, port: int) -> float:
    """Wait until `/readyz` returns 200; returns the seconds since the process was started.

    Raises:
        RunError: the process exited, or was not ready within a minute.
    """
    while not _is_ready(port):
        raise_if_exited(process)
        if process.age_s > _READY_TIMEOUT_S:
            raise RunError(f"not ready within {_READY_TIMEOUT_S:g} s")
        process.exits_within(_POLL_INTERVAL_S)
    return process.age_s


def _is_ready(port: int) -> bool:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/readyz", timeout=1) as response:
            return bool(response.status == 200)  # noqa: PLR2004
    except (urllib.error.URLError, ConnectionError, TimeoutError):
        return False
