"""Quix Streams as in its tutorials: a StreamingDataFrame, one event at a time."""

from typing import Any

from quixstreams import Application
from quixstreams.context import message_context

from benchmarks.peers.job import ALERTS_TOPIC, BOOTSTRAP_SERVERS, EVENTS_TOPIC, GROUP_ID, MODEL, Job, Source, key
from benchmarks.peers.job import headers as alert_headers

_job = Job(MODEL)


def _alert(event: dict[str, Any], _key: Any, timestamp_ms: int, _headers: Any) -> dict[str, Any] | None:
    message = message_context()
    source = Source(message.topic, message.partition, message.offset, timestamp_ms)
    return next(iter(_job.alerts([event], _job.scores([event]), [source])), None)


def main() -> None:
    """Run until a signal."""
    app = Application(
        broker_address=BOOTSTRAP_SERVERS,
        consumer_group=GROUP_ID,
        auto_offset_reset="earliest",
        # "Longer commit intervals limit the IO" (docs/advanced/checkpointing.md). There is no state here. A fifth of
        # the default keeps the benchmark from waiting for the last checkpoint.
        commit_interval=1.0,
        auto_create_topics=False,
        loglevel="WARNING",
    )
    events = app.topic(EVENTS_TOPIC, value_deserializer="json")
    alerts = app.topic(ALERTS_TOPIC, value_serializer="json", key_serializer="bytes")
    frame = app.dataframe(events).apply(_alert, metadata=True).filter(lambda alert: alert is not None)
    frame = frame.set_headers(lambda alert, *_: alert_headers(alert))
    frame.to_topic(alerts, key=key)
    app.run()


if __name__ == "__main__":
    main()
