"""``asyncjobs purge``: cancels the jobs of a queue or a tenant, and deletes its dead ones."""

from __future__ import annotations

import argparse
from typing import get_args

from asyncjobs.app import App
from asyncjobs.app.counting import count_jobs
from asyncjobs.cli.command import Commands, add_operator_command, add_yes
from asyncjobs.cli.destroying import destroy, of_queues
from asyncjobs.cli.loading import app_of
from asyncjobs.errors import ConfigurationError
from asyncjobs.ports import Place

__all__ = ["add_commands"]

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
    add_yes(parser)


def _purge(options: argparse.Namespace) -> int:
    if options.tenant is None and options.queue is None:
        raise ConfigurationError("say what to purge: --queue NAME, --tenant TENANT, or both")
    whose = "" if options.tenant is None else f"of tenant {options.tenant} "
    return destroy(
        options,
        app_of(options),
        "purge",
        f"jobs {whose}in {of_queues(options.queue)}",
        count=lambda app: count_jobs(app, get_args(Place), queue=options.queue, tenant=options.tenant),
        act=lambda app: _purged(app, options),
        done="cancelled or forgotten",
    )


async def _purged(app: App, options: argparse.Namespace) -> int:
    if options.tenant is None:
        return await app.purge_queue(options.queue)
    return await app.purge_tenant(options.tenant, queue=options.queue)
