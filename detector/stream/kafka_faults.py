"""kafka-python's errors: which are for ever, and what they say to a person."""

from collections.abc import Iterator
from contextlib import contextmanager

from kafka import errors as kafka_errors

from detector.stream.interfaces import StreamError, UnavailableError

FATAL = (
    kafka_errors.AuthorizationError,
    kafka_errors.SaslAuthenticationFailedError,
    kafka_errors.UnsupportedSaslMechanismError,
    kafka_errors.FencedInstanceIdError,
)
"""Trying again cannot help; somebody has to change something."""


BEYOND_RETRY = (
    *FATAL,
    kafka_errors.MessageSizeTooLargeError,
    kafka_errors.RecordListTooLargeError,
    kafka_errors.InvalidRecordError,
    kafka_errors.InvalidTopicError,
    kafka_errors.PolicyViolationError,
    kafka_errors.UnsupportedVersionError,
)
"""What no new transaction mends: a record that a topic will never take, and what the brokers cannot or may not do."""


def may_pass(error: Exception) -> bool:
    """Whether the same request may succeed later.

    The broker's own "unexpected error" is none that the library would try again after. It is what a full disk is
    answered with, and no reason to end: whoever makes room does not expect to start the service too.
    """
    return isinstance(error, kafka_errors.UnknownError) or bool(
        isinstance(error, kafka_errors.KafkaError) and error.retriable
    )


def is_final(error: Exception) -> bool:
    """Whether sending the same record again cannot help: it is stopped for, not retried.

    What the library has no class for is an answer that it did not expect; the producer's successor is asked again.
    """
    return not may_pass(error) and type(error) is not kafka_errors.KafkaError


@contextmanager
def explained(servers: str) -> Iterator[None]:
    """Around the start of a client: its errors become `UnavailableError` when waiting may help, else `StreamError`."""
    try:
        yield
    except kafka_errors.KafkaError as error:
        if may_pass(error):
            raise UnavailableError(explain(error)) from error
        raise StreamError(f"{servers}: {explain(error)}") from error


def explain(error: Exception) -> str:
    """The error's name, which can be looked up, and its text."""
    text = str(error).removeprefix(f"{type(error).__name__}: ")
    return f"{type(error).__name__}: {text}" if text and text != type(error).__name__ else type(error).__name__
