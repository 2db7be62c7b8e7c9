"""The test broker as one that tells less: it supports only lower versions of some requests, or none at all."""

import struct
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from docs.upstream.proxy import Proxy

METADATA, DESCRIBE_GROUPS, API_VERSIONS = 3, 15, 18
KAFKA_2_1 = {
    0: 7,  # Produce
    1: 10,  # Fetch
    2: 4,  # ListOffsets
    METADATA: 7,
    8: 6,  # OffsetCommit
    9: 5,  # OffsetFetch
    10: 2,  # FindCoordinator
    11: 3,  # JoinGroup
    12: 2,  # Heartbeat
    13: 2,  # LeaveGroup
    14: 2,  # SyncGroup
    DESCRIBE_GROUPS: 2,
    19: 3,  # CreateTopics
    22: 1,  # InitProducerId
    24: 1,  # AddPartitionsToTxn
    25: 1,  # AddOffsetsToTxn
    26: 1,  # EndTxn
    28: 2,  # TxnOffsetCommit
    60: -1,  # DescribeCluster
    68: -1,  # ConsumerGroupHeartbeat
    75: -1,  # DescribeTopicPartitions
}
"""The highest versions of Kafka 2.1, as some brokers that are compatible with Kafka have them, too."""
_ENTRY = struct.Struct(">hhh")
"""Number of the request, lowest version, highest version."""
_HEADER_BYTES = 6
"""Correlation id and error code."""


@contextmanager
def capped_broker(address: str, highest: Mapping[int, int]) -> Iterator[str]:
    """A proxy before a broker, with its address; versions of requests above the given ones are not announced.

    Args:
        address: the broker's HOST:PORT.
        highest: the highest version by number of the request; -1 for a request that is not supported.
    """
    with Proxy(address) as proxy:
        proxy.on_answer = lambda request, answer: _capped(answer, highest) if request == API_VERSIONS else answer
        yield proxy.address


def _capped(answer: bytes, highest: Mapping[int, int]) -> bytes:
    """The response to ApiVersions with lower versions.

    https://kafka.apache.org/protocol#The_Messages_ApiVersions; versions from 3 on have a compact array, and one byte
    for the tagged fields of each entry.
    """
    is_compact = answer[_HEADER_BYTES] != 0  # otherwise the first byte of a length of four bytes
    length, start = _varint(answer, _HEADER_BYTES) if is_compact else _int32(answer, _HEADER_BYTES)
    count, size = (length - 1, _ENTRY.size + 1) if is_compact else (length, _ENTRY.size)
    end = start + count * size
    kept = [entry for at in range(start, end, size) if (entry := _lowered(answer[at : at + size], highest))]
    array = _encoded_varint(len(kept) + 1) if is_compact else struct.pack(">i", len(kept))
    return answer[:_HEADER_BYTES] + array + b"".join(kept) + answer[end:]


def _lowered(entry: bytes, highest: Mapping[int, int]) -> bytes:
    request, lowest, version = _ENTRY.unpack_from(entry)
    version = min(version, highest.get(request, version))
    return _ENTRY.pack(request, lowest, version) + entry[_ENTRY.size :] if version >= lowest else b""


def _int32(content: bytes, at: int) -> tuple[int, int]:
    (value,) = struct.unpack_from(">i", content, at)
    return value, at + 4


def _varint(content: bytes, at: int) -> tuple[int, int]:
    """An unsigned varint, and where it ends."""
    value = shift = 0
    while True:
        byte = content[at]
        value, shift, at = value | (byte & 0x7F) << shift, shift + 7, at + 1
        if byte < 0x80:
            return value, at


def _encoded_varint(value: int) -> bytes:
    encoded = b""
    while value >= 0x80:
        encoded, value = encoded + bytes([value & 0x7F | 0x80]), value >> 7
    return encoded + bytes([value])
