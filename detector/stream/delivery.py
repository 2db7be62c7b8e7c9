"""The delivery guarantee: in which order outputs are acknowledged and positions committed."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Protocol

from detector.records import OutgoingRecord, Partition
from detector.stream.interfaces import (
    Alive,
    Batch,
    CommitError,
    Pending,
    PendingTransaction,
    Refusal,
    Sink,
    Source,
    StreamError,
    TransactionAborted,
    TransactionalSink,
)

_FIRST_WAIT_S = 1.0
"""How long delivery may take before reading is paused."""
_NEXT_WAIT_S = 0.2
"""Between two signs of life while it waits."""
_RETRY_S = 0.5
"""Before refused records are sent again, and before an aborted batch is read again."""
_COMMIT_AGAIN_S = 10.0
"""Before positions whose commit is not answered are committed again, when there is nothing new beside them."""
GiveUp = Callable[[], bool]
"""Asked while waiting; True abandons."""


class DeliveryAbandoned(Exception):  # noqa: N818 - asked for, by a shutdown
    """Delivery was given up before every record was acknowledged; nothing of the batch was committed."""


class DeliveryObserver(Protocol):
    """Hears what delivery goes through."""

    def delivery_waits(self) -> None:
        """Acknowledgements take long; reading is paused meanwhile."""
        ...

    def delivery_resumed(self) -> None:
        """Everything was acknowledged after all; reading goes on."""
        ...

    def delivery_refused(self, refusals: Sequence[Refusal]) -> None:
        """Records were refused; they are sent again."""
        ...

    def transaction_aborted(self, reason: str) -> None:
        """A transaction did not happen; its batch is read again."""
        ...

    def committed(self, seconds: float) -> None:
        """A commit succeeded, this long after it was started."""
        ...

    def commit_failed(self, error: CommitError) -> None:
        """A commit did not succeed; the next one includes its positions."""
        ...


class Delivery(Protocol):
    """A guarantee. One batch at a time is on its way: it is settled before the next one is started."""

    def start(self, batch: Batch, outputs: Sequence[OutgoingRecord]) -> None:
        """Start to write the outputs of a batch."""
        ...

    def settle(self, ahead: Batch, give_up: GiveUp) -> bool:
        """Return once what was started is safe.

        Args:
            ahead: what was read meanwhile.
            give_up: asked while this waits.

        Returns:
            False when nothing of it was written after all: it will be read again, and so will `ahead`.

        Raises:
            DeliveryAbandoned: `give_up` said so.
            StreamError: a record or a right is in the way that no retry changes.
        """
        ...

    def commit(self, *, idle: bool) -> None:
        """Commit the positions behind what is safe, where that did not happen with it.

        Args:
            idle: there was nothing to read.
        """
        ...

    def finish(self, timeout_s: float) -> None:
        """Commit whatever is left, and wait for it."""
        ...


class _Waiting:
    """Waits with the source paused and the group kept, and gives up when asked to."""

    def __init__(self, source: Source, observer: DeliveryObserver, alive: Alive, give_up: GiveUp) -> None:
        self._source = source
        self._observer = observer
        self._alive = alive
        self._give_up = give_up
        self._paused = self._told = False

    def until(self, done: Callable[[float], bool]) -> None:
        """Call `done` with the time it may take until it is true; the first time it may take longer."""
        timeout_s = _FIRST_WAIT_S
        while not done(timeout_s):
            self.stay_alive()
            timeout_s = _NEXT_WAIT_S

    def pause(self) -> None:
        if not self._paused:
            self._paused = True
            self._source.pause()
            if not self._told:
                self._told = True
                self._observer.delivery_waits()

    def read_on(self) -> None:
        """Read, though nothing is through yet."""
        if self._paused:
            self._paused = False
            self._source.resume()

    def end(self) -> None:
        self.read_on()
        if self._told:
            self._told = False
            self._observer.delivery_resumed()

    def stay_alive(self) -> None:
        self.pause()  # first: what a source that reads would give now would be lost
        self._alive()
        self._source.keep_alive()
        if self._give_up():
            raise DeliveryAbandoned


class AtLeastOnce:
    """Every output is acknowledged before any position of its batch is committed.

    In this order: send; wait for each acknowledgement, sending again what was refused; commit. A crash before the
    commit means the same batch again, with the same alert ids; a commit that fails is made up for by the next.
    """

    def __init__(self, source: Source, sink: Sink, observer: DeliveryObserver, alive: Alive) -> None:
        self._source = source
        self._sink = sink
        self._observer = observer
        self._alive = alive
        self._pending: Pending | None = None
        self._next_offsets: Mapping[Partition, int] = {}
        self._uncommitted: dict[Partition, int] = {}
        self._attempted = float("-inf")

    def start(self, batch: Batch, outputs: Sequence[OutgoingRecord]) -> None:
        """See `Delivery.start`."""
        self._next_offsets = batch.next_offsets
        self._pending = self._sink.send(outputs) if outputs else None

    def settle(self, ahead: Batch, give_up: GiveUp) -> bool:  # noqa: ARG002
        """See `Delivery.settle`; always True."""
        waiting = _Waiting(self._source, self._observer, self._alive, give_up)
        pending, self._pending = self._pending, None
        next_offsets, self._next_offsets = self._next_offsets, {}
        try:
            while pending is not None:
                waiting.until(pending.wait)
                pending = self._send_again(pending.refused(), waiting)
        finally:
            waiting.end()
        if next_offsets:
            self._uncommitted |= next_offsets
            self._attempted = float("-inf")
        return True

    def _send_again(self, refusals: Sequence[Refusal], waiting: _Waiting) -> Pending | None:
        if not refusals:
            return None
        self._observer.delivery_refused(refusals)
        _raise_final(refusals)
        waiting.stay_alive()
        time.sleep(_RETRY_S)
        return self._sink.send([refusal.record for refusal in refusals])

    def commit(self, *, idle: bool) -> None:  # noqa: ARG002
        """See `Delivery.commit`; with the positions that earlier commits left over.

        It does not wait: the next batch is read meanwhile, and a commit that fails costs nothing but a later one.
        With nothing new, one that was not answered is started again after a while only: silent brokers would hear of it
        at every look, and answer all of them at once.
        """
        if self._uncommitted and time.monotonic() - self._attempted > _COMMIT_AGAIN_S:
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
    """Outputs and positions in one transaction: all of a batch, or nothing of it.

    Whatever goes wrong, the transaction is aborted (or its end is unknown), the source goes back to the positions that
    the brokers have, and reading goes on from there. Only readers with `read_committed` see nothing twice.
    """

    def __init__(self, source: Source, sink: TransactionalSink, observer: DeliveryObserver, alive: Alive) -> None:
        self._source = source
        self._sink = sink
        self._observer = observer
        self._alive = alive
        self._started: _Transaction | None = None
        self._waiting: _Waiting | None = None
        """For a transaction to go through, since one was aborted."""

    def start(self, batch: Batch, outputs: Sequence[OutgoingRecord]) -> None:
        """See `Delivery.start`."""
        started = time.perf_counter()
        self._started = _Transaction(batch, self._sink.transact(batch, outputs), started)

    def settle(self, ahead: Batch, give_up: GiveUp) -> bool:
        """See `Delivery.settle`."""
        if self._started is None:
            return True
        waiting = self._waiting or _Waiting(self._source, self._observer, self._alive, give_up)
        transaction, self._started = self._started, None
        try:
            if not self._is_through(transaction, ahead, waiting):
                self._waiting = waiting
                return False
        except BaseException:
            waiting.end()
            raise
        self._end(waiting)
        self._observer.committed(time.perf_counter() - transaction.started)
        return True

    def _is_through(self, transaction: _Transaction, ahead: Batch, waiting: _Waiting) -> bool:
        try:
            waiting.until(transaction.pending.wait)
        except TransactionAborted as error:
            if error.refused:
                self._observer.delivery_refused(error.refused)
            self._observer.transaction_aborted(str(error))
            waiting.stay_alive()
            time.sleep(_RETRY_S)
            # In this order: without a committed position, a partition goes back to the first record of the first batch.
            for batch in (ahead, transaction.batch):
                waiting.until(partial(self._source.rewind, batch))
            waiting.read_on()
            return False
        return True

    def _end(self, waiting: _Waiting) -> None:
        self._waiting = None
        waiting.end()

    def commit(self, *, idle: bool) -> None:
        """See `Delivery.commit`; it happened with the outputs."""
        # What was aborted may be another's by now: with nothing left to read there is nothing to wait for.
        if idle and self._waiting is not None and not any(self._source.lag().values()):
            self._end(self._waiting)

    def finish(self, timeout_s: float) -> None:
        """See `Delivery.finish`; nothing is ever left."""


def delivery_over(
    source: Source, sink: Sink | TransactionalSink, observer: DeliveryObserver, alive: Alive
) -> AtLeastOnce | ExactlyOnce:
    """The guarantee that a sink can give."""
    if isinstance(sink, TransactionalSink):
        return ExactlyOnce(source, sink, observer, alive)
    return AtLeastOnce(source, sink, observer, alive)


def _raise_final(refusals: Sequence[Refusal]) -> None:
    for record, error, final in ((r.record, r.error, r.final) for r in refusals):
        if final:
            size = len(record.value or b"")
            raise StreamError(
                f"topic {record.topic} refuses a record of {size} bytes: {error}: its batch is not committed; "
                "permit it (max.message.bytes of the topic, rights of this client), then start again"
            )
