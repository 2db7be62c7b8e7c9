"""kafka-python: a poll that times out leaves a reference cycle, which keeps the variables of its callers in memory.

A loop that reads batches keeps each batch in memory until garbage is collected. Argument: HOST:PORT of a broker.
"""

import gc
import sys
import weakref
from uuid import uuid4

from kafka import KafkaConsumer, TopicPartition


class Batch:
    """What a caller holds while it polls for more."""


def wait_for_more(consumer: KafkaConsumer) -> "weakref.ref[Batch]":
    """Hold a batch during a poll that returns nothing."""
    batch = Batch()
    consumer.poll(timeout_ms=100)
    return weakref.ref(batch)


def main(broker: str) -> bool:
    """Whether an error that kafka-python raised and caught keeps an object in memory to which nothing else refers."""
    consumer = KafkaConsumer(bootstrap_servers=broker, group_id=None, auto_offset_reset="earliest")
    topic = f"cycle-{uuid4().hex}"
    try:
        consumer.partitions_for_topic(topic)
        consumer.assign([TopicPartition(topic, 0)])
        consumer.poll(timeout_ms=1_000)
        gc.disable()
        alive = [wait_for_more(consumer)() is not None for _ in range(10)]
        gc.collect()
    finally:
        gc.enable()
        consumer.close()
    print("expected: objects that a caller of poll holds are freed when the caller returns")
    print(f"happened: {sum(alive)} of {len(alive)} such objects were kept until garbage was collected")
    return any(alive)


if __name__ == "__main__":
    sys.exit(0 if main(sys.argv[1]) else 1)
