"""``asyncjobs purge``: everything that a tenant has in the queues."""

from __future__ import annotations

import argparse
import sys
from typing import Any

import msgspec

from asyncjobs.cli.target import add_command, on_app
from asyncjobs.errors import ConfigurationError

__all__ = ["add_parser"]

_EXAMPLES = """\
examples:
  asyncjobs pause --tenant acme --app shop:app          (first, if its jobs are still being sent)
  asyncjobs purge --tenant acme --app shop:app
  asyncjobs purge --tenant acme --queue emails --yes --url redis://localhost:6379/0

Jobs that wait or run are cancelled, those of the dead letter queue are forgotten. It can't be undone.
"""


def add_parser(commands: Any) -> None:
    """Add the command to ``commands``, an argparse subparsers object."""
    parser = add_command(commands, "purge", "cancel and forget the jobs of a tenant", _EXAMPLES, _purge)
    parser.add_argument("--tenant", required=True, help="whose jobs")
    parser.add_argument("--queue", help="in this queue alone")
    parser.add_argument("--yes", action="store_true", help="don't ask")


def _purge(options: argparse.Namespace) -> int:
    if not options.yes and not _is_sure(options):
        print("nothing was done", file=sys.stderr)
        return 1
    count = on_app(options, lambda app: app.purge_tenant(options.tenant, queue=options.queue))
    told = {"count": count}
    print(msgspec.json.encode(told).decode() if options.json else f"{count} jobs cancelled or forgotten")
    return 0


def _is_sure(options: argparse.Namespace) -> bool:
    where = "all queues" if options.queue is None else f"queue {options.queue}"
    if not sys.stdin.isatty():
        raise ConfigurationError(f"purge of tenant {options.tenant} in {where}: give --yes where nobody can be asked")
    # Not to standard output: that may go to a file.
    print(f"Purge all jobs of tenant {options.tenant} in {where}? [y/N] ", end="", file=sys.stderr, flush=True)
    return sys.stdin.readline().strip().lower() in ("y", "yes")
