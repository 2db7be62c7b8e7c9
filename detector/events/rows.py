"""The events of a file, CSV or JSON, as the values of records: what `score`, `replay` and `train` read."""

import json
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from detector.events.csv_rows import csv_events
from detector.events.inputs import COMPRESSED_SUFFIXES, open_input, shown_name
from detector.events.json_events import is_document, json_documents, json_lines

_JSON_SUFFIXES = (".ndjson", ".jsonl", ".json")


class Row(NamedTuple):
    """One event of a file; whether it is valid is for the decoder to say."""

    file: str
    line: int
    value: bytes
    """The event as the value of a record."""
    from_csv: bool

    @property
    def place(self) -> str:
        """File and line, for people."""
        return f"{self.file}:{self.line}"

    @property
    def event(self) -> dict[str, Any]:
        """The event's fields."""
        fields: dict[str, Any] = json.loads(self.value)
        return fields


def read_rows(path: Path, required: Sequence[str]) -> Iterator[Row]:
    """Read the events of a file in order.

    The file may be compressed (see `detector.events.inputs`). It is JSON if it starts with a brace or a bracket: one
    event on each line, pretty-printed events, or arrays of events. Otherwise it is CSV if its name ends so or its first
    line has a required column's name, and NDJSON with an invalid first line if not.

    Args:
        path: the file; `-` is standard input.
        required: the columns that CSV must have.

    Raises:
        UsageError: the file cannot be read or has another format; or a line does not fit the header of a CSV file.
    """
    name = shown_name(path)
    with open_input(path) as file:
        head = file.peek()
        if _is_csv(path, head, required):
            for line, event in csv_events(name, file, required):
                yield Row(name, line, _encode(event), from_csv=True)
        else:
            found = json_documents(name, file) if is_document(head) else json_lines(file)
            for line, value in found:
                yield Row(name, line, value, from_csv=False)


def _is_csv(path: Path, head: bytes, required: Sequence[str]) -> bool:
    start = head.lstrip()
    if start.startswith((b"{", b"[")):
        return False
    suffixes = [suffix.lower() for suffix in path.suffixes if suffix.lower() not in COMPRESSED_SUFFIXES]
    suffix = suffixes[-1] if suffixes else ""
    if suffix == ".csv" or suffix in _JSON_SUFFIXES:
        return suffix == ".csv"
    header = start.partition(b"\n")[0].decode("utf-8", "replace")
    return not {cell.strip(' "\r') for cell in re.split(r"[,;\t|]", header)}.isdisjoint(required)


def _encode(event: dict[str, Any]) -> bytes:
    try:
        return msgspec.json.encode(event)
    except UnicodeEncodeError:  # bytes that are not UTF-8: the decoder shall see them, and say so
        return json.dumps(event, ensure_ascii=False).encode("utf-8", "surrogateescape")
