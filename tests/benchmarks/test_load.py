"""The load of the benchmarks' latencies."""

import subprocess
import sys
import time

from detector.local.topics import read_topic

_EVERY_S = 0.5


def test_load_is_written_in_order_at_its_rate_with_the_time_of_each_event(kafka, tmp_path):
    """A latency is from the timestamp that the load gives; the pool's turns are what the books are checked by."""
    values = [b"%d" % number for number in range(400)]
    pool = tmp_path / "pool"
    pool.write_bytes(b"\n".join(values))
    command = [sys.executable, "-m", "benchmarks.load", kafka.bootstrap_servers, kafka.events_topic, pool, "8000", "1"]

    began = time.time()
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
    ended = time.time()

    written, took_s = int(done.stdout.split()[0]), float(done.stdout.split()[1])
    records = read_topic(kafka, kafka.events_topic)
    assert len(records) == written
    assert 8000 <= written < 8000 + 400
    assert 0.9 < took_s < 3
    for partition in range(4):
        part = [record for record in records if record.partition == partition]
        turn = values[partition::4]
        assert [record.value for record in part] == [turn[place % len(turn)] for place in range(len(part))]
        stamps = [record.timestamp / 1000 for record in part]
        assert stamps == sorted(stamps)
        assert began <= stamps[0] + 0.001
        assert stamps[-1] <= ended
        assert stamps[-1] - stamps[0] > _EVERY_S


def test_load_says_that_its_topic_is_refused(kafka, tmp_path):
    """And not how many events it would have written."""
    pool = tmp_path / "pool"
    pool.write_bytes(b"\n".join([b"1"] * 40))
    command = [sys.executable, "-m", "benchmarks.load", kafka.bootstrap_servers, "no-such-topic", pool, "8000", "1"]

    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)

    assert done.returncode == 1
    assert "UnknownTopicOrPartitionError" in done.stderr
    assert done.stdout == ""
