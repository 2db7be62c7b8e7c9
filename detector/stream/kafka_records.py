"""kafka-python's producer: records as it takes them, and an end that it does not have by itself."""

from collections.abc import Sequence
from typing import Any

from kafka import KafkaProducer
from kafka import errors as kafka_errors
from kafka.producer.transaction_manager import TransactionState
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


def mend_idempotence(producer: KafkaProducer) -> None:
    """Let an idempotent producer ask for a new id after it has given one up, as it means to.

    It gives its id up when records that it has sent, and heard nothing of, become too old: a broker was away for longer
    than the delivery timeout. kafka-python 3.0.12 then waits for a new id that it never asks for, and sends no more.
    """
    manager = producer._transaction_manager  # noqa: SLF001 - there is no public way
    reset = manager.reset_producer_id

    def reset_producer_id() -> None:
        reset()
        manager._current_state = TransactionState.UNINITIALIZED  # noqa: SLF001 - in which it asks for one

    manager.reset_producer_id = reset_producer_id


def is_past_use(producer: KafkaProducer) -> bool:
    """Whether an idempotent producer refuses all records from now on.

    kafka-python 3.0.12 takes any answer that it does not expect when it asks for its id as final, such as the
    "unexpected error" of brokers whose disk is full.
    """
    return bool(producer._transaction_manager.has_fatal_error())  # noqa: SLF001 - there is no public way


def close(producer: KafkaProducer, timeout_s: float) -> None:
    """Close a producer within the time; records that are still on their way may be lost."""
    try:
        producer.close(timeout=timeout_s)
    except kafka_errors.KafkaTimeoutError:
        # It gives up in the middle when its flush takes too long, and begins again when it is collected: for another
        # second, and with a traceback at the end of the process.
        producer._sender.force_close()  # noqa: SLF001 - what its `close` does last
        producer._closed = True  # noqa: SLF001


def _writable(headers: Sequence[tuple[str, bytes | None]]) -> list[tuple[str, bytes]]:
    nulls = [name for name, value in headers if value is None]
    written = [(name, b"" if value is None else value) for name, value in headers]
    return [*written, (NULL_HEADERS, ",".join(nulls).encode())] if nulls else written
