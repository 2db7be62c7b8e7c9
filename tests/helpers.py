"""Runs the real commands, reads their logs and metrics, and waits for conditions with a deadline."""

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

from detector.records import OutgoingRecord
from detector.settings import KafkaSettings
from detector.stream.admin.groups import GroupProgress
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
    """A valid event with changed or additional fields; a value of None is JSON's null."""
    return json.dumps(GOOD | changes).encode()


def wait_until(condition: Callable[[], Any], what: str, timeout_s: float = 60.0, every_s: float = 0.1) -> Any:
    """Return the condition's value as soon as it is true; fail with `what` after the timeout."""
    deadline = time.monotonic() + timeout_s
    while not (value := condition()):
        assert time.monotonic() < deadline, f"did not happen within {timeout_s:g} s: {what}"
        time.sleep(every_s)
    return value


def alive_until(condition: Callable[[], Any], sources: Sequence[Source], what: str) -> None:
    """Wait for a condition while sources stay in their group but read nothing, as during a delivery."""

    def checked() -> Any:
        for source in sources:
            source.keep_alive()
        return condition()

    wait_until(checked, what, every_s=0.05)


def write_all(sink: Sink, records: Sequence[OutgoingRecord], timeout_s: float = 60.0) -> None:
    """Write records as the service does: failed ones are sent again, for example when a topic is new."""
    unwritten = list(records)

    def written() -> bool:
        pending = sink.send(unwritten)
        wait_until(lambda: pending.wait(1), "the end of the delivery of each record", timeout_s)
        unwritten[:] = [failure.record for failure in pending.failed()]
        return not unwritten

    wait_until(written, "the acknowledgement of each record", timeout_s)


WITHOUT_COVERAGE = {"COVERAGE_PROCESS_CONFIG": ""}
"""For processes whose code other tests cover: measuring makes them slower by half."""


def detector(
    *arguments: str | Path, cwd: Path | str | None = None, stdin: Path | str = os.devnull, **environment: str
) -> subprocess.CompletedProcess[str]:
    """Run `detector` and wait for its exit; `stdin` is the file that it reads as standard input."""
    with Path(stdin).open("rb") as standard_input:
        return subprocess.run(
            [sys.executable, "-m", "detector", *map(str, arguments)],
            env=os.environ | environment,
            cwd=cwd,
            capture_output=True,
            text=True,
            stdin=standard_input,
            timeout=300,
            check=False,
        )


def train_command(
    *arguments: str | Path, cwd: Path | str | None = None, **environment: str
) -> subprocess.CompletedProcess[str]:
    """Run `train.py` and wait for its exit."""
    return subprocess.run(
        [sys.executable, ROOT / "train.py", *map(str, arguments)],
        env=os.environ | environment,
        capture_output=True,
        text=True,
        cwd=cwd,
        timeout=300,
        check=False,
    )


def kafka_options(kafka: KafkaSettings) -> list[str]:
    """The brokers, topics and group of a test as command-line options."""
    names = ("bootstrap_servers", "events_topic", "alerts_topic", "dead_letter_topic", "group_id")
    return [part for name in names for part in ("--set", f"kafka.{name}={getattr(kafka, name)}")]


def java_processes(folder: Path) -> list[int]:
    """The process ids of the Kafka brokers that use a data folder."""
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
    """Time that this machine's processors have been busy and idle since it started, in clock ticks."""
    user, nice, system, idle, waiting, *rest = map(int, Path("/proc/stat").read_text().splitlines()[0].split()[1:])
    return user + nice + system + sum(rest), idle + waiting


class RunningDetector:
    """`detector run` in its own process."""

    def __init__(self, options: Sequence[str], log_file: Path, **environment: str) -> None:
        self.log_file = log_file
        command = [sys.executable, "-m", "detector", "--set", "http.port=0", *options, "run"]
        with log_file.open("wb") as log:
            self.process = subprocess.Popen(command, env=os.environ | environment, stderr=log, stdin=subprocess.DEVNULL)

    def logged(self, event: str) -> dict[str, Any] | None:
        """The fields of the last log line of this event (see `detector.process.log_events`)."""
        found = None
        for line in self.log_file.read_text().splitlines():
            if line.startswith("{") and line.endswith("}") and (parsed := json.loads(line))["event"] == event:
                found = parsed
        return found

    def log_count(self, event: str) -> int:
        """The number of log lines of this event."""
        return self.log_file.read_text().count(f'"event": "{event}"')

    def wait_for_log(self, event: str, timeout_s: float = 60.0) -> dict[str, Any]:
        """Wait for a log line of this event; fails at once when the process exits without it."""

        def logged_while_running() -> dict[str, Any] | None:
            exited = self.process.poll() is not None
            found = self.logged(event)
            assert found or not exited, f"exited without the log event {event!r}: {self.log_file.read_text()}"
            return found

        return wait_until(logged_while_running, f"log event {event!r}; log: {self.log_file}", timeout_s)

    def url(self, path: str) -> str:
        return f"http://127.0.0.1:{self.wait_for_log('service_starting')['port']}{path}"

    def get(self, path: str) -> tuple[int, str]:
        """The status and the body of a response."""
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
        """Its resident memory."""
        pages = int(Path(f"/proc/{self.process.pid}/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE")

    def stop(self, number: int) -> int:
        """Send a signal and wait for the exit; returns the exit code."""
        self.process.send_signal(number)
        return self.process.wait(40)


@contextmanager
def running_detector(options: Sequence[str], log_file: Path, **environment: str) -> Iterator[RunningDetector]:
    """A daemon that is killed at the end of the block, even if the test fails."""
    daemon = RunningDetector(options, log_file, **environment)
    try:
        yield daemon
    finally:
        daemon.process.kill()
        daemon.process.wait()


@contextmanager
def group_progress(kafka: KafkaSettings) -> Iterator[GroupProgress]:
    """The progress of a test's group: committed offsets and lag. Closed at the end of the block."""
    progress = GroupProgress(kafka)
    try:
        yield progress
    finally:
        progress.close()
