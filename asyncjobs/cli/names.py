"""``asyncjobs names``: what jobs came to by name."""

from __future__ import annotations

import argparse

from asyncjobs.cli.command import Commands, add_operator_command, add_short_app, bounded_count
from asyncjobs.cli.loading import app_of
from asyncjobs.cli.output import print_tables
from asyncjobs.cli.queues import note_unknown_queue
from asyncjobs.cli.running import on_app
from asyncjobs.cli.tables import Table, duration_cell

__all__ = ["add_commands"]

_EXAMPLES = """\
examples:
  asyncjobs names --app shop:app
  asyncjobs names --queue bulk --hours 168 --url redis://localhost:6379/0

Times are within 5 %. The share is that of all the time for which jobs ran.
"""

_MAX_HOURS = 14 * 24


def add_commands(commands: Commands) -> None:
    """Add the command."""
    parser = add_operator_command(
        commands, "names", "show what jobs came to by name, what took the most time first", _EXAMPLES, _names
    )
    add_short_app(parser)
    parser.add_argument("--queue", help="only this queue")
    parser.add_argument(
        "--hours",
        type=bounded_count(1, _MAX_HOURS),
        default=24,
        metavar="N",
        help=f"how many hours to look back, the present one included; up to {_MAX_HOURS} (default: 24)",
    )


def _names(options: argparse.Namespace) -> int:
    app = app_of(options)
    queues = None if options.queue is None else [options.queue]
    found = on_app(app, lambda app: app.names(queues, options.hours * 3600))
    rows = [
        [
            one.name or "(all others)",
            str(one.calls),
            str(one.failed),
            str(one.retried),
            duration_cell(one.p50_run_ms),
            duration_cell(one.p95_run_ms),
            duration_cell(one.p99_run_ms),
            duration_cell(one.p95_wait_ms),
            duration_cell(one.run_ms),
            f"{100 * one.share:.0f} %",
        ]
        for one in found
    ]
    columns = ["name", "calls", "died", "retried", "run p50", "run p95", "run p99", "wait p95", "time", "share"]
    print_tables(options, found, Table("Names", columns, rows))
    if not found:
        note_unknown_queue(app, options.queue)
    return 0
