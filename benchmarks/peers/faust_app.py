"""Faust-streaming: an agent over `take_events`, started by its worker command.

With the bundles that its installation page recommends for speed: uvloop (set on the command line), ciso8601, orjson.
"""

import asyncio
from typing import Any

import faust
import orjson

from benchmarks.peers.job import (
    ALERTS_TOPIC,
    BOOTSTRAP_SERVERS,
    EVENTS_TOPIC,
    GROUP_ID,
    MAX_RECORDS,
    MAX_WAIT_S,
    MODEL,
    Job,
    Source,
    headers,
    key,
)

_job = Job(MODEL)
app = faust.App(
    GROUP_ID,
    broker=f"kafka://{BOOTSTRAP_SERVERS}",
    store="memory://",
    topic_disable_leader=True,  # the leader topic is not needed here
    web_enabled=False,
    stream_buffer_maxsize=4 * MAX_RECORDS,  # "higher numbers gives better throughput" (settings reference)
    broker_commit_interval=1.0,  # not 2.8, so that the benchmark does not wait for the last commit
)
_events = app.topic(EVENTS_TOPIC, key_serializer="raw", value_serializer="raw")
_alerts = app.topic(ALERTS_TOPIC, key_serializer="raw", value_serializer="raw")


@app.agent(_events)
async def _score(stream: Any) -> None:
    # `take_events` instead of `take`: alerts need their events' offsets. The next iteration acknowledges the batch.
    async for batch in stream.take_events(MAX_RECORDS, within=MAX_WAIT_S):
        events = [orjson.loads(event.value) for event in batch]
        messages = [event.message for event in batch]
        sources = [Source(m.topic, m.partition, m.offset, round(m.timestamp * 1000)) for m in messages]
        alerts = _job.alerts(events, _job.scores(events), sources)
        sent = [
            await _alerts.send(key=key(alert), value=orjson.dumps(alert), headers=dict(headers(alert)))
            for alert in alerts
        ]
        await asyncio.gather(*sent)
