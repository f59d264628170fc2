"""``asyncjobs purge``: cancels a tenant's jobs, and deletes its dead ones."""

from __future__ import annotations

import argparse

from asyncjobs.app.counting import count_of_tenant
from asyncjobs.cli.command import Commands, add_operator_command, add_yes
from asyncjobs.cli.destroying import destroy, of_queues
from asyncjobs.cli.loading import app_of

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
    add_yes(parser)


def _purge(options: argparse.Namespace) -> int:
    return destroy(
        options,
        app_of(options),
        "purge",
        f"jobs of tenant {options.tenant} in {of_queues(options.queue)}",
        count=lambda app: count_of_tenant(app, options.tenant, queue=options.queue),
        act=lambda app: app.purge_tenant(options.tenant, queue=options.queue),
        done="cancelled or forgotten",
    )
