"""Runs the daemon on the in-memory stream until it has read everything."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from detector.records import OutgoingRecord
from detector.service.daemon import Daemon
from detector.settings import HttpSettings, KafkaSettings, ModelSettings, Settings
from detector.stream.interfaces import Batch, Sink, SourceListener, TransactionalSink
from tests.helpers import GOOD, event
from tests.stream.memory import MemorySink, MemorySource, MemoryTopics, MemoryTransactions

KAFKA = KafkaSettings()
INVALID_VALUES: dict[str, bytes | None] = {
    "tombstone": None,
    "not_utf8": b"\xff\xfe",
    "not_json": b"{",
    "not_an_object": b"[1]",
    "missing_field": json.dumps({name: value for name, value in GOOD.items() if name != "userId"}).encode(),
    "wrong_type": event(userId=1.5),
    "out_of_range": event(userId=2**63),
}
"""A record value for each reason of a dead letter."""


def make_settings(model: Path, threshold: float | None = None, **groups: Any) -> Settings:
    """The daemon's settings for a model and its threshold, with a free HTTP port."""
    return Settings(model=ModelSettings(path=model, threshold=threshold), http=HttpSettings(port=0), **groups)


def write_events(
    topics: MemoryTopics, values: Sequence[bytes | None], keys: Sequence[bytes | None] | None = None
) -> None:
    """Write records to the events topic; each has its number in the header `n`."""
    for number, value in enumerate(values):
        key = keys[number] if keys else None
        topics.append(OutgoingRecord(KAFKA.events_topic, key, value, [("n", b"%d" % number)]))


class ControllingSource(MemorySource):
    """A source that can stop the daemon that polls it."""

    daemon: Daemon
    """Set before the daemon runs."""


def run_with(source: type[ControllingSource], topics: MemoryTopics, settings: Settings, sink: Any = None) -> Daemon:
    """Run a daemon until its source stops it.

    Args:
        source: the class of the source.
        topics: what it reads.
        settings: of the daemon.
        sink: the class of the sink; by default the in-memory one of the settings' delivery guarantee.
    """
    sinks: dict[str, Any] = {"at-least-once": MemorySink, "exactly-once": MemoryTransactions}

    def open_stream(
        kafka: KafkaSettings, guarantee: str, listener: SourceListener, _wait: object
    ) -> tuple[MemorySource, Sink | TransactionalSink]:
        return source(topics, kafka.events_topic, listener), (sink or sinks[guarantee])(topics)

    daemon = Daemon(settings, open_stream)
    source.daemon = daemon
    daemon.run()
    return daemon


def run_until_read(
    topics: MemoryTopics, settings: Settings, source: type[ControllingSource] = ControllingSource, sink: Any = None
) -> Daemon:
    """Run a daemon until it finds nothing more to read."""

    class EndingSource(source):  # type: ignore[misc, valid-type]
        def poll(self, max_records: int, max_wait_s: float, idle_s: float) -> Batch:
            batch: Batch = super().poll(max_records, max_wait_s, idle_s)
            if not batch.records:
                self.daemon.stop()
            return batch

    return run_with(EndingSource, topics, settings, sink)
