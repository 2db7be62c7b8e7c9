"""kafka-python's fetched records as one sequence of the service's records."""

import pytest
from kafka import TopicPartition

from detector.records import Partition, ReadRecord
from detector.stream.kafka_python.records import FetchedBatch, FetchedSequence, RawRecord

THREE, FOUR = TopicPartition("events", 3), TopicPartition("events", 4)
NOW_MS = 1_763_000_000_000


def fetched(tp, number):
    """This many records of a partition, as a fetch returns them."""
    return [ReadRecord(tp.topic, tp.partition, offset, NOW_MS, None, b"%d" % offset, []) for offset in range(number)]


def test_records_of_several_partitions_are_one_sequence():
    """Otherwise alerts would name the wrong partition or offset of their event."""
    batch = FetchedBatch(FetchedSequence({THREE: fetched(THREE, 3), FOUR: fetched(FOUR, 2)}), {})
    records = batch.records

    assert list(records) == [*fetched(THREE, 3), *fetched(FOUR, 2)]
    assert records[-1] == records[4]
    assert list(records[1:4]) == [records[1], records[2], records[3]]
    with pytest.raises(IndexError):
        records[5]
    assert batch.values() == [b"0", b"1", b"2", b"0", b"1"]
    assert batch.first_offsets() == {Partition("events", 3): 0, Partition("events", 4): 0}
    assert len(FetchedSequence({})) == 0


def test_record_without_a_timestamp_has_minus_one():
    """Otherwise no alert could be written for an event from a producer older than Kafka 0.10."""
    without: RawRecord = fetched(THREE, 1)[0]._replace(timestamp=None)

    (record,) = FetchedSequence({THREE: [without]})

    assert record.timestamp == -1
