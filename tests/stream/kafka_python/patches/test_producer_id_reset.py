"""An idempotent producer continues after it lost its producer id, with a real broker."""

import pytest
from kafka import errors as kafka_errors

from detector.records import OutgoingRecord
from detector.stream.admin.topics import read_topic
from detector.stream.kafka_python.sink import KafkaPythonSink
from tests.helpers import write_all
from tests.stream.reading import closing


@pytest.fixture
def sink(kafka):
    with closing(KafkaPythonSink(kafka)) as opened:
        yield opened


def test_producer_requests_a_new_id_after_it_gave_one_up(kafka, sink):
    """Otherwise no alert would ever be written again after an outage of more than two minutes."""
    write_all(sink, [OutgoingRecord(kafka.alerts_topic, None, b"before", [])])
    sink._producer._transaction_manager.reset_producer_id()  # as it does when unanswered records expired

    write_all(sink, [OutgoingRecord(kafka.alerts_topic, None, b"after", [])])


def test_producer_with_a_fatal_error_is_replaced(kafka, sink):
    """Otherwise alerts would fail until a restart, for example after a broker's disk was full."""
    unexpected = kafka_errors.KafkaError("Unexpected error in InitProducerIdResponse: UnknownError")
    sink._producer._transaction_manager.transition_to_fatal_error(unexpected)

    write_all(sink, [OutgoingRecord(kafka.alerts_topic, b"k", b"v", [])])

    assert [record.value for record in read_topic(kafka, kafka.alerts_topic)] == [b"v"]
