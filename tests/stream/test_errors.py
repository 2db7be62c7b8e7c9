"""The text of an error that a client library reports and that ends the service."""

import pytest

from detector.stream.errors import fatal_error
from detector.stream.interfaces import StreamError

CHECK = "; run `detector check --connect`, which checks credentials, topics and ACLs"
INSTANCE = "; give each instance a different DETECTOR_KAFKA__INSTANCE_ID"
LARGER = "; raise max.message.bytes of the alerts topic and the dead-letter topic"


@pytest.mark.parametrize(
    ("description", "step"),
    [
        ("TopicAuthorizationFailedError: process-events", CHECK),
        ("_AUTHENTICATION: credentials revoked", CHECK),
        ("FencedInstanceIdError", INSTANCE),
        ("FENCED_INSTANCE_ID: fenced", INSTANCE),
        ("MessageSizeTooLargeError", LARGER),
        ("MSG_SIZE_TOO_LARGE: too large", LARGER),
        ("skip it with kafka-consumer-groups.sh --reset-offsets", ""),
    ],
)
def test_error_says_what_to_do(description, step):
    """Otherwise an operator would see only the library's name of the error, and not know what to do next."""
    error = fatal_error(description)

    assert isinstance(error, StreamError)
    assert str(error) == description + step
