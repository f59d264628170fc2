"""``asyncjobs limits`` and ``limit``: shows and changes how many jobs of a queue may run, at once and in a time."""

from __future__ import annotations

import argparse
from typing import Any

from asyncjobs.app import App
from asyncjobs.app.stats import LimitStats
from asyncjobs.cli.command import Commands, add_operator_command, add_short_app
from asyncjobs.cli.loading import app_of
from asyncjobs.cli.output import print_lines, print_tables
from asyncjobs.cli.queues import check_queue
from asyncjobs.cli.running import on_app
from asyncjobs.cli.tables import Table, time_cell
from asyncjobs.errors import ConfigurationError

__all__ = ["add_commands"]

_LIMITS = """\
examples:
  asyncjobs limits shop:app
  asyncjobs limits --url redis://localhost:6379/0 --json
"""
_LIMIT = """\
examples:
  asyncjobs limit emails --running 20 --app shop:app      (at most 20 of its jobs run at once, on all workers together)
  asyncjobs limit emails --rate 50/s --app shop:app       (at most 50 of its jobs start in a second; also 1000/m, 1/h)
  asyncjobs limit emails --rate none --app shop:app       (any number)
  asyncjobs limit emails --reset --app shop:app           (as the program declares it)

It holds at once, also for jobs that were sent before, until --reset. Jobs that run already go on.
"""


def add_commands(commands: Commands) -> None:
    """Add the commands."""
    text = "show how many jobs of each queue may run, at once and in a time"
    add_short_app(add_operator_command(commands, "limits", text, _LIMITS, _show))
    text = "limit how many jobs of a queue run, at once and in a time"
    parser = add_operator_command(commands, "limit", text, _LIMIT, _change)
    parser.add_argument("queue", help="the queue")
    parser.add_argument("--running", metavar="NUMBER", help="how many may run at once, or none for any number")
    parser.add_argument("--rate", help="how many may start in a time, such as 50/s, or none for any number")
    parser.add_argument("--reset", action="store_true", help="let it be again as the program declares it")


def _show(options: argparse.Namespace) -> int:
    queues = on_app(app_of(options), App.stats).queues
    limits = {one.queue_name: one.limit for one in queues if one.limit is not None}
    rows = [[one.queue_name, str(one.running), *_cells(one.limit)] for one in queues if one.limit is not None]
    columns = ["queue", "running", "at most", "rate", "at once", "next start (UTC)", "set by", "declared"]
    print_tables(options, limits, Table("Limits", columns, rows))
    return 0


def _cells(limit: LimitStats) -> list[str]:
    return [
        "any" if limit.running is None else str(limit.running),
        limit.rate or "any",
        "any" if limit.burst is None else str(limit.burst),
        "now" if limit.opens_at is None else time_cell(limit.opens_at),
        (limit.set_by or "?") if limit.is_set else "-",
        limit.declared,
    ]


def _change(options: argparse.Namespace) -> int:
    given = _given(options)

    async def change(app: App) -> LimitStats | None:
        await check_queue(app, options.queue)
        if options.reset:
            await app.reset_limit(options.queue)
        else:
            await app.set_limit(options.queue, **given)
        return (await app.queue_stats(options.queue)).limit

    limit = on_app(app_of(options), change)
    print_lines(options, {options.queue: limit}, f"queue {options.queue}: {limit or 'no limit'}")
    return 0


def _given(options: argparse.Namespace) -> dict[str, Any]:
    """Return the arguments for ``App.set_limit``; what is wrong is for that to say."""
    given: dict[str, Any] = {}
    if options.running is not None:
        given["running"] = None if options.running == "none" else _number(options.running)
    if options.rate is not None:
        given["rate"] = None if options.rate == "none" else options.rate
    if bool(given) == options.reset:
        raise ConfigurationError("say what: --running NUMBER, --rate RATE or both, or --reset alone")
    return given


def _number(text: str) -> int | str:
    try:
        return int(text)
    except ValueError:
        return text
