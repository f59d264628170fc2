"""Tables: drawn by rich on a terminal where it is installed, plain aligned lines elsewhere."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, NamedTuple

from asyncjobs.cli.escaping import width
from asyncjobs.core.record.version import VERSION
from asyncjobs.core.text import escaped

__all__ = [
    "Table",
    "block_lines",
    "drawn",
    "duration_cell",
    "fits",
    "is_terminal",
    "name_cell",
    "record_lines",
    "rich_console",
    "seconds_cell",
    "size_cell",
    "table_lines",
    "time_cell",
]

_INDENT = "  "


class Table(NamedTuple):
    """A table of text."""

    title: str
    """What stands above it."""
    columns: list[str]
    """The header of each column. The first one says which row it is."""
    rows: list[list[str]]
    """The cells, row by row."""
    styles: list[str] | None = None
    """A rich style for each row, for terminals."""

    def escaped(self) -> Table:
        """Return the table with escapes for control characters."""
        rows = [[escaped(cell) for cell in row] for row in self.rows]
        return self._replace(title=escaped(self.title), rows=rows)

    @property
    def widths(self) -> list[int]:
        """The width of each column."""
        return [max(map(width, column)) for column in zip(self.columns, *self.rows, strict=True)]


def time_cell(when: datetime | None) -> str:
    """Return a time as a cell: in UTC, to the second."""
    return "-" if when is None else when.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S")


def seconds_cell(duration_ms: float | None) -> str:
    """Return a duration as a cell: in seconds."""
    return "-" if duration_ms is None else f"{duration_ms / 1000:,.3f} s"


def size_cell(count: int) -> str:
    """Return a number of bytes as a cell."""
    for unit, factor in (("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)):
        if count >= factor:
            return f"{count / factor:.1f} {unit}"
    return f"{count} bytes"


def duration_cell(duration_ms: float | None) -> str:
    """Return a duration as a cell: in the unit that fits."""
    if duration_ms is None:
        return "-"
    for size, unit in ((86_400_000, "d"), (3_600_000, "h"), (60_000, "min"), (1_000, "s")):
        if duration_ms >= size:
            amount = duration_ms / size
            return f"{amount:.1f} {unit}" if amount < 10 else f"{amount:,.0f} {unit}"
    return f"{duration_ms:.1f} ms" if duration_ms < 10 else f"{duration_ms:.0f} ms"


def name_cell(name: str, version: int = VERSION) -> str:
    """Return a job name as a cell: ``?`` where it can't be read, with the version of a record that is newer."""
    return f"{name or '?'} (newer, version {version})" if version > VERSION else name or "?"


def is_terminal() -> bool:
    """Return whether standard output is a terminal."""
    return sys.stdout is not None and sys.stdout.isatty()


def rich_console() -> Any:
    """Return a rich console if standard output is a terminal and rich is installed, else ``None``."""
    # rich draws with characters that other encodings may not have.
    if not is_terminal() or sys.stdout.encoding.lower() != "utf-8":
        return None
    try:
        from rich.console import Console
    except ImportError:
        return None
    return Console()


def fits(table: Table, console: Any) -> bool:
    """Return whether an escaped ``table`` fits the terminal, drawn on ``console`` or plain; into a pipe, any does."""
    if not table.rows or not is_terminal():
        return True
    columns = len(table.columns)
    if console is not None:
        # Around each cell there is a space on either side, and a line between and around them.
        fitting: bool = sum(table.widths) + 3 * columns + 1 <= console.width
        return fitting
    return sum(table.widths) + len(_INDENT) * columns <= shutil.get_terminal_size().columns


def drawn(table: Table) -> Any:
    """Return an escaped ``table`` as a rich table."""
    from rich.table import Table as RichTable
    from rich.text import Text

    # As text: rich would read what users put into a job as its markup.
    picture = RichTable(title=Text(table.title), title_justify="left", header_style="bold", expand=False)
    for column in table.columns:
        picture.add_column(column, overflow="fold")
    for number, row in enumerate(table.rows):
        picture.add_row(*map(Text, row), style=table.styles[number] if table.styles else None)
    return picture


def table_lines(table: Table) -> list[str]:
    """Return an escaped ``table`` as aligned lines."""
    if not table.rows:
        return [table.title, f"{_INDENT}(none)"]
    widths = table.widths
    lines = [
        _INDENT.join(_padded(cell, size) for cell, size in zip(line, widths, strict=True))
        for line in (table.columns, *table.rows)
    ]
    return [table.title, *(f"{_INDENT}{line}".rstrip() for line in lines)]


def block_lines(table: Table) -> list[str]:
    """Return an escaped ``table`` as blocks, each the first cell of a row above the others with their headers.

    A line has as many cells as fit. A cell that is wider than the terminal has a line of its own, which that wraps.
    """
    room = shutil.get_terminal_size().columns
    lines = [table.title, ""]
    for row in table.rows:
        lines.append(f"{_INDENT}{row[0]}")
        line = ""
        for header, cell in zip(table.columns[1:], row[1:], strict=True):
            field = f"{header}: {cell}"
            if line and width(line) + len(_INDENT) + width(field) > room:
                lines.append(line)
                line = ""
            line += f"{_INDENT if line else 2 * _INDENT}{field}"
        lines += [line, ""]
    return lines


def record_lines(fields: Mapping[str, str]) -> list[str]:
    """Return one record as aligned lines, a name and a value on each, escaped."""
    cells = [(escaped(name), escaped(value)) for name, value in fields.items()]
    size = max(width(name) for name, _ in cells)
    return [f"{_INDENT}{_padded(name, size)}{_INDENT}{value}" for name, value in cells]


def _padded(cell: str, size: int) -> str:
    return cell + " " * (size - width(cell))
