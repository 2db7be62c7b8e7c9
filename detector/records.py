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
    """A record as it was read.

    `timestamp` is in milliseconds since the epoch, -1 when there is none.
    """

    # Properties, for a named tuple's fields are read-only; their names say what they are.
    @property
    def topic(self) -> str: ...  # noqa: D102
    @property
    def partition(self) -> int: ...  # noqa: D102
    @property
    def offset(self) -> int: ...  # noqa: D102
    @property
    def timestamp(self) -> int: ...  # noqa: D102
    @property
    def key(self) -> bytes | None: ...  # noqa: D102
    @property
    def value(self) -> bytes | None: ...  # noqa: D102
    @property
    def headers(self) -> Headers: ...  # noqa: D102


class ReadRecord(NamedTuple):
    """A `Record` of our own, where the client has none with these attributes."""

    topic: str
    partition: int
    offset: int
    timestamp: int
    key: bytes | None
    value: bytes | None
    headers: Headers


class OutgoingRecord(NamedTuple):
    """A record to be written."""

    topic: str
    key: bytes | None
    value: bytes | None
    headers: Headers
