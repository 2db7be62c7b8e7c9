"""Fetched batches parsed by aiokafka's compiled reader instead of kafka-python's Python one.

Symptom: kafka-python 3.0.12 makes two objects for each record and reads every number of it with a function call: 6 of
the 11 µs that a record costs in a bare poll loop. aiokafka's compiled reader takes 0.13 µs.
Upstream: `kafka.consumer.fetcher.Fetcher.PartitionRecords` and `kafka.record.default_records`. Both readers also reject
two kinds of records that Kafka accepts (see `_parse_exactly`).
Checked by: `tests/stream/kafka_python/patches/test_compiled_reader.py`, which compares the result with kafka-python's.
Can go when: kafka-python has a compiled reader.
"""

from collections.abc import Iterator, Sequence
from itertools import chain, islice
from operator import attrgetter
from typing import Any

from aiokafka.errors import CorruptRecordException
from aiokafka.record.default_records import DefaultRecordBatch
from kafka import IsolationLevel, TopicPartition
from kafka import errors as kafka_errors
from kafka.consumer.fetcher import Fetcher

from detector.records import Headers, ReadRecord
from detector.stream.kafka_python.records import RawRecord

_MAGIC_WITH_VARINTS = 2
_HEADER_BYTES = 61
_ATTRIBUTES_AT = 22
_CODEC_BITS = 0b111
_LARGEST_SHIFT = 63
_CANNOT_PARSE = (CorruptRecordException, UnicodeDecodeError, OverflowError, MemoryError)
"""What aiokafka's reader raises when it cannot parse a batch; the last two for a length near 2^63."""
_CHUNK_RECORDS = 500
"""Records parsed at a time: a compressed batch may hold millions, and the next poll takes only a few of them."""

_SKIP = (
    "; restart the service, and if the error is the same, move the consumer group past it with "
    "kafka-consumer-groups.sh --reset-offsets"
)


class FetchedRecords(Fetcher.PartitionRecords):  # type: ignore[misc] # kafka-python has no types
    """The records that one fetch returned for one partition."""

    next_fetch_offset: int

    def take(self, n: int | None = None) -> list[RawRecord]:
        """The next records in order, at most n.

        Raises:
            CorruptRecordError: the next bytes are no valid records.
        """
        records: list[RawRecord] = super().take(n)
        if records:  # in a compacted topic a batch may end after its last record
            self.next_fetch_offset = max(self.next_fetch_offset, records[-1].offset + 1)
        return records

    def _unpack_records(self, tp: TopicPartition, records: Any, *_: Any) -> Iterator[RawRecord]:
        return chain.from_iterable(self._chunks(tp, records))

    def _chunks(self, tp: TopicPartition, records: Any) -> Iterator[Sequence[RawRecord]]:
        while (batch := records.next_batch()) is not None:
            if not batch.validate_crc():
                raise _corrupt(tp, batch, "has a wrong checksum")
            self.bytes_read += batch.size_in_bytes
            if batch.magic < _MAGIC_WITH_VARINTS:  # written before Kafka 0.11, or by a client of that age
                yield from ([_checked(tp, record)] for record in batch)
                continue
            self.leader_epoch = batch.leader_epoch
            if self._is_visible(batch):
                yield from unpack(tp, batch)
            self.next_fetch_offset = batch.next_offset
        self.drain()

    def _is_visible(self, batch: Any) -> bool:
        """False for transaction markers and, with `read_committed`, for batches of aborted transactions."""
        if self.isolation_level == IsolationLevel.READ_COMMITTED and batch.has_producer_id():
            self._consume_aborted_transactions_up_to(batch.last_offset)
            if self._contains_abort_marker(batch):
                self.aborted_producer_ids.discard(batch.producer_id)
            elif self._is_batch_aborted(batch):
                return False
        return not batch.is_control_batch


def unpack(tp: TopicPartition, batch: Any) -> Iterator[Sequence[RawRecord]]:
    """The records of kafka-python's `DefaultRecordBatch`, in chunks.

    Raises:
        CorruptRecordError: the bytes are no valid records.
    """
    data, parsed = _uncompressed(batch), 0
    try:
        records = chain(DefaultRecordBatch(data))  # it can be iterated once
        while chunk := list(islice(records, _CHUNK_RECORDS)):
            if max(map(attrgetter("offset"), chunk)) > batch.last_offset:
                break
            yield chunk
            parsed += len(chunk)
        else:
            return
    except _CANNOT_PARSE:
        pass  # the batch may still be valid: the exact reader below decides
    exact = islice(_parse_exactly(tp, batch, data), parsed, None)
    try:
        while chunk := list(islice(exact, _CHUNK_RECORDS)):
            yield chunk
    except (ValueError, IndexError) as error:
        raise _corrupt(tp, batch, f"holds bytes that are no valid records: {error}") from error


