"""Read from a source until there is something, and close what a test opened."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Protocol, TypeVar

from detector.records import OutgoingRecord, Record
from detector.stream.interfaces import Batch, Source, TransactionalSink
from tests.helpers import wait_until


class Closable(Protocol):
    def close(self, timeout_s: float) -> None: ...


C = TypeVar("C", bound=Closable)


@contextmanager
def closing(opened: C) -> Iterator[C]:
    """Close a source or a sink at the end of the block, also when the test fails."""
    try:
        yield opened
    finally:
        opened.close(5)


def next_batch(source: Source, max_records: int = 100) -> Batch:
    """The next batch that has records."""
    batches: list[Batch] = []

    def has_records() -> bool:
        batches[:] = [source.poll(max_records, 0.5, 0.5)]
        return bool(batches[0].records)

    wait_until(has_records, "a batch with records")
    return batches[0]


def next_record(source: Source) -> Record:
    """The next record, alone."""
    records: list[Record] = []

    def has_record() -> bool:
        records.extend(source.poll(1, 0, 0.2).records)
        return bool(records)

    wait_until(has_record, "a record")
    return records[0]


def run_transaction(
    transactions: TransactionalSink, batch: Batch, records: Sequence[OutgoingRecord], timeout_s: float = 20
) -> None:
    """Run a transaction to its end; raises when it is aborted, fails when it is not finished in time."""
    pending = transactions.transact(batch, records)
    assert pending.wait(timeout_s), f"the transaction was not finished within {timeout_s:g} s"
