"""What only a real broker can show of the librdkafka stream, and what is said where there is no librdkafka."""

import logging
import sys
import threading
import time

import confluent_kafka
import pytest
from confluent_kafka import KafkaError, KafkaException
from kafka import KafkaAdminClient, TopicPartition

from detector.errors import UsageError
from detector.local.topics import read_topic
from detector.records import OutgoingRecord, Partition
from detector.settings import KafkaSettings
from detector.stream.connect import client_of, open_stream
from detector.stream.interfaces import StreamError, TransactionAborted, UnavailableError
from detector.stream.librdkafka_faults import Failures, client_log, explained, is_final
from detector.stream.librdkafka_options import consumer_options, producer_options
from detector.stream.librdkafka_sink import LibrdkafkaSink, LibrdkafkaTransactions
from detector.stream.librdkafka_source import LibrdkafkaSource
from tests.contract.test_stream import Heard, next_batch
from tests.helpers import alive_until, detector, wait_until, write_all


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


def test_member_that_lost_its_partitions_cannot_commit_for_them(kafka, sink):
    """The zombie of KIP-447: its alerts are never seen, its positions never move."""
    fill(sink, kafka, 1)
    source = LibrdkafkaSource(kafka, Heard())
    batch = next_batch(source)
    source.close(5)
    transactions = LibrdkafkaTransactions(kafka)

    with pytest.raises(TransactionAborted):
        wait_until(lambda: transactions.transact(batch, [alert(kafka)]).wait(1), "the end of the transaction")

    assert read_topic(kafka, kafka.alerts_topic) == []
    transactions.close(5)


def test_refused_record_is_told_with_the_abort(kafka, sink):
    """Which topic refuses is what whoever is called wants to know; the number of them is a metric."""
    fill(sink, kafka, 1)
    source, transactions = LibrdkafkaSource(kafka, Heard()), LibrdkafkaTransactions(kafka)
    batch = next_batch(source)
    nowhere = OutgoingRecord("no-such-topic", None, b"alert", [])
    pending = transactions.transact(batch, [alert(kafka), nowhere])

    with pytest.raises(TransactionAborted) as caught:
        wait_until(lambda: pending.wait(1), "the end of the transaction")

    assert nowhere in [refusal.record for refusal in caught.value.refused]
    for opened in (transactions, source):
        opened.close(5)


def test_fenced_producer_is_replaced(kafka, sink):
    """Its transaction timed out, or a second one of its name was there for a moment: the next batch goes through."""
    named = kafka.model_copy(update={"instance_id": "one"})
    fill(sink, kafka, 1)
    source = LibrdkafkaSource(named, Heard())
    batch = next_batch(source)
    first, second = LibrdkafkaTransactions(named), LibrdkafkaTransactions(named)
    first.connect()
    second.connect()

    with pytest.raises(TransactionAborted):
        wait_until(lambda: first.transact(batch, [alert(named, b"1")]).wait(1), "the end of the transaction")
    assert first.transact(batch, [alert(named, b"2")]).wait(30)

    assert [record.value for record in read_topic(named, named.alerts_topic)] == [b"2"]
    for opened in (first, second, source):
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


def test_call_that_does_not_come_back_is_left_behind(kafka, sink, monkeypatch):
    """The next transactions go through, and what the first one wrote is never seen."""
    monkeypatch.setattr("detector.stream.librdkafka_sink.Producer", NotComingBack)
    fill(sink, kafka, 1)
    source = LibrdkafkaSource(kafka, Heard())
    batch = next_batch(source)
    transactions = LibrdkafkaTransactions(kafka)
    started = time.monotonic()

    with pytest.raises(TransactionAborted, match="did not answer in time"):
        transactions.transact(batch, [alert(kafka, b"1")]).wait(30)
    assert time.monotonic() - started < 8
    assert transactions.transact(batch, [alert(kafka, b"2")]).wait(30)
    NotComingBack.end.set()  # it comes back after all, and is fenced
    assert transactions.transact(batch, [alert(kafka, b"3")]).wait(30)

    assert [record.value for record in read_topic(kafka, kafka.alerts_topic)] == [b"2", b"3"]
    for opened in (transactions, source):
        opened.close(5)


