"""A source listener and a delivery observer that record each call of their methods."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from detector.records import Partition
from detector.stream.interfaces import CommitError, FailedRecord, RebalanceKind


@dataclass
class RecordingListener:
    """A `SourceListener` that records rebalances and offset resets."""

    rebalances: list[tuple[RebalanceKind, list[Partition]]] = field(default_factory=list)
    resets: list[tuple[Partition, int, str]] = field(default_factory=list)

    def rebalanced(self, kind: RebalanceKind, partitions: Sequence[Partition]) -> None:
        self.rebalances.append((kind, list(partitions)))

    def offset_reset(self, partition: Partition, missing_offset: int, resumed_at: str) -> None:
        self.resets.append((partition, missing_offset, resumed_at))


@dataclass
class RecordingObserver:
    """A `DeliveryObserver` that records each call as a line of text."""

    events: list[str] = field(default_factory=list)

    def delivery_waiting(self) -> None:
        self.events.append("waiting")

    def delivery_recovered(self) -> None:
        self.events.append("recovered")

    def records_failed(self, failed: Sequence[FailedRecord]) -> None:
        self.events.append(f"failed: {len(failed)} records")

    def transaction_aborted(self, reason: str) -> None:
        self.events.append(f"aborted: {reason}")

    def committed(self, seconds: float) -> None:
        self.events.append("committed")

    def commit_failed(self, error: CommitError) -> None:
        self.events.append(f"commit failed: {error}")
