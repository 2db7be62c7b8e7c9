"""The bare poll loop of a client library: `python -m benchmarks.bare CLIENT TOTAL`.

It only reads, as a reference for the rates of the other systems: no decoding, scoring, output or offset commits. It
prints when the first and the last records arrived, and how many arrived in between.
"""

import json
import os
import sys
import time
from collections.abc import Callable

_SERVERS = os.environ["DETECTOR_KAFKA__BOOTSTRAP_SERVERS"]
_TOPIC = os.environ["DETECTOR_KAFKA__EVENTS_TOPIC"]
_GROUP = os.environ["DETECTOR_KAFKA__GROUP_ID"]
_MAX_RECORDS = int(os.environ["DETECTOR_BATCH__MAX_RECORDS"])

Poll = Callable[[], int]
"""Reads the next records and returns their number."""


def _kafka_python() -> Poll:
    from kafka import KafkaConsumer

    consumer = KafkaConsumer(
        _TOPIC,
        bootstrap_servers=_SERVERS,
        group_id=_GROUP,
        auto_offset_reset="earliest",
        enable_auto_commit=False,
    )
    return lambda: sum(map(len, consumer.poll(timeout_ms=500, max_records=_MAX_RECORDS).values()))


def _librdkafka() -> Poll:
    from confluent_kafka import Consumer

    consumer = Consumer(
        {
            "bootstrap.servers": _SERVERS,
            "group.id": _GROUP,
            "auto.offset.reset": "earliest",
            "enable.auto.commit": False,
        }
    )
    consumer.subscribe([_TOPIC])
    return lambda: len(consumer.consume(_MAX_RECORDS, 0.5))


def main() -> None:
    """Read TOTAL records, and print the times and the number of records as JSON."""
    client, total = sys.argv[1], int(sys.argv[2])
    poll = {"kafka-python": _kafka_python, "librdkafka": _librdkafka}[client]()
    while not (first := poll()):
        pass
    begin, seen = time.time(), first
    while seen < total:
        seen += poll()
    print(json.dumps({"begin": begin, "end": time.time(), "events": seen - first}), flush=True)


if __name__ == "__main__":
    main()
