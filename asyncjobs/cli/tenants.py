"""``asyncjobs tenants``: what waits, runs, is dead and has ended of each tenant."""

from __future__ import annotations

import argparse
import shlex

from asyncjobs.app.tenants import TenantList, TenantSummary
from asyncjobs.cli.command import Commands, add_operator_command, add_short_app, bounded_count
from asyncjobs.cli.loading import app_of
from asyncjobs.cli.output import print_note, print_tables
from asyncjobs.cli.queues import note_unknown_queue
from asyncjobs.cli.running import on_app
from asyncjobs.cli.tables import Table, duration_cell, time_cell

__all__ = ["add_commands"]

_EXAMPLES = """\
examples:
  asyncjobs tenants --app shop:app
  asyncjobs tenants --queue bulk --limit 20 --url redis://localhost:6379/0

Where very many jobs wait or run, what waits and runs of each tenant is told from a
sample, and a ~ stands before the number. Then the first 100 at most go by it, on the
first list; --after lists all others, those of whom a job ended last first.
"""


def add_commands(commands: Commands) -> None:
    """Add the command."""
    parser = add_operator_command(
        commands, "tenants", "list the tenants, those with the most waiting jobs first", _EXAMPLES, _tenants
    )
    add_short_app(parser)
    parser.add_argument("--queue", help="only in this queue")
    parser.add_argument(
        "--limit",
        type=bounded_count(1, 1_000),
        default=100,
        metavar="N",
        help="how many tenants at most, 1 to 1,000 (default: 100)",
    )
    parser.add_argument("--after", metavar="NEXT", help="go on behind the list before: the next that it has printed")


def _tenants(options: argparse.Namespace) -> int:
    app = app_of(options)
    found = on_app(app, lambda app: app.tenants(queue=options.queue, limit=options.limit, after=options.after or ""))
    columns = ["tenant", "waiting", "running", "dead", "completed", "died", "p95", "ran for", "last end (UTC)", "state"]
    print_tables(options, found, Table("Tenants", columns, [_row(one, found) for one in found.tenants]))
    if found.next and not options.json:
        what = "the next tenants" if found.is_exact else "the next tenants, by their last end"
        print_note(f"asyncjobs: for {what}, add --after {shlex.quote(found.next)}")
    elif not found.tenants:
        note_unknown_queue(app, options.queue)
    return 0


def _row(one: TenantSummary, found: TenantList) -> list[str]:
    about = "" if found.is_exact else "~"
    return [
        one.tenant,
        f"{about}{one.waiting}",
        f"{about}{one.running}",
        str(one.failed),
        str(one.succeeded_total),
        str(one.failed_total),
        duration_cell(one.p95_duration_ms),
        duration_cell(one.run_ms),
        time_cell(one.ended_at),
        f"suspended in {', '.join(one.suspended_in)}" if one.suspended_in else "open",
    ]
