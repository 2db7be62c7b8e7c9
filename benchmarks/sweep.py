"""Sweeps of the batch limits: the rate from a backlog by batch size, the latency under load by longest wait."""

from benchmarks.latency import run_loads
from benchmarks.measure import MAX_RECORDS
from benchmarks.results import Section
from benchmarks.rounds import Case, rows, run_rounds
from benchmarks.systems import detector
from benchmarks.testbed import Testbed

SIZES = (100, 250, 500, 1000, 2000, 5000, 10_000)
WAITS_MS = (0, 5, 10, 20, 50, 100)
_SHARE = 0.5


def batch_sizes(testbed: Testbed, total: int, repetitions: int, limit_s: float) -> Section:
    """Rate from a backlog for each `DETECTOR_BATCH__MAX_RECORDS`."""
    backlog = testbed.backlog(total)
    cases = [
        Case(detector(name=f"{size} records", DETECTOR_BATCH__MAX_RECORDS=str(size)), backlog, limit_s)
        for size in SIZES
    ]
    results = run_rounds(testbed, "batch size", cases, repetitions)
    table = [{**row, "records": int(row["case"].split()[0])} for row in rows(results, f"{MAX_RECORDS} records")]
    return Section("batch_size", "Rate from a backlog, by largest batch", table, results.excluded)


def batch_waits(testbed: Testbed, capacity: float, seconds: float, repetitions: int) -> Section:
    """Latency and CPU time at half of the capacity for each `DETECTOR_BATCH__MAX_WAIT_MS`."""
    loads = {
        f"{wait_ms} ms": (detector(DETECTOR_BATCH__MAX_WAIT_MS=str(wait_ms)), capacity * _SHARE) for wait_ms in WAITS_MS
    }
    measured, excluded = run_loads(testbed, loads, seconds, repetitions)
    table = [{**row, "wait ms": int(row["case"].split()[0])} for row in measured]
    title = f"Latency at {_SHARE:.0%} of capacity, by longest wait for a batch"
    return Section("batch_wait", title, table, excluded)
