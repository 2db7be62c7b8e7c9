"""One measured run: a contestant, a backlog, and books that must balance before its figures count."""

import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import count

import msgspec
import numpy as np
from kafka.errors import KafkaError

from benchmarks.contestants import Contestant
from benchmarks.process import MEGABYTE, MeasuredProcess
from benchmarks.scene import Backlog, Scene
from detector.local.topics import GroupProgress, read_topic
from detector.records import Partition, Record
from detector.settings import BatchSettings, KafkaSettings

_batch = BatchSettings()
MAX_RECORDS, MAX_WAIT_MS = _batch.max_records, _batch.max_wait_ms
"""The daemon's defaults with at-least-once, for whoever reads in batches."""
_START_TIMEOUT_S = 120.0
_CATCH_UP_S = 30.0
_LOOK_S = 0.25
_USAGE = 2
_log_numbers = count()


Positions = Mapping[Partition, int]


class RunError(Exception):
    """A run that counts for nothing; the text says why."""


class RefusedError(RunError):
    """The contestant says in one line that it cannot be had like this: it is left out, nothing is wrong."""


@dataclass(frozen=True)
class Run:
    """The figures of one run, between the first of its results and the last."""

    events: int
    events_per_s: float
    cpu_us_per_event: float
    peak_rss_mb: float
    rss_growth: float
    """Of the memory over the second half of the time, as a share."""
    duplicates: int


def measure(scene: Scene, contestant: Contestant, backlog: Backlog, limit_s: float = 600.0) -> Run:
    """Run a contestant, as a new group, over a backlog; to its end or for so long.

    The time runs from the moment the first alert arrived on the broker to the moment the last did, by the broker's
    clock; the suspicious events lie evenly, so the alerts between tell how many events were done.

    Raises:
        RunError: it failed, or its alerts and its committed offsets do not agree with what they must be.
    """
    kafka = scene.new_kafka(backlog.topic)
    command = (*contestant.command, str(backlog.total)) if contestant.bare else contestant.command
    with running(scene, contestant, kafka, command) as process:
        if contestant.bare:
            return _bare_run(process)
        _wait_for_commits(process, kafka, backlog.total, limit_s)
        early = _committed(kafka) if contestant.commits_what_it_read else None
        if early is not None:
            _wait_for_alerts(process, kafka, early, backlog.every)
        process.stop()
    alerts = check_books(kafka, backlog.every, early)
    begin, end, events = span(alerts, backlog.every)
    return _run(process, begin, end, events, len(alerts) - _distinct(alerts))


def running(
    scene: Scene, contestant: Contestant, kafka: KafkaSettings, command: tuple[str, ...] | None = None
) -> MeasuredProcess:
    """A contestant's process, told where and what."""
    environment = {
        "DETECTOR_KAFKA__BOOTSTRAP_SERVERS": kafka.bootstrap_servers,
        "DETECTOR_KAFKA__EVENTS_TOPIC": kafka.events_topic,
        "DETECTOR_KAFKA__ALERTS_TOPIC": kafka.alerts_topic,
        "DETECTOR_KAFKA__GROUP_ID": kafka.group_id,
        "DETECTOR_MODEL__PATH": str(scene.model),
        "DETECTOR_BATCH__MAX_RECORDS": str(MAX_RECORDS),
        "DETECTOR_BATCH__MAX_WAIT_MS": str(MAX_WAIT_MS),
        "DETECTOR_HTTP__PORT": "0",
    }
    log_file = scene.folder / f"process-{next(_log_numbers)}.log"
    return MeasuredProcess(
        command or contestant.command, {**environment, **contestant.environment}, scene.folder, log_file
    )


def fail_if_ended(process: MeasuredProcess) -> None:
    """Raise when a process that should be running is not.

    Raises:
        RefusedError: its exit code says wrong usage.
        RunError: it failed.
    """
    if process.exit_code is not None:
        kind = RefusedError if process.exit_code == _USAGE else RunError
        raise kind(f"exit {process.exit_code}: {process.last_words()}")