class LosesItsBroker(confluent_kafka.Producer):
    """The first time that it waits for acknowledgements, its broker goes away instead."""

    waits = 0

    def __init__(self, options, **others) -> None:
        self._tell = options["error_cb"]
        super().__init__(options, **others)

    def flush(self, timeout):
        LosesItsBroker.waits += 1
        if LosesItsBroker.waits > 1:
            return super().flush(timeout)
        self._tell(KafkaError(KafkaError._TRANSPORT))
        return 1


def test_broker_that_goes_takes_the_transaction_with_it(kafka, sink, monkeypatch):
    """Written again with the same epoch, its records could be committed by a late mark of the transaction before."""
    monkeypatch.setattr("detector.stream.librdkafka_sink.Producer", LosesItsBroker)
    fill(sink, kafka, 1)
    source = LibrdkafkaSource(kafka, Heard())
    batch = next_batch(source)
    transactions = LibrdkafkaTransactions(kafka)

    with pytest.raises(TransactionAborted, match="a broker went away"):
        transactions.transact(batch, [alert(kafka, b"1")]).wait(30)
    assert transactions.transact(batch, [alert(kafka, b"2")]).wait(30)

    assert [record.value for record in read_topic(kafka, kafka.alerts_topic)] == [b"2"]
    for opened in (transactions, source):
        opened.close(5)


def test_broker_that_went_between_two_transactions_ends_the_producer(kafka, sink):
    """The next transaction is another producer's, with an epoch of its own; nothing is aborted."""
    fill(sink, kafka, 1)
    source = LibrdkafkaSource(kafka, Heard())
    batch = next_batch(source)
    transactions = LibrdkafkaTransactions(kafka)
    assert transactions.transact(batch, [alert(kafka, b"1")]).wait(30)
    first = transactions.connect()

    transactions._departures(KafkaError(KafkaError._TRANSPORT))
    assert transactions.transact(batch, [alert(kafka, b"2")]).wait(30)

    assert transactions.connect() is not first
    assert [record.value for record in read_topic(kafka, kafka.alerts_topic)] == [b"1", b"2"]
    for opened in (transactions, source):
        opened.close(5)


def test_record_that_no_topic_takes_stops(kafka, sink):
    """An alert is never left out so that the rest can go on."""
    fill(sink, kafka, 1)
    source = LibrdkafkaSource(kafka, Heard())
    batch = next_batch(source)
    transactions = LibrdkafkaTransactions(kafka.model_copy(update={"max_record_bytes": 1}))

    with pytest.raises(StreamError, match="MSG_SIZE_TOO_LARGE"):
        wait_until(
            lambda: transactions.transact(batch, [alert(kafka), alert(kafka, b"x" * 200_000)]).wait(1), "the refusal"
        )

    assert read_topic(kafka, kafka.alerts_topic) == []
    assert transactions.transact(batch, []).wait(30)
    for opened in (transactions, source):
        opened.close(5)


def alert(kafka, value=b"alert"):
    return OutgoingRecord(kafka.alerts_topic, None, value, [])


def test_membership_without_a_name_is_no_membership(kafka, sink):
    """Brokers let positions pass that come with none: a process whose session is over must not commit so."""
    fill(sink, kafka, 1)
    source = LibrdkafkaSource(kafka, Heard())
    batch = next_batch(source)
    source.close(5)
    transactions = LibrdkafkaTransactions(kafka)
    nameless = type(batch)(batch.records, batch.next_offsets, None)

    with pytest.raises(TransactionAborted, match="no group"):
        transactions.transact(nameless, [alert(kafka)]).wait(10)


