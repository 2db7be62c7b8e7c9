"""A bound on what a compressed batch may unpack to, which kafka-python 3.0.12 has no option for.

A broker limits the compressed size only: 12 MiB of zstd can stand for many gigabytes, and would end every instance that
reads its partition for want of memory.
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
"""Twelve times the largest record that the settings permit by default; producers' batches are 1 MiB at most."""
_CHUNK_BYTES = 1024 * 1024


class BatchTooLargeError(kafka_errors.KafkaError):  # type: ignore[misc] # kafka-python has no types
    """A batch unpacks to more than it may; reading it again does not help."""

    retriable = False


class _Reader(Protocol):
    def read(self, size: int, /) -> bytes: ...


def bound_decompression() -> None:
    """Put bounded decoders in the place of the library's, for the whole process."""
    for module in (default_records, legacy_records):
        for name, decode in _DECODERS.items():
            if hasattr(module, name):
                setattr(module, name, decode)


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
                f"a compressed batch unpacks to more than {MAX_BATCH_BYTES} bytes: nothing of it was read; if it is no "
                "mistake of its producer, send it in smaller batches; else move the group past it with "
                "kafka-consumer-groups.sh --reset-offsets, and start again"
            )
        parts.append(chunk)
    return b"".join(parts)


_DECODERS: dict[str, Callable[[Any], bytes]] = {"gzip_decode": _gzip, "lz4_decode": _lz4, "zstd_decode": _zstd}
