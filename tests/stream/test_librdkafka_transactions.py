"""Transactions over librdkafka, on a real broker: what fences, what aborts, what is given up."""

import itertools
import threading
import time

import confluent_kafka
import pytest
from confluent_kafka import KafkaError, KafkaException

from detector.local.topics import read_topic
from detector.records import OutgoingRecord
from detector.stream.interfaces import StreamError, TransactionAborted
from detector.stream.librdkafka_sink import LibrdkafkaSink, LibrdkafkaTransactions
from detector.stream.librdkafka_source import LibrdkafkaSource
from tests.contract.test_stream import Heard, next_batch
from tests.helpers import wait_until, write_all


@pytest.fixture
def source(kafka):
    sink = LibrdkafkaSink(kafka)
    write_all(sink, [OutgoingRecord(kafka.events_topic, b"same", b"x", [])])
    sink.close(5)
    opened = LibrdkafkaSource(kafka, Heard())
    yield opened
    opened.close(5)


@pytest.fixture
def batch(source):
    """One record, read by a member of the group that stays one."""
    return next_batch(source)


def alert(kafka, value=b"alert"):
    return OutgoingRecord(kafka.alerts_topic, None, value, [])


def test_member_that_lost_its_partitions_cannot_commit_for_them(kafka, source, batch):
    """The zombie of KIP-447: its alerts are never seen, its positions never move."""
    source.close(5)
    transactions = LibrdkafkaTransactions(kafka)

    with pytest.raises(TransactionAborted):
        wait_until(lambda: transactions.transact(batch, [alert(kafka)]).wait(1), "the end of the transaction")

    assert read_topic(kafka, kafka.alerts_topic) == []
    transactions.close(5)


def test_refused_record_is_told_with_the_abort(kafka, batch):
    """Which topic refuses is what whoever is called wants to know; the number of them is a metric."""
    transactions = LibrdkafkaTransactions(kafka)
    nowhere = OutgoingRecord("no-such-topic", None, b"alert", [])
    pending = transactions.transact(batch, [alert(kafka), nowhere])

    with pytest.raises(TransactionAborted) as caught:
        wait_until(lambda: pending.wait(1), "the end of the transaction")

    assert nowhere in [refusal.record for refusal in caught.value.refused]
    transactions.close(5)


def test_fenced_producer_is_replaced(kafka, batch):
    """Its transaction timed out, or a second one of its name was there for a moment: the next batch goes through."""
    named = kafka.model_copy(update={"instance_id": "one"})
    first, second = LibrdkafkaTransactions(named), LibrdkafkaTransactions(named)
    first.connect()
    second.connect()

    with pytest.raises(TransactionAborted):
        wait_until(lambda: first.transact(batch, [alert(named, b"1")]).wait(1), "the end of the transaction")
    assert first.transact(batch, [alert(named, b"2")]).wait(30)

    assert [record.value for record in read_topic(named, named.alerts_topic)] == [b"2"]
    for opened in (first, second):
        opened.close(5)


class NotComingBack(confluent_kafka.Producer):
    """The first call for a transaction's positions does not come back: librdkafka's issue 5456."""

    end = threading.Event()
    calls = 0

    def send_offsets_to_transaction(self, *arguments):
        NotComingBack.calls += 1
        if NotComingBack.calls == 1:
            self.end.wait(60)
        super().send_offsets_to_transaction(*arguments)


def test_call_that_does_not_come_back_is_left_behind(kafka, batch, monkeypatch):
    """The next transactions go through, and what the first one wrote is never seen."""
    monkeypatch.setattr("detector.stream.librdkafka_sink.Producer", NotComingBack)
    transactions = LibrdkafkaTransactions(kafka)
    started = time.monotonic()

    with pytest.raises(TransactionAborted, match="did not answer in time"):
        transactions.transact(batch, [alert(kafka, b"1")]).wait(30)
    assert time.monotonic() - started < 8
    assert transactions.transact(batch, [alert(kafka, b"2")]).wait(30)
    NotComingBack.end.set()  # it comes back after all, and is fenced
    assert transactions.transact(batch, [alert(kafka, b"3")]).wait(30)

    assert sorted(record.value for record in read_topic(kafka, kafka.alerts_topic)) == [b"2", b"3"]
    transactions.close(5)


def test_broker_that_goes_takes_the_transaction_with_it(kafka, batch, monkeypatch):
    """Written again with the same epoch, its records could be committed by a late mark of the transaction before."""
    waits = itertools.count()

    class LosesItsBroker(confluent_kafka.Producer):
        """The first time that it waits for acknowledgements, its broker goes away instead."""

        def __init__(self, options, **others) -> None:
            self._tell = options["error_cb"]
            super().__init__(options, **others)

        def flush(self, timeout):
            if next(waits):
                return super().flush(timeout)
            self._tell(KafkaError(KafkaError._TRANSPORT))
            return 1

    monkeypatch.setattr("detector.stream.librdkafka_sink.Producer", LosesItsBroker)
    transactions = LibrdkafkaTransactions(kafka)
    first = transactions.connect()

    with pytest.raises(TransactionAborted, match="a broker went away"):
        transactions.transact(batch, [alert(kafka, b"1")]).wait(30)
    assert transactions.connect() is not first
    assert transactions.transact(batch, [alert(kafka, b"2")]).wait(30)

    assert [record.value for record in read_topic(kafka, kafka.alerts_topic)] == [b"2"]
    transactions.close(5)


