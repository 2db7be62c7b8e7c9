"""From an event's timestamp to its alert's on the broker, under a steady load."""

import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from benchmarks.contestants import Contestant, detector
from benchmarks.daemons import wait_ready, with_http
from benchmarks.events import PARTITIONS
from benchmarks.measure import RunError, check_books, committed_events, measure, running, wait_until
from benchmarks.results import Section
from benchmarks.rounds import console
from benchmarks.scene import SUSPICIOUS_EVERY, Scene
from detector.local.ledger import alert_latencies_s
from detector.local.topics import GroupProgress

SHARES = (0.1, 0.5, 0.8)
QUANTILES = {"p50 ms": 50.0, "p90 ms": 90.0, "p99 ms": 99.0, "p99.9 ms": 99.9}
_WARM_UP_S = 3.0
_LATE = 0.95
_DRAIN_S = 60.0


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


def latency(scene: Scene, contestants: Sequence[Contestant], total: int, seconds: float) -> Section:
    """At shares of the capacity that a backlog of `total` shows."""
    rows: list[dict[str, Any]] = []
    left_out: list[str] = []
    backlog = scene.backlog(total)
    for contestant in contestants:
        try:
            capacity = measure(scene, contestant, backlog).events_per_s
        except RunError as error:
            left_out.append(f"{contestant.name}: {error}")
            continue
        for share in SHARES:
            try:
                rows.append(_row(scene, contestant, capacity, share, seconds))
            except RunError as error:
                left_out.append(f"{contestant.name}, {share:.0%} of {capacity:,.0f}/s: {error}")
    title = f"Event-to-alert latency under a steady load of {seconds:g} s, 1 % of the events suspicious"
    return Section("latency", title, rows, left_out)


def _row(scene: Scene, contestant: Contestant, capacity: float, share: float, seconds: float) -> dict[str, Any]:
    with console.status(f"latency: {contestant.name} at {share:.0%} of {capacity:,.0f} events/s"):
        steady = steady_load(scene, contestant, capacity * share, seconds)
    return {
        "what": f"{contestant.name}, {share:.0%} of {capacity:,.0f}/s",
        "events/s": steady.events_per_s,
        **steady.quantiles(),
        "CPU µs/event": steady.cpu_us_per_event,
        "alerts": len(steady.latencies_ms),
    }


def steady_load(scene: Scene, contestant: Contestant, rate: float, seconds: float) -> Steady:
    """Run a daemon under a load of so many events a second; the first three seconds do not count.

    Raises:
        RunError: it failed, its books do not balance, or the load could not be written at that rate.
    """
    kafka = scene.new_kafka()
    pool = scene.folder / "pool.ndjson"
    pool.write_bytes(b"\n".join(scene.pool()))
    contestant, port = with_http(contestant)
    with running(scene, contestant, kafka) as process:
        wait_ready(process, port)
        began = time.time()  # the clock of the timestamps
        command = [sys.executable, "-m", "benchmarks.load", kafka.bootstrap_servers, kafka.events_topic, str(pool)]
        command += [str(rate), str(_WARM_UP_S + seconds)]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        written, took_s = done.stdout.split()
        ended = time.time()
        progress = GroupProgress(kafka)
        wait_until(lambda: committed_events(progress) >= int(written), _DRAIN_S, process)
        progress.close()
    events_per_s = int(written) / float(took_s)
    if events_per_s < _LATE * rate:
        raise RunError(f"wanted {rate:,.0f} events/s, could write only {events_per_s:,.0f}")
    alerts = check_books(kafka, SUSPICIOUS_EVERY)
    if len(alerts) < int(written) // (PARTITIONS * SUSPICIOUS_EVERY) * PARTITIONS:
        raise RunError(f"was not done {_DRAIN_S:g} s after the load's end")
    latencies_ms = alert_latencies_s(alerts) * 1000
    arrived_ms = np.array([alert.timestamp for alert in alerts])
    counted = latencies_ms[arrived_ms - latencies_ms >= (began + _WARM_UP_S) * 1000]
    return Steady(counted, events_per_s, process.cpu_s(began, ended) / int(written) * 1e6)


def default_contestants() -> list[Contestant]:
    """The daemon with each client."""
    return [detector(client) for client in ("kafka-python", "librdkafka")]
