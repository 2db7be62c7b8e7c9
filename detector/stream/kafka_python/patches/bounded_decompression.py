"""A limit on the decompressed size of a batch.

Symptom: brokers limit only the compressed size. 12 MiB of zstd may decompress to many gigabytes, and every instance
that reads the partition would run out of memory.
Upstream: `kafka.record.default_records` and `legacy_records` in 3.0.12 have no limit and no option for one.
Can go when: there is a limit.
"""

import gzip
from collections.abc import Callable
from io import BytesIO
from typing import Any, Protocol

import lz4.frame
import zstandard
from kafka import errors as kafka_errors
from kafka.record import default_records, legacy_records

MAX_BATCH_BYTES = 128 * 1024 * 1024
"""Twelve times the largest record that the default settings permit; producers' batches are usually 1 MiB at most."""
_CHUNK_BYTES = 1024 * 1024


class BatchTooLargeError(kafka_errors.KafkaError):  # type: ignore[misc] # kafka-python has no types
    """A batch decompresses to more than the limit; reading it again cannot help."""

    retriable = False


class _Reader(Protocol):
    def read(self, size: int, /) -> bytes: ...


def bound_decompression() -> None:
    """Replace the library's decompression functions, for the whole process."""
    for module in (default_records, legacy_records):
        for name, decompress in _DECOMPRESS.items():
            if hasattr(module, name):
                setattr(module, name, decompress)


def _gzip(payload: Any) -> bytes:
    with gzip.GzipFile(fileobj=BytesIO(payload)) as stream:
        return _read(stream)


def _lz4(payload: Any) -> bytes:
    with lz4.frame.open(BytesIO(payload)) as stream:
        return _read(stream)


def _zstd(payload: Any) -> bytes:
    with zstandard.ZstdDecompressor().stream_reader(BytesIO(payload), read_across_frames=True) as stream:
        return _read(stream)


def _read(stream: _Reader) -> bytes:
    parts, size = [], 0
    while chunk := stream.read(_CHUNK_BYTES):
        size += len(chunk)
        if size > MAX_BATCH_BYTES:
            raise BatchTooLargeError(
                f"a compressed batch decompresses to more than {MAX_BATCH_BYTES} bytes; none of its records was read. "
                "Skip it: move the consumer group past the batch with kafka-consumer-groups.sh --reset-offsets, and "
                "start the service again. Then make its producer send smaller batches"
            )
        parts.append(chunk)
    return b"".join(parts)


_DECOMPRESS: dict[str, Callable[[Any], bytes]] = {"gzip_decode": _gzip, "lz4_decode": _lz4, "zstd_decode": _zstd}
