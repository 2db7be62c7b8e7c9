"""Events for the benchmarks: real BETH rows, about 490 bytes each; a known share is suspicious to the model."""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import confluent_kafka
import numpy as np

from detector.events.rows import read_rows
from detector.features.beth import BETH
from detector.local.demo import SAMPLE
from detector.service.scoring import Scorer

_FULL_ROWS = Path(__file__).parent.parent / "tests" / "data" / "kaggle_training_head100.csv"
_TRANSACTION_MS = 300_000
POOL = 20_000
PARTITIONS = 4


def event_pool(scorer: Scorer, every: int) -> list[bytes]:
    """Values of `POOL` events; if they are written round-robin, every `every`th offset of a partition is suspicious.

    The features are those of the bundled sample; the other fields are those of BETH's original rows.

    Args:
        scorer: decides which events are suspicious.
        every: a divisor of `POOL / PARTITIONS`.
    """
    full = [row.event for row in read_rows(_FULL_ROWS, BETH.fields)]
    values = []
    for number, row in enumerate(read_rows(SAMPLE, BETH.fields)):
        features = {name: value for name, value in row.event.items() if name != "sus_label"}
        values.append(json.dumps({**full[number % len(full)], **features, "sus": row.event["sus_label"]}).encode())
    suspicious = scorer.score(values).suspicious
    by_suspicious = {flag: [values[i] for i in np.flatnonzero(suspicious == flag)] for flag in (True, False)}
    return [_pick(by_suspicious[number // PARTITIONS % every == 0], number) for number in range(POOL)]


def _pick(values: list[bytes], number: int) -> bytes:
    return values[number % len(values)]


def produce(bootstrap_servers: str, topic: str, pool: list[bytes], total: int, codec: str = "none") -> None:
    """Write `total` events to the topic, round-robin over its partitions."""
    producer = _producer(bootstrap_servers, codec)
    _fill(producer, topic, pool, total)


@contextmanager
def open_transaction(bootstrap_servers: str, topic: str, pool: list[bytes], total: int) -> Iterator[Callable[[], None]]:
    """Write events in a transaction; yields the function that commits it, so that all events become visible at once."""
    producer = _producer(
        bootstrap_servers, "none", {"transactional.id": topic, "transaction.timeout.ms": _TRANSACTION_MS}
    )
    producer.init_transactions()
    producer.begin_transaction()
    _fill(producer, topic, pool, total)
    yield producer.commit_transaction


def _producer(bootstrap_servers: str, codec: str, more: dict[str, str | int] | None = None) -> confluent_kafka.Producer:
    return confluent_kafka.Producer(
        {
            "bootstrap.servers": bootstrap_servers,
            "linger.ms": 50,
            "batch.size": 1_000_000,
            "queue.buffering.max.messages": 200_000,
            "enable.idempotence": True,  # keeps the order when a request is retried
            "compression.type": codec,
            "log_level": 3,  # errors only: a new broker logs warnings while it creates topics
            **(more or {}),
        }
    )


def _fill(producer: confluent_kafka.Producer, topic: str, pool: list[bytes], total: int) -> None:
    for number in range(total):
        while True:
            try:
                producer.produce(topic, pool[number % len(pool)], partition=number % PARTITIONS)
                break
            except BufferError:
                producer.poll(0.1)
        if number % 10_000 == 0:
            producer.poll(0)
    producer.flush()
    if len(producer):
        raise RuntimeError(f"{topic}: {len(producer)} of {total} events were not acknowledged")
