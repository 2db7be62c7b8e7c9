"""What a broker's log owns up to."""

from kafka import TopicPartition

from tests.faults.operator import Forgotten, forgotten

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


def test_marks_are_those_that_the_log_names_with_what_was_decided():
    """And not those of a transaction of which it does not say how it was decided."""
    assert list(forgotten(LOG)) == [
        Forgotten(TopicPartition("alerts_topic-c5f5", 3), 6003, is_commit=True),
        Forgotten(TopicPartition("__consumer_offsets", 0), 6003, is_commit=True),
    ]
