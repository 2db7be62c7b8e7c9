"""Renders sections as tables: for the terminal, and in Markdown for docs/explanation/performance.md."""

from collections.abc import Iterable
from typing import Any

from rich.table import Table

from benchmarks.results import Section

_FORMATS = {
    "events/s": ",.0f",
    "events/s per core": ",.0f",
    "relative rate": ".2f",
    "relative CPU": ".2f",
    "CPU µs/event": ".1f",
    "peak RSS MB": ".0f",
    "RSS growth": "+.1%",
    "seconds to ready": ".2f",
    "RSS MB at ready": ".0f",
    "p50 ms": ".0f",
    "p90 ms": ".0f",
    "p99 ms": ".0f",
    "p99.9 ms": ".0f",
    "measured": ",.2f",
    "target": ",.2f",
}


def table(section: Section) -> Table:
    """A table for the terminal."""
    columns = _columns(section)
    rendered = Table(
        title=section.title,
        caption="\n".join(f"Excluded: {line}" for line in section.excluded) or None,
        caption_justify="left",
    )
    for column in columns:
        rendered.add_column(column, justify="left" if column == "case" else "right", no_wrap=column == "case")
    for cells in _cells(section, columns):
        rendered.add_row(*cells)
    return rendered


def markdown(section: Section) -> str:
    """A Markdown section."""
    columns = _columns(section)
    lines = [columns, ["---" if column == "case" else "---:" for column in columns], *_cells(section, columns)]
    excluded = "".join(f"\nExcluded: {line}\n" for line in section.excluded)
    return f"## {section.title}\n\n" + "".join(f"| {' | '.join(cells)} |\n" for cells in lines) + excluded


def _columns(section: Section) -> list[str]:
    return list(dict.fromkeys(column for row in section.rows for column in row))


def _cells(section: Section, columns: list[str]) -> Iterable[list[str]]:
    for row in section.rows:
        yield [_cell(row.get(column), _FORMATS.get(column, "")) for column in columns]


def _cell(value: Any, number_format: str) -> str:
    if value is None:
        return ""
    if isinstance(value, dict):
        median, lowest, highest = (format(value[key], number_format) for key in ("median", "min", "max"))
        return f"{median} ({lowest} to {highest})" if lowest != highest else median
    return format(value, number_format) if isinstance(value, float) else str(value)
