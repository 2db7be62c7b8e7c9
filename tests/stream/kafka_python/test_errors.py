"""Which of kafka-python's errors a retry can help with."""

import pytest
from kafka import errors as kafka_errors

from detector.stream.kafka_python.errors import is_fatal


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (kafka_errors.NotEnoughReplicasError(), False),
        (kafka_errors.KafkaTimeoutError(), False),
        (kafka_errors.UnknownError(), False),  # the answer of a broker with a full disk
        (kafka_errors.KafkaError("Unexpected error in InitProducerIdResponse: UnknownError"), False),
        (kafka_errors.InvalidRecordError(), True),
        (kafka_errors.ProducerFencedError(), True),
        (kafka_errors.TopicAuthorizationFailedError(), True),
        (ValueError(), True),
    ],
)
def test_only_errors_that_a_retry_cannot_help_are_fatal(error, expected):
    """Otherwise the service would stop during an outage, or retry forever what somebody has to fix."""
    assert is_fatal(error) is expected
