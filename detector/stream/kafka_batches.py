"""What kafka-python fetched, as records: the same ones that it would give, in a quarter of the time.

kafka-python 3.0.12 makes two objects of each record and reads every number of it by a call: 6 of the 11 µs that one
costs a bare poll loop. Here the numbers that nearly all records have, of one byte or two, are read in place, and one
object is made. `tests/stream/test_kafka_batches.py` holds what comes out against kafka-python's own reading.
"""

from collections.abc import Iterator
from itertools import chain
from typing import Any, NamedTuple

from kafka import KafkaConsumer, TopicPartition
from kafka import errors as kafka_errors
from kafka.consumer.fetcher import Fetcher, IsolationLevel

from detector.records import Headers, ReadRecord

_FORMAT_WITH_VARINTS = 2
_ONE_BYTE, _TWO_BYTES = 0x7F, 0x3FFF
"""The largest numbers of so many bytes."""
_LONGEST = 63
_PIECE = 500
"""Records that are unpacked at once: a compressed batch may hold millions, of which the next poll takes a few."""


def read_quickly(consumer: KafkaConsumer) -> None:
    """Let a consumer give `ReadRecord`s in the place of its own."""
    consumer._fetcher.PartitionRecords = FetchedRecords  # noqa: SLF001 - there is no public way


class FetchedRecords(Fetcher.PartitionRecords):  # type: ignore[misc] # kafka-python has no types
    """What one fetch brought of one partition."""

    next_fetch_offset: int

    def take(self, n: int | None = None) -> list[ReadRecord]:
        """The next records in order, at most so many.

        Raises:
            CorruptRecordError: what comes next is no record, or not the one that was written.
        """
        records: list[ReadRecord] = super().take(n)
        if records:  # the end of a batch may be behind its last record: the topic is compacted
            self.next_fetch_offset = max(self.next_fetch_offset, records[-1].offset + 1)
        return records

    def _unpack_records(self, tp: TopicPartition, records: Any, *_: Any) -> Iterator[ReadRecord]:
        return chain.from_iterable(self._pieces(tp, records))

    def _pieces(self, tp: TopicPartition, records: Any) -> Iterator[list[ReadRecord]]:
        while (batch := records.next_batch()) is not None:
            if not batch.validate_crc():
                raise _corrupt(tp, batch, "has a wrong checksum")
            self.bytes_read += batch.size_in_bytes
            if batch.magic < _FORMAT_WITH_VARINTS:  # written before Kafka 0.11, or by a client that old
                yield from ([_from_old_format(tp, record)] for record in batch)
                continue
            self.leader_epoch = batch.leader_epoch
            if self._is_for_readers(batch):
                yield from unpack(tp, batch)
            self.next_fetch_offset = batch.next_offset
        self.drain()

    def _is_for_readers(self, batch: Any) -> bool:
        """Not so: the marks that end transactions, and, when only what was committed is read, what was aborted."""
        if self.isolation_level == IsolationLevel.READ_COMMITTED and batch.has_producer_id():
            self._consume_aborted_transactions_up_to(batch.last_offset)
            if self._contains_abort_marker(batch):
                self.aborted_producer_ids.discard(batch.producer_id)
            elif self._is_batch_aborted(batch):
                return False
        return not batch.is_control_batch


class _Place(NamedTuple):
    """What the records of a batch have in common."""

    topic: str
    partition: int
    first_offset: int
    first_timestamp: int
    appended: int | None
    """The time of them all, when it is the broker that stamped them."""


def unpack(tp: TopicPartition, batch: Any) -> Iterator[list[ReadRecord]]:
    """The records of kafka-python's `DefaultRecordBatch`, in pieces.

    The format is Kafka's second: https://kafka.apache.org/documentation/#recordbatch.

    Raises:
        CorruptRecordError: the bytes are no records.
    """
    batch._maybe_uncompress()  # noqa: SLF001 - there is no public way to a batch's bytes
    buffer, at = bytes(batch._buffer), batch._pos  # noqa: SLF001
    appended = batch.max_timestamp if batch.timestamp_type == batch.LOG_APPEND_TIME else None
    place = _Place(tp.topic, tp.partition, batch.base_offset, batch.first_timestamp, appended)
    try:
        for left in range(batch.records_count, 0, -_PIECE):
            records, at = _read(buffer, at, min(left, _PIECE), place)
            yield records
    except (ValueError, IndexError) as error:
        raise _corrupt(tp, batch, "holds bytes that are no records") from error
    if at != len(buffer):
        raise _corrupt(tp, batch, "is longer than its records")


