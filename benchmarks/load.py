"""A steady load, `python -m benchmarks.load SERVERS TOPIC POOL RATE SECONDS`: writes events at a rate, every 5 ms.

POOL is a file with a value in each line, for the partitions in turn. Prints how many it wrote, and how long that took.
"""

import sys
import time
from itertools import cycle, islice
from pathlib import Path

import confluent_kafka

from benchmarks.events import PARTITIONS

_TICK_S = 0.005
_FULL_S = 0.1
_QUEUE = 1_000_000
_AT_ONCE = _QUEUE // PARTITIONS // 10


def main() -> None:
    """Write, and say how many."""
    servers, topic, pool, rate, seconds = sys.argv[1:]
    producer = confluent_kafka.Producer(
        {
            "bootstrap.servers": servers,
            "linger.ms": 1,
            "queue.buffering.max.messages": _QUEUE,
            "queue.buffering.max.kbytes": _QUEUE,
        }
    )
    values = Path(pool).read_bytes().splitlines()
    parts = [cycle([{"value": value} for value in values[part::PARTITIONS]]) for part in range(PARTITIONS)]
    per_partition = int(float(rate) * float(seconds)) // PARTITIONS
    written = 0
    begin = time.perf_counter()
    while written < per_partition:
        due = min(per_partition, int((time.perf_counter() - begin) * float(rate)) // PARTITIONS) - written
        due = min(due, _AT_ONCE)  # or what a slow broker leaves over would grow beyond the queue
        while len(producer) + due * PARTITIONS > _QUEUE:  # the broker takes less than the rate; the time taken says so
            producer.poll(_FULL_S)
        for partition, part in enumerate(parts):
            if producer.produce_batch(topic, list(islice(part, due)), partition=partition) != due:
                raise RuntimeError(f"not all of {due} events were taken for partition {partition}")
        written += due
        producer.poll(0)
        time.sleep(_TICK_S)  # the pace
    producer.flush()
    print(written * PARTITIONS, time.perf_counter() - begin)


if __name__ == "__main__":
    main()