def _uncompressed(batch: Any) -> bytearray:
    """The batch's header, changed to say that the records are not compressed, and its uncompressed records."""
    data = bytearray(batch._buffer[:_HEADER_BYTES])
    batch._maybe_uncompress()  # with a limit on the size, which aiokafka's own does not have
    if not data[_ATTRIBUTES_AT] & _CODEC_BITS:
        return batch._buffer  # type: ignore[no-any-return]
    data[_ATTRIBUTES_AT] &= ~_CODEC_BITS
    data += batch._buffer
    return data


def _parse_exactly(tp: TopicPartition, batch: Any, data: bytearray) -> Iterator[ReadRecord]:
    """The records of a batch that aiokafka rejects or misreads: slow, but exact.

    Kafka accepts two kinds of records that aiokafka does not: a header whose name is not UTF-8, which is decoded as
    Java's client does, and a record whose attributes byte is not 0, which aiokafka and kafka-python read as a varint.
    The format is record batch version 2: https://kafka.apache.org/documentation/#recordbatch.

    Raises:
        ValueError, IndexError: the bytes are no valid records.
    """
    at = _HEADER_BYTES
    is_log_append_time = batch.timestamp_type == batch.LOG_APPEND_TIME
    for _ in range(batch.records_count):
        size, at = _varint(data, at)
        end = at + size
        timestamp_delta, at = _varint(data, at + 1)  # after the attributes byte
        offset_delta, at = _varint(data, at)
        key, at = _bytes(data, at)
        value, at = _bytes(data, at)
        headers, at = _headers(data, at)
        if at != end or offset_delta > batch.last_offset_delta:
            raise ValueError(f"a record at offset {offset_delta} of the batch ends at byte {at}, not {end}")
        timestamp = batch.max_timestamp if is_log_append_time else batch.first_timestamp + timestamp_delta
        yield ReadRecord(tp.topic, tp.partition, batch.base_offset + offset_delta, timestamp, key, value, headers)
    if at != len(data):
        raise ValueError(f"{len(data) - at} bytes are left over")


def _varint(data: bytearray, at: int) -> tuple[int, int]:
    """A zigzag varint of at most 64 bits, and the index after it."""
    number = shift = 0
    while True:
        byte = data[at]
        at += 1
        number |= (byte & 0x7F) << shift
        if byte <= 0x7F:  # noqa: PLR2004
            return number >> 1 ^ -(number & 1), at
        shift += 7
        if shift > _LARGEST_SHIFT:
            raise ValueError("a number is larger than 64 bits")


def _bytes(data: bytearray, at: int) -> tuple[bytes | None, int]:
    size, at = _varint(data, at)
    if size < 0:
        return None, at
    if at + size > len(data):
        raise ValueError("a field is longer than its batch")
    return bytes(data[at : at + size]), at + size


def _headers(data: bytearray, at: int) -> tuple[Headers, int]:
    count, at = _varint(data, at)
    headers: list[tuple[str, bytes | None]] = []
    if count < 0:
        raise ValueError("the number of headers is negative")
    for _ in range(count):
        name, at = _bytes(data, at)
        if name is None:
            raise ValueError("a header has no name")
        value, at = _bytes(data, at)
        headers.append((name.decode(errors="replace"), value))
    return headers, at


def _checked(tp: TopicPartition, record: Any) -> RawRecord:
    # A batch of the old format was checked as a whole only when it is compressed.
    if not record.validate_crc():
        raise kafka_errors.CorruptRecordError(
            f"{tp.topic}/{tp.partition}: the record at offset {record.offset} has a wrong checksum{_SKIP}"
        )
    return record  # type: ignore[no-any-return]


def _corrupt(tp: TopicPartition, batch: Any, problem: str) -> kafka_errors.CorruptRecordError:
    return kafka_errors.CorruptRecordError(
        f"{tp.topic}/{tp.partition}: the batch at offset {batch.base_offset} {problem}{_SKIP}"
    )
