"""What only a real broker can show of the librdkafka stream, and what its failures mean."""

import logging
import time

import confluent_kafka
import pytest
from confluent_kafka import KafkaError, KafkaException
from kafka import KafkaAdminClient, TopicPartition

from detector.errors import UsageError
from detector.local.topics import read_topic
from detector.records import OutgoingRecord, Partition
from detector.stream.connect import open_stream
from detector.stream.interfaces import StreamError, UnavailableError
from detector.stream.librdkafka_faults import Failures, client_log, explained, is_final
from detector.stream.librdkafka_sink import LibrdkafkaSink, LibrdkafkaTransactions
from detector.stream.librdkafka_source import LibrdkafkaSource
from tests.contract.test_stream import Heard, next_batch
from tests.helpers import alive_until, wait_until, write_all


@pytest.fixture
def sink(kafka):
    opened = LibrdkafkaSink(kafka)
    yield opened
    opened.close(5)


def fill(sink, kafka, number, key=b"same"):
    write_all(sink, [OutgoingRecord(kafka.events_topic, key, b"x", []) for _ in range(number)])


def first_record(source):
    return wait_until(lambda: source.poll(1, 0, 0.2).records, "a record")[0]


def test_null_header_stays_null(kafka, sink):
    """A dead letter's headers are the record's own, also those that kafka-python cannot write."""
    headers = [("a", None), ("b", b"1"), ("a", b"")]
    write_all(sink, [OutgoingRecord(kafka.dead_letter_topic, None, b"x", headers)])

    (record,) = read_topic(kafka, kafka.dead_letter_topic)

    assert record.headers == headers


def test_retention_past_the_committed_position_is_told_and_reading_goes_on(kafka, sink):
    """Records that retention took are lost outside our control; the service says so and reads what is left."""
    fill(sink, kafka, 10)
    heard = Heard()
    source = LibrdkafkaSource(kafka, heard)
    record = first_record(source)
    partition = Partition(record.topic, record.partition)
    source.commit_now(dict.fromkeys(source.partitions(), 0) | {partition: 1}, 10)
    source.close(5)
    admin = KafkaAdminClient(bootstrap_servers=kafka.bootstrap_servers)
    admin.delete_records({TopicPartition(*partition): 6})
    admin.close()

    source = LibrdkafkaSource(kafka, heard)
    assert first_record(source).offset == 6
    source.close(5)
    assert heard.resets == [(partition, 1, "earliest")]

    strict = LibrdkafkaSource(kafka.model_copy(update={"auto_offset_reset": "fail"}), heard)
    with pytest.raises(
        StreamError, match=r"offset 1 is not there any more .* DETECTOR_KAFKA__AUTO_OFFSET_RESET is fail"
    ):
        wait_until(lambda: strict.poll(1, 0, 0.2).records, "a refusal")
    strict.close(5)


def test_new_group_starts_where_the_settings_say(kafka, sink):
    """Earliest reads the past, latest does not, fail refuses to guess."""
    fill(sink, kafka, 3)

    earliest = LibrdkafkaSource(kafka.model_copy(update={"group_id": f"{kafka.group_id}-e"}), Heard())
    assert first_record(earliest).offset == 0
    earliest.close(5)

    latest = LibrdkafkaSource(
        kafka.model_copy(update={"group_id": f"{kafka.group_id}-l", "auto_offset_reset": "latest"}), Heard()
    )
    wait_until(lambda: latest.poll(1, 0, 0.2).records or len(latest.lag()) == 4, "positions")
    fill(sink, kafka, 1)
    assert first_record(latest).offset == 3
    latest.close(5)

    fail = LibrdkafkaSource(
        kafka.model_copy(update={"group_id": f"{kafka.group_id}-f", "auto_offset_reset": "fail"}), Heard()
    )
    with pytest.raises(StreamError, match=r"no committed position .* DETECTOR_KAFKA__AUTO_OFFSET_RESET is fail"):
        wait_until(lambda: fail.poll(1, 0, 0.2).records, "a refusal")
    fail.close(5)


def test_a_join_that_ends_while_the_group_is_left(kafka):
    """A daemon that is stopped in its first seconds: the client tells of partitions that nobody will read any more."""
    heard = Heard()
    source = LibrdkafkaSource(kafka, heard)
    source.close(5)

    source._on_assigned([confluent_kafka.TopicPartition(kafka.events_topic, 0)])  # as it does in the midst of `close`

    assert not source.partitions()
    assert not heard.rebalances


