"""From an event's timestamp to its alert's on the broker, under a steady load."""

import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

from benchmarks.contestants import Contestant, detector
from benchmarks.daemons import wait_ready, with_http
from benchmarks.events import PARTITIONS
from benchmarks.measure import RunError, check_books, committed_events, measure, running, wait_until
from benchmarks.results import Section, spread
from benchmarks.rounds import console
from benchmarks.scene import SUSPICIOUS_EVERY, Scene
from detector.local.ledger import alert_latencies_s
from detector.local.topics import GroupProgress
from detector.settings import KafkaSettings

SHARES = (0.1, 0.5, 0.8)
QUANTILES = {"p50 ms": 50.0, "p90 ms": 90.0, "p99 ms": 99.0, "p99.9 ms": 99.9}
_WARM_UP_S = 3.0
_LATE = 0.95
_DRAIN_S = 60.0
_LONGEST = 3
"""Times what a load should take, it may."""


@dataclass(frozen=True)
class Steady:
    """What came of a steady load."""

    latencies_ms: np.ndarray
    events_per_s: float
    """As they were written in fact."""
    cpu_us_per_event: float

    def quantiles(self) -> dict[str, float]:
        """By the column's name."""
        return {name: float(np.percentile(self.latencies_ms, q)) for name, q in QUANTILES.items()}


Load = tuple[Contestant, float]
"""Who is under it, and events a second."""


def latency(scene: Scene, contestants: Sequence[Contestant], total: int, seconds: float, repetitions: int) -> Section:
    """At shares of the capacity that a backlog of `total` shows."""
    loads: dict[str, Load] = {}
    left_out: list[str] = []
    backlog = scene.backlog(total)
    for contestant in contestants:
        try:
            capacity = median(measure(scene, contestant, backlog).events_per_s for _ in range(repetitions))
        except RunError as error:
            left_out.append(f"{contestant.name}: {error}")
            continue
        for share in SHARES:
            loads[f"{contestant.name}, {share:.0%} of {capacity:,.0f}/s"] = contestant, capacity * share
    rows, failed = steady_rounds(scene, loads, seconds, repetitions)
    title = f"Event-to-alert latency under a steady load of {seconds:g} s, 1 % of the events suspicious"
    return Section("latency", title, rows, left_out + failed)


def steady_rounds(
    scene: Scene, loads: Mapping[str, Load], seconds: float, repetitions: int
) -> tuple[list[dict[str, Any]], list[str]]:
    """Each load once a round; gives a row for each, and a line for each that was left out as it failed."""
    runs: dict[str, list[Steady]] = {name: [] for name in loads}
    left_out: list[str] = []
    for _ in range(repetitions):
        for name in list(runs):
            contestant, rate = loads[name]
            with console.status(f"{name}: {rate:,.0f} events/s"):
                try:
                    runs[name].append(steady_load(scene, contestant, rate, seconds))
                except RunError as error:
                    left_out.append(f"{name}: {error}")
                    del runs[name]
    return [_row(name, steadies) for name, steadies in runs.items()], left_out


def _row(name: str, steadies: Sequence[Steady]) -> dict[str, Any]:
    quantiles = [steady.quantiles() for steady in steadies]
    return {
        "what": name,
        "events/s": spread(steady.events_per_s for steady in steadies),
        **{column: spread(quantile[column] for quantile in quantiles) for column in QUANTILES},
        "CPU µs/event": spread(steady.cpu_us_per_event for steady in steadies),
        "alerts": sum(len(steady.latencies_ms) for steady in steadies),
    }


def steady_load(scene: Scene, contestant: Contestant, rate: float, seconds: float) -> Steady:
    """Run a daemon under a load of so many events a second; the first three seconds do not count.

    Raises:
        RunError: it failed, its books do not balance, or the load could not be written at that rate.
    """
    with scene.passing_kafka() as kafka:
        return _under_load(scene, kafka, contestant, rate, seconds)


def _under_load(scene: Scene, kafka: KafkaSettings, contestant: Contestant, rate: float, seconds: float) -> Steady:
    pool = scene.folder / "pool.ndjson"
    pool.write_bytes(b"\n".join(scene.pool()))
    contestant, port = with_http(contestant)
    with running(scene, contestant, kafka) as process:
        wait_ready(process, port)
        began = time.time()
        written, events_per_s = _load(kafka, pool, rate, _WARM_UP_S + seconds)
        ended = time.time()
        progress = GroupProgress(kafka)
        wait_until(lambda: committed_events(progress) >= written, _DRAIN_S, process)
        progress.close()
    alerts = check_books(kafka, SUSPICIOUS_EVERY)
    if len(alerts) < written // (PARTITIONS * SUSPICIOUS_EVERY) * PARTITIONS:
        raise RunError(f"was not done {_DRAIN_S:g} s after the load's end")
    latencies_ms = alert_latencies_s(alerts) * 1000
    due_ms = np.array([alert.timestamp for alert in alerts]) - latencies_ms
    counted = latencies_ms[due_ms >= due_ms.min() + _WARM_UP_S * 1000]
    return Steady(counted, events_per_s, process.cpu_s(began, ended) / written * 1e6)


def _load(kafka: KafkaSettings, pool: Path, rate: float, seconds: float) -> tuple[int, float]:
    """Write so many events a second; gives how many there were, and at what rate they were written in fact.

    Raises:
        RunError: the broker did not take them, or not at that rate.
    """
    command = [sys.executable, "-m", "benchmarks.load", kafka.bootstrap_servers, kafka.events_topic, str(pool)]
    command += [str(PARTITIONS), str(rate), str(seconds)]
    too_long_s = _DRAIN_S + _LONGEST * seconds
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=too_long_s)
    except subprocess.TimeoutExpired as error:
        raise RunError(
            f"a load of {seconds:g} s at {rate:,.0f} events/s was not written in {too_long_s:g} s"
        ) from error
    except subprocess.CalledProcessError as error:
        raise RunError(f"the load failed: {error.stderr.strip().splitlines()[-1]}") from error
    written, took_s = done.stdout.split()
    events_per_s = int(written) / float(took_s)
    if events_per_s < _LATE * rate:
        raise RunError(f"wanted {rate:,.0f} events/s, could write only {events_per_s:,.0f}")
    return int(written), events_per_s


def default_contestants() -> list[Contestant]:
    """The daemon with each client."""
    return [detector(client) for client in ("kafka-python", "librdkafka")]
