"""The summaries as tables for a terminal."""

from collections.abc import Iterator, Sequence

from rich.table import Table
from rich.text import Text

from detector.dead_letters.printable import format_timestamp
from detector.dead_letters.show import Summary


def tables(topic: str, summaries: Sequence[Summary]) -> Iterator[Table]:
    """A table of all reasons, then one with the examples of each."""
    overview = _table(f"Dead letters in {topic}", "reason", "count", "first", "last")
    for summary in summaries:
        _row(
            overview,
            summary.reason,
            f"{summary.count:,}",
            format_timestamp(summary.first_ms),
            format_timestamp(summary.last_ms),
        )
    yield overview
    for summary in summaries:
        if summary.examples:
            table = _table(summary.reason, "record", "time", "detail", "value")
            for example in summary.examples:
                _row(table, example.source, example.time, example.detail, example.value)
            yield table


def _table(title: str, *columns: str) -> Table:
    table = Table(title=Text(title), title_justify="left")
    for column in columns:
        table.add_column(column, justify="right" if column == "count" else "left", overflow="fold")
    return table


def _row(table: Table, *cells: str) -> None:
    table.add_row(*map(Text, cells))  # as text, so that brackets in a value are not markup
