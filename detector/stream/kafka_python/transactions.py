"""Transactions over kafka-python; `detector.stream.transactions` runs them."""

import contextlib
import time
from collections.abc import Sequence
from typing import Any

from kafka import KafkaProducer, OffsetAndMetadata, TopicPartition
from kafka import errors as kafka_errors

from detector.errors import DetectorError
from detector.records import OutgoingRecord
from detector.settings import KafkaSettings
from detector.stream.interfaces import Batch, FailedRecord
from detector.stream.kafka_python import patches
from detector.stream.kafka_python.errors import FATAL_FOR_TRANSACTIONS, describe
from detector.stream.kafka_python.options import transaction_options
from detector.stream.kafka_python.records import NullSerializer, send
from detector.stream.kafka_python.sink import FLUSH_S
from detector.stream.policy import TRANSACTION_TIMEOUT_MS
from detector.stream.preflight.reachability import unreachable_reason
from detector.stream.transactions import ClientErrors, Transactions

_TRANSACTION_S = TRANSACTION_TIMEOUT_MS / 1000
"""After this time the brokers abort the transaction, so there is nothing left to wait for."""
_ABORT_S = 5.0
_POLL_S = 0.1


def kafka_python_transactions(kafka: KafkaSettings) -> Transactions:
    """A sink with a connected transactional producer.

    Raises:
        UsageError: this version of kafka-python was not tested with the patches.
        KafkaError: the brokers could not be reached in time, or rejected this client.
    """
    patches.apply()
    errors = ClientErrors(kafka_errors.KafkaError, lambda error: isinstance(error, FATAL_FOR_TRANSACTIONS), describe)
    return Transactions(kafka, lambda transactional_id: _Producer(kafka, transactional_id), errors)


class _Producer:
    """Used until a transaction fails, and never afterwards.

    kafka-python 3.0.12 keeps the offsets of a transaction that was rejected, and adds them to the next one's: the
    brokers would then commit both.
    """

    can_close_in_transaction = True

    def __init__(self, kafka: KafkaSettings, transactional_id: str) -> None:
        from detector.stream.kafka_python.patches import producer_close, transaction_timeouts  # noqa: PLC0415

        self._close_producer = producer_close.close_producer
        self._steps = transaction_timeouts
        self._deadline = 0.0
        self._closed = False
        _require_reachable_brokers(kafka)
        self._producer = KafkaProducer(
            **transaction_options(kafka, transactional_id), value_serializer=NullSerializer()
        )
        try:
            self._producer.init_transactions()
        except BaseException:
            self.close(timeout_s=0)
            raise

    def is_usable(self) -> bool:
        """See `TransactionalProducer.is_usable`."""
        return not self._closed

    def is_member(self, batch: Batch) -> bool:
        """See `TransactionalProducer.is_member`.

        Without a generation the brokers accept the offsets from anybody: producers before KIP-447 sent them so.
        """
        return bool(batch.group_metadata.generation_id >= 0)

    def begin(self) -> None:
        """See `TransactionalProducer.begin`."""
        self._deadline = time.monotonic() + _TRANSACTION_S
        self._producer.begin_transaction()

    def write(self, records: Sequence[OutgoingRecord], failed: list[FailedRecord]) -> None:
        """See `TransactionalProducer.write`."""
        sent: list[Any] = []
        for record in records:
            try:
                sent.append(send(self._producer, record))
            except kafka_errors.KafkaError as error:
                failed.append(FailedRecord(record, describe(error), is_fatal=False))
                raise
        try:
            wait_for_all(self._producer, sent, self._deadline)
        finally:
            failed += [
                FailedRecord(record, describe(outcome.exception), is_fatal=False)
                for record, outcome in zip(records, sent, strict=True)
                if outcome.failed()
            ]

    def add_offsets(self, batch: Batch) -> None:
        """See `TransactionalProducer.add_offsets`."""
        offsets = {TopicPartition(*tp): OffsetAndMetadata(offset, "", -1) for tp, offset in batch.next_offsets.items()}
        self._steps.send_offsets(self._producer, offsets, batch.group_metadata, self._deadline)

    def commit(self) -> None:
        """See `TransactionalProducer.commit`."""
        self._steps.commit(self._producer, self._deadline)

    def abort(self) -> bool:
        """See `TransactionalProducer.abort`; if it fails, the next producer's start aborts the transaction."""
        with contextlib.suppress(kafka_errors.KafkaError):
            self._steps.abort(self._producer, time.monotonic() + _ABORT_S)
        self.close(timeout_s=0)
        return False

    def close(self, timeout_s: float) -> None:
        """See `TransactionalProducer.close`; the library's producer ignores a second call."""
        self._closed = True
        self._close_producer(self._producer, timeout_s)


def _require_reachable_brokers(kafka: KafkaSettings) -> None:
    """kafka-python leaves a thread behind for each attempt to bootstrap, and attempts go on for a whole outage.

    Raises:
        KafkaConnectionError: no broker is reachable now.
    """
    try:
        reason = unreachable_reason(kafka)
    except DetectorError as error:  # this may pass: the broker is still starting, or a certificate is being renewed
        reason = str(error)
    if reason is not None:
        raise kafka_errors.KafkaConnectionError(reason)


def wait_for_all(producer: KafkaProducer, sent: Sequence[Any], deadline: float) -> None:
    """Return when every record is acknowledged; raise as soon as one is rejected, or at the deadline.

    `flush` and waiting for one record after the other are not enough: after a rejection kafka-python forgets which
    partitions its transaction has, and sends nothing more to them until the delivery timeout, two minutes later.

    Args:
        producer: where the records were sent.
        sent: kafka-python's futures, one for each record.
        deadline: a time of `time.monotonic()`.
    """
    with contextlib.suppress(kafka_errors.KafkaTimeoutError):
        producer.flush(timeout=FLUSH_S)  # ends the linger
    while waiting := [outcome for outcome in sent if not outcome.is_done]:
        if any(outcome.failed() for outcome in sent):
            break
        if time.monotonic() > deadline:
            raise kafka_errors.KafkaTimeoutError(f"no acknowledgement within the transaction's {_TRANSACTION_S:g} s")
        with contextlib.suppress(kafka_errors.KafkaError):
            waiting[0].get(timeout=_POLL_S)
    for outcome in sent:
        if outcome.failed():
            raise outcome.exception
