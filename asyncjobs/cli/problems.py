"""``asyncjobs problems``: what is wrong now."""

from __future__ import annotations

import argparse

from asyncjobs.cli.command import Commands, add_operator_command, add_short_app
from asyncjobs.cli.loading import app_of
from asyncjobs.cli.output import print_json, print_table, print_text
from asyncjobs.cli.running import on_app
from asyncjobs.cli.tables import Table, time_cell

__all__ = ["add_commands"]

_EXAMPLES = """\
examples:
  asyncjobs problems --app shop:app
  asyncjobs problems --queue payments --json --url redis://localhost:6379/0

The exit code is 1 if jobs don't run, or may be lost.
"""


def add_commands(commands: Commands) -> None:
    """Add the command."""
    parser = add_operator_command(commands, "problems", "tell what is wrong now, the worst first", _EXAMPLES, _problems)
    add_short_app(parser)
    parser.add_argument("--queue", help="only what is about this queue")


def _problems(options: argparse.Namespace) -> int:
    found = on_app(app_of(options), lambda app: app.problems(queue=options.queue))
    if options.json:
        print_json(found)
    elif not found:
        print_text("Nothing is wrong.")
    else:
        rows = [[one.level, one.queue or "-", time_cell(one.since), one.sentence] for one in found]
        styles = ["red" if one.level == "bad" else "yellow" for one in found]
        print_table(Table("Problems", ["level", "queue", "since (UTC)", "what"], rows, styles))
    return 1 if any(one.level == "bad" for one in found) else 0