def test_broker_that_went_between_two_transactions_ends_the_producer(kafka, batch):
    """The next transaction is another producer's, with an epoch of its own; nothing is aborted."""
    transactions = LibrdkafkaTransactions(kafka)
    assert transactions.transact(batch, [alert(kafka, b"1")]).wait(30)
    first = transactions.connect()

    transactions._departures(KafkaError(KafkaError._TRANSPORT))
    assert transactions.transact(batch, [alert(kafka, b"2")]).wait(30)

    assert transactions.connect() is not first
    assert sorted(record.value for record in read_topic(kafka, kafka.alerts_topic)) == [b"1", b"2"]
    transactions.close(5)


def test_server_that_is_not_there_ends_no_producer(kafka, batch):
    """One of the bootstrap servers is away for good: whoever was not needed for the start is not needed later."""
    halved = kafka.model_copy(update={"bootstrap_servers": f"127.0.0.1:1,{kafka.bootstrap_servers}"})
    transactions = LibrdkafkaTransactions(halved)
    first = transactions.connect()

    for number in range(20):
        assert transactions.transact(batch, [alert(kafka, b"%d" % number)]).wait(30)

    assert transactions.connect() is first
    transactions.close(5)


def test_producer_that_cannot_start_is_started_again_until_it_can(kafka, batch, monkeypatch, caplog):
    """Nobody asks for the positions before, since the old one may still add to them; and the log says why."""
    starts = itertools.count()

    class StartsLate(confluent_kafka.Producer):
        """Its first start succeeds, the next two do not; and it never gets its transaction through."""

        def init_transactions(self, *arguments):
            if next(starts) in (1, 2):
                raise KafkaException(KafkaError(KafkaError.COORDINATOR_NOT_AVAILABLE))
            super().init_transactions(*arguments)

        def send_offsets_to_transaction(self, *arguments):
            time.sleep(5)

    monkeypatch.setattr("detector.stream.librdkafka_sink.Producer", StartsLate)
    transactions = LibrdkafkaTransactions(kafka)
    transactions.connect()

    with caplog.at_level("WARNING", "librdkafka"), pytest.raises(TransactionAborted, match="did not answer in time"):
        transactions.transact(batch, []).wait(30)

    assert next(starts) == 4
    assert "COORDINATOR_NOT_AVAILABLE: no producer can be started" in caplog.text
    transactions.close(5)


def test_producer_that_may_not_start_stops_the_service(kafka, batch, monkeypatch):
    """A right that was taken away meanwhile is no outage."""
    starts = itertools.count()

    class LosesItsRight(confluent_kafka.Producer):
        """The second start is refused."""

        def init_transactions(self, *arguments):
            if next(starts):
                raise KafkaException(KafkaError(KafkaError.TRANSACTIONAL_ID_AUTHORIZATION_FAILED))
            super().init_transactions(*arguments)

    monkeypatch.setattr("detector.stream.librdkafka_sink.Producer", LosesItsRight)
    transactions = LibrdkafkaTransactions(kafka)
    transactions.connect()
    transactions._departures(KafkaError(KafkaError._TRANSPORT))

    with pytest.raises(StreamError, match="TRANSACTIONAL_ID_AUTHORIZATION_FAILED"):
        transactions.transact(batch, [alert(kafka)]).wait(30)


def test_record_that_no_topic_takes_stops(kafka, batch):
    """An alert is never left out so that the rest can go on."""
    transactions = LibrdkafkaTransactions(kafka.model_copy(update={"max_record_bytes": 1}))

    with pytest.raises(StreamError, match="MSG_SIZE_TOO_LARGE"):
        wait_until(
            lambda: transactions.transact(batch, [alert(kafka), alert(kafka, b"x" * 200_000)]).wait(1), "the refusal"
        )

    assert read_topic(kafka, kafka.alerts_topic) == []
    assert transactions.transact(batch, []).wait(30)
    transactions.close(5)


def test_membership_without_a_name_is_no_membership(kafka, batch):
    """Brokers let positions pass that come with none: a process whose session is over must not commit so."""
    transactions = LibrdkafkaTransactions(kafka)
    nameless = type(batch)(batch.records, batch.next_offsets, None)

    with pytest.raises(TransactionAborted, match="no group"):
        transactions.transact(nameless, [alert(kafka)]).wait(10)