def test_lag_is_known_before_anything_is_read(kafka, sink):
    """After a restart on a quiet topic the dashboard shows no lag, not the last one, and not nothing."""
    fill(sink, kafka, 5)
    source = LibrdkafkaSource(kafka, Heard())
    batch = next_batch(source)
    source.commit_now(batch.next_offsets, 10)
    source.close(5)

    source = LibrdkafkaSource(kafka, Heard())
    wait_until(lambda: source.poll(1, 0, 0.1).records or len(source.lag()) == 4, "the lag of every partition")

    assert not any(source.lag().values())
    source.close(5)


def test_partition_that_went_while_paused_is_read_when_it_comes_back(kafka, sink):
    """Librdkafka keeps a partition paused over its loss: it would lie still until the next restart."""
    first = LibrdkafkaSource(kafka, Heard())
    alive_until(lambda: len(first.partitions()) == 4, [first], "all partitions")
    first.pause()
    second = LibrdkafkaSource(kafka, Heard())
    alive_until(lambda: len(first.partitions()) == len(second.partitions()) == 2, [first, second], "two each")
    first.resume()
    second.close(5)
    alive_until(lambda: len(first.partitions()) == 4, [first], "all partitions again")
    for number in range(40):
        fill(sink, kafka, 1, key=b"%d" % number)

    seen: set[int] = set()

    def all_seen() -> bool:
        seen.update(record.partition for record in first.poll(100, 0, 0.2).records)
        return len(seen) == 4

    wait_until(all_seen, "records of all partitions")
    first.close(5)


def test_what_is_read_while_staying_alive_is_not_lost(kafka, sink):
    """A record that comes in spite of a pause, or before it, is in the next batch; none of a partition that went."""
    fill(sink, kafka, 5)
    source = LibrdkafkaSource(kafka, Heard())
    alive_until(lambda: len(source._in_hand) >= 2, [source], "records in hand")

    offsets: list[int] = []
    wait_until(lambda: offsets.extend(r.offset for r in source.poll(2, 0, 0.2).records) or len(offsets) == 5, "all")

    assert offsets == [0, 1, 2, 3, 4]
    source.close(5)


def test_two_members_share_the_partitions_and_give_them_back(kafka):
    """Instances can come and go; what moved is told as revoked, once."""
    one, two = Heard(), Heard()
    first = LibrdkafkaSource(kafka, one)
    alive_until(lambda: len(first.partitions()) == 4, [first], "all partitions")
    second = LibrdkafkaSource(kafka, two)
    alive_until(lambda: len(first.partitions()) == len(second.partitions()) == 2, [first, second], "two each")
    assert first.partitions().isdisjoint(second.partitions())
    assert sum(len(partitions) for kind, partitions in one.rebalances if kind == "revoked") == 2
    second.close(5)
    alive_until(lambda: len(first.partitions()) == 4, [first], "all partitions again")
    first.close(5)


def test_records_in_hand_of_a_partition_that_went_are_not_handed_out(kafka, sink):
    """Whoever owns it now reads them; here they would be alerts twice."""
    for number in range(40):
        fill(sink, kafka, 1, key=b"%d" % number)
    first = LibrdkafkaSource(kafka, Heard())
    alive_until(lambda: {m.partition() for m in first._in_hand} == set(range(4)), [first], "records of all partitions")
    second = LibrdkafkaSource(kafka, Heard())
    alive_until(lambda: len(first.partitions()) == len(second.partitions()) == 2, [first, second], "two each")

    handed_out = {Partition(record.topic, record.partition) for record in first.poll(1000, 0, 0).records}

    assert handed_out == first.partitions()
    for source in (first, second):
        source.close(5)


def test_too_large_a_record_is_refused_for_good(kafka, sink):
    """Larger than the topic permits: told apart from what a retry can help."""
    pending = sink.send([OutgoingRecord(kafka.alerts_topic, None, b"x" * 20_000_000, [])])
    assert pending.wait(20)

    (refusal,) = pending.refused()
    assert refusal.final
    assert "MSG_SIZE_TOO_LARGE" in refusal.error


def test_missing_topic_refuses_without_being_created(kafka, sink):
    """A typing error in a topic's name must not make a topic."""
    pending = sink.send([OutgoingRecord("no-such-topic", None, b"x", []) for _ in range(20)])
    assert pending.wait(20)

    assert len(pending.refused()) == 20
    assert not any(refusal.final for refusal in pending.refused())


