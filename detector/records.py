"""The nouns that every room shares: features, and records as Kafka has them."""

from collections.abc import Sequence
from typing import NamedTuple, Protocol

FEATURES = (
    "processId",
    "threadId",
    "parentProcessId",
    "userId",
    "mountNamespace",
    "argsNum",
    "returnValue",
)
"""The seven inputs of the model, in BETH's column order."""

Headers = Sequence[tuple[str, bytes | None]]


class Partition(NamedTuple):
    """One partition of one topic."""

    topic: str
    partition: int


class Record(Protocol):
    """A record as it was read: what kafka-python's `ConsumerRecord` has, so that none is copied."""

    @property
    def topic(self) -> str: ...
    @property
    def partition(self) -> int: ...
    @property
    def offset(self) -> int: ...
    @property
    def timestamp(self) -> int:
        """Milliseconds since the epoch, -1 when there is none."""
        ...

    @property
    def key(self) -> bytes | None: ...
    @property
    def value(self) -> bytes | None: ...
    @property
    def headers(self) -> Headers: ...


class OutgoingRecord(NamedTuple):
    """A record to be written."""

    topic: str
    key: bytes | None
    value: bytes | None
    headers: Headers
