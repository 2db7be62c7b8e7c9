"""Input at three times what the service takes, for as long as one asks: its memory does not grow."""

import os
import time

import pytest

from tests.helpers import RunningDetector

MINUTES = float(os.environ.get("DETECTOR_SOAK_MEMORY_MINUTES", "0"))
_WARM_UP_S = (
    120.0  # alone it is warm within ten seconds; beside other tests, on a slow machine, it was not within thirty
)
_SLOWED = {
    "at-least-once": {"kafka-python": 3, "librdkafka": 1},
    "exactly-once": {"kafka-python": 30, "librdkafka": 30},
}
"""So few records a batch that those who write can write three times as many: one in two waits for acknowledgements, or
each is a transaction. Fewer, and it is not through its first answers from the brokers before it is taken for warm."""
_READ_AHEAD = 100_000  # more records than either client reads ahead
_MEASURE_S = 5.0
_OVERLOAD = 3.5  # of what was taken in the five seconds before: at least three times on the whole


def taken_per_s(daemon: RunningDetector) -> float:
    """Records per second, over the next seconds."""
    before = daemon.metric("detector_records_consumed_total")
    time.sleep(_MEASURE_S)  # paces the measurement, as does the warm-up
    return (daemon.metric("detector_records_consumed_total") - before) / _MEASURE_S


@pytest.mark.timeout(7200)
@pytest.mark.skipif(not MINUTES, reason="takes minutes: part of `make soak`")
def test_memory_is_flat_while_the_backlog_grows(scene, guarantee, client):
    """What cannot be taken stays in Kafka, not in the process: from its warm state on within 5 %."""
    daemon = scene.start_ready("--set", f"batch.max_records={_SLOWED[guarantee][client]}")
    scene.write(_READ_AHEAD)
    with scene.flow(rate=5000):
        time.sleep(_WARM_UP_S)
        rate = taken_per_s(daemon)
    warm, samples = daemon.resident_bytes(), []
    consumed, behind = daemon.metric("detector_records_consumed_total"), scene.behind()
    until = time.monotonic() + 60 * MINUTES
    while time.monotonic() < until:
        # Beside other tests it takes less at one time than at another: what is written follows.
        with scene.flow(rate=int(_OVERLOAD * rate)):
            rate = taken_per_s(daemon)
            samples.append(daemon.resident_bytes())
    taken = daemon.metric("detector_records_consumed_total") - consumed
    written = taken + scene.behind() - behind

    print(
        f"\n{client}, {guarantee}: {taken:.0f} records taken in {MINUTES:g} min, {written / taken:.1f} times as many "
        f"written; RSS {warm / 2**20:.1f} MiB warm, {min(samples) / 2**20:.1f} "
        f"to {max(samples) / 2**20:.1f} MiB"
    )
    assert written >= 3 * taken
    assert all(abs(sample / warm - 1) <= 0.05 for sample in samples)
