"""What only a real broker can show of the kafka-python stream."""

import pytest
from kafka import KafkaAdminClient, TopicPartition
from kafka import errors as kafka_errors

from detector.local.topics import read_topic
from detector.records import OutgoingRecord, Partition
from detector.settings import KafkaSettings
from detector.stream.connect import open_stream
from detector.stream.interfaces import StreamError
from detector.stream.kafka_faults import is_final
from detector.stream.kafka_python import KafkaPythonSink, KafkaPythonSource
from detector.stream.kafka_records import NULL_HEADERS
from detector.stream.readiness import unreachable
from tests.contract.test_stream import Heard
from tests.helpers import wait_until, write_all


@pytest.fixture
def sink(kafka):
    opened = KafkaPythonSink(kafka)
    yield opened
    opened.close(5)


def fill(sink, kafka, number):
    write_all(sink, [OutgoingRecord(kafka.events_topic, b"same", b"x", []) for _ in range(number)])


def first_record(source):
    return wait_until(lambda: source.poll(1, 0, 0.2).records, "a record")[0]


def test_null_header_is_written_empty_and_named(kafka, sink):
    """kafka-python cannot write a null header value; the record is not lost over it, and the header is named."""
    write_all(sink, [OutgoingRecord(kafka.dead_letter_topic, None, b"x", [("a", None), ("b", b"1"), ("c", None)])])

    (record,) = read_topic(kafka, kafka.dead_letter_topic)

    assert record.headers == [("a", b""), ("b", b"1"), ("c", b""), (NULL_HEADERS, b"a,c")]


def test_retention_past_the_committed_position_is_told_and_reading_goes_on(kafka, sink):
    """Records that retention took are lost outside our control; the service says so and reads what is left."""
    fill(sink, kafka, 10)
    heard = Heard()
    source = KafkaPythonSource(kafka, heard)
    record = first_record(source)
    partition = Partition(record.topic, record.partition)
    source.commit_now({partition: 1}, 10)
    source.close(5)
    admin = KafkaAdminClient(bootstrap_servers=kafka.bootstrap_servers)
    admin.delete_records({TopicPartition(*partition): 6})
    admin.close()

    source = KafkaPythonSource(kafka, heard)
    assert first_record(source).offset == 6
    source.close(5)

    assert heard.resets == [(partition, 1, "earliest")]


def test_new_group_starts_where_the_settings_say(kafka, sink):
    """Earliest reads the past, latest does not, fail refuses to guess."""
    fill(sink, kafka, 3)

    earliest = KafkaPythonSource(kafka.model_copy(update={"group_id": f"{kafka.group_id}-e"}), Heard())
    assert first_record(earliest).offset == 0
    earliest.close(5)

    latest = KafkaPythonSource(
        kafka.model_copy(update={"group_id": f"{kafka.group_id}-l", "auto_offset_reset": "latest"}), Heard()
    )
    wait_until(lambda: latest.poll(1, 0, 0.2).records or latest.lag(), "positions")
    fill(sink, kafka, 1)
    assert first_record(latest).offset == 3
    latest.close(5)

    fail = KafkaPythonSource(
        kafka.model_copy(update={"group_id": f"{kafka.group_id}-f", "auto_offset_reset": "fail"}), Heard()
    )
    with pytest.raises(StreamError, match=r"no committed position .* DETECTOR_KAFKA__AUTO_OFFSET_RESET is fail"):
        wait_until(lambda: fail.poll(1, 0, 0.2).records, "a refusal")
    fail.close(5)


def test_two_members_share_the_partitions_and_give_them_back(kafka, sink):
    """Instances can come and go; records in hand of a partition that moved are not handed out."""
    one, two = Heard(), Heard()
    first = KafkaPythonSource(kafka, one)
    wait_until(lambda: first.poll(1, 0, 0.05).records or len(first.partitions()) == 4, "all partitions")
    second = KafkaPythonSource(kafka, two)

    def shared() -> bool:
        first.poll(1, 0, 0.05)
        second.poll(1, 0, 0.05)
        return len(first.partitions()) == len(second.partitions()) == 2

    wait_until(shared, "two partitions each")
    assert first.partitions().isdisjoint(second.partitions())
    assert sum(len(partitions) for kind, partitions in one.rebalances if kind == "revoked") == 2
    second.close(5)
    wait_until(lambda: first.poll(1, 0, 0.05).records or len(first.partitions()) == 4, "all partitions again")
    first.close(5)


