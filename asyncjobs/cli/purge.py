"""``asyncjobs purge``: cancels the jobs of a queue or a tenant, and deletes its dead ones."""

from __future__ import annotations

import argparse
import sys

from asyncjobs.app import App
from asyncjobs.cli.command import Commands, add_operator_command
from asyncjobs.cli.loading import app_of
from asyncjobs.cli.output import print_lines
from asyncjobs.cli.running import on_app
from asyncjobs.errors import ConfigurationError

__all__ = ["add_commands", "is_confirmed"]

_EXAMPLES = """\
examples:
  asyncjobs pause --tenant acme --app shop:app          (first, if its jobs are still being sent)
  asyncjobs purge --tenant acme --app shop:app
  asyncjobs purge --queue emails --app shop:app         (the jobs of all tenants)
  asyncjobs purge --tenant acme --queue emails --yes --url redis://localhost:6379/0

Jobs that wait or run are cancelled. Jobs in the dead letter queue are deleted. A purge can't be undone.
"""


def add_commands(commands: Commands) -> None:
    """Add the command."""
    parser = add_operator_command(
        commands, "purge", "cancel the jobs of a queue or a tenant, and delete its dead ones", _EXAMPLES, _purge
    )
    parser.add_argument("--tenant", help="the tenant's id; only jobs of this tenant")
    parser.add_argument("--queue", help="only jobs of this queue; without --tenant, all of them")
    parser.add_argument("--yes", action="store_true", help="don't ask for confirmation")


def _purge(options: argparse.Namespace) -> int:
    if options.tenant is None and options.queue is None:
        raise ConfigurationError("say what to purge: --queue NAME, --tenant TENANT, or both")
    where = "all queues" if options.queue is None else f"queue {options.queue}"
    whose = "" if options.tenant is None else f" of tenant {options.tenant}"
    if not options.yes and not is_confirmed("purge", f"all jobs{whose} in {where}"):
        print("nothing was done", file=sys.stderr)
        return 1
    count = on_app(app_of(options), lambda app: _purged(app, options))
    print_lines(options, {"count": count}, f"{count} jobs cancelled or forgotten")
    return 0


async def _purged(app: App, options: argparse.Namespace) -> int:
    if options.tenant is None:
        return await app.purge_queue(options.queue)
    return await app.purge_tenant(options.tenant, queue=options.queue)


def is_confirmed(verb: str, which: str) -> bool:
    """Ask on the terminal whether to ``verb`` the jobs that ``which`` names, and return the answer.

    Raises:
        ConfigurationError: There is no terminal.
    """
    if not sys.stdin.isatty():
        raise ConfigurationError(f"{verb} {which}: give --yes where nobody can be asked")
    # Not to standard output, which may be a file.
    print(f"{verb.capitalize()} {which}? [y/N] ", end="", file=sys.stderr, flush=True)
    return sys.stdin.readline().strip().lower() in ("y", "yes")
