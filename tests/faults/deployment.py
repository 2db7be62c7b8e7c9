"""Topics with a load, the daemons that process it, and the reconciliation of their outputs."""

import json
import threading
import time
from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from kafka import KafkaConsumer, TopicPartition

from detector.events.rows import read_rows
from detector.features.beth import BETH
from detector.local.demo import SAMPLE
from detector.local.reconciliation import Reconciliation, reconcile
from detector.records import OutgoingRecord, Partition
from detector.service.scoring import Scorer
from detector.settings import KafkaSettings
from detector.stream.admin.groups import GroupProgress
from detector.stream.admin.topics import read_topic, reader_options
from detector.stream.kafka_python.sink import KafkaPythonSink
from tests.helpers import (
    WITHOUT_COVERAGE,
    RunningDetector,
    event,
    group_progress,
    kafka_options,
    running_detector,
    wait_until,
    write_all,
)

INVALID_VALUES = (b"{", None, b"[]")
_SUSPICIOUS_SHARE = 0.2
_POOL_SIZE = 1000
_INVALID_EVERY = 100
_WRITE_EVERY_S = 0.1
_LOAD_STOP_S = 60.0
_POLL_MS = 1000
_POLL_RECORDS = 100_000
_CLOSE_S = 5.0


def event_pool(scorer: Scorer) -> list[bytes | None]:
    """Record values: a fifth is suspicious and one in a hundred is invalid, so that losses and duplicates show."""
    rows = [event(**row.event) for row in read_rows(SAMPLE, BETH.fields)]
    is_suspicious = scorer.score(rows).suspicious
    suspicious, benign = ([rows[i] for i in np.flatnonzero(is_suspicious == value)] for value in (True, False))
    random = np.random.default_rng(0)
    pool: list[bytes | None] = [
        suspicious[number % len(suspicious)] if random.random() < _SUSPICIOUS_SHARE else benign[number % len(benign)]
        for number in range(_POOL_SIZE)
    ]
    for number in range(0, _POOL_SIZE, _INVALID_EVERY):
        pool[number] = INVALID_VALUES[number // _INVALID_EVERY % len(INVALID_VALUES)]
    return pool


class AlertReader:
    """Reads the committed records of an alerts topic, each once."""

    def __init__(self, kafka: KafkaSettings) -> None:
        self._topic = kafka.alerts_topic
        self._consumer: Any = KafkaConsumer(**reader_options(kafka))
        ends = self._ends()
        self._consumer.assign(list(ends))
        self._consumer.seek_to_beginning(*ends)

    def read(self) -> list[dict[str, Any]]:
        """The alerts that were written since the last call."""
        ends = self._ends()
        alerts: list[dict[str, Any]] = []
        while any(self._consumer.position(partition) < end for partition, end in ends.items()):
            for records in self._consumer.poll(timeout_ms=_POLL_MS, max_records=_POLL_RECORDS).values():
                alerts += [json.loads(record.value) for record in records]
        return alerts

    def _ends(self) -> dict[TopicPartition, int]:
        numbers = self._consumer.partitions_for_topic(self._topic) or ()
        ends: dict[TopicPartition, int] = self._consumer.end_offsets([TopicPartition(self._topic, n) for n in numbers])
        return ends

    def close(self) -> None:
        """Close the connections."""
        self._consumer.close()


class Deployment:
    """One set of topics, and the daemons on them.

    Args:
        kafka: the topics.
        scorer: the model of the daemons.
        options: the daemons' command-line options, beside those of the topics.
        folder: for the daemons' logs.
    """

    def __init__(self, kafka: KafkaSettings, scorer: Scorer, options: Sequence[str], folder: Path) -> None:
        self.kafka = kafka
        self._scorer = scorer
        self._options = [*kafka_options(kafka), *options]
        self._folder = folder
        self._daemons = 0
        self._stack = ExitStack()
        self._alerts_by_partition: Counter[int] = Counter()
        self._alert_reader = self._stack.enter_context(closing(AlertReader(kafka)))
        self._pool = event_pool(scorer)

    def start(self, *options: str) -> RunningDetector:
        """Start another daemon, with additional options; it is killed by `close`."""
        self._daemons += 1
        log = self._folder / f"detector-{self._daemons}.log"
        # A killed process writes no coverage.
        return self._stack.enter_context(running_detector([*self._options, *options], log, **WITHOUT_COVERAGE))

    def start_ready(self, *options: str) -> RunningDetector:
        """Start another daemon, and wait until partitions are assigned to it."""
        daemon = self.start(*options)
        daemon.wait_for_log("partitions_assigned")
        return daemon

    def write(self, number: int) -> None:
        """Write this many events, and wait for their acknowledgements."""
        with _sink(self.kafka) as sink:
            write_all(sink, self._events(0, number))

    def _events(self, first: int, number: int) -> list[OutgoingRecord]:
        values = [self._pool[(first + i) % _POOL_SIZE] for i in range(number)]
        return [OutgoingRecord(self.kafka.events_topic, None, value, []) for value in values]

    @contextmanager
    def load(self, rate: int = 1000) -> Iterator[None]:
        """Within the block, write this many events per second."""
        stopped = threading.Event()
        thread = threading.Thread(target=self._write_load, args=(rate, stopped), daemon=True)
        thread.start()
        try:
            yield
        finally:
            stopped.set()
            thread.join(_LOAD_STOP_S)  # after a failed test it may wait forever for acknowledgements

    def _write_load(self, rate: int, stopped: threading.Event) -> None:
        with _sink(self.kafka) as sink:
            written, started = 0, time.monotonic()
            while not stopped.wait(_WRITE_EVERY_S):
                due = int(rate * (time.monotonic() - started)) - written
                # After an outage of any length, only the events of one second are written.
                write_all(sink, self._events(written, min(due, rate)), timeout_s=float("inf"))
                written += due

    def alerts(self, partitions: Collection[int] | None = None) -> int:
        """The number of committed alerts for events of these partitions, by default of all."""
        self._alerts_by_partition.update(alert["source"]["partition"] for alert in self._alert_reader.read())
        counts = self._alerts_by_partition
        return counts.total() if partitions is None else sum(counts[number] for number in partitions)

    def lag(self) -> int:
        """The number of records that the group has not committed yet."""
        with group_progress(self.kafka) as progress:
            return progress.lag()

    def wait_until_committed(self) -> dict[Partition, int]:
        """Wait until all records are committed; returns the offsets, and fails when there is no progress."""
        with group_progress(self.kafka) as progress:
            while (lag := progress.lag()) > 0:
                _wait_for_progress(progress, lag)
            committed: dict[Partition, int] = wait_until(progress.committed, "the committed offsets")
            return committed

    def reconcile(self) -> Reconciliation:
        """Compare the events with the outputs, once all records are committed and no transaction is open.

        The open transaction of a killed daemon hides the records after it, until the brokers abort it.
        """
        committed = self.wait_until_committed()
        wait_until(lambda: not self._has_open_transactions(), "the end of the transactions of killed daemons")
        topics = (self.kafka.events_topic, self.kafka.alerts_topic, self.kafka.dead_letter_topic)
        events, alerts, dead_letters = (read_topic(self.kafka, topic) for topic in topics)
        decoded = [json.loads(alert.value or b"") for alert in alerts]
        ids = {(alert["source"]["partition"], alert["source"]["offset"]): alert["alert_id"] for alert in decoded}
        # Readers recognize duplicates by their id: one id for each source record, and no other.
        assert {alert["alert_id"] for alert in decoded} == set(ids.values())
        assert len(ids) == len(set(ids.values()))
        return reconcile(events, alerts, dead_letters, committed, self._scorer)

    def _has_open_transactions(self) -> bool:
        """Whether `read_committed` readers cannot read to the end of an output topic."""
        ends = []
        for isolation in ("read_committed", "read_uncommitted"):
            with closing(
                KafkaConsumer(bootstrap_servers=self.kafka.bootstrap_servers, isolation_level=isolation)
            ) as consumer:
                outputs = [
                    TopicPartition(topic, number)
                    for topic in (self.kafka.alerts_topic, self.kafka.dead_letter_topic)
                    for number in consumer.partitions_for_topic(topic)
                ]
                ends.append(consumer.end_offsets(outputs))
        return bool(ends[0] != ends[1])

    def first_new_alert_s(self, since: float, before: int | None = None) -> float:
        """Wait for a new alert; the seconds that it took.

        Args:
            since: the start of the measurement, of `time.monotonic()`.
            before: the number of alerts before; by default the present number.
        """
        known = self.alerts() if before is None else before
        wait_until(lambda: self.alerts() > known, "a new alert")
        return time.monotonic() - since

    def close(self) -> None:
        """Kill every daemon."""
        self._stack.close()


def _wait_for_progress(progress: GroupProgress, lag: int) -> None:
    wait_until(lambda: progress.lag() < lag, "progress to the end of the events topic", 90)


@contextmanager
def open_deployment(kafka: KafkaSettings, scorer: Scorer, options: Sequence[str], folder: Path) -> Iterator[Deployment]:
    """A deployment whose daemons are killed at the end of the block, also when the test fails."""
    with closing(Deployment(kafka, scorer, options, folder)) as deployment:
        yield deployment


@contextmanager
def _sink(kafka: KafkaSettings) -> Iterator[KafkaPythonSink]:
    sink = KafkaPythonSink(kafka)
    try:
        yield sink
    finally:
        sink.close(_CLOSE_S)
