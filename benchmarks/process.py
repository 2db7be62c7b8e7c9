"""A measured process: its output, and its CPU time and memory as the kernel reports them."""

import os
import subprocess
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Self

import numpy as np

MEGABYTE = 1 << 20
_SAMPLE_S = 0.05
_STOP_S = 30.0
_TICKS_PER_S = os.sysconf("SC_CLK_TCK")
_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")
_ROOT = Path(__file__).parent.parent


class MeasuredProcess(AbstractContextManager["MeasuredProcess"]):
    """A process that runs at most until the end of its `with` block; sampled every 50 ms through /proc.

    Args:
        command: what to run.
        environment: added to the current environment, from which `DETECTOR_` variables are removed.
        folder: working directory.
        log_file: receives standard error.
    """

    def __init__(self, command: Sequence[str], environment: Mapping[str, str], folder: Path, log_file: Path) -> None:
        self._log_file = log_file
        self._stopped = threading.Event()
        self._samples: list[tuple[float, float, int]] = []
        self.peak_rss_bytes = 0
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("DETECTOR_")}
        with log_file.open("wb") as log:
            self._started = time.perf_counter()
            self._process = subprocess.Popen(
                list(command),
                stdout=subprocess.PIPE,
                stderr=log,
                cwd=folder,
                env={**inherited, "PYTHONPATH": str(_ROOT), **environment},
                text=True,
            )
        self.pid = self._process.pid
        self._sampler = threading.Thread(target=self._sample, daemon=True)

    def __enter__(self) -> Self:
        self._sampler.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def exits_within(self, timeout_s: float) -> bool:
        """Whether the process exits by itself within the timeout."""
        try:
            self._process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            return False
        return True

    def stop(self) -> str:
        """Stop the process with SIGTERM, or SIGKILL after 30 s; returns its standard output."""
        self._process.terminate()
        try:
            output, _ = self._process.communicate(timeout=_STOP_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            output, _ = self._process.communicate()
        self._stopped.set()
        self._sampler.join()
        return output

    def output(self) -> str:
        """Wait until the process exits; returns its standard output."""
        output, _ = self._process.communicate()
        return output

    @property
    def age_s(self) -> float:
        """Seconds since the process was started."""
        return time.perf_counter() - self._started

    @property
    def exit_code(self) -> int | None:
        """The exit code; None while the process runs."""
        return self._process.poll()

    def last_error_line(self) -> str:
        """The last line of standard error."""
        lines = self._log_file.read_text(errors="replace").split("\n")
        return next((line for line in reversed(lines) if line.strip()), "standard error is empty")

    def cpu_s(self, begin: float, end: float) -> float:
        """CPU seconds between two times, in seconds since the epoch."""
        times, cpu_s, _ = zip(*self._samples, strict=True)
        at_begin, at_end = np.interp([begin, end], times, cpu_s)
        return float(at_end - at_begin)

    def rss_bytes(self, time_s: float) -> float:
        """Resident memory at a time in seconds since the epoch."""
        times, _, rss = zip(*self._samples, strict=True)
        return float(np.interp(time_s, times, rss))

    def _sample(self) -> None:
        folder = Path(f"/proc/{self.pid}")
        while not self._stopped.is_set():
            try:
                # The fields follow the process name, which may contain spaces and brackets.
                fields = (folder / "stat").read_text().rpartition(")")[2].split()
                status = (folder / "status").read_text()
            except OSError:
                return
            if "VmHWM:" not in status:
                return  # it has exited, but its exit code was not collected yet
            cpu_s = (int(fields[11]) + int(fields[12])) / _TICKS_PER_S  # user and system
            self._samples.append((time.time(), cpu_s, int(fields[21]) * _PAGE_BYTES))
            self.peak_rss_bytes = int(status.split("VmHWM:")[1].split()[0]) * 1024
            self._stopped.wait(_SAMPLE_S)
