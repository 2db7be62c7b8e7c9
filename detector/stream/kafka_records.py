"""Records as kafka-python's producer takes them."""

from collections.abc import Sequence
from typing import Any

from kafka import KafkaProducer
from kafka.serializer import Serializer

from detector.records import OutgoingRecord

NULL_HEADERS = "dead-letter-null-headers"
"""Names the headers that came with a null value, which kafka-python cannot write and are written empty."""

_NULL = object()
"""Stands for a null value beside a null key, which kafka-python's `send` refuses though Kafka does not."""


class NullSerializer(Serializer):  # type: ignore[misc] # kafka-python has no types
    """Turns the stand-in for null into null."""

    def serialize(self, topic: str, headers: Any, data: Any) -> Any:  # noqa: ARG002 - the signature is the library's
        """See kafka-python's `Serializer`."""
        return None if data is _NULL else data


def send(producer: KafkaProducer, record: OutgoingRecord) -> Any:
    """Hand a record to a producer that has the `NullSerializer`; gives kafka-python's future, raises what it raises."""
    value = _NULL if record.key is None and record.value is None else record.value
    return producer.send(record.topic, value, record.key, _writable(record.headers))


def _writable(headers: Sequence[tuple[str, bytes | None]]) -> list[tuple[str, bytes]]:
    nulls = [name for name, value in headers if value is None]
    written = [(name, b"" if value is None else value) for name, value in headers]
    return [*written, (NULL_HEADERS, ",".join(nulls).encode())] if nulls else written
