"""The librdkafka sink with a real broker."""

import pytest
from confluent_kafka import KafkaError

from detector.records import OutgoingRecord
from detector.stream.admin.topics import read_topic
from detector.stream.interfaces import StreamError
from detector.stream.librdkafka.sink import LibrdkafkaSink
from tests.helpers import write_all
from tests.stream.reading import closing


@pytest.fixture
def sink(kafka):
    with closing(LibrdkafkaSink(kafka)) as opened:
        yield opened


def test_null_header_stays_null(kafka, sink):
    """Otherwise a dead letter would have other headers than the record that it carries."""
    headers = [("a", None), ("b", b"1"), ("a", b"")]
    write_all(sink, [OutgoingRecord(kafka.dead_letter_topic, None, b"x", headers)])

    (record,) = read_topic(kafka, kafka.dead_letter_topic)

    assert record.headers == headers


def test_too_large_record_is_a_fatal_failure(kafka, sink):
    """Otherwise an alert that is larger than its topic permits would be sent again forever."""
    pending = sink.send([OutgoingRecord(kafka.alerts_topic, None, b"x" * 20_000_000, [])])
    assert pending.wait(20)

    (failure,) = pending.failed()
    assert failure.is_fatal
    assert "MSG_SIZE_TOO_LARGE" in failure.error


def test_missing_topic_is_not_created(kafka, sink):
    """Otherwise a typing error in a setting would create a topic that nobody reads."""
    pending = sink.send([OutgoingRecord("no-such-topic", None, b"x", []) for _ in range(20)])
    assert pending.wait(20)

    assert len(pending.failed()) == 20
    assert not any(failure.is_fatal for failure in pending.failed())


def test_fatal_error_of_a_callback_stops_the_service(sink):
    """Otherwise nobody would notice revoked credentials, which librdkafka reports only to a callback."""
    sink._fatal_errors(KafkaError(KafkaError._TRANSPORT))
    assert sink.send([]).wait(1)
    sink._fatal_errors(KafkaError(KafkaError._AUTHENTICATION, "credentials revoked"))

    with pytest.raises(StreamError, match="_AUTHENTICATION: credentials revoked"):
        sink.send([]).wait(1)
