"""Events for the benchmarks: real rows, about 490 bytes each, of which a known share is suspicious to the model."""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import confluent_kafka
import numpy as np

from detector.events.csv_rows import read_rows
from detector.local.demo import SAMPLE
from detector.service.scoring import Scorer

_FULL_ROWS = Path(__file__).parent.parent / "tests" / "data" / "kaggle_training_head100.csv"
_TRANSACTION_MS = 300_000
POOL = 20_000
PARTITIONS = 4


def event_pool(scorer: Scorer, every: int) -> list[bytes]:
    """Values of `POOL` events; written in turn to the partitions, at every `every`th offset there is a suspicious one.

    The features are the bundled sample's; the fields around them are those of BETH's original rows.

    Args:
        scorer: decides what is suspicious.
        every: a divisor of `POOL / PARTITIONS`.
    """
    full = [row.event for row in read_rows(_FULL_ROWS)]
    values = []
    for number, row in enumerate(read_rows(SAMPLE)):
        features = {name: value for name, value in row.event.items() if name != "sus_label"}
        values.append(json.dumps({**full[number % len(full)], **features, "sus": row.label}).encode())
    suspicious = scorer.score(values).suspicious
    by_verdict = {verdict: [values[i] for i in np.flatnonzero(suspicious == verdict)] for verdict in (True, False)}
    return [_pick(by_verdict[number // PARTITIONS % every == 0], number) for number in range(POOL)]


def _pick(values: list[bytes], number: int) -> bytes:
    return values[number % len(values)]


def produce(bootstrap_servers: str, topic: str, pool: list[bytes], total: int, codec: str = "none") -> None:
    """Write `total` events to the topic, in turn to its partitions."""
    producer = _producer(bootstrap_servers, codec)
    _fill(producer, topic, pool, total)


@contextmanager
def withheld(bootstrap_servers: str, topic: str, pool: list[bytes], total: int) -> Iterator[Callable[[], None]]:
    """Write events in a transaction; yields what commits it, so that readers who wait get all of them at once."""
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
            "enable.idempotence": True,  # keeps the order when a request is tried again
            "compression.type": codec,
            "log_level": 3,  # errors; that a fresh broker is still making its topics is none
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
        raise RuntimeError("not every event was produced")
