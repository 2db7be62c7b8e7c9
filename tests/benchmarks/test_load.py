"""The load generator of the latency benchmarks."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

from benchmarks.latency import write_load
from benchmarks.measure import RunError
from detector.records import Partition, Record
from detector.settings import KafkaSettings
from detector.stream.admin.topics import read_topic
from tests.helpers import group_progress, java_processes, wait_until

_RATE, _SECONDS, _PARTITIONS = 8000, 1.5, 4
_BURST = 10
"""Events per partition in 5 ms at that rate."""


@pytest.fixture
def pool(tmp_path):
    path = tmp_path / "pool"
    path.write_bytes(b"\n".join(b"%d" % number for number in range(400)))
    return path


@contextmanager
def _running_load(kafka: KafkaSettings, pool: Path) -> Iterator["subprocess.Popen[str]"]:
    """The load generator, which is killed if it still runs at the end of the block."""
    numbers = [str(_PARTITIONS), str(_RATE), str(_SECONDS)]
    command = [
        sys.executable,
        "-m",
        "benchmarks.load",
        kafka.bootstrap_servers,
        kafka.events_topic,
        str(pool),
        *numbers,
    ]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield process
        finally:
            process.kill()


@contextmanager
def _stopped(pid: int) -> Iterator[None]:
    """A process that is stopped within the block and continues after it."""
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


def _result(load: "subprocess.Popen[str]") -> tuple[int, float]:
    """The number of events and the seconds that the load generator prints."""
    printed, _ = load.communicate(timeout=60)
    assert load.returncode == 0
    written, took_s = printed.split()
    return int(written), float(took_s)


def _by_partition(kafka: KafkaSettings) -> list[list[Record]]:
    records = read_topic(kafka, kafka.events_topic)
    return [[record for record in records if record.partition == number] for number in range(_PARTITIONS)]


def _assert_on_schedule(partitions: Sequence[Sequence[Record]]) -> None:
    """Check that each burst has the timestamp at which it was due, even if it was sent later."""
    for records in partitions:
        timestamps_ms = np.array([record.timestamp for record in records])
        due_ms = np.arange(len(records)) // _BURST * 5
        assert np.abs(timestamps_ms - timestamps_ms[0] - due_ms).max() <= 1


def test_events_are_written_round_robin_at_the_rate(kafka, pool):
    """Otherwise correct alerts would look wrong, because every nth event of the pool is suspicious."""
    with _running_load(kafka, pool) as load:
        written, took_s = _result(load)

    partitions = _by_partition(kafka)
    values = pool.read_bytes().splitlines()
    assert written == sum(map(len, partitions)) == _RATE * _SECONDS
    assert took_s > _SECONDS - 0.01
    for number, records in enumerate(partitions):
        expected = values[number::_PARTITIONS]
        assert [record.value for record in records] == [expected[i % len(expected)] for i in range(len(records))]
    _assert_on_schedule(partitions)


def test_time_during_which_the_broker_hangs_is_part_of_the_latency(kafka, pool, broker):
    """Otherwise the worst latencies of all would not be measured."""
    (java,) = java_processes(broker.data_dir)
    first_partition = Partition(kafka.events_topic, 0)
    with group_progress(kafka) as progress, _running_load(kafka, pool) as load:
        wait_until(lambda: progress.log_ends([first_partition])[first_partition], "events of the load", every_s=0.05)
        with _stopped(java), pytest.raises(subprocess.TimeoutExpired):
            load.wait(0.5)  # the pause itself
        written, _ = _result(load)

    partitions = _by_partition(kafka)
    assert written == sum(map(len, partitions)) == _RATE * _SECONDS
    _assert_on_schedule(partitions)


def test_rejected_load_is_an_error(kafka, pool):
    """Otherwise a table would show latencies of events that were never written."""
    with pytest.raises(RunError, match=r"the load generator failed: .*UnknownTopicOrPartitionError"):
        write_load(kafka.model_copy(update={"events_topic": "no-such-topic"}), pool, _RATE, _SECONDS)


def test_load_below_its_rate_is_an_error(kafka, pool):
    """Otherwise a table would show the latencies of a lower rate under the name of a higher rate."""
    with pytest.raises(RunError, match=r"the load generator wrote [\d,]+ events/s instead of 100,000,000"):
        write_load(kafka, pool, 1e8, 0.02)
