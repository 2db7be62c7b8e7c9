"""The kafka-python sink with a real broker."""

import pytest

from detector.records import NULL_HEADERS, OutgoingRecord
from detector.stream.admin.topics import read_topic
from detector.stream.kafka_python.sink import KafkaPythonSink
from tests.helpers import write_all
from tests.stream.reading import closing


@pytest.fixture
def sink(kafka):
    with closing(KafkaPythonSink(kafka)) as opened:
        yield opened


def test_null_header_is_written_empty_and_named(kafka, sink):
    """Otherwise the dead letter of a record with a null header would be lost, or its header would look empty."""
    write_all(sink, [OutgoingRecord(kafka.dead_letter_topic, None, b"x", [("a", None), ("b", b"1"), ("c", None)])])

    (record,) = read_topic(kafka, kafka.dead_letter_topic)

    assert record.headers == [("a", b""), ("b", b"1"), ("c", b""), (NULL_HEADERS, b"a,c")]


def test_too_large_record_is_a_fatal_failure(kafka, sink):
    """Otherwise an alert that is larger than its topic permits would be sent again forever."""
    write_all(sink, [OutgoingRecord(kafka.alerts_topic, None, b"x", [])])  # the topic's metadata is known now
    pending = sink.send([OutgoingRecord(kafka.alerts_topic, None, b"x" * 20_000_000, [])])
    assert pending.wait(20)

    (failure,) = pending.failed()
    assert failure.is_fatal
    assert "MessageSizeTooLarge" in failure.error


def test_missing_topic_is_not_created(kafka, sink):
    """Otherwise a typing error in a setting would create a topic that nobody reads."""
    pending = sink.send([OutgoingRecord("no-such-topic", None, b"x", []) for _ in range(20)])
    assert pending.wait(20)

    assert len(pending.failed()) == 20
    assert not any(failure.is_fatal for failure in pending.failed())
