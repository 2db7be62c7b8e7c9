"""Records as the compiled reader parses them from fetched bytes, compared with kafka-python's own reader."""

import struct
import tracemalloc
from collections.abc import Callable

import numpy as np
import pytest
import zstandard
from crc32c import crc32c
from hypothesis import given
from hypothesis import strategies as st
from kafka import TopicPartition
from kafka import errors as kafka_errors
from kafka.consumer.fetcher import Fetcher, IsolationLevel
from kafka.protocol.consumer import FetchResponse
from kafka.record.memory_records import MemoryRecords, MemoryRecordsBuilder

from detector.records import ReadRecord
from detector.stream.kafka_python.patches.compiled_reader import FetchedRecords
from detector.stream.kafka_python.records import to_record

EVENTS = TopicPartition("events", 3)
NOW_MS = 1_763_000_000_000
CODECS = {"none": 0, "gzip": 1, "lz4": 3, "zstd": 4}
_LAST_OF_THREE = 2
_CRC_AT, _CHECKED_FROM, _ATTRIBUTES, _RECORDS_FROM = 17, 21, 21, 61


def batch(records, codec="none", magic=2, first_offset=0, **transaction) -> bytes:
    """A batch as kafka-python's producer writes it, at the offset that the broker would have given it."""
    builder = MemoryRecordsBuilder(magic, CODECS[codec], 1 << 30, **transaction)
    for timestamp, key, value, headers in records:
        builder.append(timestamp=timestamp, key=key, value=value, headers=headers)
    builder.close()
    return struct.pack(">q", first_offset) + bytes(builder.buffer())[8:]


def fetched(kind, data: bytes, **options):
    return kind(options.pop("offset", 0), EVENTS, MemoryRecords(data), **options)


def theirs(data: bytes, **options) -> list[ReadRecord]:
    """The records as kafka-python parses them."""
    taken = fetched(Fetcher.PartitionRecords, data, **options).take()
    return [
        ReadRecord(
            r.topic, r.partition, r.offset, -1 if r.timestamp is None else r.timestamp, r.key, r.value, r.headers
        )
        for r in taken
    ]


def parsed(data: bytes, **options) -> list[ReadRecord]:
    """The records as the compiled reader parses them."""
    return [to_record(EVENTS, record) for record in fetched(FetchedRecords, data, **options).take()]


def sealed(data: bytearray) -> bytes:
    """A changed batch, with a checksum that fits it."""
    struct.pack_into(">I", data, _CRC_AT, crc32c(bytes(data[_CHECKED_FROM:])))
    return bytes(data)


texts = st.text(max_size=5)
blobs = st.one_of(st.none(), st.binary(max_size=10), st.integers(60, 70).map(bytes), st.integers(8190, 8200).map(bytes))
headers = st.lists(st.tuples(texts, st.one_of(st.none(), st.binary(max_size=70))), max_size=3)
timestamps = st.one_of(st.integers(NOW_MS - 9000, NOW_MS + 9000), st.integers(0, 2**40), st.just(2**62))
records_ = st.lists(st.tuples(timestamps, blobs, blobs, headers), min_size=1, max_size=20)


@given(batches=st.lists(st.tuples(records_, st.sampled_from([*CODECS])), min_size=1, max_size=3))
def test_records_equal_those_of_kafka_python(batches):
    """Otherwise some producers' events would be changed or lost."""
    data, offset = b"", 2**33
    for records, codec in batches:
        data += batch(records, codec, first_offset=offset)
        offset += len(records) + 2  # two of them were compacted away
    assert parsed(data) == theirs(data)


def test_varints_of_every_length_are_read():
    """Otherwise records of certain sizes, offsets or times would be misread."""
    sizes = [n for bits in (6, 7, 13, 14, 20, 21) for n in (2**bits - 1, 2**bits)]
    data = batch([(NOW_MS + n - 2**14, bytes(n), bytes(n), [("name", bytes(n))]) for n in sizes])
    assert parsed(data) == theirs(data)
    many = batch([(NOW_MS, None, b"x", [])] * 20_000)
    assert parsed(many) == theirs(many)