def wait_until(reached: Callable[[], bool], timeout_s: float, *processes: MeasuredProcess) -> bool:
    """Look until something is reached; False when the time was up first.

    Raises:
        RunError: one of the processes ended.
    """
    deadline = time.monotonic() + timeout_s
    while not reached():
        for process in processes:
            fail_if_ended(process)
        if time.monotonic() > deadline:
            return False
        processes[0].ended(within_s=_LOOK_S)
    return True


def committed_events(progress: GroupProgress) -> int:
    """How many events a group has committed, on topics that begin at 0."""
    try:
        return sum(progress.committed().values())
    except KafkaError as error:
        if not error.retriable:
            raise
        return 0  # the first group of a broker comes before the topic of its offsets


def _wait_for_commits(process: MeasuredProcess, kafka: KafkaSettings, total: int, limit_s: float) -> None:
    progress = GroupProgress(kafka)
    try:
        if not wait_until(lambda: committed_events(progress) > 0, _START_TIMEOUT_S, process):
            raise RunError(f"nothing was committed within {_START_TIMEOUT_S:g} s: {process.last_words()}")
        wait_until(lambda: committed_events(progress) >= total, limit_s, process)
    finally:
        progress.close()


def _wait_for_alerts(process: MeasuredProcess, kafka: KafkaSettings, committed: Positions, every: int) -> None:
    """Wait until there are as many alerts as the positions ask for; the books say later whether they are right."""
    expected = sum(len(range(0, offset, every)) for offset in committed.values())
    wait_until(lambda: len(read_topic(kafka, kafka.alerts_topic)) >= expected, _CATCH_UP_S, process)


def _committed(kafka: KafkaSettings) -> Positions:
    progress = GroupProgress(kafka)
    try:
        return progress.committed()
    finally:
        progress.close()


def check_books(kafka: KafkaSettings, every: int, committed: Positions | None = None) -> list[Record]:
    """The alerts, when they are those that the committed offsets ask for: the present ones, unless others are given.

    Raises:
        RunError: a committed event that is suspicious has no alert, or one that is not has.
    """
    if committed is None:
        committed = _committed(kafka)
    alerts = read_topic(kafka, kafka.alerts_topic)
    places = _places(alerts)
    for partition, offset in committed.items():
        missing = np.setdiff1d(np.arange(0, offset, every), places.get(partition.partition, []))
        if len(missing):
            raise RunError(f"{len(missing)} alerts are missing below {partition} {offset}")
    unexpected = sum(int(np.count_nonzero(np.array(offsets) % every)) for offsets in places.values())
    if unexpected or not alerts:
        raise RunError(f"{unexpected} of {len(alerts)} alerts are for events that are not suspicious")
    return alerts


def span(alerts: list[Record], every: int) -> tuple[float, float, int]:
    """When the first alert arrived, when the last, in seconds of the wall clock; how many events were done between."""
    arrived_ms = np.array([alert.timestamp for alert in alerts])
    first_ms, last_ms = int(arrived_ms.min()), int(arrived_ms.max())
    return first_ms / 1000, last_ms / 1000, int(np.count_nonzero(arrived_ms > first_ms)) * every


class _Place(msgspec.Struct):
    partition: int
    offset: int


class _Alert(msgspec.Struct):
    source: _Place


_parse = msgspec.json.Decoder(_Alert).decode


def _places(alerts: list[Record]) -> dict[int, list[int]]:
    places: dict[int, list[int]] = {}
    for alert in alerts:
        source = _parse(alert.value or b"").source
        places.setdefault(source.partition, []).append(source.offset)
    return places


def _distinct(alerts: list[Record]) -> int:
    return sum(len(set(offsets)) for offsets in _places(alerts).values())


def _bare_run(process: MeasuredProcess) -> Run:
    said = process.output()
    if not said:
        fail_if_ended(process)
    result = json.loads(said)
    return _run(process, result["begin"], result["end"], result["events"], duplicates=0)


def _run(process: MeasuredProcess, begin: float, end: float, events: int, duplicates: int) -> Run:
    half = process.rss_bytes((begin + end) / 2)
    return Run(
        events=events,
        events_per_s=events / (end - begin),
        cpu_us_per_event=process.cpu_s(begin, end) / events * 1e6,
        peak_rss_mb=process.peak_rss_bytes / MEGABYTE,
        rss_growth=process.rss_bytes(end) / half - 1,
        duplicates=duplicates,
    )