def test_too_large_a_record_is_refused_for_good(kafka, sink):
    """Larger than the topic permits: told apart from what a retry can help."""
    write_all(sink, [OutgoingRecord(kafka.alerts_topic, None, b"x", [])])  # the topic is known now
    pending = sink.send([OutgoingRecord(kafka.alerts_topic, None, b"x" * 20_000_000, [])])
    assert pending.wait(20)

    (refusal,) = pending.refused()
    assert refusal.final
    assert "MessageSizeTooLarge" in refusal.error


@pytest.mark.parametrize(
    ("error", "final"),
    [
        (kafka_errors.NotEnoughReplicasError(), False),
        (kafka_errors.KafkaTimeoutError(), False),
        (kafka_errors.UnknownError(), False),  # what a full disk is answered with
        (kafka_errors.KafkaError("Unexpected error in InitProducerIdResponse: UnknownError"), False),
        (kafka_errors.InvalidRecordError(), True),
        (kafka_errors.ProducerFencedError(), True),
        (kafka_errors.TopicAuthorizationFailedError(), True),
        (ValueError(), True),
    ],
)
def test_what_a_retry_cannot_help_is_final(error, final):
    """An idempotent producer is of no more use after such an error: a restart helps, retrying goes on for ever."""
    assert is_final(error) is final


def test_producer_that_gave_its_id_up_gets_another(kafka, sink):
    """As it does when records that it sent were never answered, and became too old."""
    write_all(sink, [OutgoingRecord(kafka.alerts_topic, None, b"before", [])])
    sink._producer._transaction_manager.reset_producer_id()

    write_all(sink, [OutgoingRecord(kafka.alerts_topic, None, b"after", [])])


def test_producer_that_cannot_go_on_is_replaced(kafka, sink):
    """Brokers with a full disk answer "unexpected error" when it asks for its id: it refuses all that comes."""
    unexpected = kafka_errors.KafkaError("Unexpected error in InitProducerIdResponse: UnknownError")
    sink._producer._transaction_manager.transition_to_fatal_error(unexpected)

    write_all(sink, [OutgoingRecord(kafka.alerts_topic, b"k", b"v", [])])

    assert [read.value for read in read_topic(kafka, kafka.alerts_topic)] == [b"v"]


def test_missing_topic_refuses_without_being_created(kafka, sink):
    """A typing error in a topic's name must not make a topic."""
    pending = sink.send([OutgoingRecord("no-such-topic", None, b"x", []) for _ in range(20)])
    assert pending.wait(20)

    assert len(pending.refused()) == 20
    assert not any(refusal.final for refusal in pending.refused())


def test_opening_waits_for_brokers_and_topics_and_says_which(kafka):
    """Both can come later than the service; it tells what it waits for and how to create it."""

    class EnoughError(Exception):
        pass

    reasons: list[str] = []

    def wait(reason: str) -> None:
        reasons.append(reason)
        if len(reasons) > 1:
            raise EnoughError

    with pytest.raises(EnoughError):
        open_stream(kafka.model_copy(update={"bootstrap_servers": "127.0.0.1:1"}), "at-least-once", Heard(), wait)
    assert reasons[0] == "no broker can be reached: 127.0.0.1:1: Connection refused"

    reasons.clear()
    with pytest.raises(EnoughError):
        open_stream(kafka.model_copy(update={"alerts_topic": "nowhere"}), "at-least-once", Heard(), wait)
    assert "missing topics: nowhere: create them: kafka-topics.sh" in reasons[0]


def test_unreachable_names_every_server():
    """Each address is tried, and each reason told."""
    assert "nowhere.invalid:9092: " in (
        unreachable(KafkaSettings(bootstrap_servers="127.0.0.1:1,nowhere.invalid:9092")) or ""
    )
