"""What the stream of every client library has to do; `tests/contract` checks each implementation."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple, Protocol, runtime_checkable

from detector.errors import DetectorError
from detector.records import OutgoingRecord, Partition, Record
from detector.settings import KafkaSettings

RebalanceKind = Literal["assigned", "revoked", "lost"]


class StreamError(DetectorError):
    """Fatal: credentials rejected, an ACL missing, the instance fenced, an offset out of range."""


class UnavailableError(DetectorError):
    """The brokers are unavailable; waiting may help."""


class CommitError(DetectorError):
    """An offset commit failed. No record is lost by it, but records may be read again."""


CommitDone = Callable[[CommitError | None], None]
"""Called with None after a successful commit, otherwise with the error."""


@dataclass(frozen=True, slots=True)
class Batch:
    """Records that were read together, and the offsets to commit once all of them are processed."""

    records: Sequence[Record]
    next_offsets: Mapping[Partition, int]
    group_metadata: Any = None
    """The group membership with which the records were read, in the client library's form. A transaction sends it, so
    that the brokers can fence a member that was evicted."""

    def values(self) -> list[bytes | None]:
        """The value of each record. A client may override this with something faster than making each record."""
        return [record.value for record in self.records]

    def first_offsets(self) -> dict[Partition, int]:
        """The offset of the first record of each partition."""
        return {Partition(record.topic, record.partition): record.offset for record in reversed(self.records)}


class SourceListener(Protocol):
    """Its methods are called on rebalances and offset resets, while the source is polled."""

    def rebalanced(self, kind: RebalanceKind, partitions: Sequence[Partition]) -> None:
        """Partitions were assigned, revoked (offsets can still be committed) or lost (they cannot)."""
        ...

    def offset_reset(self, partition: Partition, missing_offset: int, resumed_at: str) -> None:
        """The committed offset no longer exists; reading resumes at the `earliest` or `latest` offset."""
        ...


class Source(Protocol):
    """Reads a topic as a member of a consumer group. Not thread-safe."""

    def poll(self, max_records: int, max_wait_s: float, idle_s: float) -> Batch:
        """Read the next batch.

        Args:
            max_records: the batch closes at this number of records, or
            max_wait_s: this long after its first record, whichever comes first; earlier when the first record was
                available at once (`detector.stream.window`).
            idle_s: how long to wait for the first record before an empty batch is returned.

        Returns:
            Records in order within each partition; none of a partition that was revoked or lost meanwhile.

        Raises:
            StreamError: reading cannot continue.
        """
        ...

    def commit(self, next_offsets: Mapping[Partition, int], on_done: CommitDone) -> None:
        """Start an offset commit without waiting for it; commits take effect in the order in which they were started.

        Offsets of partitions that are not assigned to this member any more are left out.

        Args:
            next_offsets: for each partition, the offset to read next.
            on_done: called during this or a later call of the source.
        """
        ...

    def commit_now(self, next_offsets: Mapping[Partition, int], timeout_s: float) -> None:
        """Commit offsets and wait for the answer.

        Raises:
            CommitError: it failed, or was not answered within the timeout.
        """
        ...

    def rewind(self, batch: Batch, timeout_s: float) -> bool:
        """Seek to the committed offsets of a batch's partitions, so that everything uncommitted is read again.

        A partition without a committed offset is rewound to its first record in the batch; a partition that is not
        assigned to this member any more is left alone.

        Returns:
            False when the committed offsets were not returned within the timeout; then call it again.

        Raises:
            StreamError: the brokers rejected the request.
        """
        ...

    def pause(self) -> None:
        """Stop reading from every assigned partition, also after a rebalance, until `resume`."""
        ...

    def resume(self) -> None:
        """Read again after `pause`."""
        ...

    def keep_alive(self) -> None:
        """Stay a member of the group while paused: take part in rebalances, return no records."""
        ...

    def partitions(self) -> frozenset[Partition]:
        """The partitions that are assigned now."""
        ...

    def lag(self) -> dict[Partition, int]:
        """Records between the current offset and the end, for each assigned partition whose end is known."""
        ...

    def since_response_s(self) -> float:
        """Seconds since a broker last answered.

        A source without an answer for `PROBE_AFTER_S` sends the brokers a request, because it may be paused, without
        partitions, or waiting for a rebalance, and therefore have sent none.
        """
        ...

    def close(self, timeout_s: float) -> None:
        """Leave the group without committing anything."""
        ...


@dataclass(frozen=True, slots=True)
class FailedRecord:
    """A record that was not acknowledged, and why; `is_fatal` when sending it again cannot help."""

    record: OutgoingRecord
    error: str
    is_fatal: bool


class PendingDelivery(Protocol):
    """Records in flight."""

    def wait(self, timeout_s: float) -> bool:
        """True once each record is acknowledged or failed; False at the timeout."""
        ...

    def failed(self) -> list[FailedRecord]:
        """The records that failed; call it after `wait` returned True."""
        ...


class Sink(Protocol):
    """Writes records and knows when they are acknowledged. Not thread-safe."""

    def send(self, records: Sequence[OutgoingRecord]) -> PendingDelivery:
        """Send records; does not raise for a single record's failure."""
        ...

    def close(self, timeout_s: float) -> None:
        """Close the connections; records in flight may be lost."""
        ...


class TransactionAborted(Exception):  # noqa: N818 - an outcome: everything is as if the batch had not been read
    """A transaction was aborted, or its outcome is unknown; the committed offsets show which.

    Args:
        reason: why.
        failed: the records that were not acknowledged.
    """

    def __init__(self, reason: str, failed: Sequence[FailedRecord] = ()) -> None:
        super().__init__(reason)
        self.failed = list(failed)


class PendingTransaction(Protocol):
    """A transaction in flight."""

    def wait(self, timeout_s: float) -> bool:
        """True once it is committed; False at the timeout.

        Raises:
            TransactionAborted: it was not committed, or its outcome is unknown.
            StreamError: no retry can help: a record is not accepted, or an ACL is missing.
        """
        ...


@runtime_checkable
class TransactionalSink(Protocol):
    """Writes records and commits offsets in one transaction. Not thread-safe."""

    def transact(self, batch: Batch, records: Sequence[OutgoingRecord]) -> PendingTransaction:
        """Start a transaction that writes the outputs of a batch and commits its offsets: both or neither."""
        ...

    def close(self, timeout_s: float) -> None:
        """Close the connections; a transaction in flight may be aborted."""
        ...


class ConnectedSource(Source, Protocol):
    """A source as a client makes it; `missing_topics` is asked once, before the service reads."""

    def missing_topics(self, topics: Sequence[str]) -> list[str]:
        """Those of the topics that do not exist."""
        ...


def _no_tuning() -> None:
    """For clients that need no tuning."""


class Client(NamedTuple):
    """A client library: what it makes, its errors as this package's, and what it needs of the process."""

    source: Callable[[KafkaSettings, SourceListener], ConnectedSource]
    sink: Callable[[KafkaSettings], Sink]
    transactional_sink: Callable[[KafkaSettings], TransactionalSink]
    translated_errors: Callable[[str], AbstractContextManager[None]]
    """Takes the broker addresses; within the block, the library's errors become `UnavailableError` or `StreamError`."""
    tune_process: Callable[[], None] = _no_tuning
    """Called once, before the first thread starts."""


SignOfLife = Callable[[], None]
"""Called while waiting, to show that the main loop is not stuck."""
