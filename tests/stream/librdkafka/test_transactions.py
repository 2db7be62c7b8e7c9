"""Transactions over librdkafka with a real broker: fenced, aborted, fatal."""

import itertools
import threading
import time
from dataclasses import replace

import confluent_kafka
import pytest
from confluent_kafka import KafkaError, KafkaException
from structlog.testing import capture_logs

from detector.records import OutgoingRecord
from detector.stream.admin.topics import read_topic
from detector.stream.interfaces import StreamError, TransactionAborted
from detector.stream.librdkafka import transactions as transactions_module
from detector.stream.librdkafka.sink import LibrdkafkaSink
from detector.stream.librdkafka.source import LibrdkafkaSource
from detector.stream.librdkafka.transactions import librdkafka_transactions
from tests.helpers import write_all
from tests.stream.listeners import RecordingListener
from tests.stream.reading import closing, next_batch, run_transaction


@pytest.fixture
def source(kafka):
    """A source of one record."""
    with closing(LibrdkafkaSink(kafka)) as sink:
        write_all(sink, [OutgoingRecord(kafka.events_topic, b"same", b"x", [])])
    with closing(LibrdkafkaSource(kafka, RecordingListener())) as opened:
        yield opened


@pytest.fixture
def batch(source):
    """The record, read by a source that stays a member of its group."""
    return next_batch(source)


@pytest.fixture
def transactions(kafka):
    with closing(librdkafka_transactions(kafka)) as opened:
        yield opened


def alert(kafka, value=b"alert"):
    return OutgoingRecord(kafka.alerts_topic, None, value, [])


def alerts(kafka):
    """The values of the committed alerts."""
    return sorted(record.value for record in read_topic(kafka, kafka.alerts_topic))


def lose_connection(transactions):
    """Tell the producer that its connection was lost, as librdkafka does."""
    transactions._producer._lost_connections(KafkaError(KafkaError._TRANSPORT))


def test_member_that_lost_its_partitions_cannot_commit_offsets(kafka, source, batch, transactions):
    """Otherwise a suspended instance would write duplicates, and change the committed offsets of its successor."""
    source.close(5)

    with pytest.raises(TransactionAborted):
        run_transaction(transactions, batch, [alert(kafka)], timeout_s=60)

    assert alerts(kafka) == []


def test_batch_without_membership_is_not_committed(kafka, batch, transactions):
    """Otherwise an evicted instance would commit its batch, because brokers fence nobody without a membership."""
    with pytest.raises(TransactionAborted, match="group membership was lost"):
        run_transaction(transactions, replace(batch, group_metadata=None), [alert(kafka)], timeout_s=10)


def test_rejected_record_is_reported_with_the_abort(kafka, batch, transactions):
    """Otherwise the log would not say which topic rejects records, and the metric of failed deliveries would stay 0."""
    to_missing_topic = OutgoingRecord("no-such-topic", None, b"alert", [])

    with pytest.raises(TransactionAborted) as aborted:
        run_transaction(transactions, batch, [alert(kafka), to_missing_topic], timeout_s=60)

    assert to_missing_topic in [failure.record for failure in aborted.value.failed]


def test_record_that_its_topic_never_accepts_is_fatal(kafka, batch):
    """Otherwise the alert would be lost, or its batch would be aborted again and again."""
    with closing(librdkafka_transactions(kafka.model_copy(update={"max_record_bytes": 1}))) as transactions:
        with pytest.raises(StreamError, match="MSG_SIZE_TOO_LARGE"):
            run_transaction(transactions, batch, [alert(kafka), alert(kafka, b"x" * 200_000)], timeout_s=60)

        assert alerts(kafka) == []
        run_transaction(transactions, batch, [], timeout_s=30)


def test_fenced_producer_is_replaced(kafka, batch):
    """Otherwise no more batches would be delivered after a transaction timed out."""
    named = kafka.model_copy(update={"instance_id": "one"})
    with closing(librdkafka_transactions(named)) as first, closing(librdkafka_transactions(named)):
        with pytest.raises(TransactionAborted):
            run_transaction(first, batch, [alert(named, b"1")], timeout_s=60)
        run_transaction(first, batch, [alert(named, b"2")], timeout_s=30)

    assert alerts(named) == [b"2"]


def test_blocked_call_is_left_behind(kafka, batch, monkeypatch):
    """Otherwise the service would hang, because a call of librdkafka sometimes never returns (issue 5456)."""
    is_released, calls = threading.Event(), itertools.count()

    class Blocked(confluent_kafka.Producer):
        """A producer whose first call that adds offsets to a transaction does not return."""

        def send_offsets_to_transaction(self, *args):
            if next(calls) == 0:
                is_released.wait(60)
            super().send_offsets_to_transaction(*args)

    monkeypatch.setattr(transactions_module, "Producer", Blocked)
    with closing(librdkafka_transactions(kafka)) as transactions:
        started = time.monotonic()
        try:
            with pytest.raises(TransactionAborted, match="did not answer in time"):
                run_transaction(transactions, batch, [alert(kafka, b"1")], timeout_s=30)
            assert time.monotonic() - started < 8
            run_transaction(transactions, batch, [alert(kafka, b"2")], timeout_s=30)
        finally:
            is_released.set()  # the call returns after all, and its producer is fenced
        run_transaction(transactions, batch, [alert(kafka, b"3")], timeout_s=30)

    assert alerts(kafka) == [b"2", b"3"]


