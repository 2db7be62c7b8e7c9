"""Transactions: all outputs and offsets of a batch, or none of them. Both clients share this part."""

import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any, Protocol
from uuid import uuid4

from detector.process import log_events
from detector.records import OutgoingRecord
from detector.settings import KafkaSettings
from detector.stream.background import in_background
from detector.stream.errors import fatal_error
from detector.stream.interfaces import Batch, FailedRecord, PendingTransaction, TransactionAborted

_RETRY_S = 0.5
"""Pause between two attempts to start a producer."""
_LOG_EVERY_S = 60.0
"""How often failed attempts are logged: an outage of an hour must not fill the log."""


class TransactionalProducer(Protocol):
    """One client's producer with a transactional id. Its methods raise the client library's own errors."""

    can_close_in_transaction: bool
    """Whether `close` is permitted while another thread runs a transaction."""

    def is_usable(self) -> bool:
        """Whether the next transaction may use this producer; False when it is closed."""
        ...

    def is_member(self, batch: Batch) -> bool:
        """Whether the batch was read by a member of the consumer group, whose offsets the brokers can fence."""
        ...

    def begin(self) -> None:
        """Begin a transaction."""
        ...

    def write(self, records: Sequence[OutgoingRecord], failed: list[FailedRecord]) -> None:
        """Return when every record is acknowledged; records that fail are added to `failed` before this raises."""
        ...

    def add_offsets(self, batch: Batch) -> None:
        """Add the batch's next offsets to the transaction, fenced by the membership that read it (KIP-447)."""
        ...

    def commit(self) -> None:
        """Commit the transaction."""
        ...

    def abort(self) -> bool:
        """Abort the transaction; False when the producer is closed and must not be used again. Does not raise."""
        ...

    def close(self, timeout_s: float) -> None:
        """Close the producer within the timeout; a second call does nothing."""
        ...


@dataclass(frozen=True, slots=True)
class ClientErrors:
    """How a client library reports errors."""

    raised: type[Exception]
    """The base class of what it raises."""
    is_fatal: Callable[[Any], bool]
    """Whether no new transaction can help."""
    describe: Callable[[Any], str]
    """The error's name, which can be looked up, and its text."""


class Transactions:
    """Runs one transaction for each batch, and replaces the producer when it cannot be used again.

    The brokers fence a member that lost its partitions: offsets are committed for the membership with which the batch
    was read (KIP-447). A producer that starts fences its predecessor and aborts the transaction that it left open.

    Args:
        kafka: the group and the instance, for the transactional id.
        start: connects a producer with this transactional id.
        errors: the client library's errors.
    """

    def __init__(
        self, kafka: KafkaSettings, start: Callable[[str], TransactionalProducer], errors: ClientErrors
    ) -> None:
        # The group's name comes first, so that ACLs can permit it by prefix. With DETECTOR_KAFKA__INSTANCE_ID the id is
        # the same after a restart, and the new producer aborts the open transaction at once. Otherwise the open
        # transaction ends at its timeout.
        self._transactional_id = f"{kafka.group_id}-{kafka.instance_id or uuid4().hex}"
        self._start = start
        self._errors = errors
        self._running: Future[None] | None = None
        self._closed = threading.Event()
        self._producer = start(self._transactional_id)

    def transact(self, batch: Batch, records: Sequence[OutgoingRecord]) -> PendingTransaction:
        """See `TransactionalSink.transact`."""
        failed: list[FailedRecord] = []
        self._running = in_background(lambda: self._transact(batch, records, failed))
        return _RunningTransaction(self._running, failed, self._errors)

    def close(self, timeout_s: float) -> None:
        """See `TransactionalSink.close`."""
        self._closed.set()
        is_idle = self._running is None or self._running.done()
        if is_idle or self._producer.can_close_in_transaction:  # otherwise it ends with the process
            self._producer.close(timeout_s)

    def _transact(self, batch: Batch, records: Sequence[OutgoingRecord], failed: list[FailedRecord]) -> None:
        if not self._producer.is_member(batch):
            raise TransactionAborted("the group membership was lost while the batch was read")
        if not self._producer.is_usable():
            self._producer.close(timeout_s=0)
            self._replace_producer()
        producer = self._producer
        try:
            producer.begin()
            producer.write(records, failed)
            producer.add_offsets(batch)
            producer.commit()
        except BaseException:
            if not producer.abort():
                self._replace_producer()
            raise

    def _replace_producer(self) -> None:
        """Start another producer, however long the brokers are unavailable.

        This comes before the source asks for the committed offsets: until the new producer has started, the old one's
        transaction may still be committed.

        Raises:
            Exception: the client library's error, when no retry can help, or when this sink was closed meanwhile.
        """
        logged_at = float("-inf")
        while True:
            try:
                self._producer = self._start(self._transactional_id)
            except self._errors.raised as error:
                if self._errors.is_fatal(error):
                    raise
                if time.monotonic() - logged_at > _LOG_EVERY_S:
                    logged_at = time.monotonic()
                    log_events.PRODUCER_START_FAILED.log(error=self._errors.describe(error))
                if self._closed.wait(_RETRY_S):
                    raise
            else:
                if self._closed.is_set():
                    self._producer.close(timeout_s=0)
                return


class _RunningTransaction:
    def __init__(self, future: "Future[None]", failed: list[FailedRecord], errors: ClientErrors) -> None:
        self._future = future
        self._failed = failed
        self._errors = errors

    def wait(self, timeout_s: float) -> bool:
        try:
            self._future.result(timeout_s)
        except TimeoutError:
            if self._future.done():  # the transaction itself raised it
                raise
            return False
        except self._errors.raised as error:
            reason = self._errors.describe(error)
            if self._errors.is_fatal(error):
                raise fatal_error(reason) from error
            raise TransactionAborted(reason, self._failed) from error
        return True
