"""The sections as tables: for a terminal, and in Markdown for docs/performance.md."""

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
    "s to ready": ".2f",
    "RSS MB at ready": ".0f",
    "p50 ms": ".0f",
    "p90 ms": ".0f",
    "p99 ms": ".0f",
    "p99.9 ms": ".0f",
    "measured": ",.2f",
    "wanted": ",.2f",
}


def table(section: Section) -> Table:
    """For a terminal."""
    columns = _columns(section)
    drawn = Table(title=section.title, caption="\n".join(section.left_out) or None, caption_justify="left")
    for column in columns:
        drawn.add_column(column, justify="left" if column == "what" else "right", no_wrap=column == "what")
    for cells in _cells(section, columns):
        drawn.add_row(*cells)
    return drawn


def markdown(section: Section) -> str:
    """For a page."""
    columns = _columns(section)
    lines = [columns, ["---" if column == "what" else "---:" for column in columns], *_cells(section, columns)]
    left_out = "".join(f"\nLeft out: {line}\n" for line in section.left_out)
    return f"## {section.title}\n\n" + "".join(f"| {' | '.join(cells)} |\n" for cells in lines) + left_out


def _columns(section: Section) -> list[str]:
    return list(dict.fromkeys(column for row in section.rows for column in row))


def _cells(section: Section, columns: list[str]) -> Iterable[list[str]]:
    for row in section.rows:
        yield [_cell(row.get(column), _FORMATS.get(column, "")) for column in columns]


def _cell(value: Any, form: str) -> str:
    if value is None:
        return ""
    if isinstance(value, dict):
        median, least, greatest = (format(value[key], form) for key in ("median", "min", "max"))
        return f"{median} ({least} to {greatest})" if least != greatest else median
    return format(value, form) if isinstance(value, float) else str(value)