def test_log_says_each_kind_once_a_minute(caplog):
    """A broker that is away for an hour is some lines, not thousands."""
    for number in range(50):
        client_log().warning("%s [%s] %s", "TEST-FAIL", "detector#consumer-1", f"connection {number} refused")

    assert [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING] == [
        "TEST-FAIL [detector#consumer-1] connection 0 refused"
    ]


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


def test_without_the_extra_it_is_one_line(monkeypatch):
    """The library is optional, and the setting is not silently another one."""
    monkeypatch.setitem(sys.modules, "confluent_kafka", None)

    with pytest.raises(UsageError, match=r"CLIENT=librdkafka needs the extra `librdkafka`: pip install"):
        client_of(KafkaSettings(client="librdkafka"))


REFUSED = {
    "max_record_bytes": (
        {"max_record_bytes": 2_000_000_000},
        "MAX_RECORD_BYTES=2000000000: with DETECTOR_KAFKA__CLIENT=librdkafka at most 999934464",
    ),
    "kerberos": (
        {"security_protocol": "SASL_PLAINTEXT", "sasl_mechanism": "GSSAPI"},
        r"SASL_MECHANISM=GSSAPI: .*No provider for SASL mechanism GSSAPI",
    ),
    "kerberos domain": (
        {
            "security_protocol": "SASL_PLAINTEXT",
            "sasl_mechanism": "GSSAPI",
            "sasl_kerberos_domain_name": "example.org",
        },
        "SASL_KERBEROS_DOMAIN_NAME=example.org: librdkafka takes the domain from",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_librdkafka_has_no_counterpart_for_is_refused(case):
    """Before anything starts, with what to change; never left out in silence."""
    changes, expected = REFUSED[case]

    with pytest.raises(UsageError, match=expected):
        client_of(KafkaSettings(client="librdkafka", **changes))


def test_check_tells_what_the_client_cannot_do(tmp_path):
    """`detector check` and `detector run` say the same, and exit with 2."""
    done = detector(
        "check", cwd=tmp_path, DETECTOR_KAFKA__CLIENT="librdkafka", DETECTOR_KAFKA__MAX_RECORD_BYTES="2000000000"
    )

    assert done.returncode == 2
    assert "FAIL  settings    DETECTOR_KAFKA__MAX_RECORD_BYTES=2000000000: with" in done.stdout


def test_every_security_setting_reaches_librdkafka(tmp_path):
    """A setting that was left out on the way would be less safety than was asked for."""
    file = tmp_path / "some.pem"
    file.touch()
    names = ("ssl_cafile", "ssl_certfile", "ssl_keyfile", "ssl_crlfile")
    kafka = KafkaSettings(
        security_protocol="SASL_SSL",
        sasl_mechanism="SCRAM-SHA-512",
        sasl_plain_username="user",
        sasl_plain_password="secret",  # noqa: S106 - of nobody
        ssl_password="open",  # noqa: S106
        ssl_ciphers="ECDHE+AESGCM",
        ssl_check_hostname=False,
        **dict.fromkeys(names, file),
    )

    for options in (consumer_options(kafka), producer_options(kafka)):
        assert {name: value for name, value in options.items() if name.startswith(("ssl", "sasl", "security"))} == {
            "security.protocol": "SASL_SSL",
            "sasl.mechanism": "SCRAM-SHA-512",
            "sasl.username": "user",
            "sasl.password": "secret",
            "ssl.ca.location": str(file),
            "ssl.certificate.location": str(file),
            "ssl.key.location": str(file),
            "ssl.key.password": "open",
            "ssl.crl.location": str(file),
            "ssl.cipher.suites": "ECDHE+AESGCM",
            "ssl.endpoint.identification.algorithm": "none",
        }


def test_failures_keep_the_first():
    """What came after it is its consequence."""
    failures = Failures()
    failures(KafkaError(KafkaError.FENCED_INSTANCE_ID))
    failures(KafkaError(KafkaError._FATAL))

    with pytest.raises(StreamError, match="FENCED_INSTANCE_ID"):
        failures.raise_final()
