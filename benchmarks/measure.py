"""One measured run of a system over a backlog; it counts only if alerts and committed offsets agree."""

import json
import time
from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import dataclass
from itertools import count

import msgspec
import numpy as np
from kafka.errors import KafkaError

from benchmarks.process import MEGABYTE, MeasuredProcess
from benchmarks.systems import System
from benchmarks.testbed import Backlog, Testbed
from detector.records import Partition, Record
from detector.settings import BatchSettings, KafkaSettings
from detector.stream.admin.groups import GroupProgress
from detector.stream.admin.topics import read_topic

_batch = BatchSettings()
MAX_RECORDS, MAX_WAIT_MS = _batch.records, _batch.max_wait_ms
"""The daemon's defaults with at-least-once; the peers that read in batches use the same limits."""
_START_TIMEOUT_S = 120.0
_ALERTS_TIMEOUT_S = 30.0
_POLL_INTERVAL_S = 0.25
_log_numbers = count()

CommittedOffsets = Mapping[Partition, int]


class RunError(Exception):
    """A run that does not count; the text says why."""


@dataclass(frozen=True)
class Run:
    """The measurements of one run, between its first and its last alert."""

    events: int
    events_per_s: float
    cpu_us_per_event: float
    peak_rss_mb: float
    rss_growth: float
    """Growth of the resident memory over the second half of the run, as a share."""
    duplicates: int


def measure(testbed: Testbed, system: System, backlog: Backlog, limit_s: float = 600.0) -> Run:
    """Run a system over a backlog, as a new consumer group, to the end of the backlog or for at most `limit_s`.

    The time is taken from the arrival of the first alert on the broker to the arrival of the last, by the broker's
    clock. Suspicious events are evenly spaced, so the number of alerts in between gives the number of events.

    Raises:
        RunError: the system failed, or its alerts do not agree with its committed offsets.
    """
    kafka = testbed.new_topics(backlog.topic)
    command = (*system.command, str(backlog.total)) if system.bare else system.command
    with running(testbed, system, kafka, command) as process:
        if system.bare:
            return _bare_run(process)
        _wait_for_commits(process, kafka, backlog.total, limit_s)
        committed = _committed(kafka) if system.commits_before_delivery else None
        if committed is not None:
            _wait_for_alerts(process, kafka, committed, backlog.every)
        process.stop()
    alerts = check_alerts(kafka, backlog.every, committed)
    begin, end, events = alert_interval(alerts, backlog.every)
    return _run(process, begin, end, events, len(alerts) - _distinct(alerts))


def running(
    testbed: Testbed, system: System, kafka: KafkaSettings, command: tuple[str, ...] | None = None
) -> MeasuredProcess:
    """The process of a system, with its settings in environment variables."""
    environment = {
        "DETECTOR_KAFKA__BOOTSTRAP_SERVERS": kafka.bootstrap_servers,
        "DETECTOR_KAFKA__EVENTS_TOPIC": kafka.events_topic,
        "DETECTOR_KAFKA__ALERTS_TOPIC": kafka.alerts_topic,
        "DETECTOR_KAFKA__GROUP_ID": kafka.group_id,
        "DETECTOR_MODEL__PATH": str(testbed.model),
        "DETECTOR_BATCH__MAX_RECORDS": str(MAX_RECORDS),
        "DETECTOR_BATCH__MAX_WAIT_MS": str(MAX_WAIT_MS),
        "DETECTOR_HTTP__PORT": "0",
    }
    log_file = testbed.folder / f"process-{next(_log_numbers)}.log"
    return MeasuredProcess(command or system.command, {**environment, **system.environment}, testbed.folder, log_file)


def raise_if_exited(process: MeasuredProcess) -> None:
    """Raise an error if a process has exited that should still be running.

    Raises:
        RunError: it has exited; the text has its exit code and its last log line.
    """
    if process.exit_code is not None:
        raise RunError(f"exit code {process.exit_code}: {process.last_error_line()}")


def wait_until(condition: Callable[[], bool], timeout_s: float, *processes: MeasuredProcess) -> bool:
    """Wait until the condition holds; False if it does not hold within the timeout.

    Raises:
        RunError: one of the processes exited.
    """
    deadline = time.monotonic() + timeout_s
    while not condition():
        for process in processes:
            raise_if_exited(process)
        if time.monotonic() > deadline:
            return False
        processes[0].exits_within(_POLL_INTERVAL_S)
    return True


