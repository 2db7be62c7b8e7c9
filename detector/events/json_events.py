"""The events of JSON files: one on each line, or pretty-printed, or in an array."""

import codecs
import json
import re
from collections.abc import Iterator
from typing import BinaryIO

from detector.errors import UsageError

_BLANK = re.compile(r"[ \t\r\n]*")
_BLANK_OR_COMMA = re.compile(r"[ \t\r\n,]*")
_READ_BYTES = 1 << 16
_MAX_VALUE_CHARS = 1 << 26
"""Longer than any record: the file is no JSON, and is not read into memory."""

# The numbers of a value are not needed here; some have more digits than Python converts.
_scan = json.JSONDecoder(parse_int=str, parse_float=str).raw_decode


def json_lines(file: BinaryIO) -> Iterator[tuple[int, bytes]]:
    """The lines that are not blank, with their numbers; whether a line is an event is for the decoder to say."""
    for number, line in enumerate(file, 1):
        if value := line.strip(b" \t\r\n"):
            yield number, value


def is_document(head: bytes) -> bool:
    """Whether the start of a JSON file shows an array, or an event that has several lines."""
    text = head.decode("utf-8", "ignore").lstrip()
    if text.startswith("["):
        return True
    first_line = text.partition("\n")[0].strip()
    if first_line == "{":
        return True
    try:
        _, end = _scan(text)
    except (ValueError, RecursionError):
        return False
    return "\n" in text[:end]


def json_documents(name: str, file: BinaryIO) -> Iterator[tuple[int, bytes]]:
    """The values of a file, however they are laid out, and the elements of its arrays; each with its line's number.

    Raises:
        UsageError: the file is not JSON, or ends too early.
    """
    return _Documents(name, file).values()


class _Documents:
    def __init__(self, name: str, file: BinaryIO) -> None:
        self._name = name
        self._file = file
        self._decode = codecs.getincrementaldecoder("utf-8")("surrogateescape").decode
        self._text = ""
        self._at = 0
        self._line = 1
        self._at_end = False
        self._in_array = False

    def values(self) -> Iterator[tuple[int, bytes]]:
        while self._skip_separators():
            end = self._value_end()
            yield self._line, self._text[self._at : end].encode("utf-8", "surrogateescape")
            self._go_to(end)
        if self._in_array:
            raise UsageError(f"{self._name}:{self._line}: the array is not closed; copy the file again")

    def _skip_separators(self) -> bool:
        """Go to the next value; False at the end of the file."""
        while True:
            blank = (_BLANK_OR_COMMA if self._in_array else _BLANK).match(self._text, self._at)
            self._go_to(blank.end() if blank else self._at)
            if self._text.startswith("]" if self._in_array else "[", self._at):
                self._in_array = not self._in_array
                self._go_to(self._at + 1)
            elif self._at < len(self._text):
                return True
            elif not self._read():
                return False

    def _value_end(self) -> int:
        while True:
            try:
                _, end = _scan(self._text, self._at)
            except RecursionError:
                raise UsageError(f"{self._name}:{self._line}: the JSON is nested too deeply") from None
            except json.JSONDecodeError as error:
                if len(self._text) - self._at > _MAX_VALUE_CHARS or not self._read():
                    line = self._line + self._text.count("\n", self._at, error.pos)
                    raise UsageError(f"{self._name}:{line}: not JSON: {error.msg}; correct this line") from None
            else:
                if end < len(self._text) or not self._read():  # at the end of the text, a number may go on
                    return end

    def _go_to(self, position: int) -> None:
        self._line += self._text.count("\n", self._at, position)
        self._at = position

    def _read(self) -> bool:
        """Read on, at least as much as there is, so that a long value takes linear time; False at the end."""
        self._text, self._at = self._text[self._at :], 0
        block = b"" if self._at_end else self._file.read(max(_READ_BYTES, len(self._text)))
        self._at_end = not block
        self._text += self._decode(block, self._at_end)
        return not self._at_end
