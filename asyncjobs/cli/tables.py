"""Tables: drawn by rich on a terminal where it is installed, plain aligned lines elsewhere."""

from __future__ import annotations

import sys
from datetime import UTC, datetime
from typing import Any, NamedTuple

from asyncjobs.core.record.version import VERSION

__all__ = ["Table", "drawn", "name_cell", "print_table", "rich_console", "seconds_cell", "time_cell"]


class Table(NamedTuple):
    """A table of text."""

    title: str
    """What stands above it."""
    columns: list[str]
    """The header of each column."""
    rows: list[list[str]]
    """The cells, row by row."""
    styles: list[str] | None = None
    """A rich style for each row, for terminals."""


def time_cell(when: datetime | None) -> str:
    """Return a time as a cell: in UTC, to the second."""
    return "-" if when is None else when.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S")


def seconds_cell(duration_ms: float | None) -> str:
    """Return a duration as a cell: in seconds."""
    return "-" if duration_ms is None else f"{duration_ms / 1000:,.3f} s"


def name_cell(name: str, version: int = VERSION) -> str:
    """Return a job name as a cell: ``?`` where it can't be read, with the version of a record that is newer."""
    return f"{name or '?'} (newer, version {version})" if version > VERSION else name or "?"


def print_table(table: Table) -> None:
    """Print ``table``."""
    console = rich_console()
    if console is None:
        print("\n".join(_plain_lines(table)))
    else:
        console.print(drawn(table))


def rich_console() -> Any:
    """Return a rich console if standard output is a terminal and rich is installed, else ``None``."""
    if not sys.stdout.isatty():
        return None
    try:
        from rich.console import Console
    except ImportError:
        return None
    return Console()


def drawn(table: Table) -> Any:
    """Return ``table`` as a rich table."""
    from rich.table import Table as RichTable
    from rich.text import Text

    picture = RichTable(title=table.title, title_justify="left", header_style="bold", expand=False)
    for column in table.columns:
        picture.add_column(column)
    for number, row in enumerate(table.rows):
        # As text: rich would read what users put into a job as its markup.
        picture.add_row(*map(Text, row), style=table.styles[number] if table.styles else None)
    return picture


def _plain_lines(table: Table) -> list[str]:
    """Return ``table`` as aligned lines without control codes."""
    if not table.rows:
        return [table.title, "  (none)"]
    lines = [table.columns, *table.rows]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    aligned = [[cell.ljust(width) for cell, width in zip(line, widths, strict=True)] for line in lines]
    return [table.title, *(f"  {'  '.join(line)}".rstrip() for line in aligned)]
