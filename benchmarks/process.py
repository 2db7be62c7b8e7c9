"""A measured process: what it says, and its processor time and memory as the kernel counts them."""

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
    """Runs from the start of the `with` block to its end at the latest; sampled every 50 ms from outside.

    Args:
        command: what to run.
        environment: on top of ours, without what there is of the detector's settings in it.
        folder: where it works.
        log_file: gets its standard error.
    """

    def __init__(self, command: Sequence[str], environment: Mapping[str, str], folder: Path, log_file: Path) -> None:
        self._log_file = log_file
        self._over = threading.Event()
        self._samples: list[tuple[float, float, int]] = []
        self.peak_rss_bytes = 0
        ours = {name: value for name, value in os.environ.items() if not name.startswith("DETECTOR_")}
        with log_file.open("wb") as log:
            self._begun = time.perf_counter()
            self._process = subprocess.Popen(
                list(command),
                stdout=subprocess.PIPE,
                stderr=log,
                cwd=folder,
                env={**ours, "PYTHONPATH": str(_ROOT), **environment},
                text=True,
            )
        self.pid = self._process.pid
        self._sampler = threading.Thread(target=self._sample, daemon=True)

    def __enter__(self) -> Self:
        self._sampler.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def ended(self, within_s: float) -> bool:
        """Whether it ends by itself within the time."""
        try:
            self._process.wait(within_s)
        except subprocess.TimeoutExpired:
            return False
        return True

    def stop(self) -> str:
        """End it, as an operator would, if it has not; gives what it wrote to standard output."""
        self._process.terminate()
        try:
            said, _ = self._process.communicate(timeout=_STOP_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            said, _ = self._process.communicate()
        self._over.set()
        self._sampler.join()
        return said

    def output(self) -> str:
        """Wait for its end; gives what it wrote to standard output."""
        said, _ = self._process.communicate()
        return said

    @property
    def age_s(self) -> float:
        """Since it was started."""
        return time.perf_counter() - self._begun

    @property
    def exit_code(self) -> int | None:
        """None while it runs."""
        return self._process.poll()

    def last_words(self) -> str:
        """The last line that it wrote to standard error."""
        lines = self._log_file.read_text(errors="replace").split("\n")
        return next((line for line in reversed(lines) if line.strip()), "it said nothing")

    def cpu_s(self, begin: float, end: float) -> float:
        """Its processor time between two moments of the wall clock."""
        times, cpu_s, _ = zip(*self._samples, strict=True)
        at_begin, at_end = np.interp([begin, end], times, cpu_s)
        return float(at_end - at_begin)

    def rss_bytes(self, moment: float) -> float:
        """Its memory at a moment of the wall clock."""
        times, _, rss = zip(*self._samples, strict=True)
        return float(np.interp(moment, times, rss))

    def _sample(self) -> None:
        folder = Path(f"/proc/{self.pid}")
        while not self._over.is_set():
            try:
                # Behind the name, which may have spaces and brackets in it.
                fields = (folder / "stat").read_text().rpartition(")")[2].split()
                status = (folder / "status").read_text()
            except OSError:
                return
            if "VmHWM:" not in status:
                return  # it has ended, and is only waiting to be asked for its exit code
            cpu_s = (int(fields[11]) + int(fields[12])) / _TICKS_PER_S  # user and system
            self._samples.append((time.time(), cpu_s, int(fields[21]) * _PAGE_BYTES))
            self.peak_rss_bytes = int(status.split("VmHWM:")[1].split()[0]) * 1024
            self._over.wait(_SAMPLE_S)
