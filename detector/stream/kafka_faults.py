"""kafka-python's errors: which are for ever, and what they say to a person."""

from kafka import errors as kafka_errors

FATAL = (
    kafka_errors.AuthorizationError,
    kafka_errors.SaslAuthenticationFailedError,
    kafka_errors.UnsupportedSaslMechanismError,
    kafka_errors.FencedInstanceIdError,
)
"""Trying again cannot help; somebody has to change something."""

FINAL = (
    *FATAL,
    kafka_errors.MessageSizeTooLargeError,
    kafka_errors.RecordListTooLargeError,
    kafka_errors.InvalidTopicError,
    ValueError,
    TypeError,
)
"""The record itself was refused."""


def explain(error: Exception) -> str:
    """The error's name, which can be looked up, and its text."""
    text = str(error).removeprefix(f"{type(error).__name__}: ")
    return f"{type(error).__name__}: {text}" if text and text != type(error).__name__ else type(error).__name__