def _read(  # noqa: C901, PLR0912, PLR0915 - one call for each number would take longer than all the rest
    buffer: bytes, at: int, count: int, place: _Place
) -> tuple[list[ReadRecord], int]:
    """So many records, and the position behind them.

    Numbers have seven bits to a byte, the lowest first; a byte above 127 is not the last. What is above two bytes is
    rare, and left to `_longer`. The lowest bit of all is the sign ("zigzag").
    """
    topic, partition, first_offset, first_timestamp, appended = place
    new = tuple.__new__  # half the time of the named tuple's own constructor
    records = []
    for _ in range(count):
        size = buffer[at]
        at += 1
        if size > _ONE_BYTE:
            size += (buffer[at] << 7) - 128
            at += 1
            if size > _TWO_BYTES:
                size, at = _longer(buffer, at, size)
        end = at + (size >> 1)

        delta = buffer[at + 1]  # behind a byte of attributes, of which there are none
        at += 2
        if delta > _ONE_BYTE:
            delta += (buffer[at] << 7) - 128
            at += 1
            if delta > _TWO_BYTES:
                delta, at = _longer(buffer, at, delta)
        timestamp = first_timestamp + (delta >> 1 ^ -(delta & 1)) if appended is None else appended

        delta = buffer[at]
        at += 1
        if delta > _ONE_BYTE:
            delta += (buffer[at] << 7) - 128
            at += 1
            if delta > _TWO_BYTES:
                delta, at = _longer(buffer, at, delta)
        offset = first_offset + (delta >> 1 ^ -(delta & 1))

        size = buffer[at]
        at += 1
        if size > _ONE_BYTE:
            size += (buffer[at] << 7) - 128
            at += 1
            if size > _TWO_BYTES:
                size, at = _longer(buffer, at, size)
        key = None
        if not size & 1:
            key = buffer[at : at + (size >> 1)]
            at += size >> 1

        size = buffer[at]
        at += 1
        if size > _ONE_BYTE:
            size += (buffer[at] << 7) - 128
            at += 1
            if size > _TWO_BYTES:
                size, at = _longer(buffer, at, size)
        value = None
        if not size & 1:
            value = buffer[at : at + (size >> 1)]
            at += size >> 1

        headers: Headers = ()
        if buffer[at]:
            headers, at = _headers(buffer, at)
        else:
            at += 1
        if at != end:
            raise ValueError(f"a record ends at {at} and not at {end}")
        records.append(new(ReadRecord, (topic, partition, offset, timestamp, key, value, headers)))
    return records, at


def _longer(buffer: bytes, at: int, number: int, shift: int = 14) -> tuple[int, int]:
    """All of a number of which the bytes below `shift` are read, and the position behind it."""
    while number >> shift:  # the highest bit of the last byte: there is another
        if shift > _LONGEST:
            raise ValueError("a number beyond 64 bits")
        number += (buffer[at] << shift) - (1 << shift)
        at += 1
        shift += 7
    return number, at


def _signed(buffer: bytes, at: int) -> tuple[int, int]:
    number, at = _longer(buffer, at + 1, buffer[at], shift=7)
    return number >> 1 ^ -(number & 1), at


def _size(buffer: bytes, at: int) -> tuple[int, int]:
    size, at = _signed(buffer, at)
    if size < 0:
        raise ValueError("a size below 0")
    return size, at


def _headers(buffer: bytes, at: int) -> tuple[Headers, int]:
    count, at = _size(buffer, at)
    headers: list[tuple[str, bytes | None]] = []
    for _ in range(count):
        size, at = _size(buffer, at)
        # As Java's client does: a name that is no text must not stop whoever reads the topic.
        name, at = buffer[at : at + size].decode(errors="replace"), at + size
        size, at = _signed(buffer, at)
        headers.append((name, None if size < 0 else buffer[at : at + size]))
        at += max(size, 0)
    return headers, at


def _from_old_format(tp: TopicPartition, record: Any) -> ReadRecord:
    # A batch of this kind has been checked as a whole only when it is compressed.
    if not record.validate_crc():
        raise kafka_errors.CorruptRecordError(f"{tp.topic}/{tp.partition}: offset {record.offset} has a wrong checksum")
    timestamp = -1 if record.timestamp is None else record.timestamp
    return ReadRecord(tp.topic, tp.partition, record.offset, timestamp, record.key, record.value, ())


def _corrupt(tp: TopicPartition, batch: Any, how: str) -> kafka_errors.CorruptRecordError:
    return kafka_errors.CorruptRecordError(f"{tp.topic}/{tp.partition}: the batch at offset {batch.base_offset} {how}")
