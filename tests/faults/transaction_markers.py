"""A workaround for https://issues.apache.org/jira/browse/KAFKA-20734: writes the transaction markers that Kafka skips.

A Kafka 4 broker may restart with a transaction that is committed or aborted, but whose markers are not yet written to
all of its partitions. The broker assumes that partitions without a leader at that moment are deleted, and completes the
transaction without their markers. Readers of committed records then wait at that transaction forever. The broker's log
names the partitions and the outcome. Only these markers are written here; any other open transaction fails the test.
"""

import re
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from kafka import KafkaAdminClient, TopicPartition
from kafka.errors import KafkaError
from kafka.protocol.producer.transaction import WriteTxnMarkersRequest

_CHECK_EVERY_S = 1.0
_OUTCOME = re.compile(r"Sending txn markers for \w+\(([^,]+),\d+,(COMMIT|ABORT),\w+\([^)]*?producerId=(\d+)")
_SKIPPED = re.compile(r"Couldn't find leader endpoint for partitions \w+\(([^)]*)\) .* markers for ([^,\s]+)")


class SkippedMarker(NamedTuple):
    """A transaction marker that the broker did not write, according to its log."""

    partition: TopicPartition
    producer_id: int
    is_commit: bool


class SkippedMarkerWriter:
    """Watches the log of one restarted broker until `stop`, and writes the markers that it skips.

    Args:
        bootstrap_servers: the broker's address; it is ready by now.
        read_log: returns what the broker has logged since its restart.
    """

    def __init__(self, bootstrap_servers: str, read_log: Callable[[], str]) -> None:
        self._bootstrap_servers = bootstrap_servers
        self._read_log = read_log
        self._restarted_ms = time.time() * 1000
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Stop watching; to be called before the broker is killed again."""
        self._stopped.set()
        self._thread.join()

    def _run(self) -> None:
        done: set[SkippedMarker] = set()
        while not self._stopped.wait(_CHECK_EVERY_S):
            for marker in set(skipped_markers(self._read_log())) - done:
                try:
                    if self._write(marker):
                        done.add(marker)
                        print(f"\n{marker.partition}: wrote the transaction marker that Kafka skipped (KAFKA-20734)")
                except KafkaError:
                    break  # the test has frozen the broker, or the partition has no leader yet: retry later

    def _write(self, marker: SkippedMarker) -> bool:
        admin = KafkaAdminClient(bootstrap_servers=self._bootstrap_servers, request_timeout_ms=5000)
        try:
            (state,) = admin.describe_producers([marker.partition]).values()
            for producer in state.active_producers:
                if producer.producer_id == marker.producer_id and producer.current_transaction_start_offset >= 0:
                    # If the producer has written since the restart, the marker of its next transaction ends this one.
                    return producer.last_timestamp < self._restarted_ms and _write_marker(admin, marker, producer)
            return True  # the partition has no open transaction of this producer
        finally:
            admin.close()


def skipped_markers(log: str) -> Iterator[SkippedMarker]:
    """The markers that a broker did not write, according to its log."""
    outcomes = {name: (int(producer), outcome == "COMMIT") for name, outcome, producer in _OUTCOME.findall(log)}
    for partitions, name in _SKIPPED.findall(log):
        for partition in partitions.split(", ") if name in outcomes else ():
            topic, _, number = partition.rpartition("-")
            yield SkippedMarker(TopicPartition(topic, int(number)), *outcomes[name])


def _write_marker(admin: Any, marker: SkippedMarker, producer: Any) -> bool:
    request_marker = WriteTxnMarkersRequest.WritableTxnMarker
    partition = marker.partition
    topic = request_marker.WritableTxnMarkerTopic(name=partition.topic, partition_indexes=[partition.partition])
    request = WriteTxnMarkersRequest(
        markers=[
            request_marker(
                producer_id=producer.producer_id,
                producer_epoch=producer.producer_epoch,
                transaction_result=marker.is_commit,
                topics=[topic],
                coordinator_epoch=producer.coordinator_epoch,
            )
        ]
    )
    response = admin._manager.run(admin._manager.send, request)
    (result,) = response.markers[0].topics[0].partitions
    return bool(result.error_code == 0)
