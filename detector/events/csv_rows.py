"""The rows of CSV files as events, such as BETH's: 8 columns in the preprocessed files, 16 in the original ones."""

import csv
import io
from collections.abc import Callable, Iterator, Sequence
from typing import Any, BinaryIO

from detector.errors import UsageError
from detector.events.source import load_source
from detector.events.values import cell_number, label

_MAX_CELL_CHARS = 2**31 - 1
"""The csv module's default of 128 KiB is too short for the arguments of some events."""
_INDEX_COLUMNS = ("", "index", "Unnamed: 0")
"""Names of a first column with row numbers, which is dropped."""
_SEPARATORS = {";": "semicolons", "\t": "tabs", "|": "vertical bars"}


def csv_events(name: str, file: BinaryIO, required: Sequence[str]) -> Iterator[tuple[int, dict[str, Any]]]:
    """Read the rows of a CSV file: for each its last line's number (the header is line 1), and its cells as an event.

    Accepts CRLF line ends and a leading index column; skips rows without a value. Cells are not checked here: the
    decoder does that, as for any other event. A byte that is not UTF-8 becomes a lone surrogate.

    Args:
        name: the file's name, for errors.
        file: CSV in UTF-8, without a byte-order mark.
        required: columns that must be there.

    Raises:
        UsageError: a required column is missing or ambiguous, or a line does not fit the header.
    """
    csv.field_size_limit(_MAX_CELL_CHARS)
    # newline="" leaves line ends to the csv module.
    with io.TextIOWrapper(file, encoding="utf-8", errors="surrogateescape", newline="") as text:
        yield from _events(name, csv.reader(text, strict=True), required)


def _events(name: str, reader: Any, required: Sequence[str]) -> Iterator[tuple[int, dict[str, Any]]]:
    lines = _checked_lines(name, reader)
    header = next(lines, [])
    skip = 1 if header and header[0].strip() in _INDEX_COLUMNS else 0
    columns = [column.strip() for column in header[skip:]]
    _check_columns(name, columns, required)
    parsers = [(column, _PARSERS.get(column, _text)) for column in columns]
    for cells in lines:
        if not any(cells):
            continue  # a blank line; spreadsheets write the commas as well
        if len(cells) != len(header):
            raise UsageError(
                f"{name}:{reader.line_num}: {len(cells)} cells, but the header has {len(header)}; correct this line"
            )
        event = {column: parse(cell) for (column, parse), cell in zip(parsers, cells[skip:], strict=True)}
        yield reader.line_num, event


def _checked_lines(name: str, reader: Any) -> Iterator[list[str]]:
    try:
        yield from reader
    except csv.Error as error:
        raise UsageError(f"{name}:{reader.line_num}: not CSV: {error}; correct this line") from error


def _check_columns(name: str, columns: list[str], required: Sequence[str]) -> None:
    missing = [column for column in required if column not in columns]
    found = ", ".join(columns) or "none"
    if missing and len(columns) == 1:
        for separator, words in _SEPARATORS.items():
            if separator in columns[0]:
                raise UsageError(f"{name}: columns are separated by {words}; save the file with commas")
    if missing:
        raise UsageError(f"{name}: not BETH rows: missing columns {', '.join(missing)}; found {found}")
    duplicates = sorted({column for column in required if columns.count(column) > 1})
    if duplicates:
        raise UsageError(f"{name}: duplicate columns: {', '.join(duplicates)}; keep one of each; found {found}")


def _label(cell: str) -> int | str:
    number = label(cell)
    return cell if number is None else number


def _text(cell: str) -> str:
    return cell


_PARSERS: dict[str, Callable[[str], Any]] = {
    **dict.fromkeys((*load_source("beth").fields, "timestamp"), cell_number),
    **dict.fromkeys(("sus_label", "sus", "evil"), _label),
}