def test_next_offset_follows_records_removed_by_compaction():
    """Otherwise the source would fetch the same batch of a compacted topic again and again."""
    data = bytearray(batch([(NOW_MS, None, b"%d" % n, []) for n in range(3)]))
    struct.pack_into(">i", data, 23, 9)  # the last offset of the batch, after the last record
    records = fetched(FetchedRecords, sealed(data), offset=1)
    assert [r.offset for r in records.take(1)] == [1]
    assert records.next_fetch_offset == 2
    assert [r.offset for r in records.take(9)] == [2]
    assert records.next_fetch_offset == 10
    assert not records


@pytest.mark.parametrize("magic", [0, 1])
@pytest.mark.parametrize("codec", ["none", "gzip"])
def test_old_record_formats_are_read(magic, codec):
    """Otherwise records of producers older than Kafka 0.11 would be lost."""
    data = batch([(NOW_MS, b"k", b"v", []), (NOW_MS, None, None, [])], codec, magic)
    assert parsed(data) == theirs(data)
    assert [record.timestamp for record in parsed(data)] == [NOW_MS if magic else -1] * 2


def test_log_append_time_is_the_time_of_the_records():
    """Otherwise alerts would show a wrong time when the events topic uses LogAppendTime."""
    data = bytearray(batch([(NOW_MS, None, b"a", []), (NOW_MS + 7, None, b"b", [])]))
    data[_ATTRIBUTES + 1] |= 0x08
    assert [r.timestamp for r in parsed(sealed(data))] == [NOW_MS + 7] * 2
    assert parsed(sealed(data)) == theirs(sealed(data))


def _transactional(records, first_offset, producer):
    return batch(
        records, first_offset=first_offset, transactional=True, producer_id=producer, producer_epoch=0, base_sequence=0
    )


def _marker(first_offset, producer, commits):
    data = bytearray(
        _transactional([(NOW_MS, struct.pack(">hh", 0, commits), struct.pack(">hi", 0, 0), [])], first_offset, producer)
    )
    data[_ATTRIBUTES + 1] |= 0x20
    return sealed(data)


@pytest.mark.parametrize("level", list(IsolationLevel))
def test_records_of_aborted_transactions_are_skipped(level):
    """Otherwise the service would score events whose transaction was aborted, or take markers for records."""
    one: list[tuple] = [(NOW_MS, None, b"x", [])]
    data = b"".join(
        [
            _transactional(one, 0, 7),
            _transactional(one, 1, 8),
            _marker(2, 7, commits=0),
            _marker(3, 8, commits=1),
            _transactional(one, 4, 7),
            _marker(5, 7, commits=1),
            batch(one, first_offset=6),
        ]
    )
    aborted = FetchResponse.FetchableTopicResponse.PartitionData.AbortedTransaction(producer_id=7, first_offset=0)
    options = {"isolation_level": level, "aborted_transactions": [aborted]}
    offsets = [1, 4, 6] if level == IsolationLevel.READ_COMMITTED else [0, 1, 4, 6]
    assert [record.offset for record in parsed(data, **options)] == offsets
    assert parsed(data, **options) == theirs(data, **options)


def test_header_name_that_is_not_utf8_is_read():
    """Otherwise one such record would stop its partition forever, as it does with kafka-python's own reader."""
    original = bytearray(batch([(NOW_MS, None, b"v", [("naem", b"x")])]))
    data = sealed(original.replace(b"naem", b"n\xff\xfem"))
    assert [record.headers for record in parsed(data)] == [[("n��m", b"x")]]
    with pytest.raises(kafka_errors.CorruptRecordError):
        theirs(data)