def test_connection_lost_during_a_transaction_aborts_it(kafka, batch, monkeypatch):
    """Otherwise a late marker of the previous transaction could commit records that are then written again."""
    flushes = itertools.count()

    class LosesItsConnection(confluent_kafka.Producer):
        """A producer that loses its connection the first time it waits for acknowledgements."""

        def __init__(self, options, **others) -> None:
            self._error_cb = options["error_cb"]
            super().__init__(options, **others)

        def flush(self, timeout: float = -1) -> int:
            if next(flushes):
                return super().flush(timeout)
            self._error_cb(KafkaError(KafkaError._TRANSPORT))
            return 1

    monkeypatch.setattr(transactions_module, "Producer", LosesItsConnection)
    with closing(librdkafka_transactions(kafka)) as transactions:
        first = transactions._producer

        with pytest.raises(TransactionAborted, match="the connection to a broker was lost"):
            run_transaction(transactions, batch, [alert(kafka, b"1")], timeout_s=30)
        assert transactions._producer is not first
        run_transaction(transactions, batch, [alert(kafka, b"2")], timeout_s=30)

    assert alerts(kafka) == [b"2"]


def test_connection_lost_between_transactions_replaces_the_producer(kafka, batch, transactions):
    """Otherwise a late marker of the previous transaction could commit part of the next, and cause duplicates."""
    run_transaction(transactions, batch, [alert(kafka, b"1")], timeout_s=30)
    first = transactions._producer

    lose_connection(transactions)
    run_transaction(transactions, batch, [alert(kafka, b"2")], timeout_s=30)

    assert transactions._producer is not first
    assert alerts(kafka) == [b"1", b"2"]


def test_unreachable_bootstrap_server_does_not_replace_the_producer(kafka, batch):
    """Otherwise every transaction would need a new producer while one of several bootstrap servers is down."""
    half_reachable = kafka.model_copy(update={"bootstrap_servers": f"127.0.0.1:1,{kafka.bootstrap_servers}"})
    with closing(librdkafka_transactions(half_reachable)) as transactions:
        first = transactions._producer

        for number in range(20):
            run_transaction(transactions, batch, [alert(kafka, b"%d" % number)], timeout_s=30)

        assert transactions._producer is first


def test_start_of_a_producer_is_retried_until_brokers_are_back(kafka, batch, monkeypatch):
    """Otherwise the service would stop, or wait without a reason in its log, while the coordinator is unavailable."""
    starts = itertools.count()

    class StartsLate(confluent_kafka.Producer):
        """A producer whose second and third start fail, and whose adding of offsets takes longer than the wait."""

        def init_transactions(self, *args):
            if next(starts) in (1, 2):
                raise KafkaException(KafkaError(KafkaError.COORDINATOR_NOT_AVAILABLE))
            super().init_transactions(*args)

        def send_offsets_to_transaction(self, *_):
            time.sleep(5)

    monkeypatch.setattr(transactions_module, "Producer", StartsLate)
    with closing(librdkafka_transactions(kafka)) as transactions:
        with capture_logs() as lines, pytest.raises(TransactionAborted, match="did not answer in time"):
            run_transaction(transactions, batch, [], timeout_s=30)

        assert next(starts) == 4
    assert [line["event_name"] for line in lines] == ["producer_start_failed"]
    assert lines[0]["error"].startswith("COORDINATOR_NOT_AVAILABLE: ")


def test_producer_that_is_not_authorized_stops_the_service(kafka, batch, monkeypatch):
    """Otherwise a removed ACL would look like an outage, and be retried forever."""
    starts = itertools.count()

    class LosesItsAcl(confluent_kafka.Producer):
        """A producer whose second start is not authorized."""

        def init_transactions(self, *args):
            if next(starts):
                raise KafkaException(KafkaError(KafkaError.TRANSACTIONAL_ID_AUTHORIZATION_FAILED))
            super().init_transactions(*args)

    monkeypatch.setattr(transactions_module, "Producer", LosesItsAcl)
    with closing(librdkafka_transactions(kafka)) as transactions:
        lose_connection(transactions)

        with pytest.raises(StreamError, match="TRANSACTIONAL_ID_AUTHORIZATION_FAILED"):
            run_transaction(transactions, batch, [alert(kafka)])
