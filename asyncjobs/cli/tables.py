"""Tables: drawn by rich on a terminal where it is installed, plain aligned lines elsewhere."""

from __future__ import annotations

import sys
from typing import Any, NamedTuple

__all__ = ["Table", "drawn", "plain_lines", "rich_console", "show"]


class Table(NamedTuple):
    """What to show; ``styles`` may give a rich style a row."""

    title: str
    columns: list[str]
    rows: list[list[str]]
    styles: list[str] | None = None


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
        # As text: what users put into a job must not be read as markup.
        picture.add_row(*map(Text, row), style=table.styles[number] if table.styles else None)
    return picture


def plain_lines(table: Table) -> list[str]:
    """Return ``table`` as aligned lines without control codes."""
    widths = [max(len(row[n]) for row in (table.columns, *table.rows)) for n in range(len(table.columns))]
    if not table.rows:
        return [table.title, "  (none)"]
    cells = [
        [cell.ljust(width) for cell, width in zip(row, widths, strict=True)] for row in (table.columns, *table.rows)
    ]
    return [table.title, *(f"  {'  '.join(row)}".rstrip() for row in cells)]


def show(table: Table) -> None:
    """Print ``table``."""
    console = rich_console()
    if console is None:
        print("\n".join(plain_lines(table)))
    else:
        console.print(drawn(table))
