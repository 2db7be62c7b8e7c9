"""What a stream has to do, whatever carries it; `tests/contract` holds every implementation to this."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol, runtime_checkable

from detector.errors import DetectorError
from detector.records import OutgoingRecord, Partition, Record

RebalanceKind = Literal["assigned", "revoked", "lost"]


class StreamError(DetectorError):
    """The stream cannot go on: refused credentials or rights, a fenced instance, a position that is gone."""


class UnavailableError(DetectorError):
    """The brokers do not answer as they should; that may pass."""


class CommitError(DetectorError):
    """A commit did not succeed. Nothing is lost by it: the same records may be read again."""


QUIET_S = 4.0
"""Longer than the time between two heartbeats."""

CommitDone = Callable[[CommitError | None], None]


@dataclass(frozen=True, slots=True)
class Batch:
    """Records that were read together, and the positions to commit once all of them are done with."""

    records: Sequence[Record]
    next_offsets: Mapping[Partition, int]
    membership: Any = None
    """Who this member was in its group when it read: what a transaction shows, so that the brokers can fence it."""

    def values(self) -> list[bytes | None]:
        """The value of each record: all that most records are ever asked for, so a client may have a shorter way."""
        return [record.value for record in self.records]

    def first_offsets(self) -> dict[Partition, int]:
        """For each partition, the offset of its first record."""
        return {Partition(record.topic, record.partition): record.offset for record in reversed(self.records)}


class Listener(Protocol):
    """Hears what a source does on its own account; called while the source is being polled."""

    def rebalanced(self, kind: RebalanceKind, partitions: Sequence[Partition]) -> None:
        """Partitions came (`assigned`) or went (`revoked` in good order, `lost` without a last commit)."""
        ...

    def offsets_reset(self, partition: Partition, gone: int, resumed_at: str) -> None:
        """The position `gone` of a partition does not exist any more; reading goes on at its start or end."""
        ...


class Source(Protocol):
    """Reads a topic as a member of a consumer group. Not thread-safe."""

    def poll(self, max_records: int, max_wait_s: float, idle_s: float) -> Batch:
        """Read the next batch.

        Args:
            max_records: the batch closes with this many, or
            max_wait_s: this long after its first record, whichever comes first; less, when that one was there already
                (`detector.stream.window`).
            idle_s: how long to wait for the first record; then the batch is empty.

        Returns:
            Records in order within each partition; none of a partition that was taken away meanwhile.

        Raises:
            StreamError: reading cannot go on.
        """
        ...

    def commit(self, next_offsets: Mapping[Partition, int], on_done: CommitDone) -> None:
        """Start to commit positions, and go on; commits take effect in the order in which they were started.

        Positions of partitions that this member does not own any more are left out.

        Args:
            next_offsets: for each partition, the offset to read next.
            on_done: called, during this or a later call of the source, with None or with what went wrong.
        """
        ...

    def commit_now(self, next_offsets: Mapping[Partition, int], timeout_s: float) -> None:
        """Commit positions and wait until it is done.

        Raises:
            CommitError: it did not succeed within the time.
        """
        ...

    def rewind(self, batch: Batch, timeout_s: float) -> bool:
        """Go back to the committed positions of a batch's partitions, so that what is not committed is read again.

        A partition without a committed position goes back to its first record in the batch; one that this member
        does not own any more is left alone.

        Returns:
            False when the positions were not to be had within the time; then it is to be called again.

        Raises:
            StreamError: the brokers refuse to tell.
        """
        ...

    def pause(self) -> None:
        """Stop reading from every assigned partition, now and after a rebalance, until `resume`."""
        ...

    def resume(self) -> None:
        """Read again."""
        ...

    def keep_alive(self) -> None:
        """Stay a member of the group while paused; takes part in rebalances, returns no records."""
        ...

    def partitions(self) -> frozenset[Partition]:
        """The partitions assigned at the moment."""
        ...

    def lag(self) -> dict[Partition, int]:
        """Records between the position and the end, for each assigned partition whose end is known."""
        ...

    def silent_s(self) -> float:
        """How long the brokers have answered nothing, in seconds.

        A source that has heard nothing for `QUIET_S` asks them something, so that silence is no lack of questions: it
        may be paused, without partitions, or waiting for others to join.
        """
        ...

    def close(self, timeout_s: float) -> None:
        """Leave the group without committing anything."""
        ...


@dataclass(frozen=True, slots=True)
class Refusal:
    """A record that was not acknowledged, and why; `final` when trying again cannot help."""

    record: OutgoingRecord
    error: str
    final: bool


class Pending(Protocol):
    """Records on their way."""

    def wait(self, timeout_s: float) -> bool:
        """True once each record is acknowledged or refused; False when the time is up first."""
        ...

    def refused(self) -> list[Refusal]:
        """Those that were refused; to be asked after `wait` returned True."""
        ...


class Sink(Protocol):
    """Writes records and knows when they are safe. Not thread-safe."""

    def send(self, records: Sequence[OutgoingRecord]) -> Pending:
        """Hand records over for writing; never raises for what is wrong with one of them."""
        ...

    def close(self, timeout_s: float) -> None:
        """Let go of the connection; records still on their way may be lost."""
        ...


class TransactionAborted(Exception):  # noqa: N818 - an outcome: everything is as if the batch had not been read
    """A transaction did not happen, or nobody knows whether it did: the committed positions tell.

    Args:
        reason: why.
        refused: the records that were not acknowledged.
    """

    def __init__(self, reason: str, refused: Sequence[Refusal] = ()) -> None:
        super().__init__(reason)
        self.refused = list(refused)


class PendingTransaction(Protocol):
    """A transaction on its way."""

    def wait(self, timeout_s: float) -> bool:
        """True once it is committed; False when the time is up first.

        Raises:
            TransactionAborted: it was not committed, or may not have been; the brokers' positions tell.
            StreamError: it never will be: a record or a right is in the way.
        """
        ...


@runtime_checkable
class TransactionalSink(Protocol):
    """Writes records and commits positions in one transaction. Not thread-safe."""

    def transact(self, batch: Batch, records: Sequence[OutgoingRecord]) -> PendingTransaction:
        """Start to write the outputs of a batch and to commit its positions: all of it or nothing."""
        ...

    def close(self, timeout_s: float) -> None:
        """Let go of the connection; a transaction on its way may be aborted."""
        ...


Alive = Callable[[], None]
"""Called while waiting, to show that the loop is not stuck."""
