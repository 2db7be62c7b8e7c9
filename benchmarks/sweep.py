"""What the size of a batch and the wait for it are worth: rate from a backlog, latency under a steady load."""

from typing import Any

from benchmarks.contestants import detector
from benchmarks.latency import steady_load
from benchmarks.measure import MAX_RECORDS, RunError
from benchmarks.results import Section
from benchmarks.rounds import Case, console, in_rounds, rows
from benchmarks.scene import Scene

SIZES = (100, 250, 500, 1000, 2000, 5000, 10_000)
WAITS_MS = (0, 5, 10, 20, 50, 100)
_SHARE = 0.5


def batch_sizes(scene: Scene, total: int, repetitions: int, limit_s: float) -> Section:
    """The rate from a backlog by `DETECTOR_BATCH__MAX_RECORDS`."""
    backlog = scene.backlog(total)
    cases = [
        Case(detector(name=f"{size} records", DETECTOR_BATCH__MAX_RECORDS=str(size)), backlog, limit_s)
        for size in SIZES
    ]
    outcome = in_rounds(scene, "batch size", cases, repetitions)
    table = [{**row, "records": int(row["what"].split()[0])} for row in rows(outcome, f"{MAX_RECORDS} records")]
    return Section("batch_size", "Rate from a backlog by the largest batch", table, outcome.left_out)


def batch_waits(scene: Scene, capacity: float, seconds: float) -> Section:
    """Latency and processor time at half of the capacity by `DETECTOR_BATCH__MAX_WAIT_MS`."""
    table: list[dict[str, Any]] = []
    left_out: list[str] = []
    for wait_ms in WAITS_MS:
        contestant = detector(name=f"{wait_ms} ms", DETECTOR_BATCH__MAX_WAIT_MS=str(wait_ms))
        with console.status(f"batch wait: {contestant.name} at {capacity * _SHARE:,.0f} events/s"):
            try:
                steady = steady_load(scene, contestant, capacity * _SHARE, seconds)
            except RunError as error:
                left_out.append(f"{contestant.name}: {error}")
                continue
        table.append(
            {
                "what": contestant.name,
                "wait ms": wait_ms,
                "events/s": steady.events_per_s,
                **steady.quantiles(),
                "CPU µs/event": steady.cpu_us_per_event,
            }
        )
    return Section(
        "batch_wait", f"Latency at {_SHARE:.0%} of capacity by the longest wait for a batch", table, left_out
    )
