"""A steady load, `python -m benchmarks.load SERVERS TOPIC POOL RATE SECONDS`: writes events at a rate, one at a time.

POOL is a file with a value in each line. Prints how many it wrote.
"""

import sys
import time
from itertools import cycle, islice
from pathlib import Path

import confluent_kafka

from benchmarks.events import PARTITIONS

_TICK_S = 0.005
_FULL_S = 0.1


def main() -> None:
    """Write, and say how many."""
    servers, topic, pool, rate, seconds = sys.argv[1:]
    producer = confluent_kafka.Producer(
        {"bootstrap.servers": servers, "linger.ms": 1, "queue.buffering.max.messages": 1_000_000}
    )
    values = cycle(Path(pool).read_bytes().splitlines())
    total = int(float(rate) * float(seconds))
    written = 0
    begin = time.perf_counter()
    while written < total:
        due = min(total, int((time.perf_counter() - begin) * float(rate)))
        for value in islice(values, due - written):
            _write(producer, topic, value, written % PARTITIONS)
            written += 1
        producer.poll(0)
        time.sleep(_TICK_S)  # the pace
    producer.flush()
    print(written, time.perf_counter() - begin)


def _write(producer: confluent_kafka.Producer, topic: str, value: bytes, partition: int) -> None:
    while True:
        try:
            producer.produce(topic, value, partition=partition)
        except BufferError:  # the broker takes less than the rate; whoever asked for it sees how long it took
            producer.poll(_FULL_S)
        else:
            return


if __name__ == "__main__":
    main()
