"""Quix Streams in micro-batches: a `BatchingSink`, its documented way to collect records until the next checkpoint."""

import orjson
from quixstreams import Application
from quixstreams.sinks import BatchingSink, SinkBatch

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


class _Scoring(BatchingSink):
    """Scores the records since the last checkpoint; the checkpoint commits their offsets when `flush` returns."""

    def __init__(self, app: Application) -> None:
        super().__init__()
        self._producer = app.get_producer()

    def write(self, batch: SinkBatch) -> None:
        events = [orjson.loads(item.value) for item in batch]
        sources = [Source(batch.topic, batch.partition, item.offset, item.timestamp) for item in batch]
        for alert in _job.alerts(events, _job.scores(events), sources):
            self._producer.produce(ALERTS_TOPIC, orjson.dumps(alert), key(alert), headers(alert))

    def flush(self) -> None:
        super().flush()
        self._producer.flush()  # "confirm the delivery of the previously sent messages" (`BaseSink.flush`)


def main() -> None:
    """Run until a signal."""
    app = Application(
        broker_address=BOOTSTRAP_SERVERS,
        consumer_group=GROUP_ID,
        auto_offset_reset="earliest",
        commit_every=MAX_RECORDS,  # each checkpoint is a micro-batch, which closes at this number of records
        commit_interval=MAX_WAIT_S or 0.001,  # or after this time; 0 would be a checkpoint for every record
        # The flush that follows sends what waits in the producer.
        producer_extra_config={"linger.ms": 200},
        auto_create_topics=False,
        loglevel="WARNING",
    )
    events = app.topic(EVENTS_TOPIC, value_deserializer="bytes")
    app.dataframe(events).sink(_Scoring(app))
    app.run()


if __name__ == "__main__":
    main()
