"""``asyncjobs audit``: what was done by hand, by whom, from where and why."""

from __future__ import annotations

import argparse

from asyncjobs.app.audit import AuditEntry
from asyncjobs.cli.command import Commands, add_operator_command, add_short_app, limit
from asyncjobs.cli.loading import app_of
from asyncjobs.cli.output import print_note, print_tables
from asyncjobs.cli.running import on_app
from asyncjobs.cli.tables import Table, time_cell

__all__ = ["add_commands"]

_LIMIT = 50

_EXAMPLES = """\
examples:
  asyncjobs audit --app shop:app
  asyncjobs audit --limit 500 --json --url redis://localhost:6379/0
"""


def add_commands(commands: Commands) -> None:
    """Add the command."""
    text = "show what was done by hand, latest first: by whom, from where and why"
    parser = add_operator_command(commands, "audit", text, _EXAMPLES, _audit)
    add_short_app(parser)
    parser.add_argument("--limit", type=limit, default=_LIMIT, help=f"how many entries at most ({_LIMIT}), up to 1,000")
    parser.add_argument("--before", metavar="ID", help="only what was done before the entry of this id")


def _audit(options: argparse.Namespace) -> int:
    entries = on_app(app_of(options), lambda app: app.audit(options.limit, before=options.before or ""))
    columns = ["when (UTC)", "who", "from", "what", "of what", "how many", "why"]
    print_tables(options, entries, Table("Audit", columns, [_row(one) for one in entries]))
    if len(entries) == options.limit and not options.json:
        print_note(f"asyncjobs: for what was done earlier, add --before {entries[-1].id}")
    return 0


def _row(entry: AuditEntry) -> list[str]:
    parts = [entry.subject] if entry.subject else []
    parts += [f"{name}={value}" for name, value in entry.filter.items()]
    if entry.queue and entry.queue != entry.subject:
        parts.append(f"queue={entry.queue}")
    what = " ".join(parts) or "-"
    return [time_cell(entry.at), entry.by, entry.via, entry.verb, what, str(entry.count), entry.note or "-"]