def test_header_name_that_is_not_utf8_is_read_late_in_a_batch():
    """Otherwise records before it would be read twice, because another reader takes over in mid-batch."""
    many = [(NOW_MS + n, b"k" if n % 2 else None, b"%d" % n, [("ok", None)]) for n in range(1200)]
    data = bytearray(batch([*many, (NOW_MS, None, None, [("naem", b"x"), ("a", b"")])], first_offset=7))
    records = parsed(sealed(data.replace(b"naem", b"n\xff\xfem")), offset=7)
    assert records[:-1] == theirs(batch(many, first_offset=7), offset=7)
    assert records[-1] == ReadRecord("events", 3, 1207, NOW_MS, None, None, [("n��m", b"x"), ("a", b"")])


def test_corrupt_batch_with_a_header_name_that_is_not_utf8_is_rejected():
    """Otherwise the service would score records of a damaged batch."""
    data = bytearray(batch([(NOW_MS, None, b"v", [("naem", b"x")]), (NOW_MS, None, b"value", [])]))
    data = data.replace(b"naem", b"n\xff\xfem")
    data[data.index(b"value") - 1] = 0x7E  # longer than what is left
    assert "holds bytes that are no valid records" in records_or_error(FetchedRecords, sealed(data))


def bytes_held_after(take: Callable[[], list]) -> int:
    """How much memory the ten records and the batch that they were taken from use."""
    tracemalloc.start()
    try:
        records = take()
        held, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert len(records) == 10
    return held


def test_exact_reader_unpacks_a_compressed_batch_in_chunks():
    """Otherwise a few hundred bytes of zstd could fill the memory if a header name is not UTF-8."""
    many = [(NOW_MS, None, b"", [("naem", None)]), *[(NOW_MS, None, b"", [])] * 100_000]
    plain = batch(many).replace(b"naem", b"n\xff\xfem")
    data = bytearray(plain[:_RECORDS_FROM]) + zstandard.compress(plain[_RECORDS_FROM:])
    data[_ATTRIBUTES + 1] |= CODECS["zstd"]
    struct.pack_into(">i", data, 8, len(data) - 12)
    records = fetched(FetchedRecords, sealed(data))
    assert bytes_held_after(lambda: records.take(10)) < 3 * 1024 * 1024
    assert len(records.take()) == 100_001 - 10


@pytest.mark.parametrize("attributes", [0x01, 0x7F, 0x80, 0xFF])
def test_attributes_byte_may_have_any_value(attributes):
    """Otherwise one such record would stop its partition, because kafka-python reads the byte as a varint."""
    data = bytearray(batch([(NOW_MS, b"key", b"value", [("a", b"b")])] * 3))
    clean, size = parsed(bytes(data)), (len(data) - _RECORDS_FROM) // 3
    data[_RECORDS_FROM + size + 1] = attributes
    assert parsed(sealed(data)) == clean


def test_record_with_an_offset_beyond_its_batch_is_rejected():
    """Otherwise that offset would be committed, and the records before it would never be read."""
    key = b"\x01\x00" + bytes(4998)
    data = bytearray(batch([(NOW_MS, key, b"v", [])]))
    data[_RECORDS_FROM + 2] = 0x80  # the attributes, after a length of two bytes
    (record,) = parsed(sealed(data))
    assert (record.offset, record.key, record.value) == (0, key, b"v")
    forged = bytearray(batch([(NOW_MS, None, b"v", [])]))
    forged[_RECORDS_FROM + 3] = 0x7E  # 63 offsets further than the batch
    assert "holds bytes that are no valid records" in records_or_error(FetchedRecords, sealed(forged))


@pytest.mark.parametrize("short_of", [1, 40])
def test_length_near_the_largest_number_is_rejected(short_of):
    """Otherwise a corrupt batch would end the service with an unexpected error, because a check overflows."""
    number, size = (2**63 - short_of) << 1, []
    while number > 0x7F:
        size.append(number & 0x7F | 0x80)
        number >>= 7
    data = bytearray(batch([(NOW_MS, b"k" * 30, b"v", [])]))
    data[_RECORDS_FROM + 4 : _RECORDS_FROM + 5 + len(size)] = bytes([*size, number])
    assert "holds bytes that are no valid records" in records_or_error(FetchedRecords, sealed(data))


