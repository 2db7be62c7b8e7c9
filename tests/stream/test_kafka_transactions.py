"""Transactions on the real broker: fenced, aborted, refused."""

import time
from dataclasses import replace

import pytest
from kafka import errors as kafka_errors
from kafka.future import Future
from kafka.structs import ConsumerGroupMetadata

from detector.local.topics import read_topic
from detector.records import OutgoingRecord
from detector.settings import KafkaSettings
from detector.stream.interfaces import Batch, StreamError, TransactionAborted
from detector.stream.kafka_python import KafkaPythonSink, KafkaPythonSource
from detector.stream.kafka_transactions import KafkaPythonTransactions, wait_for_all
from tests.contract.test_stream import Heard, next_batch
from tests.helpers import group_progress, wait_until, write_all


@pytest.fixture
def named(kafka) -> KafkaSettings:
    return kafka.model_copy(update={"instance_id": "one"})


def alert(kafka, value=b"alert"):
    return OutgoingRecord(kafka.alerts_topic, None, value, [])


def read_one(kafka) -> tuple[KafkaPythonSource, Batch]:
    sink = KafkaPythonSink(kafka)
    write_all(sink, [OutgoingRecord(kafka.events_topic, None, b"event", [])])
    sink.close(5)
    source = KafkaPythonSource(kafka, Heard())
    return source, next_batch(source)


def test_member_that_lost_its_partitions_cannot_commit_for_them(kafka):
    """The zombie of KIP-447: its alerts are never seen, its positions never move."""
    source, batch = read_one(kafka)
    source.close(5)
    transactions = KafkaPythonTransactions(kafka)

    with pytest.raises(TransactionAborted):
        wait_until(lambda: transactions.transact(batch, [alert(kafka)]).wait(1), "the end of the transaction")

    assert read_topic(kafka, kafka.alerts_topic) == []
    transactions.close(5)


def test_batch_of_no_membership_is_not_committed(kafka):
    """Thrown out between its records and its end: nothing tells the brokers any more that others own the partitions."""
    source, batch = read_one(kafka)
    transactions = KafkaPythonTransactions(kafka)
    nobody = replace(batch, membership=ConsumerGroupMetadata(kafka.group_id))

    with pytest.raises(TransactionAborted, match="membership in the group was lost"):
        wait_until(lambda: transactions.transact(nobody, [alert(kafka)]).wait(1), "the end of the transaction")

    assert read_topic(kafka, kafka.alerts_topic) == []
    for opened in (transactions, source):
        opened.close(5)


def test_positions_of_a_refused_transaction_are_not_committed_with_the_next(kafka):
    """They would take the group back to what another member has long done."""
    source, batch = read_one(kafka)
    (partition,) = batch.next_offsets
    other = next(owned for owned in source.partitions() if owned != partition)
    transactions = KafkaPythonTransactions(kafka)

    zombie = replace(batch, membership=batch.membership._replace(member_id="gone"))
    with pytest.raises(TransactionAborted):
        wait_until(lambda: transactions.transact(zombie, [alert(kafka)]).wait(1), "the end of the transaction")
    assert transactions.transact(replace(batch, next_offsets={other: 0}), []).wait(30)

    with group_progress(kafka) as progress:
        assert progress.committed() == {other: 0}
    for opened in (transactions, source):
        opened.close(5)


def test_fenced_producer_is_replaced(named):
    """Its transaction timed out, or a second one of its name was there for a moment: the next batch goes through."""
    source, batch = read_one(named)
    first, second = KafkaPythonTransactions(named), KafkaPythonTransactions(named)
    first.connect()
    second.connect()

    with pytest.raises(TransactionAborted):
        wait_until(lambda: first.transact(batch, [alert(named, b"1")]).wait(1), "the end of the transaction")
    assert first.transact(batch, [alert(named, b"2")]).wait(30)

    assert [record.value for record in read_topic(named, named.alerts_topic)] == [b"2"]
    for opened in (first, second, source):
        opened.close(5)


def test_refused_record_is_told_with_the_abort(kafka):
    """Which topic refuses is what whoever is called wants to know; the number of them is a metric."""
    source, batch = read_one(kafka)
    transactions = KafkaPythonTransactions(kafka)
    nowhere = OutgoingRecord("no-such-topic", None, b"alert", [])
    pending = transactions.transact(batch, [alert(kafka), nowhere])

    with pytest.raises(TransactionAborted) as caught:
        wait_until(lambda: pending.wait(1), "the end of the transaction")

    assert [refusal.record for refusal in caught.value.refused] == [nowhere]
    for opened in (transactions, source):
        opened.close(5)


def test_record_that_no_topic_takes_stops(kafka):
    """An alert is never left out so that the rest can go on."""
    small = kafka.model_copy(update={"max_record_bytes": 1})
    source, batch = read_one(kafka)
    transactions = KafkaPythonTransactions(small)

    with pytest.raises(StreamError, match="MessageSizeTooLargeError"):
        wait_until(
            lambda: transactions.transact(batch, [alert(kafka), alert(kafka, b"x" * 200_000)]).wait(1), "the refusal"
        )

    assert read_topic(kafka, kafka.alerts_topic) == []
    assert transactions.transact(batch, []).wait(30)
    for opened in (transactions, source):
        opened.close(5)


def test_refusal_ends_the_wait_for_the_others(kafka):
    """kafka-python leaves what was sent beside a refused record where it is, for two minutes."""
    transactions = KafkaPythonTransactions(kafka)
    stands, refused = Future(), Future().failure(kafka_errors.InvalidProducerEpochError())
    started = time.monotonic()

    with pytest.raises(kafka_errors.InvalidProducerEpochError):
        wait_for_all(transactions.connect(), [stands, refused], started + 60)

    assert time.monotonic() - started < 10
    transactions.close(5)


def test_acknowledgements_are_waited_for_as_long_as_the_transaction_lasts(kafka):
    """The brokers have aborted it by then; kafka-python would wait for its delivery timeout, two minutes."""
    transactions = KafkaPythonTransactions(kafka)

    with pytest.raises(kafka_errors.KafkaTimeoutError, match="no answer within the transaction's 10 s"):
        wait_for_all(transactions.connect(), [Unanswered()], time.monotonic() + 0.3)

    transactions.close(5)


class Unanswered:
    """What kafka-python gives for a record, of one that nothing is heard of."""

    is_done = False

    def failed(self) -> bool:
        return False

    def get(self, timeout):
        time.sleep(timeout)
        raise kafka_errors.KafkaTimeoutError
