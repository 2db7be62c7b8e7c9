"""What an operator can do about a failure that ends the service, whichever client library reports it."""

from detector.stream.interfaces import StreamError

_OWN_INSTANCE_ID = "give each instance a different DETECTOR_KAFKA__INSTANCE_ID"
_LARGER_RECORDS = "raise max.message.bytes of the alerts topic and the dead-letter topic"
_NEXT_STEPS = {
    "FencedInstanceId": _OWN_INSTANCE_ID,
    "FENCED_INSTANCE_ID": _OWN_INSTANCE_ID,
    "MessageSizeTooLarge": _LARGER_RECORDS,
    "MSG_SIZE_TOO_LARGE": _LARGER_RECORDS,
    "--reset-offsets": "",
}
"""What to do about an error whose text contains the key; the text with the last key says it already."""
_CHECK = "run `detector check --connect`, which checks credentials, topics and ACLs"


def fatal_error(description: str) -> StreamError:
    """The error for a failure that no retry can help: the client library's words, and what to do."""
    step = next((step for words, step in _NEXT_STEPS.items() if words in description), _CHECK)
    return StreamError(f"{description}; {step}" if step else description)
