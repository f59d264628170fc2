"""``asyncjobs check``: lists queued jobs that the new code could not run, as a step of CI."""

from __future__ import annotations

import argparse

from asyncjobs.app.deploy_check import check_jobs
from asyncjobs.cli.command import Commands, add_code_arguments, add_command
from asyncjobs.cli.loading import load_code
from asyncjobs.cli.output import print_json, print_table, print_text
from asyncjobs.cli.running import on_app
from asyncjobs.cli.tables import Table, name_cell

__all__ = ["add_commands"]

_EXAMPLES = """\
examples:
  asyncjobs check --app shop:app                    (against the broker that the app names)
  asyncjobs check --app shop:app --url redis://production/0

Exit codes: 0 if this code can run every job that waits or runs, and every schedule; 1 if it can't run some, which are
listed. A limit or a turn that can't hold is an error.
"""


def add_commands(commands: Commands) -> None:
    """Add the command."""
    parser = add_command(commands, "check", "list queued jobs that this code could not run", _EXAMPLES, _check)
    add_code_arguments(parser)
    parser.add_argument("--json", action="store_true", help="print everything as JSON")


def _check(options: argparse.Namespace) -> int:
    app = load_code(options)
    app._declared.check()
    problems, looked_at = on_app(app, check_jobs)
    if options.json:
        print_json({"looked_at": looked_at, "problems": problems})
    elif problems:
        rows = [[one.queue, name_cell(one.name), str(one.count), one.example, one.reason] for one in problems]
        print_table(Table("Jobs that this code could not run", ["queue", "job", "count", "example", "why"], rows))
    elif not looked_at:
        print_text("there is nothing to check: no job waits, and there is no schedule")
    else:
        print_text(f"this code can run all of {looked_at} jobs and schedules")
    return 1 if problems else 0
