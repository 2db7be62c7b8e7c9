"""Reads BETH rows from CSV files: the 8 columns of the preprocessed files, or the 16 columns of the original ones."""

import csv
import math
import re
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple, TextIO

from detector.errors import UsageError
from detector.events.source import load_source

_DECIMAL = re.compile(r"-?[0-9]+", re.ASCII)
_INT64 = range(-(2**63), 2**63)
_MAX_INT64_CHARS = len(str(_INT64.start))
_MAX_CELL_CHARS = 2**31 - 1
"""The csv module's default of 128 KiB is too short for the arguments of some events."""
_INDEX_COLUMNS = ("", "index", "Unnamed: 0")
"""Names of a first column with row numbers, which is dropped."""

LABEL_COLUMNS = ("sus_label", "sus")


class Row(NamedTuple):
    """One row: its line number in the file (the header is line 1), and its cells as an event."""

    line: int
    event: dict[str, Any]

    @property
    def label(self) -> int | None:
        """1 suspicious, 0 benign, None when the file has no label."""
        for name in LABEL_COLUMNS:
            if name in self.event:
                return int(self.event[name])
        return None


def read_rows(path: Path, required: Sequence[str], *, require_label: bool = False) -> Iterator[Row]:
    """Read BETH rows in order, and check each cell.

    Accepts a byte-order mark, CRLF line ends and a leading index column. Columns that are not BETH's are kept as text.

    Args:
        path: the CSV file.
        required: columns that must be there.
        require_label: whether a label column must be there.

    Raises:
        UsageError: the file cannot be read, a column is missing, or a cell is invalid (file, line, column, value).
    """
    try:
        # utf-8-sig reads files with and without a byte-order mark; newline="" leaves line ends to the csv module.
        with path.open(encoding="utf-8-sig", newline="") as file:
            yield from _rows(path, file, required, require_label=require_label)
    except OSError as error:
        raise UsageError(f"{path}: cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise UsageError(f"{path}: not UTF-8 text: {error.reason}; convert the file to UTF-8") from error


def _rows(path: Path, file: TextIO, required: Sequence[str], *, require_label: bool) -> Iterator[Row]:
    csv.field_size_limit(_MAX_CELL_CHARS)
    reader = csv.reader(file, strict=True)
    lines = _checked_lines(path, reader)
    header = next(lines, [])
    skip = 1 if header and header[0].strip() in _INDEX_COLUMNS else 0
    columns = [name.strip() for name in header[skip:]]
    _check_columns(path, columns, required, require_label=require_label)
    parsers = [(name, _PARSERS.get(name, _text)) for name in columns]
    for cells in lines:
        if not cells:
            continue  # a blank line
        if len(cells) != len(header):
            raise UsageError(
                f"{path}:{reader.line_num}: {len(cells)} cells, but the header has {len(header)}; correct this line"
            )
        event = {}
        for (name, parse), cell in zip(parsers, cells[skip:], strict=True):
            try:
                event[name] = parse(cell)
            except ValueError as error:
                raise UsageError(f"{path}:{reader.line_num}: column {name}: {cell!r} {error}") from None
        yield Row(reader.line_num, event)


def _checked_lines(path: Path, reader: Any) -> Iterator[list[str]]:
    try:
        yield from reader
    except csv.Error as error:
        raise UsageError(f"{path}:{reader.line_num}: not CSV: {error}; correct this line") from error


def _check_columns(path: Path, columns: list[str], required: Sequence[str], *, require_label: bool) -> None:
    missing = [name for name in required if name not in columns]
    if require_label and not any(name in columns for name in LABEL_COLUMNS):
        missing.append(" or ".join(LABEL_COLUMNS))
    found = ", ".join(columns) or "none"
    if missing:
        raise UsageError(f"{path}: not BETH rows: missing columns {', '.join(missing)}; found {found}")
    duplicates = sorted({name for name in columns if columns.count(name) > 1})
    if duplicates:
        raise UsageError(f"{path}: duplicate columns: {', '.join(duplicates)}; keep one of each; found {found}")


def _integer(cell: str) -> int:
    text = cell.strip()
    if not _DECIMAL.fullmatch(text):
        raise ValueError("is not an integer")
    # Leading zeros are permitted. Text longer than any 64-bit integer is not parsed: that would take quadratic time.
    if len(text.lstrip("-0")) > _MAX_INT64_CHARS or int(text) not in _INT64:
        raise ValueError("does not fit in 64 bits")
    return int(text)


def _label(cell: str) -> int:
    if cell.strip() not in ("0", "1"):
        raise ValueError("is not a label: 0 is benign, 1 suspicious")
    return int(cell)


def _seconds(cell: str) -> float:
    try:
        seconds = float(cell)
    except ValueError:
        seconds = math.nan
    if not math.isfinite(seconds):
        raise ValueError("is not a number of seconds")
    return seconds


def _text(cell: str) -> str:
    return cell


_PARSERS: dict[str, Callable[[str], Any]] = {
    **dict.fromkeys(load_source("beth").fields, _integer),
    **dict.fromkeys((*LABEL_COLUMNS, "evil"), _label),
    "timestamp": _seconds,
}
