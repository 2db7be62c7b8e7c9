"""Latency under a steady load: from the time an event was due to the arrival of its alert on the broker."""

import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

from benchmarks.events import PARTITIONS
from benchmarks.measure import RunError, check_alerts, committed_events, measure, running, wait_until
from benchmarks.readiness import wait_until_ready, with_http_port
from benchmarks.results import Section, summarize
from benchmarks.rounds import console
from benchmarks.systems import System, detector
from benchmarks.testbed import SUSPICIOUS_EVERY, Testbed
from detector.local.reconciliation import alert_latencies_s
from detector.settings import KafkaSettings
from detector.stream.admin.groups import GroupProgress

SHARES = (0.1, 0.5, 0.8)
QUANTILES = {"p50 ms": 50.0, "p90 ms": 90.0, "p99 ms": 99.0, "p99.9 ms": 99.9}
_WARM_UP_S = 3.0
_MIN_RATE_SHARE = 0.95
"""A load that was written at a lower share of its rate does not count."""
_DRAIN_S = 60.0
_TIMEOUT_FACTOR = 3
"""A load may take this many times its duration, plus the drain."""


@dataclass(frozen=True)
class LoadResult:
    """The measurements of one steady load."""

    latencies_ms: np.ndarray
    """`[n]`, of the alerts after the warm-up."""
    events_per_s: float
    """The rate at which the events were actually written."""
    cpu_us_per_event: float

    def quantiles(self) -> dict[str, float]:
        """Latency quantiles by column name."""
        return {name: float(np.percentile(self.latencies_ms, q)) for name, q in QUANTILES.items()}


Load = tuple[System, float]
"""The system under the load, and the load's events per second."""


def latency(testbed: Testbed, systems: Sequence[System], total: int, seconds: float, repetitions: int) -> Section:
    """Latency at several shares of the capacity; the capacity is the median rate from a backlog of `total` events."""
    loads: dict[str, Load] = {}
    excluded: list[str] = []
    backlog = testbed.backlog(total)
    for system in systems:
        try:
            capacity = median(measure(testbed, system, backlog).events_per_s for _ in range(repetitions))
        except RunError as error:
            excluded.append(f"{system.name}: {error}")
            continue
        for share in SHARES:
            loads[f"{system.name}, {share:.0%} of {capacity:,.0f}/s"] = system, capacity * share
    rows, failed = run_loads(testbed, loads, seconds, repetitions)
    title = f"Event-to-alert latency under a steady load of {seconds:g} s, 1 % of the events suspicious"
    return Section("latency", title, rows, excluded + failed)


def run_loads(
    testbed: Testbed, loads: Mapping[str, Load], seconds: float, repetitions: int
) -> tuple[list[dict[str, Any]], list[str]]:
    """Run each load once per round; returns a row for each load, and the reason for each load that failed."""
    runs: dict[str, list[LoadResult]] = {name: [] for name in loads}
    excluded: list[str] = []
    for _ in range(repetitions):
        for name in list(runs):
            system, rate = loads[name]
            with console.status(f"{name}: {rate:,.0f} events/s"):
                try:
                    runs[name].append(run_load(testbed, system, rate, seconds))
                except RunError as error:
                    excluded.append(f"{name}: {error}")
                    del runs[name]
    return [_row(name, results) for name, results in runs.items()], excluded


def _row(name: str, results: Sequence[LoadResult]) -> dict[str, Any]:
    quantiles = [result.quantiles() for result in results]
    return {
        "case": name,
        "events/s": summarize(result.events_per_s for result in results),
        **{column: summarize(quantile[column] for quantile in quantiles) for column in QUANTILES},
        "CPU µs/event": summarize(result.cpu_us_per_event for result in results),
        "alerts": sum(len(result.latencies_ms) for result in results),
    }


def run_load(testbed: Testbed, system: System, rate: float, seconds: float) -> LoadResult:
    """Run a daemon under a load of `rate` events per second; the first three seconds do not count.

    Raises:
        RunError: the daemon failed, its alerts are wrong, or the load could not be written at that rate.
    """
    with testbed.temporary_topics() as kafka:
        return _run_load(testbed, kafka, system, rate, seconds)


def _run_load(testbed: Testbed, kafka: KafkaSettings, system: System, rate: float, seconds: float) -> LoadResult:
    pool = testbed.folder / "pool.ndjson"
    pool.write_bytes(b"\n".join(testbed.pool()))
    system, port = with_http_port(system)
    with running(testbed, system, kafka) as process:
        wait_until_ready(process, port)
        begin = time.time()
        written, events_per_s = write_load(kafka, pool, rate, _WARM_UP_S + seconds)
        end = time.time()
        with closing(GroupProgress(kafka)) as progress:
            wait_until(lambda: committed_events(progress) >= written, _DRAIN_S, process)
    alerts = check_alerts(kafka, SUSPICIOUS_EVERY)
    if len(alerts) < written // (PARTITIONS * SUSPICIOUS_EVERY) * PARTITIONS:
        raise RunError(f"the daemon had not written every alert {_DRAIN_S:g} s after the end of the load")
    latencies_ms = alert_latencies_s(alerts) * 1000
    due_ms = np.array([alert.timestamp for alert in alerts]) - latencies_ms
    counted = latencies_ms[due_ms >= due_ms.min() + _WARM_UP_S * 1000]
    return LoadResult(counted, events_per_s, process.cpu_s(begin, end) / written * 1e6)


def write_load(kafka: KafkaSettings, pool: Path, rate: float, seconds: float) -> tuple[int, float]:
    """Run the load generator; returns the number of events and the rate at which they were actually written.

    Raises:
        RunError: the load generator failed, timed out, or did not reach the rate.
    """
    command = [sys.executable, "-m", "benchmarks.load", kafka.bootstrap_servers, kafka.events_topic, str(pool)]
    command += [str(PARTITIONS), str(rate), str(seconds)]
    timeout_s = _DRAIN_S + _TIMEOUT_FACTOR * seconds
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=timeout_s)
    except subprocess.TimeoutExpired as error:
        raise RunError(
            f"the load generator did not finish within {timeout_s:g} s: {rate:,.0f} events/s for {seconds:g} s"
        ) from error
    except subprocess.CalledProcessError as error:
        raise RunError(f"the load generator failed: {error.stderr.strip().splitlines()[-1]}") from error
    written, took_s = done.stdout.split()
    events_per_s = int(written) / float(took_s)
    if events_per_s < _MIN_RATE_SHARE * rate:
        raise RunError(f"the load generator wrote {events_per_s:,.0f} events/s instead of {rate:,.0f}")
    return int(written), events_per_s


def daemons_by_client() -> list[System]:
    """The daemon with each client, in its default configuration."""
    return [detector(client) for client in ("kafka-python", "librdkafka")]
