"""Daemons that are asked over HTTP whether they are ready."""

import dataclasses
import socket
import urllib.error
import urllib.request

from benchmarks.contestants import Contestant
from benchmarks.measure import RunError, fail_if_ended
from benchmarks.process import MeasuredProcess

_READY_TIMEOUT_S = 60.0
_LOOK_S = 0.01


def with_http(contestant: Contestant) -> tuple[Contestant, int]:
    """The same, serving HTTP on a port that is known here."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    environment = {**contestant.environment, "DETECTOR_HTTP__PORT": str(port)}
    return dataclasses.replace(contestant, environment=environment), port


def wait_ready(process: MeasuredProcess, port: int) -> float:
    """Wait until `/readyz` says so; the seconds since the process was started.

    Raises:
        RunError: it ended, or was not ready within a minute.
    """
    while not _is_ready(port):
        fail_if_ended(process)
        if process.age_s > _READY_TIMEOUT_S:
            raise RunError(f"not ready within {_READY_TIMEOUT_S:g} s")
        process.ended(within_s=_LOOK_S)
    return process.age_s


def _is_ready(port: int) -> bool:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/readyz", timeout=1) as answer:
            return bool(answer.status == 200)  # noqa: PLR2004
    except (urllib.error.URLError, ConnectionError, TimeoutError):
        return False
