"""Somebody who finishes what a broker has forgotten: https://issues.apache.org/jira/browse/KAFKA-20734.

A Kafka 4 that comes back with a transaction that was decided, but not yet marked in its partitions, takes those that
have no leader at that moment for deleted and calls the transaction complete. No mark is ever written then, and readers
of committed records wait in front of it for ever. What was decided is known: this writes the marks of it.
"""

import threading
import time
from collections.abc import Iterator

from kafka import KafkaAdminClient, TopicPartition
from kafka.admin import TransactionState
from kafka.errors import KafkaError
from kafka.protocol.producer.transaction import WriteTxnMarkersRequest

from detector.stream.kafka_options import TRANSACTION_TIMEOUT_MS

_DECIDED = {TransactionState.COMPLETE_COMMIT: True, TransactionState.COMPLETE_ABORT: False}
_EVERY_S = 2.0


class Operator:
    """Looks after one broker, from its start to its end.

    Args:
        bootstrap_servers: of the broker, which serves by now.
    """

    def __init__(self, bootstrap_servers: str) -> None:
        self._bootstrap_servers = bootstrap_servers
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._look_after, daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Go home; before the broker is hurt again."""
        self._ended.set()
        self._thread.join()

    def _look_after(self) -> None:
        admin = None
        while not self._ended.wait(_EVERY_S):
            try:
                admin = admin or KafkaAdminClient(bootstrap_servers=self._bootstrap_servers, request_timeout_ms=5000)
                for partition in _finish(admin):
                    print(f"{partition}: a mark that Kafka forgot (KAFKA-20734) is written")
            except KafkaError:
                continue  # frozen by a test: later
        if admin is not None:
            admin.close()


def _finish(admin: KafkaAdminClient) -> Iterator[TopicPartition]:
    """Write the marks that are missing; the partitions of them."""
    partitions = [
        TopicPartition(topic["name"], partition["partition_index"])
        for topic in admin.describe_topics()
        for partition in topic["partitions"]
    ]
    # Older than any transaction may get: what is open since then is no longer worked on by anybody.
    before_ms = time.time() * 1000 - TRANSACTION_TIMEOUT_MS - 1000
    left_open = [
        (partition, producer)
        for partition, state in admin.describe_producers(partitions).items()
        for producer in state.active_producers
        if producer.current_transaction_start_offset >= 0 and producer.last_timestamp < before_ms
    ]
    if not left_open:
        return
    states = {one.producer_id: one.state for found in admin.list_transactions().values() for one in found}
    for partition, producer in left_open:
        is_commit = _DECIDED.get(states.get(producer.producer_id))
        if is_commit is not None and _write_mark(admin, partition, producer, is_commit=is_commit):
            yield partition


def _write_mark(admin, partition, producer, *, is_commit) -> bool:
    mark = WriteTxnMarkersRequest.WritableTxnMarker
    topic = mark.WritableTxnMarkerTopic(name=partition.topic, partition_indexes=[partition.partition])
    request = WriteTxnMarkersRequest(
        markers=[
            mark(
                producer_id=producer.producer_id,
                producer_epoch=producer.producer_epoch,
                transaction_result=is_commit,
                topics=[topic],
                coordinator_epoch=producer.coordinator_epoch,
            )
        ]
    )
    response = admin._manager.run(admin._manager.send, request)
    (answer,) = response.markers[0].topics[0].partitions
    return answer.error_code == 0  # or its leader is on the move: later
