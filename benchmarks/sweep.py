"""What the size of a batch and the wait for it are worth: rate from a backlog, latency under a steady load."""

from benchmarks.contestants import detector
from benchmarks.latency import steady_rounds
from benchmarks.measure import MAX_RECORDS
from benchmarks.results import Section
from benchmarks.rounds import Case, in_rounds, rows
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


def batch_waits(scene: Scene, capacity: float, seconds: float, repetitions: int) -> Section:
    """Latency and processor time at half of the capacity by `DETECTOR_BATCH__MAX_WAIT_MS`."""
    loads = {
        f"{wait_ms} ms": (detector(DETECTOR_BATCH__MAX_WAIT_MS=str(wait_ms)), capacity * _SHARE) for wait_ms in WAITS_MS
    }
    measured, left_out = steady_rounds(scene, loads, seconds, repetitions)
    table = [{**row, "wait ms": int(row["what"].split()[0])} for row in measured]
    title = f"Latency at {_SHARE:.0%} of capacity by the longest wait for a batch"
    return Section("batch_wait", title, table, left_out)
