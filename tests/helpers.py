"""Running the real command line, and waiting for what it does."""

import json
import os
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from prometheus_client.parser import text_string_to_metric_families

from detector.local.topics import GroupProgress
from detector.records import OutgoingRecord
from detector.settings import KafkaSettings
from detector.stream.interfaces import Sink, Source

ROOT = Path(__file__).parents[1]
FULL_ROWS = ROOT / "tests" / "data" / "kaggle_training_head100.csv"

GOOD = {
    "processId": 381,
    "threadId": 7337,
    "parentProcessId": 1,
    "userId": 100,
    "mountNamespace": 4026532231,
    "argsNum": 5,
    "returnValue": 0,
}


def event(**changes: Any) -> bytes:
    """A good event with changes; None as a value is JSON's null."""
    return json.dumps(GOOD | changes).encode()


def wait_until(condition: Callable[[], Any], what: str, timeout_s: float = 60.0, every_s: float = 0.1) -> Any:
    """Return the condition's value as soon as it is true; fail with `what` when it does not become so."""
    deadline = time.monotonic() + timeout_s
    while not (value := condition()):
        assert time.monotonic() < deadline, f"not within {timeout_s:g} s: {what}"
        time.sleep(every_s)
    return value


def alive_until(condition: Callable[[], Any], sources: Sequence[Source], what: str) -> None:
    """Wait with members that do no more than to stay in their group, as while they wait for a delivery."""

    def looked() -> Any:
        for source in sources:
            source.keep_alive()
        return condition()

    wait_until(looked, what, every_s=0.05)


def write_all(sink: Sink, records: Sequence[OutgoingRecord], timeout_s: float = 60.0) -> None:
    """Write records as the service does: what is refused is sent again, as for a topic that is not known in time."""
    left = list(records)

    def written() -> bool:
        pending = sink.send(left)
        wait_until(lambda: pending.wait(1), "an answer to each record", timeout_s)
        left[:] = [refusal.record for refusal in pending.refused()]
        return not left

    wait_until(written, "the acknowledgement of each record", timeout_s)


def detector(*arguments: str | Path, cwd: Path | None = None, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run `detector` to its end."""
    return subprocess.run(
        [sys.executable, "-m", "detector", *map(str, arguments)],
        env=os.environ | environment,
        cwd=cwd,
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
        timeout=100,
        check=False,
    )


def train_command(*arguments: str | Path, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    """Run `train.py` to its end."""
    return subprocess.run(
        [sys.executable, ROOT / "train.py", *map(str, arguments)],
        capture_output=True,
        text=True,
        cwd=cwd,
        timeout=100,
        check=False,
    )


def kafka_options(kafka: KafkaSettings) -> list[str]:
    """The settings of a test's topics as options of the command."""
    names = ("bootstrap_servers", "events_topic", "alerts_topic", "dead_letter_topic", "group_id")
    return [part for name in names for part in ("--set", f"kafka.{name}={getattr(kafka, name)}")]


def java_processes(folder: Path) -> list[int]:
    """The Kafka processes on a data folder."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            command = (process / "cmdline").read_bytes()
        except OSError:
            continue
        if b"kafka.Kafka" in command and str(folder).encode() in command and b"guard.py" not in command:
            found.append(int(process.name))
    return found


def processor_times() -> tuple[int, int]:
    """How long the machine's processors have worked and rested since it started, in ticks of its clock."""
    user, nice, system, idle, waiting, *rest = map(int, Path("/proc/stat").read_text().splitlines()[0].split()[1:])
    return user + nice + system + sum(rest), idle + waiting


class RunningDetector:
    """`detector run` in a process of its own."""

    def __init__(self, options: Sequence[str], log_file: Path, **environment: str) -> None:
        self.log_file = log_file
        command = [sys.executable, "-m", "detector", "--set", "http.port=0", *options, "run"]
        with log_file.open("wb") as log:
            self.process = subprocess.Popen(command, env=os.environ | environment, stderr=log, stdin=subprocess.DEVNULL)

    def logged(self, text: str) -> dict[str, Any] | None:
        """The last log line with this text."""
        found = None
        for line in self.log_file.read_text().splitlines():
            if line.startswith("{") and line.endswith("}") and (parsed := json.loads(line))["body"] == text:
                found = parsed
        return found

    def wait_for_log(self, text: str, timeout_s: float = 60.0) -> dict[str, Any]:
        """Wait for a log line with this text."""

        def look() -> dict[str, Any] | None:
            found = self.logged(text)
            assert found or self.process.poll() is None, (
                f"ended instead of saying {text!r}: {self.log_file.read_text()}"
            )
            return found

        return wait_until(look, f"log line {text!r}; log: {self.log_file}", timeout_s)

    def url(self, path: str) -> str:
        return f"http://127.0.0.1:{self.wait_for_log('detector starts')['port']}{path}"

    def get(self, path: str) -> tuple[int, str]:
        """Status and body of a page."""
        try:
            with urllib.request.urlopen(self.url(path), timeout=10) as response:
                return response.status, response.read().decode()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.read().decode()

    def metric(self, name: str, **labels: str) -> float:
        """The sum of a metric's samples that have these labels."""
        families = text_string_to_metric_families(self.get("/metrics")[1])
        return sum(
            sample.value
            for family in families
            for sample in family.samples
            if sample.name == name and labels.items() <= sample.labels.items()
        )

    def resident_bytes(self) -> int:
        """Its memory."""
        pages = int(Path(f"/proc/{self.process.pid}/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE")

    def stop(self, number: int) -> int:
        """Send a signal and wait for the end; the exit code."""
        self.process.send_signal(number)
        return self.process.wait(40)


@contextmanager
def running_detector(options: Sequence[str], log_file: Path, **environment: str) -> Iterator[RunningDetector]:
    """A daemon that is gone when the block ends."""
    daemon = RunningDetector(options, log_file, **environment)
    try:
        yield daemon
    finally:
        daemon.process.kill()
        daemon.process.wait()


@contextmanager
def group_progress(kafka: KafkaSettings) -> Iterator[GroupProgress]:
    progress = GroupProgress(kafka)
    try:
        yield progress
    finally:
        progress.close()
