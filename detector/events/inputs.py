"""Opens input files: standard input, compressed files and any Unicode encoding; names files of other formats."""

import codecs
import gzip
import io
import stat
import zlib
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, BinaryIO, cast

import zstandard

from detector.errors import UsageError
from detector.output_file import STANDARD_INPUT, STANDARD_INPUT_NUMBER

COMPRESSED_SUFFIXES = (".gz", ".zst")
_BUFFER_BYTES = 1 << 16
_GZIP = b"\x1f\x8b"
_ZSTANDARD = b"\x28\xb5\x2f\xfd"
_COMPRESSED_BYTES = 1 << 14
"""What is decompressed at once: small, because it may become thousands of times as long."""
_TAR_MAGIC = slice(257, 262)
_FOREIGN = {
    b"PAR1": "a Parquet file",
    b"Obj\x01": "an Avro file",
    b"ARROW1": "an Arrow file",
    b"PK\x03\x04": "a ZIP archive or a spreadsheet (.xlsx)",
    b"\xd0\xcf\x11\xe0": "a spreadsheet (.xls)",
    b"SQLite format 3": "an SQLite database",
    b"BZh": "compressed with bzip2",
    b"\xfd7zXZ": "compressed with xz",
    b"\x04\x22\x4d\x18": "compressed with lz4",
    b"\xff\x06\x00\x00sNaPpY": "compressed with Snappy",
}
_BYTE_ORDER_MARKS = {  # in this order: the mark of UTF-32 starts with the one of UTF-16
    codecs.BOM_UTF8: "utf-8",
    codecs.BOM_UTF32_LE: "utf-32",
    codecs.BOM_UTF32_BE: "utf-32",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}
_WITHOUT_MARK = {b"\1\0\1\0": "utf-16-le", b"\0\1\0\1": "utf-16-be"}
"""Which of the first four bytes are not 0 -> the encoding of a text that starts with two characters of ASCII."""


def shown_name(path: Path) -> str:
    """The name of an input, for people."""
    return "standard input" if path == STANDARD_INPUT else str(path)


def require_regular(path: Path, reason: str) -> None:
    """Check that a file can be read more than once.

    Raises:
        UsageError: it is standard input, a pipe or a device; or it cannot be read. The text gives the reason.
    """
    try:
        regular = path != STANDARD_INPUT and stat.S_ISREG(path.stat().st_mode)
    except OSError as error:
        raise UsageError(f"{path}: cannot be read: {error.strerror}") from error
    if not regular:
        raise UsageError(f"{shown_name(path)}: is not a regular file; {reason}: save it to a file first")


@contextmanager
def open_input(path: Path) -> Iterator[io.BufferedReader]:
    """Open a file, or standard input; the bytes are decompressed, UTF-8, and without a byte-order mark.

    Compression and encoding are recognized by the content, not by the name. UTF-8 itself is not checked here.

    Raises:
        UsageError: the file cannot be read, is damaged, or has another format; also when this shows later in the block.
    """
    name = shown_name(path)
    try:
        with ExitStack() as stack:
            file = _peekable(stack.enter_context(_open(path)))
            _refuse_foreign(name, file.peek())
            plain = stack.enter_context(_decompressed(file))
            _refuse_foreign(name, plain.peek())
            yield stack.enter_context(_utf8(plain))
    except UnicodeDecodeError as error:
        raise UsageError(f"{name}: not {error.encoding.upper()} text: {error.reason}; convert it to UTF-8") from error
    except (EOFError, zlib.error, gzip.BadGzipFile, zstandard.ZstdError) as error:
        raise UsageError(f"{name}: compressed data is damaged or incomplete: {error}; copy the file again") from error
    except OSError as error:
        raise UsageError(f"{name}: cannot be read: {error.strerror}") from error


def _open(path: Path) -> BinaryIO:
    if path == STANDARD_INPUT:
        return open(STANDARD_INPUT_NUMBER, "rb", closefd=False)
    return path.open("rb")


def _peekable(file: Any) -> io.BufferedReader:
    """A reader whose first `peek` returns 64 KiB, or all that there is: a pipe by itself would return less."""
    return io.BufferedReader(file, _BUFFER_BYTES)


def _decompressed(file: io.BufferedReader) -> io.BufferedReader:
    head = file.peek()
    if head.startswith(_GZIP):
        return _peekable(gzip.GzipFile(fileobj=file))
    if head.startswith(_ZSTANDARD):
        return _peekable(_Chunks(_zstandard_chunks(file)))
    return file


def _refuse_foreign(name: str, head: bytes) -> None:
    found = next((what for magic, what in _FOREIGN.items() if head.startswith(magic)), None)
    if head[_TAR_MAGIC] == b"ustar":
        found = "a tar archive"
    if found is not None:
        raise UsageError(
            f"{name}: is {found}; give CSV, or NDJSON with one JSON event on each line, plain or compressed as .gz or "
            ".zst"
        )


def _zstandard_chunks(file: BinaryIO) -> Iterator[bytes]:
    # zstandard's own reader takes a file that was cut off for a complete one.
    frame = zstandard.ZstdDecompressor().decompressobj()
    started = False
    while compressed := file.read(_COMPRESSED_BYTES):
        while compressed:
            yield frame.decompress(compressed)
            started, compressed = True, b""
            if frame.eof:
                started, compressed = False, frame.unused_data
                frame = zstandard.ZstdDecompressor().decompressobj()
    if started:
        raise EOFError("it ends too early")


def _utf8(file: io.BufferedReader) -> io.BufferedReader:
    head = file.peek()
    encoding = _encoding(head)
    if encoding == "utf-8":
        if head.startswith(codecs.BOM_UTF8):
            file.read(len(codecs.BOM_UTF8))
        return file
    return _peekable(_Chunks(_utf8_chunks(file, encoding)))


def _encoding(head: bytes) -> str:
    for mark, encoding in _BYTE_ORDER_MARKS.items():
        if head.startswith(mark):
            return encoding
    return _WITHOUT_MARK.get(bytes(byte != 0 for byte in head[:4]), "utf-8")


def _utf8_chunks(file: BinaryIO, encoding: str) -> Iterator[bytes]:
    decoder = codecs.getincrementaldecoder(encoding)()
    while block := file.read(_BUFFER_BYTES):
        yield decoder.decode(block).encode()
    yield decoder.decode(b"", final=True).encode()


class _Chunks(io.RawIOBase):
    """A file whose content is made piece by piece."""

    def __init__(self, chunks: Iterator[bytes]) -> None:
        self._chunks = chunks
        self._rest = memoryview(b"")

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        """Fill the buffer completely, except at the end."""
        filled = 0
        while filled < len(buffer):
            if not self._rest:
                chunk = next(self._chunks, None)
                if chunk is None:
                    break
                self._rest = memoryview(chunk)
            part = self._rest[: len(buffer) - filled]
            buffer[filled : filled + len(part)] = cast("bytes", part)
            self._rest = self._rest[len(part) :]
            filled += len(part)
        return filled
