"""The steps of a transaction that no real client can be made to show; `tests/contract` tests the rest."""

import threading
from collections.abc import Iterator, Sequence

import pytest
from structlog.testing import capture_logs

from detector.records import OutgoingRecord, Partition
from detector.settings import KafkaSettings
from detector.stream import transactions as transactions_module
from detector.stream.interfaces import Batch, FailedRecord, StreamError, TransactionAborted
from detector.stream.transactions import ClientErrors, Transactions
from tests.helpers import wait_until
from tests.stream.reading import run_transaction

BATCH = Batch([], {Partition("events", 0): 1})
ALERT = OutgoingRecord("alerts", None, b"alert", [])


class ClientError(Exception):
    """What the fake client raises."""


class FatalClientError(ClientError):
    """An error that no new transaction can help with."""


ERRORS = ClientErrors(
    ClientError, lambda error: isinstance(error, FatalClientError), lambda error: f"described: {error}"
)


class Cluster:
    """Starts producers, and records the steps of all of them as `producer: step`."""

    def __init__(self) -> None:
        self.steps: list[str] = []
        self.start_errors: list[Exception] = []
        """Raised by the next starts, one each."""
        self.failing: dict[str, Exception] = {}
        """The error of each step that fails."""
        self.unusable: set[int] = set()
        """The numbers of producers that must not be used again."""
        self.may_commit = threading.Event()
        self.may_commit.set()
        self.producers = 0
        self.transactional_ids: set[str] = set()

    def start(self, transactional_id: str) -> "FakeProducer":
        self.transactional_ids.add(transactional_id)
        if self.producers and self.start_errors:
            self.steps.append("start fails")
            raise self.start_errors.pop(0)
        self.producers += 1
        return FakeProducer(self, self.producers)


class FakeProducer:
    can_close_in_transaction = False

    def __init__(self, cluster: Cluster, number: int) -> None:
        self._cluster = cluster
        self._number = number
        self._step("start")

    def _step(self, name: str) -> None:
        self._cluster.steps.append(f"{self._number}: {name}")
        if name in self._cluster.failing:
            raise self._cluster.failing[name]

    def is_usable(self) -> bool:
        return self._number not in self._cluster.unusable

    def is_member(self, batch: Batch) -> bool:
        return batch.group_metadata is None

    def begin(self) -> None:
        self._step("begin")

    def write(self, records: Sequence[OutgoingRecord], failed: list[FailedRecord]) -> None:
        if "write" in self._cluster.failing:
            failed += [FailedRecord(record, "rejected", is_fatal=False) for record in records]
        self._step("write")

    def add_offsets(self, batch: Batch) -> None:
        self._step("add offsets")

    def commit(self) -> None:
        assert self._cluster.may_commit.wait(20)
        self._step("commit")

    def abort(self) -> bool:
        try:
            self._step("abort")
        except ClientError:
            return False
        return True

    def close(self, timeout_s: float) -> None:
        self._step("close")


@pytest.fixture(autouse=True)
def _retry_soon(monkeypatch):
    monkeypatch.setattr(transactions_module, "_RETRY_S", 0.01)


@pytest.fixture
def cluster() -> Cluster:
    return Cluster()


@pytest.fixture
def transactions(cluster) -> Iterator[Transactions]:
    opened = Transactions(KafkaSettings(group_id="group", instance_id="one"), cluster.start, ERRORS)
    yield opened
    opened.close(1)


def test_offsets_are_committed_after_all_outputs_are_acknowledged(cluster, transactions):
    """Otherwise a crash would commit records whose alerts were never written."""
    run_transaction(transactions, BATCH, [ALERT])

    assert cluster.steps == ["1: start", "1: begin", "1: write", "1: add offsets", "1: commit"]


def test_batch_of_a_lost_membership_begins_no_transaction(cluster, transactions):
    """Otherwise an evicted instance and the new owner of its partitions would both write the alerts."""
    evicted = Batch([], {Partition("events", 0): 1}, group_metadata="evicted")

    with pytest.raises(TransactionAborted, match="the group membership was lost while the batch was read"):
        run_transaction(transactions, evicted, [ALERT])

    assert cluster.steps == ["1: start"]


