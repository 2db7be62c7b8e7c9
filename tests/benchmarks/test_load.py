"""The load of the benchmarks' latencies."""

import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

from benchmarks.latency import _load
from benchmarks.measure import RunError
from detector.local.topics import read_topic
from tests.helpers import java_processes

_RATE, _SECONDS, _PARTITIONS = 8000, 1.5, 4
_TOGETHER = 10
"""Events of a partition, in 5 ms at that rate."""


@pytest.fixture
def pool(tmp_path):
    path = tmp_path / "pool"
    path.write_bytes(b"\n".join(b"%d" % number for number in range(400)))
    return path


def start(kafka, pool):
    numbers = [str(_PARTITIONS), str(_RATE), str(_SECONDS)]
    command = [sys.executable, "-m", "benchmarks.load", kafka.bootstrap_servers, kafka.events_topic, pool, *numbers]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def end_of(load):
    said, _ = load.communicate(timeout=60)
    assert load.returncode == 0
    written, took_s = said.split()
    return int(written), float(took_s)


def by_partition(kafka):
    records = read_topic(kafka, kafka.events_topic)
    return [[record for record in records if record.partition == number] for number in range(_PARTITIONS)]


def assert_on_schedule(parts):
    """Each burst of 5 ms has the time at which it was due, whatever happened when it was sent."""
    for part in parts:
        stamps_ms = np.array([record.timestamp for record in part])
        due_ms = np.arange(len(part)) // _TOGETHER * 5
        assert np.abs(stamps_ms - stamps_ms[0] - due_ms).max() <= 1


def test_events_are_written_in_the_turns_of_the_pool_and_no_more_than_wanted(kafka, pool):
    """The books are checked by the turns: every so many is suspicious."""
    written, took_s = end_of(start(kafka, pool))

    parts = by_partition(kafka)
    values = pool.read_bytes().splitlines()
    assert written == sum(map(len, parts)) == _RATE * _SECONDS
    assert took_s > _SECONDS - 0.01
    for number, part in enumerate(parts):
        turn = values[number::_PARTITIONS]
        assert [record.value for record in part] == [turn[place % len(turn)] for place in range(len(part))]
    assert_on_schedule(parts)


def test_time_in_which_the_broker_stood_still_is_part_of_the_latencies(kafka, pool, broker):
    """Else the worst moments of all were those that do not count."""
    load = start(kafka, pool)
    while not sum(map(len, by_partition(kafka))):
        time.sleep(0.05)
    (java,) = java_processes(broker.data_dir)
    os.kill(java, signal.SIGSTOP)
    time.sleep(0.5)
    os.kill(java, signal.SIGCONT)
    written, _ = end_of(load)

    parts = by_partition(kafka)
    assert written == sum(map(len, parts)) == _RATE * _SECONDS
    assert_on_schedule(parts)


def test_refused_load_is_no_figure(kafka, pool):
    """It is left out of the table, with the broker's reason."""
    with pytest.raises(RunError, match=r"the load failed: .*UnknownTopicOrPartitionError"):
        _load(kafka.model_copy(update={"events_topic": "no-such-topic"}), pool, _RATE, _SECONDS)


def test_load_that_cannot_be_written_is_no_figure(kafka, pool):
    """A lower rate has other latencies."""
    with pytest.raises(RunError, match=r"wanted 100,000,000 events/s, could write only [\d,]+"):
        _load(kafka, pool, 1e8, 0.02)
