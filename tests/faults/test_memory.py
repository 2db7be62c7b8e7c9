"""Input at three times what the service takes, for as long as one asks: its memory does not grow."""

import os
import time
from pathlib import Path

import pytest

from tests.helpers import RunningDetector

MINUTES = float(os.environ.get("DETECTOR_SOAK_MEMORY_MINUTES", "0"))
_WARM_UP_S = 30.0
_READ_AHEAD = 100_000  # more records than either client reads ahead
_MEASURE_S = 5.0
_OVERLOAD = 3


def resident_bytes(daemon: RunningDetector) -> int:
    pages = int(Path(f"/proc/{daemon.process.pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


def taken_per_s(daemon: RunningDetector) -> float:
    """Records per second, over the next seconds."""
    before = daemon.metric("detector_records_consumed_total")
    time.sleep(_MEASURE_S)  # paces the measurement, as does the warm-up
    return (daemon.metric("detector_records_consumed_total") - before) / _MEASURE_S


@pytest.mark.timeout(7200)
@pytest.mark.skipif(not MINUTES, reason="takes minutes: part of `make soak`")
def test_memory_is_flat_while_the_backlog_grows(scene, guarantee, client):
    """What cannot be taken stays in Kafka, not in the process: from its warm state on within 5 %."""
    daemon = scene.start_ready("--set", "batch.max_records=10")  # each batch waits for its acknowledgements
    scene.write(_READ_AHEAD)
    with scene.flow(rate=5000):
        time.sleep(_WARM_UP_S)
        rate = taken_per_s(daemon)
    warm, samples = resident_bytes(daemon), []
    until = time.monotonic() + 60 * MINUTES
    while time.monotonic() < until:
        # Beside other tests it takes less at one time than at another: what is written follows.
        with scene.flow(rate=int(_OVERLOAD * rate)):
            rate = taken_per_s(daemon)
            samples.append(resident_bytes(daemon))
    lag = daemon.metric("detector_lag_records")

    print(
        f"\n{client}, {guarantee}: {rate:.0f} records/s taken at the end, {_OVERLOAD} times as many written for "
        f"{MINUTES:g} min, {lag:.0f} behind at the end; RSS {warm / 2**20:.1f} MiB warm, {min(samples) / 2**20:.1f} "
        f"to {max(samples) / 2**20:.1f} MiB"
    )
    assert lag > rate  # there was a backlog all along
    assert all(abs(sample / warm - 1) <= 0.05 for sample in samples)
