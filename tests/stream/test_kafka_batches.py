"""Records as we read them from fetched bytes, against kafka-python's own reading of the same bytes."""

import struct
import tracemalloc

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

from detector.records import Partition, ReadRecord
from detector.stream.kafka_batches import FetchedBatch, FetchedRecords, FetchedSequence, placed

EVENTS = TopicPartition("events", 3)
NOW_MS = 1_763_000_000_000
CODECS = {"none": 0, "gzip": 1, "lz4": 3, "zstd": 4}
_LAST_OF_THREE = 2
_CRC_AT, _CHECKED_FROM, _ATTRIBUTES, _RECORDS_FROM = 17, 21, 21, 61


def batch(records, codec="none", magic=2, first_offset=0, **transaction) -> bytes:
    """Records as kafka-python's producer writes them, at an offset where the broker would have put them."""
    builder = MemoryRecordsBuilder(magic, CODECS[codec], 1 << 30, **transaction)
    for timestamp, key, value, headers in records:
        builder.append(timestamp=timestamp, key=key, value=value, headers=headers)
    builder.close()
    return struct.pack(">q", first_offset) + bytes(builder.buffer())[8:]


def fetched(kind, data: bytes, **options):
    return kind(options.pop("offset", 0), EVENTS, MemoryRecords(data), **options)


def theirs(data: bytes, **options) -> list[ReadRecord]:
    """As kafka-python reads it."""
    taken = fetched(Fetcher.PartitionRecords, data, **options).take()
    return [
        ReadRecord(
            r.topic, r.partition, r.offset, -1 if r.timestamp is None else r.timestamp, r.key, r.value, r.headers
        )
        for r in taken
    ]


def ours(data: bytes, **options) -> list[ReadRecord]:
    return [placed(EVENTS, record) for record in fetched(FetchedRecords, data, **options).take()]


def sealed(data: bytearray) -> bytes:
    """A batch that was tampered with, and given the checksum that belongs to it."""
    struct.pack_into(">I", data, _CRC_AT, crc32c(bytes(data[_CHECKED_FROM:])))
    return bytes(data)


texts = st.text(max_size=5)
blobs = st.one_of(st.none(), st.binary(max_size=10), st.integers(60, 70).map(bytes), st.integers(8190, 8200).map(bytes))
headers = st.lists(st.tuples(texts, st.one_of(st.none(), st.binary(max_size=70))), max_size=3)
timestamps = st.one_of(st.integers(NOW_MS - 9000, NOW_MS + 9000), st.integers(0, 2**40), st.just(2**62))
records_ = st.lists(st.tuples(timestamps, blobs, blobs, headers), min_size=1, max_size=20)


@given(batches=st.lists(st.tuples(records_, st.sampled_from([*CODECS])), min_size=1, max_size=3))
def test_records_are_those_that_kafka_python_reads(batches):
    """Whatever a producer wrote, with every codec that we have."""
    data, offset = b"", 2**33
    for records, codec in batches:
        data += batch(records, codec, first_offset=offset)
        offset += len(records) + 2  # two of them were compacted away
    assert ours(data) == theirs(data)


def test_numbers_of_every_length():
    """Sizes, offsets and times on both sides of where their numbers become a byte longer."""
    sizes = [n for bits in (6, 7, 13, 14, 20, 21) for n in (2**bits - 1, 2**bits)]
    data = batch([(NOW_MS + n - 2**14, bytes(n), bytes(n), [("name", bytes(n))]) for n in sizes])
    assert ours(data) == theirs(data)
    many = batch([(NOW_MS, None, b"x", [])] * 20_000)
    assert ours(many) == theirs(many)


def test_offsets_go_on_behind_what_was_compacted_away():
    """A batch whose last records are gone still ends where it ended; one whose first are gone begins later."""
    data = bytearray(batch([(NOW_MS, None, b"%d" % n, []) for n in range(3)]))
    struct.pack_into(">i", data, 23, 9)  # the last offset of the batch, behind the last record
    records = fetched(FetchedRecords, sealed(data), offset=1)
    assert [r.offset for r in records.take(1)] == [1]
    assert records.next_fetch_offset == 2
    assert [r.offset for r in records.take(9)] == [2]
    assert records.next_fetch_offset == 10
    assert not records


@pytest.mark.parametrize("magic", [0, 1])
@pytest.mark.parametrize("codec", ["none", "gzip"])
def test_the_old_formats(magic, codec):
    """What a client older than Kafka 0.11 wrote; the oldest have no time, which is -1 here and None there."""
    data = batch([(NOW_MS, b"k", b"v", []), (NOW_MS, None, None, [])], codec, magic)
    assert ours(data) == theirs(data)
    assert [record.timestamp for record in ours(data)] == [NOW_MS if magic else -1] * 2


