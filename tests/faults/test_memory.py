"""Memory does not grow while records arrive three times as fast as the service processes them."""

import time

import pytest

from tests.faults.soak import MEMORY_MINUTES
from tests.helpers import RunningDetector

_WARM_UP_S = 120.0
"""The process is warm within 10 s when it runs alone, but took over 30 s beside other tests on a slow machine."""
_BATCH_RECORDS = {
    "at-least-once": {"kafka-python": 3, "librdkafka": 1},
    "exactly-once": {"kafka-python": 30, "librdkafka": 30},
}
"""So few that the load can be three times the processed rate: half of the batches wait for acknowledgements, or each is
a transaction. With even fewer, the daemon would still process the first responses of the brokers after the warm-up."""
_BACKLOG = 100_000
"""More records than either client prefetches."""
_MEASURE_S = 5.0
_OVERLOAD = 3.5
"""The load, as a multiple of the rate processed in the previous 5 s, so that the total is at least three times."""


def processed_per_s(daemon: RunningDetector) -> float:
    """The records per second that the daemon processes during the next 5 s."""
    before = daemon.metric("detector_records_consumed_total")
    time.sleep(_MEASURE_S)  # the measured interval
    return (daemon.metric("detector_records_consumed_total") - before) / _MEASURE_S


@pytest.mark.timeout(7200)
@pytest.mark.skipif(not MEMORY_MINUTES, reason="takes minutes: part of `make soak`")
def test_memory_is_flat_while_the_backlog_grows(deployment, guarantee, client):
    """Otherwise the system would kill the service when its backlog no longer fits into memory."""
    daemon = deployment.start_ready("--set", f"batch.max_records={_BATCH_RECORDS[guarantee][client]}")
    deployment.write(_BACKLOG)
    with deployment.load(rate=5000):
        time.sleep(_WARM_UP_S)
        rate = processed_per_s(daemon)
    warm, samples = daemon.resident_bytes(), []
    consumed, lag = daemon.metric("detector_records_consumed_total"), deployment.lag()
    until = time.monotonic() + 60 * MEMORY_MINUTES
    while time.monotonic() < until:
        # The load follows the processed rate, which varies while other tests run.
        with deployment.load(rate=int(_OVERLOAD * rate)):
            rate = processed_per_s(daemon)
            samples.append(daemon.resident_bytes())
    processed = daemon.metric("detector_records_consumed_total") - consumed
    written = processed + deployment.lag() - lag

    print(
        f"\n{client}, {guarantee}: {processed:.0f} records processed in {MEMORY_MINUTES:g} min, "
        f"{written / processed:.1f} times as many written; RSS {warm / 2**20:.1f} MiB warm, "
        f"{min(samples) / 2**20:.1f} to {max(samples) / 2**20:.1f} MiB"
    )
    assert written >= 3 * processed
    assert all(abs(sample / warm - 1) <= 0.05 for sample in samples)