@pytest.mark.parametrize("step", ["begin", "write", "add offsets", "commit"])
def test_failed_step_aborts_the_transaction_and_keeps_the_producer(cluster, transactions, step):
    """Otherwise readers of the alerts would wait until the open transaction times out."""
    cluster.failing[step] = ClientError("coordinator not available")
    with pytest.raises(TransactionAborted, match="described: coordinator not available") as aborted:
        run_transaction(transactions, BATCH, [ALERT])
    assert [failure.record for failure in aborted.value.failed] == ([ALERT] if step == "write" else [])
    assert cluster.steps[-2:] == [f"1: {step}", "1: abort"]

    cluster.failing.clear()
    run_transaction(transactions, BATCH, [ALERT])

    assert cluster.producers == 1


def test_producer_that_cannot_abort_is_replaced_before_the_abort_is_reported(cluster, transactions):
    """Otherwise alerts would be lost, because the open transaction could commit offsets after the rewind."""
    cluster.failing = {"commit": ClientError("timed out"), "abort": ClientError("timed out")}

    with pytest.raises(TransactionAborted, match="described: timed out"):
        run_transaction(transactions, BATCH, [])

    assert cluster.steps[-2:] == ["1: abort", "2: start"]
    assert len(cluster.transactional_ids) == 1  # otherwise its start would not abort the open transaction


def test_unusable_producer_is_closed_and_replaced_before_the_next_transaction(cluster, transactions):
    """Otherwise a late transaction marker could commit what a producer without a connection has written."""
    cluster.unusable.add(1)

    run_transaction(transactions, BATCH, [])

    assert cluster.steps[1:] == ["1: close", "2: start", "2: begin", "2: write", "2: add offsets", "2: commit"]


def test_start_of_a_producer_is_retried_until_brokers_are_back(cluster, transactions):
    """Otherwise an outage would stop the service, or fill its log with one line for each attempt."""
    cluster.unusable.add(1)
    cluster.start_errors = [ClientError("coordinator not available") for _ in range(20)]

    with capture_logs() as lines:
        run_transaction(transactions, BATCH, [])

    assert cluster.steps.count("start fails") == 20
    assert cluster.steps[-1] == "2: commit"
    assert [(line["event_name"], line["error"]) for line in lines] == [
        ("producer_start_failed", "described: coordinator not available")
    ]


def test_fatal_error_of_a_new_producer_stops_the_service(cluster, transactions):
    """Otherwise a missing ACL would be retried forever, and nobody would learn what to change."""
    cluster.failing = {"commit": ClientError("timed out"), "abort": ClientError("timed out")}
    cluster.start_errors = [FatalClientError("not authorized")]

    with pytest.raises(StreamError, match="described: not authorized"):
        run_transaction(transactions, BATCH, [])


def test_start_is_not_retried_after_close(cluster, transactions):
    """Otherwise a daemon that shuts down during an outage would fence its successor."""
    cluster.unusable.add(1)
    cluster.start_errors = [ClientError("coordinator not available") for _ in range(100_000)]
    pending = transactions.transact(BATCH, [])
    wait_until(lambda: "start fails" in cluster.steps, "a failed start", every_s=0.001)

    transactions.close(1)

    with pytest.raises(TransactionAborted, match="described: coordinator not available"):
        pending.wait(20)
    assert cluster.producers == 1


def test_producer_is_not_closed_during_a_transaction(cluster, transactions):
    """Otherwise the process would crash at its shutdown, because another thread still uses the producer."""
    cluster.may_commit.clear()
    pending = transactions.transact(BATCH, [])
    try:
        wait_until(lambda: "1: add offsets" in cluster.steps, "the transaction", every_s=0.001)
        transactions.close(1)
        assert "1: close" not in cluster.steps
    finally:
        cluster.may_commit.set()
    assert pending.wait(20)
