"""librdkafka's messages as the service knows records."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, overload

from confluent_kafka import TIMESTAMP_NOT_AVAILABLE, KafkaError, Message

from detector.records import ReadRecord, Record
from detector.stream.interfaces import Batch
from detector.stream.librdkafka.errors import describe


class MessageRecords(Sequence[Record]):
    """Messages as records. A `Record` is made only when it is accessed: the service needs most records' values only."""

    def __init__(self, messages: list[Any]) -> None:
        self.messages = messages

    def __len__(self) -> int:
        return len(self.messages)

    @overload
    def __getitem__(self, index: int) -> Record: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Record]: ...
    def __getitem__(self, index: int | slice) -> Record | Sequence[Record]:
        if isinstance(index, slice):
            return MessageRecords(self.messages[index])
        return _record(self.messages[index])


@dataclass(frozen=True, slots=True)
class MessageBatch(Batch):
    """A batch that reads values from the messages without making a `Record` of each."""

    records: MessageRecords

    def values(self) -> list[bytes | None]:
        """See `Batch.values`."""
        return list(map(Message.value, self.records.messages))


def _record(message: Any) -> ReadRecord:
    kind, timestamp_ms = message.timestamp()
    return ReadRecord(
        message.topic(),
        message.partition(),
        message.offset(),
        -1 if kind == TIMESTAMP_NOT_AVAILABLE else timestamp_ms,
        message.key(),
        message.value(),
        message.headers() or [],
    )


def describe_unreadable(message: Any, error: KafkaError) -> str:
    """A batch that cannot be read: where it is, why, and how to continue."""
    return (
        f"{message.topic()}/{message.partition()}: the batch at offset {message.offset()} cannot be read: "
        f"{describe(error)}; none of its records was read. Skip it: move the consumer group past the batch with "
        "kafka-consumer-groups.sh --reset-offsets, and start the service again. If the batch is too large, make its "
        "producer send smaller ones"
    )
