"""Somebody who writes what a broker forgot: https://issues.apache.org/jira/browse/KAFKA-20734.

A Kafka 4 that comes back with a transaction that was decided, but not yet marked in its partitions, takes those that
have no leader at that moment for deleted and calls the transaction complete. No mark is ever written then, and readers
of committed records wait in front of it for ever. The broker's log names the partitions and what was decided: exactly
those marks are written here, and no others; whatever else is left open fails the test.
"""

import re
import threading
import time
from collections.abc import Callable, Iterator
from typing import NamedTuple

from kafka import KafkaAdminClient, TopicPartition
from kafka.errors import KafkaError
from kafka.protocol.producer.transaction import WriteTxnMarkersRequest

_EVERY_S = 1.0
_DECIDED = re.compile(r"Sending txn markers for \w+\(([^,]+),\d+,(COMMIT|ABORT),\w+\([^)]*?producerId=(\d+)")
_FORGOTTEN = re.compile(r"Couldn't find leader endpoint for partitions \w+\(([^)]*)\) .* markers for ([^,\s]+)")


class Forgotten(NamedTuple):
    """A mark that the broker says it will not write."""

    partition: TopicPartition
    producer_id: int
    is_commit: bool


class Operator:
    """Looks after one broker that was killed, from its return to its end.

    Args:
        bootstrap_servers: of the broker, which serves by now.
        log: what it has said since its return.
    """

    def __init__(self, bootstrap_servers: str, log: Callable[[], str]) -> None:
        self._bootstrap_servers = bootstrap_servers
        self._log = log
        self._returned_ms = time.time() * 1000
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._look_after, daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Go home; before the broker is hurt again."""
        self._ended.set()
        self._thread.join()

    def _look_after(self) -> None:
        written: set[Forgotten] = set()
        while not self._ended.wait(_EVERY_S):
            for mark in set(forgotten(self._log())) - written:
                try:
                    if self._write(mark):
                        written.add(mark)
                        print(f"\n{mark.partition}: the mark that Kafka forgot (KAFKA-20734) is written")
                except KafkaError:
                    break  # frozen by a test, or without a leader still: later

    def _write(self, mark: Forgotten) -> bool:
        admin = KafkaAdminClient(bootstrap_servers=self._bootstrap_servers, request_timeout_ms=5000)
        try:
            (state,) = admin.describe_producers([mark.partition]).values()
            for producer in state.active_producers:
                if producer.producer_id == mark.producer_id and producer.current_transaction_start_offset >= 0:
                    # Where it goes on writing, its next mark ends this transaction too.
                    return producer.last_timestamp < self._returned_ms and _write_mark(admin, mark, producer)
            return True  # it had written nothing there
        finally:
            admin.close()


def forgotten(log: str) -> Iterator[Forgotten]:
    """What a broker's log says that it will not mark."""
    decided = {name: (int(producer), verdict == "COMMIT") for name, verdict, producer in _DECIDED.findall(log)}
    for partitions, name in _FORGOTTEN.findall(log):
        for partition in partitions.split(", ") if name in decided else ():
            topic, _, number = partition.rpartition("-")
            yield Forgotten(TopicPartition(topic, int(number)), *decided[name])


def _write_mark(admin, mark, producer) -> bool:
    to_write = WriteTxnMarkersRequest.WritableTxnMarker
    topic = to_write.WritableTxnMarkerTopic(name=mark.partition.topic, partition_indexes=[mark.partition.partition])
    request = WriteTxnMarkersRequest(
        markers=[
            to_write(
                producer_id=producer.producer_id,
                producer_epoch=producer.producer_epoch,
                transaction_result=mark.is_commit,
                topics=[topic],
                coordinator_epoch=producer.coordinator_epoch,
            )
        ]
    )
    response = admin._manager.run(admin._manager.send, request)
    (answer,) = response.markers[0].topics[0].partitions
    return answer.error_code == 0
