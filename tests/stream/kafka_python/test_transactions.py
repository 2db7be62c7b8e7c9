"""Transactions over kafka-python with a real broker: fenced, aborted, fatal."""

import time
from dataclasses import replace

import pytest
from kafka import KafkaProducer
from kafka import errors as kafka_errors
from kafka.future import Future
from kafka.structs import ConsumerGroupMetadata

from detector.records import OutgoingRecord
from detector.stream.admin.topics import read_topic
from detector.stream.interfaces import StreamError, TransactionAborted
from detector.stream.kafka_python.sink import KafkaPythonSink
from detector.stream.kafka_python.source import KafkaPythonSource
from detector.stream.kafka_python.transactions import kafka_python_transactions, wait_for_all
from tests.helpers import group_progress, write_all
from tests.stream.listeners import RecordingListener
from tests.stream.reading import closing, next_batch, run_transaction


@pytest.fixture
def source(kafka):
    """A source of one record."""
    with closing(KafkaPythonSink(kafka)) as sink:
        write_all(sink, [OutgoingRecord(kafka.events_topic, None, b"event", [])])
    with closing(KafkaPythonSource(kafka, RecordingListener())) as opened:
        yield opened


@pytest.fixture
def batch(source):
    """The record, read by a source that stays a member of its group."""
    return next_batch(source)


@pytest.fixture
def transactions(kafka):
    with closing(kafka_python_transactions(kafka)) as opened:
        yield opened


@pytest.fixture
def plain_producer(kafka):
    opened = KafkaProducer(bootstrap_servers=kafka.bootstrap_servers)
    yield opened
    opened.close(timeout=5)


def alert(kafka, value=b"alert"):
    return OutgoingRecord(kafka.alerts_topic, None, value, [])


def test_member_that_lost_its_partitions_cannot_commit_offsets(kafka, source, batch, transactions):
    """Otherwise a suspended instance would write duplicates, and change the committed offsets of its successor."""
    source.close(5)

    with pytest.raises(TransactionAborted):
        run_transaction(transactions, batch, [alert(kafka)], timeout_s=60)

    assert read_topic(kafka, kafka.alerts_topic) == []


def test_batch_without_membership_is_not_committed(kafka, batch, transactions):
    """Otherwise an evicted instance would commit its batch, because brokers fence nobody without a membership."""
    without = replace(batch, group_metadata=ConsumerGroupMetadata(kafka.group_id))

    with pytest.raises(TransactionAborted, match="group membership was lost"):
        run_transaction(transactions, without, [alert(kafka)], timeout_s=60)

    assert read_topic(kafka, kafka.alerts_topic) == []


def test_offsets_of_an_aborted_transaction_are_not_committed_with_the_next(kafka, source, batch, transactions):
    """Otherwise the group would return to old offsets, and write duplicates."""
    (partition,) = batch.next_offsets
    other = next(assigned for assigned in source.partitions() if assigned != partition)

    evicted = replace(batch, group_metadata=batch.group_metadata._replace(member_id="evicted"))
    with pytest.raises(TransactionAborted):
        run_transaction(transactions, evicted, [alert(kafka)], timeout_s=60)
    run_transaction(transactions, replace(batch, next_offsets={other: 0}), [], timeout_s=30)

    with group_progress(kafka) as progress:
        assert progress.committed() == {other: 0}


def test_fenced_producer_is_replaced(kafka, batch):
    """Otherwise no more batches would be delivered after a transaction timed out."""
    named = kafka.model_copy(update={"instance_id": "one"})
    with closing(kafka_python_transactions(named)) as first, closing(kafka_python_transactions(named)):
        with pytest.raises(TransactionAborted):
            run_transaction(first, batch, [alert(named, b"1")], timeout_s=60)
        run_transaction(first, batch, [alert(named, b"2")], timeout_s=30)

    assert [record.value for record in read_topic(named, named.alerts_topic)] == [b"2"]


def test_rejected_record_is_reported_with_the_abort(kafka, batch, transactions):
    """Otherwise the log would not say which topic rejects records, and the metric of failed deliveries would stay 0."""
    to_missing_topic = OutgoingRecord("no-such-topic", None, b"alert", [])

    with pytest.raises(TransactionAborted) as aborted:
        run_transaction(transactions, batch, [alert(kafka), to_missing_topic], timeout_s=60)

    assert [failure.record for failure in aborted.value.failed] == [to_missing_topic]


def test_record_that_its_topic_never_accepts_is_fatal(kafka, batch):
    """Otherwise the alert would be lost, or its batch would be aborted again and again."""
    with closing(kafka_python_transactions(kafka.model_copy(update={"max_record_bytes": 1}))) as transactions:
        with pytest.raises(StreamError, match="MessageSizeTooLargeError"):
            run_transaction(transactions, batch, [alert(kafka), alert(kafka, b"x" * 200_000)], timeout_s=60)

        assert read_topic(kafka, kafka.alerts_topic) == []
        run_transaction(transactions, batch, [], timeout_s=30)


def test_rejected_record_ends_the_wait_for_the_others(plain_producer):
    """Otherwise each rejected alert would cost two minutes, because kafka-python no longer sends the others."""
    pending, rejected = Future(), Future().failure(kafka_errors.InvalidProducerEpochError())
    started = time.monotonic()

    with pytest.raises(kafka_errors.InvalidProducerEpochError):
        wait_for_all(plain_producer, [pending, rejected], started + 60)

    assert time.monotonic() - started < 10


def test_wait_for_acknowledgements_ends_with_the_transaction(plain_producer):
    """Otherwise a batch would wait two minutes for a transaction that brokers abort after ten seconds."""
    with pytest.raises(kafka_errors.KafkaTimeoutError, match="no acknowledgement within the transaction's 10 s"):
        wait_for_all(plain_producer, [Unacknowledged()], time.monotonic() + 0.3)


class Unacknowledged:
    """kafka-python's future of a record whose acknowledgement does not arrive."""

    is_done = False

    def failed(self) -> bool:
        return False

    def get(self, timeout: float) -> None:
        time.sleep(timeout)
        raise kafka_errors.KafkaTimeoutError
