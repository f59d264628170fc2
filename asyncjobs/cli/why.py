"""``asyncjobs why``: why a job doesn't run."""

from __future__ import annotations

import argparse

from asyncjobs.cli.command import Commands, add_operator_command
from asyncjobs.cli.loading import app_of
from asyncjobs.cli.output import print_json, print_text
from asyncjobs.cli.running import on_app

__all__ = ["add_commands"]

_EXAMPLES = """\
examples:
  asyncjobs why 01JD… --app shop:app
  asyncjobs why @acme:invoice-7 --queue emails --json --url redis://localhost:6379/0
"""


def add_commands(commands: Commands) -> None:
    """Add the command."""
    parser = add_operator_command(commands, "why", "tell why a job doesn't run", _EXAMPLES, _why)
    parser.add_argument("id", help="the job; a tenant's as @tenant:id, as lists show it")
    parser.add_argument("--queue", help="its queue, if you know it")


def _why(options: argparse.Namespace) -> int:
    found = on_app(app_of(options), lambda app: app.why(options.id, queue=options.queue))
    if options.json:
        print_json(found)
    else:
        print_text(*map(str, found.reasons))
    return 0
