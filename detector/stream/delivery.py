"""The delivery guarantees: in which order outputs are acknowledged and offsets are committed."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Protocol

from detector.records import OutgoingRecord, Partition
from detector.stream.delivery_wait import DeliveryAbandoned, DeliveryObserver, GiveUp, PausedWait
from detector.stream.interfaces import (
    Batch,
    CommitError,
    FailedRecord,
    PendingDelivery,
    PendingTransaction,
    SignOfLife,
    Sink,
    Source,
    StreamError,
    TransactionAborted,
    TransactionalSink,
)

__all__ = ["AtLeastOnce", "Delivery", "DeliveryAbandoned", "DeliveryObserver", "ExactlyOnce", "GiveUp", "delivery_for"]

_RETRY_S = 0.5
"""Pause before failed records are sent again, and before an aborted batch is read again."""
_COMMIT_RETRY_S = 10.0
"""Pause before an unanswered commit is started again when there are no new offsets."""


class Delivery(Protocol):
    """A delivery guarantee. One batch at a time is in flight: `settle` comes before the next `start`."""

    def start(self, batch: Batch, outputs: Sequence[OutgoingRecord]) -> None:
        """Start writing the outputs of a batch."""
        ...

    def settle(self, ahead: Batch, give_up: GiveUp) -> bool:
        """Return once the outputs in flight are acknowledged.

        Args:
            ahead: the batch that was read meanwhile.
            give_up: asked while waiting.

        Returns:
            False when the batch was aborted: it will be read again, and so will `ahead`.

        Raises:
            DeliveryAbandoned: `give_up` returned True.
            StreamError: no retry can help: a record is not accepted, or an ACL is missing.
        """
        ...

    def commit(self, *, idle: bool) -> None:
        """Start committing the offsets of acknowledged batches, unless the transaction has committed them.

        Args:
            idle: whether there was nothing to read.
        """
        ...

    def finish(self, timeout_s: float) -> None:
        """Commit the offsets that are left, and wait for the answer."""
        ...


class AtLeastOnce:
    """Every output is acknowledged before any offset of its batch is committed.

    The order: send the outputs; wait for each acknowledgement, and send failed records again; commit the offsets. After
    a crash before the commit the same batch is processed again, with the same alert ids. The offsets of a failed commit
    are part of the next one.
    """

    def __init__(self, source: Source, sink: Sink, observer: DeliveryObserver, alive: SignOfLife) -> None:
        self._source = source
        self._sink = sink
        self._observer = observer
        self._alive = alive
        self._pending: PendingDelivery | None = None
        self._next_offsets: Mapping[Partition, int] = {}
        self._uncommitted: dict[Partition, int] = {}
        self._attempted = float("-inf")

    def start(self, batch: Batch, outputs: Sequence[OutgoingRecord]) -> None:
        """See `Delivery.start`."""
        self._next_offsets = batch.next_offsets
        self._pending = self._sink.send(outputs) if outputs else None

    def settle(self, ahead: Batch, give_up: GiveUp) -> bool:  # noqa: ARG002
        """See `Delivery.settle`; always True."""
        wait = PausedWait(self._source, self._observer, self._alive, give_up)
        pending, self._pending = self._pending, None
        next_offsets, self._next_offsets = self._next_offsets, {}
        try:
            while pending is not None:
                wait.until(pending.wait)
                pending = self._send_again(pending.failed(), wait)
        finally:
            wait.end()
        if next_offsets:
            self._uncommitted |= next_offsets
            self._attempted = float("-inf")
        return True

    def _send_again(self, failed: Sequence[FailedRecord], wait: PausedWait) -> PendingDelivery | None:
        if not failed:
            return None
        self._observer.records_failed(failed)
        _raise_fatal(failed)
        wait.stay_alive()
        time.sleep(_RETRY_S)
        return self._sink.send([failure.record for failure in failed])

    def commit(self, *, idle: bool) -> None:  # noqa: ARG002
        """See `Delivery.commit`; includes the offsets of earlier commits that failed.

        It does not wait: the next batch is read meanwhile, and a failed commit only delays the offsets. Without new
        offsets an unanswered commit is started again only after a pause: otherwise brokers that stopped responding
        would receive one commit for each poll, and answer all of them at once.
        """
        if self._uncommitted and time.monotonic() - self._attempted > _COMMIT_RETRY_S:
            self._attempted = time.monotonic()
            attempt, started = dict(self._uncommitted), time.perf_counter()
            self._source.commit(attempt, lambda error: self._commit_done(attempt, started, error))

    def finish(self, timeout_s: float) -> None:
        """See `Delivery.finish`."""
        if not self._uncommitted:
            return
        started = time.perf_counter()
        try:
            self._source.commit_now(self._uncommitted, timeout_s)
        except CommitError as error:
            self._observer.commit_failed(error)
        else:
            self._commit_done(dict(self._uncommitted), started, None)

    def _commit_done(self, attempt: Mapping[Partition, int], started: float, error: CommitError | None) -> None:
        if error is not None:
            self._observer.commit_failed(error)
            self._attempted = float("-inf")
            return
        self._observer.committed(time.perf_counter() - started)
        for partition, offset in attempt.items():
            if self._uncommitted.get(partition) == offset:
                del self._uncommitted[partition]


@dataclass(frozen=True, slots=True)
class _Transaction:
    batch: Batch
    pending: PendingTransaction
    started: float


class ExactlyOnce:
    """Outputs and offsets in one transaction: all of a batch, or nothing of it.

    After any failure the transaction is aborted (or its outcome is unknown), the source seeks to the committed offsets,
    and reading resumes from there. Only readers with `read_committed` see no duplicates.
    """

    def __init__(self, source: Source, sink: TransactionalSink, observer: DeliveryObserver, alive: SignOfLife) -> None:
        self._source = source
        self._sink = sink
        self._observer = observer
        self._alive = alive
        self._started: _Transaction | None = None
        self._wait: PausedWait | None = None
        """Kept from an aborted transaction until one is committed."""

    def start(self, batch: Batch, outputs: Sequence[OutgoingRecord]) -> None:
        """See `Delivery.start`."""
        started = time.perf_counter()
        self._started = _Transaction(batch, self._sink.transact(batch, outputs), started)

    def settle(self, ahead: Batch, give_up: GiveUp) -> bool:
        """See `Delivery.settle`."""
        if self._started is None:
            return True
        wait = self._wait or PausedWait(self._source, self._observer, self._alive, give_up)
        transaction, self._started = self._started, None
        try:
            if not self._is_committed(transaction, ahead, wait):
                self._wait = wait
                return False
        except BaseException:
            wait.end()
            raise
        self._end(wait)
        self._observer.committed(time.perf_counter() - transaction.started)
        return True

    def _is_committed(self, transaction: _Transaction, ahead: Batch, wait: PausedWait) -> bool:
        try:
            wait.until(transaction.pending.wait)
        except TransactionAborted as error:
            if error.failed:
                self._observer.records_failed(error.failed)
            self._observer.transaction_aborted(str(error))
            wait.stay_alive()
            time.sleep(_RETRY_S)
            # In this order: a partition without a committed offset is rewound to the first record of the earlier batch.
            for batch in (ahead, transaction.batch):
                wait.until(partial(self._source.rewind, batch))
            wait.resume()
            return False
        return True

    def _end(self, wait: PausedWait) -> None:
        self._wait = None
        wait.end()

    def commit(self, *, idle: bool) -> None:
        """See `Delivery.commit`; the transaction committed the offsets."""
        # Another member may own the aborted partitions by now: with nothing left to read there is nothing to wait for.
        if idle and self._wait is not None and not any(self._source.lag().values()):
            self._end(self._wait)

    def finish(self, timeout_s: float) -> None:
        """See `Delivery.finish`; the transactions left nothing."""


def delivery_for(
    source: Source, sink: Sink | TransactionalSink, observer: DeliveryObserver, alive: SignOfLife
) -> AtLeastOnce | ExactlyOnce:
    """The guarantee that belongs to a kind of sink."""
    if isinstance(sink, TransactionalSink):
        return ExactlyOnce(source, sink, observer, alive)
    return AtLeastOnce(source, sink, observer, alive)


def _raise_fatal(failed: Sequence[FailedRecord]) -> None:
    for failure in failed:
        if failure.is_fatal:
            topic, size = failure.record.topic, len(failure.record.value or b"")
            raise StreamError(
                f"topic {topic} rejects a record of {size} bytes: {failure.error}; its batch is not committed. Raise "
                "max.message.bytes of the topic or grant the missing ACL, then restart"
            )
