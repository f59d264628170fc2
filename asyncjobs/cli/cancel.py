"""``asyncjobs cancel``: cancels jobs that wait or run, by their ids or by a filter."""

from __future__ import annotations

import argparse
from typing import get_args

from asyncjobs.app import App
from asyncjobs.app.counting import count_jobs
from asyncjobs.app.verbs.sweeping import LiveFilter, LiveState
from asyncjobs.cli.command import Commands, add_operator_command, add_yes
from asyncjobs.cli.destroying import destroy, of_filter
from asyncjobs.cli.loading import app_of
from asyncjobs.cli.output import print_changes
from asyncjobs.cli.running import on_app
from asyncjobs.cli.times import add_time_filter, time_option
from asyncjobs.errors import ConfigurationError, UnknownJob
from asyncjobs.ports import CancelReply

__all__ = ["add_commands"]

_EXAMPLES = """\
examples:
  asyncjobs cancel 01JD… --reason "sent by mistake" --app shop:app
  asyncjobs cancel --all --name send_email --since 2026-01-31T08:00 --app shop:app
  asyncjobs cancel --all --tenant acme --state scheduled --yes --url redis://localhost:6379/0
"""

_REPLIES: dict[CancelReply, str] = {
    "cancelled": "cancelled",
    "running": "its handler is being cancelled",
    "ended": "too late, it has ended",
    "failed": "it is in the dead letter queue; delete it there",
    "unknown": "there is no record of it",
}


def add_commands(commands: Commands) -> None:
    """Add the command."""
    parser = add_operator_command(commands, "cancel", "cancel jobs that wait or run", _EXAMPLES, _cancel)
    parser.add_argument(
        "ids", nargs="*", metavar="id", help="the jobs; a tenant's as @tenant:id, as lists show it; or use --all"
    )
    parser.add_argument("--all", action="store_true", help="all jobs that the other options let through")
    parser.add_argument("--queue", help="only jobs of this queue; with an id, its queue, if you know it")
    parser.add_argument("--state", choices=get_args(LiveState), help="only jobs of this state")
    parser.add_argument("--name", help="only jobs of this name")
    parser.add_argument("--tenant", help="only jobs of this tenant")
    add_time_filter(parser, "were sent")
    parser.add_argument(
        "--reason", default="cancelled on the command line", help="the reason, for the code that awaits the result"
    )
    add_yes(parser)


def _cancel(options: argparse.Namespace) -> int:
    filters = {name: getattr(options, name) for name in ("state", *LiveFilter.__annotations__)}
    given = [f"--{name}" for name, value in filters.items() if value is not None]
    if bool(options.ids) == options.all:
        raise ConfigurationError("name the jobs by their ids, or give --all with a filter; not both, and not neither")
    if options.ids and given:
        raise ConfigurationError(f"{', '.join(given)}: only with --all; without it, ids say which jobs are cancelled")
    return _cancel_all(options) if options.all else _cancel_named(options)


def _cancel_all(options: argparse.Namespace) -> int:
    which = LiveFilter(
        name=options.name,
        tenant=options.tenant,
        since=time_option(options, "since"),
        until=time_option(options, "until"),
    )
    states = get_args(LiveState) if options.state is None else [options.state]
    return destroy(
        options,
        app_of(options),
        "cancel",
        of_filter(options, f"{options.state or 'waiting or running'} jobs", which),
        count=lambda app: count_jobs(app, states, queue=options.queue, **which),
        act=lambda app: app.cancel_jobs(options.state, queue=options.queue, reason=options.reason, **which),
        done="cancelled",
    )


def _cancel_named(options: argparse.Namespace) -> int:
    async def cancel_one(app: App, job_id: str) -> CancelReply:
        try:
            return await app.cancel_job(job_id, queue=options.queue, reason=options.reason)
        except UnknownJob:
            return "unknown"

    async def cancel(app: App) -> dict[str, CancelReply]:
        return {job_id: await cancel_one(app, job_id) for job_id in options.ids}

    replies = on_app(app_of(options), cancel)
    texts = {job_id: _REPLIES[reply] for job_id, reply in replies.items()}
    failed = {job_id for job_id, reply in replies.items() if reply not in ("cancelled", "running")}
    return print_changes(options, replies, texts, failed)
