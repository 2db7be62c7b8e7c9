"""Bytewax: a dataflow over batches, started by `python -m bytewax.run`."""

from collections.abc import Iterable

import bytewax.operators as op
import orjson
from bytewax.connectors.kafka import KafkaSinkMessage, KafkaSourceMessage
from bytewax.connectors.kafka import operators as kop
from bytewax.dataflow import Dataflow
from confluent_kafka import OFFSET_STORED

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

_job = Job(MODEL)


def _score(messages: list[KafkaSourceMessage[bytes, bytes]]) -> Iterable[KafkaSinkMessage[bytes, bytes]]:
    events = [orjson.loads(message.value) for message in messages]
    sources = [Source(m.topic, m.partition, m.offset, m.timestamp[1]) for m in messages]
    return [
        KafkaSinkMessage(key(alert), orjson.dumps(alert), headers=headers(alert))
        for alert in _job.alerts(events, _job.scores(events), sources)
    ]


flow = Dataflow("detector")
_brokers = [BOOTSTRAP_SERVERS]
_records = kop.input(
    "events",
    flow,
    brokers=_brokers,
    topics=[EVENTS_TOPIC],
    batch_size=MAX_RECORDS,  # "increasing batch sizes may improve throughput" (docs, Performance)
    # Offsets on the broker, as in the docs, "Kafka and Recovery": they are committed after reading, not after delivery.
    starting_offset=OFFSET_STORED,
    add_config={
        "group.id": GROUP_ID,
        "enable.auto.commit": "true",
        "auto.commit.interval.ms": "1000",  # not 5000, so that the benchmark does not wait for the last commit
        "auto.offset.reset": "earliest",
    },
)
# One call per batch, because "the relative amount of overhead" of a model call matters (docs, "Batching large-overhead
# operations").
_alerts = op.flat_map_batch("score", _records.oks, _score)
kop.output("alerts", _alerts, brokers=_brokers, topic=ALERTS_TOPIC)
