"""Transactions over kafka-python: outputs and positions together, or not at all."""

import contextlib
import time
from collections.abc import Sequence
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeoutError
from typing import Any
from uuid import uuid4

from kafka import KafkaProducer, TopicPartition
from kafka import errors as kafka_errors
from kafka.structs import OffsetAndMetadata

from detector.records import OutgoingRecord
from detector.settings import Guarantee, KafkaSettings
from detector.stream.background import in_background
from detector.stream.interfaces import Batch, PendingTransaction, Refusal, StreamError, TransactionAborted
from detector.stream.kafka_faults import BEYOND_RETRY, explain
from detector.stream.kafka_options import TRANSACTION_TIMEOUT_MS, transaction_options
from detector.stream.kafka_python import FLUSH_S, KafkaPythonSink
from detector.stream.kafka_records import NullSerializer, close, send

_TRANSACTION_S = TRANSACTION_TIMEOUT_MS / 1000
"""After this the brokers abort it by themselves, so there is nothing left to wait for."""
_ABORT_S = 5.0
_ABANDONED_CLOSE_S = 0.0
_LOOK_S = 0.1


class KafkaPythonTransactions:
    """Writes with a transactional producer, and makes a new one after each transaction that failed.

    The brokers fence whoever is not what it was: the positions are committed for the membership with which the batch
    was read (KIP-447), so a member that lost its partitions meanwhile cannot commit for them.
    """

    def __init__(self, kafka: KafkaSettings) -> None:
        # The group's name in front, so that the right to it can be given for a prefix. A named instance keeps its id
        # over a restart and ends at once what it left open; another one's open transaction ends by its timeout.
        transactional_id = f"{kafka.group_id}-{kafka.instance_id or uuid4().hex}"
        self._options = transaction_options(kafka, transactional_id)
        self._producer: KafkaProducer | None = None

    def transact(self, batch: Batch, records: Sequence[OutgoingRecord]) -> PendingTransaction:
        """See `TransactionalSink.transact`."""
        refused: list[Refusal] = []
        return _Pending(in_background(lambda: self._transact(batch, records, refused)), refused)

    def close(self, timeout_s: float) -> None:
        """See `TransactionalSink.close`."""
        if self._producer is not None:
            close(self._producer, timeout_s)

    def connect(self) -> KafkaProducer:
        """The producer; when it is a new one, nothing of an earlier one with its id is left open.

        Raises:
            KafkaError: the brokers could not be reached in time, or refuse.
        """
        if self._producer is not None:
            return self._producer
        producer = KafkaProducer(**self._options, value_serializer=NullSerializer())
        try:
            producer.init_transactions()
        except BaseException:
            close(producer, _ABANDONED_CLOSE_S)
            raise
        self._producer = producer
        return producer

    def _transact(self, batch: Batch, records: Sequence[OutgoingRecord], refused: list[Refusal]) -> None:
        if batch.membership.generation_id < 0:
            # The brokers take such a commit from anybody: it is what producers sent before KIP-447.
            raise kafka_errors.CommitFailedError("the membership in the group was lost while the batch was read")
        producer = self.connect()
        manager: Any = producer._transaction_manager  # noqa: SLF001 - what the producer offers waits without an end
        deadline = time.monotonic() + _TRANSACTION_S
        try:
            producer.begin_transaction()
            _write_all(producer, records, deadline, refused)
            _wait_for(producer, manager.send_offsets_to_transaction(_offsets(batch), batch.membership), deadline)
            _wait_for(producer, manager.begin_commit(), deadline)
        except BaseException:
            self._give_up(producer)
            raise

    def _give_up(self, producer: Any) -> None:
        """Abort, and never use the producer again: the next transaction would commit this one's positions as well.

        kafka-python 3.0.12 keeps the positions of a transaction that was refused and adds them to the next one's,
        which the brokers then take. Should the abort fail, the next producer's start ends what this one left open.
        """
        self._producer = None
        with contextlib.suppress(kafka_errors.KafkaError):
            _wait_for(producer, producer._transaction_manager.begin_abort(), time.monotonic() + _ABORT_S)  # noqa: SLF001
        close(producer, _ABANDONED_CLOSE_S)


class _Pending:
    def __init__(self, future: "Future[None]", refused: list[Refusal]) -> None:
        self._future = future
        self._refused = refused

    def wait(self, timeout_s: float) -> bool:
        try:
            self._future.result(timeout_s)
        except FutureTimeoutError:
            return False
        except BEYOND_RETRY as error:
            raise StreamError(explain(error)) from error
        except kafka_errors.KafkaError as error:
            raise TransactionAborted(explain(error), self._refused) from error
        return True


def _write_all(
    producer: KafkaProducer, records: Sequence[OutgoingRecord], deadline: float, refused: list[Refusal]
) -> None:
    """See `wait_for_all`; what is refused is put into `refused`."""
    sent: list[Any] = []
    for record in records:
        try:
            sent.append(send(producer, record))
        except kafka_errors.KafkaError as error:
            refused.append(Refusal(record, explain(error), final=False))
            raise
    try:
        wait_for_all(producer, sent, deadline)
    finally:
        outcomes = zip(records, sent, strict=True)
        refused += [
            Refusal(record, explain(outcome.exception), final=False) for record, outcome in outcomes if outcome.failed()
        ]


def _wait_for(producer: KafkaProducer, result: Any, deadline: float) -> None:
    """Return when a request of a transaction succeeded; raise when it failed or the time is up."""
    producer._sender.wakeup()  # noqa: SLF001 - what the producer does before it waits
    if not result.wait(timeout_ms=max(0.0, deadline - time.monotonic()) * 1000):
        raise _no_answer()


def _no_answer() -> kafka_errors.KafkaTimeoutError:
    return kafka_errors.KafkaTimeoutError(f"no answer within the transaction's {_TRANSACTION_S:g} s")


def wait_for_all(producer: KafkaProducer, sent: Sequence[Any], deadline: float) -> None:
    """Return when every record is acknowledged; raise as soon as one is refused, or when the time is up.

    Not by `flush`, nor one after another: after a refusal kafka-python forgets which partitions its transaction has,
    and what still stands for them goes nowhere until the delivery timeout, two minutes later.
    """
    with contextlib.suppress(kafka_errors.KafkaTimeoutError):
        producer.flush(timeout=FLUSH_S)  # ends the linger
    while waiting := [outcome for outcome in sent if not outcome.is_done]:
        if any(outcome.failed() for outcome in sent):
            break
        if time.monotonic() > deadline:
            raise _no_answer()
        with contextlib.suppress(kafka_errors.KafkaError):
            waiting[0].get(timeout=_LOOK_S)
    for outcome in sent:
        if outcome.failed():
            raise outcome.exception


def _offsets(batch: Batch) -> dict[TopicPartition, OffsetAndMetadata]:
    return {TopicPartition(*tp): OffsetAndMetadata(offset, "", -1) for tp, offset in batch.next_offsets.items()}


def kafka_sink(kafka: KafkaSettings, guarantee: Guarantee) -> KafkaPythonSink | KafkaPythonTransactions:
    """The sink that a guarantee asks for, connected.

    Raises:
        KafkaError: the brokers could not be reached in time, or refuse.
    """
    if guarantee == "at-least-once":
        return KafkaPythonSink(kafka)
    transactions = KafkaPythonTransactions(kafka)
    transactions.connect()
    return transactions
