"""kafka-python's errors: which are fatal, which are retriable, and what they say to a person."""

from collections.abc import Iterator
from contextlib import contextmanager

from kafka import errors as kafka_errors

from detector.stream.errors import fatal_error
from detector.stream.interfaces import UnavailableError

FATAL = (
    kafka_errors.AuthorizationError,
    kafka_errors.SaslAuthenticationFailedError,
    kafka_errors.UnsupportedSaslMechanismError,
    kafka_errors.FencedInstanceIdError,
)
"""A retry cannot help: a person has to change something."""

FATAL_FOR_TRANSACTIONS = (
    *FATAL,
    kafka_errors.MessageSizeTooLargeError,
    kafka_errors.RecordListTooLargeError,
    kafka_errors.InvalidRecordError,
    kafka_errors.InvalidTopicError,
    kafka_errors.PolicyViolationError,
    kafka_errors.UnsupportedVersionError,
)
"""No new transaction can help: a record that a topic never accepts, or a request that the brokers do not support."""


def is_retriable(error: Exception) -> bool:
    """Whether the same request may succeed later.

    The library does not retry after the brokers' UNKNOWN_SERVER_ERROR. This is the answer of a broker with a full disk,
    which is no reason to stop the service: the same request succeeds once there is space.
    """
    return isinstance(error, kafka_errors.UnknownError) or bool(
        isinstance(error, kafka_errors.KafkaError) and error.retriable
    )


def is_fatal(error: Exception) -> bool:
    """Whether sending the same record again cannot help.

    A plain `KafkaError` is an answer that the library did not expect; it fails the producer, and the next producer
    sends the record again.
    """
    return not is_retriable(error) and type(error) is not kafka_errors.KafkaError


@contextmanager
def translated_errors(servers: str) -> Iterator[None]:
    """Within the block, the library's errors become `UnavailableError` when waiting may help, else `StreamError`."""
    try:
        yield
    except kafka_errors.KafkaError as error:
        if is_retriable(error):
            raise UnavailableError(describe(error)) from error
        raise fatal_error(f"{servers}: {describe(error)}") from error


def describe(error: Exception) -> str:
    """The error's name, which can be looked up, and its text."""
    text = str(error).removeprefix(f"{type(error).__name__}: ")
    return f"{type(error).__name__}: {text}" if text and text != type(error).__name__ else type(error).__name__