@pytest.mark.parametrize(
    ("error", "final"),
    [
        (KafkaError(KafkaError.NOT_ENOUGH_REPLICAS), False),
        (KafkaError(KafkaError._MSG_TIMED_OUT), False),
        (KafkaError(KafkaError._QUEUE_FULL), False),
        (KafkaError(KafkaError.UNKNOWN), False),  # what a full disk is answered with
        (KafkaError(KafkaError.INVALID_RECORD), True),
        (KafkaError(KafkaError.TOPIC_AUTHORIZATION_FAILED), True),
        (KafkaError(KafkaError._FATAL), True),
    ],
)
def test_what_a_retry_cannot_help_is_final(error, final):
    """An idempotent producer is of no more use after such an error: a restart helps, retrying goes on for ever."""
    assert is_final(error) is final


def test_client_that_cannot_go_on_stops_the_service_with_one_line(kafka):
    """What librdkafka only tells to a callback, a login that is refused meanwhile, is not lost."""
    source, sink = LibrdkafkaSource(kafka, Heard()), LibrdkafkaSink(kafka)
    for failures in (source._failures, sink._failures):
        failures(KafkaError(KafkaError._TRANSPORT))
    source.poll(1, 0, 0)
    for failures in (source._failures, sink._failures):
        failures(KafkaError(KafkaError._AUTHENTICATION, "no longer welcome"))

    with pytest.raises(StreamError, match="_AUTHENTICATION: no longer welcome"):
        source.poll(1, 0, 0)
    with pytest.raises(StreamError, match="_AUTHENTICATION: no longer welcome"):
        sink.send([]).wait(1)
    source.close(5)
    sink.close(5)


@pytest.mark.parametrize(
    ("code", "outcome"),
    [
        (KafkaError._INVALID_ARG, UsageError),
        (KafkaError._TIMED_OUT, UnavailableError),
        (KafkaError.TOPIC_AUTHORIZATION_FAILED, StreamError),
    ],
)
def test_start_that_fails_is_waited_for_only_where_waiting_helps(code, outcome):
    """Exit code 2 for settings, 1 for a refusal, and patience for a broker that is away."""
    with pytest.raises(outcome), explained("broker:9092"):
        raise KafkaException(KafkaError(code))


def test_commit_without_an_answer_is_an_error_in_time(kafka, sink):
    """The last commit of a drain does not outlast the drain."""
    fill(sink, kafka, 1)
    source = LibrdkafkaSource(kafka, Heard())
    batch = next_batch(source)
    source._consumer = _Silent(source._consumer)
    started = time.monotonic()

    with pytest.raises(Exception, match=r"no answer within 0.3 s"):
        source.commit_now(batch.next_offsets, 0.3)

    assert time.monotonic() - started < 5
    source.close(5)


class _Silent:
    """A client whose commits go nowhere."""

    def __init__(self, consumer) -> None:
        self._consumer = consumer

    def __getattr__(self, name):
        return getattr(self._consumer, name)

    def commit(self, **_) -> None: ...


def test_log_says_each_kind_once_a_minute(caplog):
    """A broker that is away for an hour is some lines, not thousands."""
    for number in range(50):
        client_log().warning("%s [%s] %s", "TEST-FAIL", "detector#consumer-1", f"connection {number} refused")

    assert [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING] == [
        "TEST-FAIL [detector#consumer-1] connection 0 refused"
    ]


def test_log_does_not_call_it_fatal_that_a_producer_has_a_successor(caplog):
    """It was given up for that; whoever reads the log at night has nothing to do."""
    with caplog.at_level("WARNING", "librdkafka"):
        client_log().error("%s %s", "FATAL", "Local: This instance has been fenced by a newer instance")
        client_log().error("%s %s", "FATAL", "something else")

    assert [record.args[1] for record in caplog.records] == ["something else"]


def test_opening_waits_for_missing_topics_and_gives_the_client_of_the_settings(kafka):
    """The same start as with kafka-python, with the other library behind it."""
    librdkafka = kafka.model_copy(update={"client": "librdkafka"})
    reasons: list[str] = []

    class EnoughError(Exception):
        pass

    def wait(reason: str) -> None:
        reasons.append(reason)
        raise EnoughError

    with pytest.raises(EnoughError):
        open_stream(librdkafka.model_copy(update={"alerts_topic": "nowhere"}), "at-least-once", Heard(), wait)
    assert "missing topics: nowhere: create them: kafka-topics.sh" in reasons[0]

    source, sink = open_stream(librdkafka, "exactly-once", Heard(), wait)
    assert isinstance(source, LibrdkafkaSource)
    assert isinstance(sink, LibrdkafkaTransactions)
    source.close(5)
    sink.close(5)


def test_failures_keep_the_first():
    """What came after it is its consequence."""
    failures = Failures()
    failures(KafkaError(KafkaError.FENCED_INSTANCE_ID))
    failures(KafkaError(KafkaError._FATAL))

    with pytest.raises(StreamError, match="FENCED_INSTANCE_ID"):
        failures.raise_final()
