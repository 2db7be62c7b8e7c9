"""librdkafka's messages as the service knows records, at the least cost for each."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, overload

from confluent_kafka import TIMESTAMP_NOT_AVAILABLE, KafkaError, Message

from detector.records import ReadRecord, Record
from detector.stream.interfaces import Batch
from detector.stream.librdkafka_faults import explain


class MessageRecords(Sequence[Record]):
    """Messages as records, each made when it is looked at: of most, only the value ever is."""

    def __init__(self, messages: list[Any]) -> None:
        self.messages = messages

    def __len__(self) -> int:
        return len(self.messages)

    @overload
    def __getitem__(self, place: int) -> Record: ...
    @overload
    def __getitem__(self, place: slice) -> Sequence[Record]: ...
    def __getitem__(self, place: int | slice) -> Record | Sequence[Record]:
        if isinstance(place, slice):
            return MessageRecords(self.messages[place])
        return _record(self.messages[place])


@dataclass(frozen=True, slots=True)
class MessageBatch(Batch):
    """A batch that asks librdkafka's messages for their values without making records of them."""

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


def why_unreadable(message: Any, error: KafkaError) -> str:
    """A batch that nothing can be done with: where it is, and how to go on."""
    return (
        f"{message.topic()}/{message.partition()}: a batch at offset {message.offset()} cannot be read: "
        f"{explain(error)}: nothing of it was read; if it is no mistake of its producer, send it in smaller batches; "
        "else move the group past it with kafka-consumer-groups.sh --reset-offsets, and start again"
    )