def test_wrong_checksum_is_an_error_with_its_offset():
    """Otherwise damaged records would be scored, or nobody would learn where they are."""
    good, bad = batch([(NOW_MS, None, b"good", [])]), bytearray(batch([(NOW_MS, None, b"bad", [])], first_offset=1))
    bad[-2] ^= 1
    records = fetched(FetchedRecords, good + bytes(bad))
    assert [record.value for record in records.take(5)] == [b"good"]
    with pytest.raises(
        kafka_errors.CorruptRecordError,
        match=r"events/3: the batch at offset 1 has a wrong checksum; .* --reset-offsets$",
    ):
        records.take(5)


@pytest.mark.parametrize("magic", [0, 1])
def test_wrong_checksum_in_old_formats_is_an_error(magic):
    """Otherwise damaged records of old producers would be scored."""
    data = bytearray(batch([(NOW_MS, None, b"bad", [])], magic=magic))
    data[-2] ^= 1
    with pytest.raises(kafka_errors.CorruptRecordError, match="checksum"):
        fetched(FetchedRecords, bytes(data)).take()


def records_or_error(kind, data):
    """All records of a fetch, or the error if it cannot be read to its end."""
    records = fetched(kind, data)
    try:
        return records.take() + (records.take() if records else [])
    except kafka_errors.CorruptRecordError as error:
        return str(error)


def test_corrupt_records_with_the_right_checksum_are_rejected():
    """Otherwise the service would misread records of a broken producer, or reject what kafka-python reads."""
    chance = np.random.default_rng(0)
    original = batch([(NOW_MS, b"key", b"value", [])] * 3)
    size = (len(original) - _RECORDS_FROM) // 3
    # Not the attributes byte, where kafka-python reads a varint (`test_attributes_byte_may_have_any_value`).
    indices = [index for index in range(_RECORDS_FROM, len(original)) if (index - _RECORDS_FROM) % size != 1]
    rejected = 0
    for _ in range(3000):
        data = bytearray(original)
        for _ in range(chance.integers(1, 4)):
            data[chance.choice(indices)] = chance.integers(256)
        expected, found = (
            records_or_error(Fetcher.PartitionRecords, sealed(data)),
            records_or_error(FetchedRecords, sealed(data)),
        )
        # kafka-python accepts an offset beyond the end of its batch.
        is_wrong = isinstance(expected, str) or max(r.offset for r in expected) > _LAST_OF_THREE
        assert isinstance(found, str) == is_wrong
        if isinstance(found, str):
            assert "events/3: the batch at offset 0 " in found
            rejected += 1
        else:
            assert [r.value for r in found] == [r.value for r in expected]
    assert 1000 < rejected < 3000


def test_varint_of_more_than_ten_bytes_is_rejected():
    """Otherwise a corrupt batch would be misread instead of reported."""
    data = bytearray(batch([(NOW_MS, None, b"x" * 30, [])]))
    data[_RECORDS_FROM : _RECORDS_FROM + 11] = b"\xff" * 11
    with pytest.raises(kafka_errors.CorruptRecordError, match="no valid records"):
        fetched(FetchedRecords, sealed(data)).take()


def test_bytes_after_the_last_record_are_an_error():
    """Otherwise the rest of a batch that holds more than its records would be lost silently."""
    data = bytearray(batch([(NOW_MS, None, b"x", [])])) + b"rest"
    struct.pack_into(">i", data, 8, len(data) - 12)
    assert "4 bytes are left" in records_or_error(FetchedRecords, sealed(data))


def test_compressed_batch_is_unpacked_in_chunks():
    """Otherwise a few hundred bytes of zstd could fill the memory."""
    data = batch([(NOW_MS, None, b"", [])] * 100_000, "zstd")
    records = fetched(FetchedRecords, data)
    assert bytes_held_after(lambda: records.take(10)) < 3 * 1024 * 1024
    assert len(records.take()) == 100_000 - 10
