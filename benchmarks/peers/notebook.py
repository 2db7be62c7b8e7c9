"""A plain loop as in a notebook: kafka-python, json, scikit-learn's StandardScaler, torch.

It processes the batches that `KafkaConsumer.poll` returns: one event at a time would be many times slower.
"""

import json
import signal
import sys
from itertools import pairwise
from typing import Any

import torch
from kafka import KafkaConsumer, KafkaProducer
from sklearn.preprocessing import StandardScaler
from torch import nn

from benchmarks.peers.job import (
    ALERTS_TOPIC,
    BOOTSTRAP_SERVERS,
    EVENTS_TOPIC,
    GROUP_ID,
    MAX_RECORDS,
    MODEL,
    Job,
    Source,
    headers,
    key,
)


def _scaler(job: Job) -> StandardScaler:
    scaler = StandardScaler()
    scaler.mean_, scaler.scale_ = job.tensors["scaler.mean"], job.tensors["scaler.scale"]
    scaler.n_features_in_ = len(scaler.mean_)
    return scaler


def _network(job: Job, prefix: str) -> nn.Sequential:
    sizes = job.manifest["layers"]
    modules: list[nn.Module] = []
    for i, (inputs, outputs) in enumerate(pairwise(sizes)):
        linear = nn.Linear(inputs, outputs)
        weights = {name: torch.from_numpy(job.tensors[f"{prefix}layers.{i}.{name}"]) for name in ("weight", "bias")}
        linear.load_state_dict(weights)
        modules += [linear, nn.ReLU()]
    return nn.Sequential(*modules[:-1], nn.Sigmoid()).eval()


def _run(job: Job, consumer: Any, producer: Any) -> None:
    scaler = _scaler(job)
    members = [_network(job, prefix) for prefix in job.member_prefixes()]
    while True:
        polled = consumer.poll(timeout_ms=500, max_records=MAX_RECORDS)
        records = [record for part in polled.values() for record in part]
        if not records:
            continue
        events = [record.value for record in records]
        inputs = torch.tensor(scaler.transform(job.features(events)), dtype=torch.float32)
        with torch.no_grad():
            scores = torch.stack([member(inputs)[:, 0] for member in members]).mean(dim=0).double().numpy()
        sources = [Source(r.topic, r.partition, r.offset, r.timestamp) for r in records]
        for alert in job.alerts(events, scores, sources):
            producer.send(ALERTS_TOPIC, alert, key(alert), headers(alert))
        producer.flush()
        consumer.commit()


def main() -> None:
    """Run until SIGTERM."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    torch.set_num_threads(1)
    consumer = KafkaConsumer(
        EVENTS_TOPIC,
        bootstrap_servers=BOOTSTRAP_SERVERS,
        group_id=GROUP_ID,
        auto_offset_reset="earliest",
        enable_auto_commit=False,
        value_deserializer=json.loads,
    )
    # The linger lets the alerts of a batch share requests; the flush ends the linger.
    producer = KafkaProducer(
        bootstrap_servers=BOOTSTRAP_SERVERS,
        value_serializer=lambda alert: json.dumps(alert).encode(),
        linger_ms=200,
        batch_size=256 * 1024,
    )
    _run(Job(MODEL), consumer, producer)


if __name__ == "__main__":
    main()
