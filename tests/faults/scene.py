"""Events flowing in, daemons that are hurt, and the books at the end."""

import json
import threading
import time
from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

import numpy as np
from kafka import KafkaConsumer, TopicPartition

from detector.events.csv_rows import read_rows
from detector.local.demo import SAMPLE
from detector.local.ledger import Ledger, reconcile
from detector.local.topics import GroupProgress, TopicReader, read_topic
from detector.records import OutgoingRecord, Partition
from detector.service.scoring import Scorer
from detector.settings import KafkaSettings
from detector.stream.kafka_python import KafkaPythonSink
from tests.helpers import RunningDetector, event, kafka_options, running_detector, wait_until, write_all

_ALERT_SHARE = 0.2
BAD_VALUES = (b"{", None, b"[]")
_POOL = 1000
_SLICE_S = 0.1
_JOIN_S = 60.0


def event_pool(scorer: Scorer) -> list[bytes | None]:
    """Values of which a fifth is suspicious and one in a hundred is no event: whatever is lost or doubled shows."""
    rows = [event(**row.event) for row in read_rows(SAMPLE)]
    suspicious = scorer.score(rows).suspicious
    alarming, calm = ([rows[i] for i in np.flatnonzero(suspicious == verdict)] for verdict in (True, False))
    random = np.random.default_rng(0)
    pool: list[bytes | None] = [
        alarming[number % len(alarming)] if random.random() < _ALERT_SHARE else calm[number % len(calm)]
        for number in range(_POOL)
    ]
    for number in range(0, _POOL, 100):
        pool[number] = BAD_VALUES[number // 100 % len(BAD_VALUES)]
    return pool


class Scene:
    """One set of topics with a feeder, and the daemons on them."""

    def __init__(self, kafka: KafkaSettings, scorer: Scorer, options: Sequence[str], folder: Path) -> None:
        self.kafka = kafka
        self._scorer = scorer
        self._options = [*kafka_options(kafka), *options]
        self._folder = folder
        self._started = 0
        self._stack = ExitStack()
        self._alerts: Counter[int] = Counter()
        self._reader = TopicReader(kafka, kafka.alerts_topic)
        self._stack.callback(self._reader.close)
        self._pool = event_pool(scorer)

    def start(self, *options: str) -> RunningDetector:
        """Another daemon, with these settings besides; ended with the scene."""
        self._started += 1
        log = self._folder / f"detector-{self._started}.log"
        # Not measured: it is going to be killed, and ten others with it.
        return self._stack.enter_context(running_detector([*self._options, *options], log, COVERAGE_PROCESS_CONFIG=""))

    def start_ready(self, *options: str) -> RunningDetector:
        """The same, once it owns partitions."""
        daemon = self.start(*options)
        daemon.wait_for_log("partitions assigned")
        return daemon

    def write(self, number: int) -> None:
        """Write so many events and wait until they are safe."""
        sink = KafkaPythonSink(self.kafka)
        write_all(sink, self._events(0, number))
        sink.close(5)

    def _events(self, position: int, number: int) -> list[OutgoingRecord]:
        values = [self._pool[(position + i) % _POOL] for i in range(number)]
        return [OutgoingRecord(self.kafka.events_topic, None, value, []) for value in values]

    @contextmanager
    def flow(self, rate: int = 1000) -> Iterator[None]:
        """Within the block, so many events a second come in."""
        stopped = threading.Event()
        thread = threading.Thread(target=self._feed, args=(rate, stopped), daemon=True)
        thread.start()
        try:
            yield
        finally:
            stopped.set()
            thread.join(_JOIN_S)  # it waits for its acknowledgements, which a broker that failed the test never gives

    def _feed(self, rate: int, stopped: threading.Event) -> None:
        sink = KafkaPythonSink(self.kafka)
        position, started = 0, time.monotonic()
        while not stopped.wait(_SLICE_S):
            due = int(rate * (time.monotonic() - started)) - position
            # After an outage, however long, a second's worth comes at once, the rest never.
            write_all(sink, self._events(position, min(due, rate)), timeout_s=float("inf"))
            position += due
        sink.close(5)

    def alerts(self, partitions: Collection[int] | None = None) -> int:
        """How many alerts a reader of committed records sees; of events in these partitions, or in all."""
        self._alerts.update(json.loads(record.value)["source"]["partition"] for record in self._reader.read())
        return sum(self._alerts.values() if partitions is None else (self._alerts[number] for number in partitions))

    def behind(self) -> int:
        """How many records the group has still to commit."""
        progress = GroupProgress(self.kafka)
        try:
            return progress.behind()
        finally:
            progress.close()

    def wait_until_committed(self) -> dict[Partition, int]:
        """The group's positions, once they are at the end of the events topic; it fails when they stand still."""
        progress = GroupProgress(self.kafka)
        try:
            while (behind := progress.behind()) > 0:
                wait_until(lambda left=behind: progress.behind() < left, "progress to the end of the events topic", 90)
            return progress.committed()
        finally:
            progress.close()

    def books(self) -> Ledger:
        """The ledger, once everything that was written is committed and can be read.

        A killed instance's open transaction hides what stands behind it, until the brokers end it.
        """
        committed = self.wait_until_committed()
        wait_until(lambda: not self._open_transactions(), "the end of the transactions that a killed instance left")
        topics = (self.kafka.events_topic, self.kafka.alerts_topic, self.kafka.dead_letter_topic)
        events, alerts, dead_letters = (read_topic(self.kafka, topic) for topic in topics)
        written = [json.loads(alert.value) for alert in alerts]
        of = {(alert["source"]["partition"], alert["source"]["offset"]): alert["alert_id"] for alert in written}
        assert {alert["alert_id"] for alert in written} == set(of.values())  # by it a duplicate is known as one
        assert len(of) == len(set(of.values()))
        return reconcile(events, alerts, dead_letters, committed, self._scorer)

    def _open_transactions(self) -> bool:
        """Whether a reader of committed records stops before the end of an output topic."""
        ends = []
        for isolation in ("read_committed", "read_uncommitted"):
            consumer = KafkaConsumer(bootstrap_servers=self.kafka.bootstrap_servers, isolation_level=isolation)
            outputs = [
                TopicPartition(topic, number)
                for topic in (self.kafka.alerts_topic, self.kafka.dead_letter_topic)
                for number in consumer.partitions_for_topic(topic)
            ]
            ends.append(consumer.end_offsets(outputs))
            consumer.close()
        return ends[0] != ends[1]

    def close(self) -> None:
        """End every daemon."""
        self._stack.close()


def first_new_alert_s(scene: Scene, since: float, before: int | None = None) -> float:
    """How long after a moment (of time.monotonic) a reader sees more alerts than before, which is now if not given."""
    known = scene.alerts() if before is None else before
    wait_until(lambda: scene.alerts() > known, "a new alert")
    return time.monotonic() - since
