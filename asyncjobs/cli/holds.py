"""``asyncjobs pause`` and ``resume``: pauses queues, and suspends job names and tenants."""

from __future__ import annotations

import argparse
from collections.abc import Awaitable, Callable, Mapping
from typing import TypeAlias

from asyncjobs.app import App
from asyncjobs.cli.command import Commands, add_operator_command
from asyncjobs.cli.loading import app_of
from asyncjobs.cli.output import print_lines
from asyncjobs.cli.queues import check_queue
from asyncjobs.cli.running import on_app
from asyncjobs.errors import ConfigurationError

__all__ = ["add_commands"]

_EXAMPLES = """\
examples:
  asyncjobs pause --queue emails --why "smtp migration" --app shop:app    (no job of this queue starts)
  asyncjobs pause --job send_email --app shop:app       (no job of this name starts, in any queue)
  asyncjobs pause --tenant acme --app shop:app          (no job of this tenant starts, in any queue)
  asyncjobs resume --job send_email --app shop:app

A name or a tenant is suspended in all queues that are in use, and with --app in those of the app's code too.
Running jobs go on, new jobs are accepted, and no worker needs a restart.
"""

_Verbs: TypeAlias = Mapping[str, Callable[[App, argparse.Namespace], Awaitable[None]]]

_PAUSE: _Verbs = {
    "queue": lambda app, options: app.pause(options.queue, why=options.why or ""),
    "job": lambda app, options: app.suspend_name(options.job, queue=options.queue, why=options.why or ""),
    "tenant": lambda app, options: app.suspend_tenant(options.tenant, queue=options.queue, why=options.why or ""),
}
_RESUME: _Verbs = {
    "queue": lambda app, options: app.resume(options.queue),
    "job": lambda app, options: app.resume_name(options.job, queue=options.queue),
    "tenant": lambda app, options: app.resume_tenant(options.tenant, queue=options.queue),
}


def add_commands(commands: Commands) -> None:
    """Add the commands."""
    for name, text, run in (
        ("pause", "pause a queue, or suspend a job name or a tenant", _pause),
        ("resume", "undo pause: resume a queue, a job name or a tenant", _resume),
    ):
        parser = add_operator_command(commands, name, text, _EXAMPLES, run)
        parser.add_argument("--queue", help="the queue; with --job or --tenant, only in this queue")
        parser.add_argument("--job", metavar="NAME", help="the job name")
        parser.add_argument("--tenant", help="the tenant's id")
        if name == "pause":
            parser.add_argument("--why", help="the reason, for those who see it")


def _pause(options: argparse.Namespace) -> int:
    return _change(options, _PAUSE, "paused")


def _resume(options: argparse.Namespace) -> int:
    return _change(options, _RESUME, "resumed")


def _change(options: argparse.Namespace, verbs: _Verbs, state: str) -> int:
    kind = _kind(options)

    async def change(app: App) -> None:
        if options.queue is not None:
            await check_queue(app, options.queue)
        await verbs[kind](app, options)

    on_app(app_of(options), change)
    what = f"{kind} {getattr(options, kind)}"
    print_lines(options, {what: state}, f"{what} is {state}")
    return 0


def _kind(options: argparse.Namespace) -> str:
    """Return which kind is meant: ``queue``, ``job`` or ``tenant``."""
    if options.job is not None and options.tenant is not None:
        raise ConfigurationError("--job or --tenant, not both: hold back the one, then the other")
    for kind in ("job", "tenant", "queue"):
        if getattr(options, kind) is not None:
            return kind
    raise ConfigurationError(
        "say what: --queue NAME, --job NAME or --tenant TENANT, or one of the last two with --queue"
    )
