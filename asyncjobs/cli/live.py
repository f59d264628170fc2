"""Tables that are drawn again and again on a terminal, by rich."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable
from typing import Any

from asyncjobs.cli.output import writing
from asyncjobs.cli.tables import Table, rich_console
from asyncjobs.core.package import install_command
from asyncjobs.errors import ConfigurationError

__all__ = ["show_live"]

# What stands to the right of its column.
_NUMBER = re.compile(r"(\d[\d,.]*(/\d+)?( (ms|s|min|h|d))?|-|never)?")


async def show_live(draw: Callable[[int, int], Awaitable[list[Table]]], every_s: float) -> None:
    """Draw tables on the whole terminal, until it is cancelled.

    Args:
        draw: Returns the tables for a terminal of so many columns and lines.
        every_s: How long to wait between two drawings, in seconds.

    Raises:
        ConfigurationError: rich is not installed, or the terminal's encoding has not its characters.
    """
    console = rich_console()
    if console is None:
        raise ConfigurationError(
            f"a live view needs rich and a terminal of UTF-8: {install_command('cli')}, or use --once"
        )
    from rich.live import Live

    with writing(), Live(console=console, screen=True, auto_refresh=False) as live:
        while True:
            tables = await draw(console.width, console.height)
            live.update(_picture(tables), refresh=True)
            await asyncio.sleep(every_s)


def _picture(tables: list[Table]) -> Any:
    """Return tables as rich draws them: each row on one line, cut where it doesn't fit."""
    from rich import box
    from rich.console import Group
    from rich.table import Table as RichTable
    from rich.text import Text

    pictures: list[Any] = []
    for table in (one.escaped() for one in tables):
        picture = RichTable(
            title=Text(table.title), title_justify="left", header_style="bold", box=box.SIMPLE_HEAD, pad_edge=False
        )
        for number, column in enumerate(table.columns):
            is_number = all(_NUMBER.fullmatch(row[number]) for row in table.rows)
            picture.add_column(
                column, no_wrap=True, overflow="ellipsis", justify="right" if is_number and number else "left"
            )
        for number, row in enumerate(table.rows):
            # As text: rich would read what users put into a job as its markup.
            picture.add_row(*map(Text, row), style=table.styles[number] if table.styles else None)
        pictures.append(picture)
    return Group(*pictures)
