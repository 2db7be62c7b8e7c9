"""The steps of a transaction with a deadline.

Symptom: `send_offsets_to_transaction`, `commit_transaction` and `abort_transaction` wait without a timeout. While the
transaction coordinator is unavailable they never return, and the service cannot shut down or replace the producer.
Upstream: the methods of `kafka.producer.kafka.KafkaProducer` in 3.0.12 call `TransactionalRequestResult.wait()` without
an argument; `init_transactions` honours `max_block_ms`.
Can go when: these methods take a timeout, or honour `max_block_ms`.
"""

import time
from collections.abc import Mapping
from typing import Any

from kafka import KafkaProducer, OffsetAndMetadata, TopicPartition
from kafka import errors as kafka_errors


def send_offsets(
    producer: KafkaProducer,
    offsets: Mapping[TopicPartition, OffsetAndMetadata],
    group_metadata: Any,
    deadline: float,
) -> None:
    """Add offsets to the transaction; `deadline` is a time of `time.monotonic()`.

    Raises:
        KafkaTimeoutError: no answer until the deadline.
        KafkaError: the brokers rejected the request.
    """
    manager = producer._transaction_manager
    _wait_for(producer, manager.send_offsets_to_transaction(offsets, group_metadata), deadline)


def commit(producer: KafkaProducer, deadline: float) -> None:
    """Commit the transaction; arguments and errors as in `send_offsets`."""
    _wait_for(producer, producer._transaction_manager.begin_commit(), deadline)


def abort(producer: KafkaProducer, deadline: float) -> None:
    """Abort the transaction; arguments and errors as in `send_offsets`."""
    _wait_for(producer, producer._transaction_manager.begin_abort(), deadline)


def _wait_for(producer: KafkaProducer, result: Any, deadline: float) -> None:
    producer._sender.wakeup()  # as the producer's own methods do before they wait
    if not result.wait(timeout_ms=max(0.0, deadline - time.monotonic()) * 1000):
        raise kafka_errors.KafkaTimeoutError("no answer from the transaction coordinator until the deadline")