def test_the_brokers_time():
    """On a topic with LogAppendTime every record has the time at which its batch arrived."""
    data = bytearray(batch([(NOW_MS, None, b"a", []), (NOW_MS + 7, None, b"b", [])]))
    data[_ATTRIBUTES + 1] |= 0x08
    assert [r.timestamp for r in ours(sealed(data))] == [NOW_MS + 7] * 2
    assert ours(sealed(data)) == theirs(sealed(data))


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
def test_only_what_was_committed(level):
    """Aborted records are passed over, and so are the marks; a producer's next transaction counts again."""
    one = [(NOW_MS, None, b"x", [])]
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
    assert [record.offset for record in ours(data, **options)] == offsets
    assert ours(data, **options) == theirs(data, **options)


def test_a_header_whose_name_is_no_text():
    """It is read as Java's client reads it; kafka-python would read no further, for ever."""
    data = bytearray(batch([(NOW_MS, None, b"v", [("naem", b"x")])]))
    data = sealed(data.replace(b"naem", b"n\xff\xfem"))
    assert [record.headers for record in ours(data)] == [[("n��m", b"x")]]
    with pytest.raises(kafka_errors.CorruptRecordError):
        theirs(data)


def test_a_header_whose_name_is_no_text_far_behind():
    """What was given of its batch before is not given again, and the others are as they were."""
    many = [(NOW_MS + n, b"k" if n % 2 else None, b"%d" % n, [("ok", None)]) for n in range(1200)]
    data = bytearray(batch([*many, (NOW_MS, None, None, [("naem", b"x"), ("a", b"")])], first_offset=7))
    records = ours(sealed(data.replace(b"naem", b"n\xff\xfem")), offset=7)
    assert records[:-1] == theirs(batch(many, first_offset=7), offset=7)
    assert records[-1] == ReadRecord("events", 3, 1207, NOW_MS, None, None, [("n��m", b"x"), ("a", b"")])


def test_a_header_whose_name_is_no_text_in_what_is_no_record():
    """It is refused there as anywhere."""
    data = bytearray(batch([(NOW_MS, None, b"v", [("naem", b"x")]), (NOW_MS, None, b"value", [])]))
    data = data.replace(b"naem", b"n\xff\xfem")
    data[data.index(b"value") - 1] = 0x7E  # longer than what is left
    assert "holds bytes that are no records" in whole(FetchedRecords, sealed(data))


def test_a_compressed_batch_with_an_odd_header_is_unpacked_a_piece_at_a_time():
    """The slow reader takes no more memory than the quick one."""
    many = [(NOW_MS, None, b"", [("naem", None)]), *[(NOW_MS, None, b"", [])] * 100_000]
    plain = batch(many).replace(b"naem", b"n\xff\xfem")
    data = bytearray(plain[:_RECORDS_FROM]) + zstandard.compress(plain[_RECORDS_FROM:])
    data[_ATTRIBUTES + 1] |= CODECS["zstd"]
    struct.pack_into(">i", data, 8, len(data) - 12)
    records = fetched(FetchedRecords, sealed(data))
    tracemalloc.start()
    assert len(records.take(10)) == 10
    held, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert held < 3 * 1024 * 1024
    assert len(records.take()) == 100_001 - 10


@pytest.mark.parametrize("attributes", [0x01, 0x7F, 0x80, 0xFF])
def test_attributes_are_a_byte(attributes):
    """Whatever is in it: Kafka does not look, kafka-python and aiokafka read it as a number that may go on."""
    data = bytearray(batch([(NOW_MS, b"key", b"value", [("a", b"b")])] * 3))
    clean, size = ours(bytes(data)), (len(data) - _RECORDS_FROM) // 3
    data[_RECORDS_FROM + size + 1] = attributes
    assert ours(sealed(data)) == clean


def test_a_record_beyond_the_end_of_its_batch():
    """Its offset would be committed, and what lies between never read: a key that aiokafka takes for other numbers."""
    key = b"\x01\x00" + bytes(4998)
    data = bytearray(batch([(NOW_MS, key, b"v", [])]))
    data[_RECORDS_FROM + 2] = 0x80  # the attributes, behind a length of two bytes
    (record,) = ours(sealed(data))
    assert (record.offset, record.key, record.value) == (0, key, b"v")
    forged = bytearray(batch([(NOW_MS, None, b"v", [])]))
    forged[_RECORDS_FROM + 3] = 0x7E  # 63 offsets further than the batch
    assert "holds bytes that are no records" in whole(FetchedRecords, sealed(forged))


@pytest.mark.parametrize("short_of", [1, 40])
def test_a_length_near_the_largest_number(short_of):
    """Aiokafka's own check of it overflows."""
    number, size = (2**63 - short_of) << 1, []
    while number > 0x7F:
        size.append(number & 0x7F | 0x80)
        number >>= 7
    data = bytearray(batch([(NOW_MS, b"k" * 30, b"v", [])]))
    data[_RECORDS_FROM + 4 : _RECORDS_FROM + 5 + len(size)] = bytes([*size, number])
    assert "holds bytes that are no records" in whole(FetchedRecords, sealed(data))


