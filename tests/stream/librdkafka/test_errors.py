"""Which of librdkafka's errors a retry can help with, and what its log says."""

import logging

import pytest
from confluent_kafka import KafkaError, KafkaException

from detector.errors import UsageError
from detector.stream.interfaces import StreamError, UnavailableError
from detector.stream.librdkafka.errors import FatalErrors, client_log, is_fatal, translated_errors


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (KafkaError(KafkaError.NOT_ENOUGH_REPLICAS), False),
        (KafkaError(KafkaError._MSG_TIMED_OUT), False),
        (KafkaError(KafkaError._QUEUE_FULL), False),
        (KafkaError(KafkaError.UNKNOWN), False),  # the answer of a broker with a full disk
        (KafkaError(KafkaError.INVALID_RECORD), True),
        (KafkaError(KafkaError.TOPIC_AUTHORIZATION_FAILED), True),
        (KafkaError(KafkaError._FATAL), True),
    ],
)
def test_only_errors_that_a_retry_cannot_help_are_fatal(error, expected):
    """Otherwise the service would stop during an outage, or retry forever what somebody has to fix."""
    assert is_fatal(error) is expected


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        (KafkaError._INVALID_ARG, UsageError),
        (KafkaError._TIMED_OUT, UnavailableError),
        (KafkaError.TOPIC_AUTHORIZATION_FAILED, StreamError),
    ],
)
def test_only_unavailable_brokers_are_waited_for(code, expected):
    """Otherwise the start would be retried forever with wrong settings or rejected credentials."""
    with pytest.raises(expected), translated_errors("broker:9092"):
        raise KafkaException(KafkaError(code))


def test_first_fatal_error_is_reported():
    """Otherwise the error would name a consequence instead of the cause."""
    fatal_errors = FatalErrors()
    fatal_errors(KafkaError(KafkaError.FENCED_INSTANCE_ID))
    fatal_errors(KafkaError(KafkaError._FATAL))

    with pytest.raises(StreamError, match="FENCED_INSTANCE_ID"):
        fatal_errors.raise_first()


def test_each_kind_of_line_is_logged_once_a_minute(caplog):
    """Otherwise an outage of an hour would fill the log with thousands of lines."""
    for number in range(50):
        client_log().warning("%s [%s] %s", "TEST-FAIL", "detector#consumer-1", f"connection {number} refused")

    assert [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING] == [
        "TEST-FAIL [detector#consumer-1] connection 0 refused"
    ]


def test_failed_connection_that_is_retried_is_a_warning(caplog):
    """Otherwise an engineer who is called for each error would be called for every restart of a broker."""
    client_log().error("%s [%s] %s", "FAIL", "detector#consumer-1", "Connection refused")
    client_log().error("%s [%s] %s", "CRASH", "detector#consumer-1", "out of memory")

    assert [record.levelname for record in caplog.records] == ["WARNING", "ERROR"]


def test_fencing_by_the_own_successor_is_not_logged(caplog):
    """Otherwise the log would call it fatal that the service replaced its own producer."""
    with caplog.at_level("WARNING", "librdkafka"):
        client_log().error("%s %s", "FATAL", "Local: This instance has been fenced by a newer instance")
        client_log().error("%s %s", "FATAL", "something else")

    assert [record.args[1] for record in caplog.records] == ["something else"]
