"""Events for the benchmarks: real rows, about 490 bytes each, of which a known share is suspicious to the model."""

import json
from pathlib import Path

import confluent_kafka
import numpy as np

from detector.events.csv_rows import read_rows
from detector.local.demo import SAMPLE
from detector.service.scoring import Scorer

_FULL_ROWS = Path(__file__).parent.parent / "tests" / "data" / "kaggle_training_head100.csv"
POOL = 20_000


def event_pool(scorer: Scorer, suspicious_share: float) -> list[bytes]:
    """Values of `POOL` events, `suspicious_share` of them at or above the scorer's threshold, evenly spread.

    The features are the bundled sample's; the fields around them are those of BETH's original rows.
    """
    full = [row.event for row in read_rows(_FULL_ROWS)]
    values = []
    for number, row in enumerate(read_rows(SAMPLE)):
        features = {name: value for name, value in row.event.items() if name != "sus_label"}
        values.append(json.dumps({**full[number % len(full)], **features, "sus": row.label}).encode())
    suspicious = scorer.score(values).suspicious
    by_verdict = {verdict: [values[i] for i in np.flatnonzero(suspicious == verdict)] for verdict in (True, False)}
    every = round(1 / suspicious_share) if suspicious_share else 0
    return [_pick(by_verdict[bool(every) and number % every == 0], number) for number in range(POOL)]


def _pick(values: list[bytes], number: int) -> bytes:
    return values[number % len(values)]


def produce(bootstrap_servers: str, topic: str, pool: list[bytes], total: int, partitions: int) -> None:
    """Write `total` events to the topic, evenly over its partitions."""
    producer = confluent_kafka.Producer(
        {
            "bootstrap.servers": bootstrap_servers,
            "linger.ms": 50,
            "batch.size": 1_000_000,
            "queue.buffering.max.messages": 200_000,
        }
    )
    for number in range(total):
        while True:
            try:
                producer.produce(topic, pool[number % len(pool)], partition=number % partitions)
                break
            except BufferError:
                producer.poll(0.1)
        if number % 10_000 == 0:
            producer.poll(0)
    producer.flush()
    if len(producer):
        raise RuntimeError("not every event was produced")