def test_a_batch_over_partitions():
    """Each record has its own place, and is what it would be alone; a value is to be had without it."""
    other = TopicPartition("events", 4)
    parts = {
        tp: fetched(FetchedRecords, batch([(NOW_MS, None, b"%d" % n, []) for n in range(n)])).take()
        for tp, n in ((EVENTS, 3), (other, 2))
    }
    made = FetchedBatch(FetchedSequence(parts), {})
    records = made.records
    assert [(r.partition, r.offset, r.value) for r in records] == [
        (3, 0, b"0"),
        (3, 1, b"1"),
        (3, 2, b"2"),
        (4, 0, b"0"),
        (4, 1, b"1"),
    ]
    assert records[-1] == records[4]
    assert list(records[1:4]) == [records[1], records[2], records[3]]
    with pytest.raises(IndexError):
        records[5]
    assert made.values() == [r.value for r in records]
    assert made.first_offsets() == {Partition("events", 3): 0, Partition("events", 4): 0}
    assert len(FetchedSequence({})) == 0


def test_a_wrong_checksum():
    """Records before it are given, then it is named."""
    good, bad = batch([(NOW_MS, None, b"good", [])]), bytearray(batch([(NOW_MS, None, b"bad", [])], first_offset=1))
    bad[-2] ^= 1
    records = fetched(FetchedRecords, good + bytes(bad))
    assert [record.value for record in records.take(5)] == [b"good"]
    with pytest.raises(kafka_errors.CorruptRecordError, match="events/3: the batch at offset 1 has a wrong checksum"):
        records.take(5)


@pytest.mark.parametrize("magic", [0, 1])
def test_a_wrong_checksum_in_the_old_formats(magic):
    """These have one for each record."""
    data = bytearray(batch([(NOW_MS, None, b"bad", [])], magic=magic))
    data[-2] ^= 1
    with pytest.raises(kafka_errors.CorruptRecordError, match="checksum"):
        fetched(FetchedRecords, bytes(data)).take()


def whole(kind, data):
    """All records of a fetch, or, of one that cannot be read to its end, what is wrong with it."""
    records = fetched(kind, data)
    try:
        return records.take() + (records.take() if records else [])
    except kafka_errors.CorruptRecordError as error:
        return str(error)


def test_bytes_that_are_no_records():
    """With a checksum that is right, so that it is a client that is broken: refused where kafka-python does."""
    chance = np.random.default_rng(0)
    original = batch([(NOW_MS, b"key", b"value", [])] * 3)
    size = (len(original) - _RECORDS_FROM) // 3
    # Not the attributes, behind the length (`test_attributes_are_a_byte`): kafka-python reads a number there.
    places = [place for place in range(_RECORDS_FROM, len(original)) if (place - _RECORDS_FROM) % size != 1]
    refused = 0
    for _ in range(3000):
        data = bytearray(original)
        for _ in range(chance.integers(1, 4)):
            data[chance.choice(places)] = chance.integers(256)
        expected, found = whole(Fetcher.PartitionRecords, sealed(data)), whole(FetchedRecords, sealed(data))
        # kafka-python takes an offset beyond the end of its batch for what it is; it would be committed.
        is_wrong = isinstance(expected, str) or max(r.offset for r in expected) > _LAST_OF_THREE
        assert isinstance(found, str) == is_wrong
        if isinstance(found, str):
            assert "events/3: the batch at offset 0 " in found
            refused += 1
        else:
            assert [r.value for r in found] == [r.value for r in expected]
    assert 1000 < refused < 3000


def test_a_number_without_end():
    """Eleven bytes that each say that there is another."""
    data = bytearray(batch([(NOW_MS, None, b"x" * 30, [])]))
    data[_RECORDS_FROM : _RECORDS_FROM + 11] = b"\xff" * 11
    with pytest.raises(kafka_errors.CorruptRecordError, match="no records"):
        fetched(FetchedRecords, sealed(data)).take()


def test_a_batch_that_is_longer_than_its_records():
    """Bytes behind the last record are not passed over in silence."""
    data = bytearray(batch([(NOW_MS, None, b"x", [])])) + b"rest"
    struct.pack_into(">i", data, 8, len(data) - 12)
    assert "4 bytes are left" in whole(FetchedRecords, sealed(data))


def test_a_compressed_batch_is_unpacked_a_piece_at_a_time():
    """A few bytes may stand for a million records, and the next poll takes a few of them."""
    data = batch([(NOW_MS, None, b"", [])] * 100_000, "zstd")
    records = fetched(FetchedRecords, data)
    tracemalloc.start()
    assert len(records.take(10)) == 10
    held, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert held < 3 * 1024 * 1024
    assert len(records.take()) == 100_000 - 10
