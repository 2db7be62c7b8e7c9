"""Which transaction markers the workaround for KAFKA-20734 writes."""

from kafka import TopicPartition

from tests.faults.transaction_markers import SkippedMarker, skipped_markers

LOG = """\
06:21:03.495 INFO [Transaction State Manager 1]: Sending txn markers for \
TransactionalIdCoordinatorEpochAndTransitMetadata(g-588e-e28f,10,COMMIT,TransactionMetadata(\
transactionalId=g-588e-e28f, producerId=6003, prevProducerId=-1, producerEpoch=0))
06:21:09.559 INFO [Transaction Marker Channel Manager 1]: Couldn't find leader endpoint for partitions \
HashSet(alerts_topic-c5f5-3, __consumer_offsets-0) while trying to send transaction markers for g-588e-e28f, \
these partitions are likely deleted already and hence can be skipped
06:21:09.560 INFO [Transaction Marker Channel Manager 1]: Couldn't find leader endpoint for partitions \
HashSet(alerts_topic-c5f5-1) while trying to send transaction markers for another, these partitions are likely deleted
"""


def test_only_markers_whose_outcome_is_in_the_log_are_written():
    """Otherwise a guessed marker would hide that the service left a transaction open."""
    assert list(skipped_markers(LOG)) == [
        SkippedMarker(TopicPartition("alerts_topic-c5f5", 3), 6003, is_commit=True),
        SkippedMarker(TopicPartition("__consumer_offsets", 0), 6003, is_commit=True),
    ]
