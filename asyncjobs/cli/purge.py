"""``asyncjobs purge``: cancels a tenant's jobs, and deletes its dead ones."""

from __future__ import annotations

import argparse
import sys

from asyncjobs.cli.command import Commands, add_operator_command
from asyncjobs.cli.loading import app_of
from asyncjobs.cli.output import print_lines
from asyncjobs.cli.running import on_app
from asyncjobs.errors import ConfigurationError

__all__ = ["add_commands"]

_EXAMPLES = """\
examples:
  asyncjobs pause --tenant acme --app shop:app          (first, if its jobs are still being sent)
  asyncjobs purge --tenant acme --app shop:app
  asyncjobs purge --tenant acme --queue emails --yes --url redis://localhost:6379/0

Jobs that wait or run are cancelled. Jobs in the dead letter queue are deleted. A purge can't be undone.
"""


def add_commands(commands: Commands) -> None:
    """Add the command."""
    parser = add_operator_command(
        commands, "purge", "cancel a tenant's jobs, and delete its dead ones", _EXAMPLES, _purge
    )
    parser.add_argument("--tenant", required=True, help="the tenant's id")
    parser.add_argument("--queue", help="only jobs of this queue")
    parser.add_argument("--yes", action="store_true", help="don't ask for confirmation")


def _purge(options: argparse.Namespace) -> int:
    if not options.yes and not _is_confirmed(options):
        print("nothing was done", file=sys.stderr)
        return 1
    count = on_app(app_of(options), lambda app: app.purge_tenant(options.tenant, queue=options.queue))
    print_lines(options, {"count": count}, f"{count} jobs cancelled or forgotten")
    return 0


def _is_confirmed(options: argparse.Namespace) -> bool:
    where = "all queues" if options.queue is None else f"queue {options.queue}"
    if not sys.stdin.isatty():
        raise ConfigurationError(f"purge of tenant {options.tenant} in {where}: give --yes where nobody can be asked")
    # Not to standard output, which may be a file.
    print(f"Purge all jobs of tenant {options.tenant} in {where}? [y/N] ", end="", file=sys.stderr, flush=True)
    return sys.stdin.readline().strip().lower() in ("y", "yes")