def committed_events(progress: GroupProgress) -> int:
    """The number of events that a group has committed, on topics whose first offset is 0."""
    try:
        return sum(progress.committed().values())
    except KafkaError as error:
        if not error.retriable:
            raise
        return 0  # a new broker has no topic for offsets yet


def _wait_for_commits(process: MeasuredProcess, kafka: KafkaSettings, total: int, limit_s: float) -> None:
    with closing(GroupProgress(kafka)) as progress:
        if not wait_until(lambda: committed_events(progress) > 0, _START_TIMEOUT_S, process):
            raise RunError(
                f"no offset committed within {_START_TIMEOUT_S:g} s; last line of its log: {process.last_error_line()}"
            )
        wait_until(lambda: committed_events(progress) >= total, limit_s, process)


def _wait_for_alerts(process: MeasuredProcess, kafka: KafkaSettings, committed: CommittedOffsets, every: int) -> None:
    """Wait until the number of alerts matches the committed offsets; `check_alerts` checks the alerts themselves."""
    expected = sum(len(range(0, offset, every)) for offset in committed.values())
    wait_until(lambda: len(read_topic(kafka, kafka.alerts_topic)) >= expected, _ALERTS_TIMEOUT_S, process)


def _committed(kafka: KafkaSettings) -> CommittedOffsets:
    with closing(GroupProgress(kafka)) as progress:
        return progress.committed()


def check_alerts(kafka: KafkaSettings, every: int, committed: CommittedOffsets | None = None) -> list[Record]:
    """Check that every suspicious event below the committed offsets has an alert, and no benign event has one.

    Args:
        kafka: names the topics and the group.
        every: every `every`th offset is suspicious.
        committed: the committed offsets; by default the group's current ones.

    Returns:
        The alerts.

    Raises:
        RunError: an alert is missing or wrong.
    """
    if committed is None:
        committed = _committed(kafka)
    alerts = read_topic(kafka, kafka.alerts_topic)
    sources = _source_offsets(alerts)
    for partition, offset in committed.items():
        missing = np.setdiff1d(np.arange(0, offset, every), sources.get(partition.partition, []))
        if len(missing):
            raise RunError(
                f"{len(missing)} alerts are missing for events of {partition} below the committed offset {offset}"
            )
    unexpected = sum(int(np.count_nonzero(np.array(offsets) % every)) for offsets in sources.values())
    if unexpected or not alerts:
        raise RunError(f"{unexpected} of {len(alerts)} alerts are for benign events")
    return alerts


def alert_interval(alerts: list[Record], every: int) -> tuple[float, float, int]:
    """When the first and the last alert arrived, in seconds since the epoch, and the number of events in between."""
    arrived_ms = np.array([alert.timestamp for alert in alerts])
    first_ms, last_ms = int(arrived_ms.min()), int(arrived_ms.max())
    return first_ms / 1000, last_ms / 1000, int(np.count_nonzero(arrived_ms > first_ms)) * every


class _Source(msgspec.Struct):
    partition: int
    offset: int


class _Alert(msgspec.Struct):
    source: _Source


_parse = msgspec.json.Decoder(_Alert).decode


def _source_offsets(alerts: list[Record]) -> dict[int, list[int]]:
    """The offsets of the alerts' events, by partition."""
    offsets: dict[int, list[int]] = {}
    for alert in alerts:
        source = _parse(alert.value or b"").source
        offsets.setdefault(source.partition, []).append(source.offset)
    return offsets


def _distinct(alerts: list[Record]) -> int:
    return sum(len(set(offsets)) for offsets in _source_offsets(alerts).values())


def _bare_run(process: MeasuredProcess) -> Run:
    output = process.output()
    if not output:
        raise_if_exited(process)
    result = json.loads(output)
    return _run(process, result["begin"], result["end"], result["events"], duplicates=0)


def _run(process: MeasuredProcess, begin: float, end: float, events: int, duplicates: int) -> Run:
    rss_at_half = process.rss_bytes((begin + end) / 2)
    return Run(
        events=events,
        events_per_s=events / (end - begin),
        cpu_us_per_event=process.cpu_s(begin, end) / events * 1e6,
        peak_rss_mb=process.peak_rss_bytes / MEGABYTE,
        rss_growth=process.rss_bytes(end) / rss_at_half - 1,
        duplicates=duplicates,
    )
