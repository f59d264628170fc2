"""``asyncjobs pause`` and ``resume``: queues, single job names, and tenants."""

from __future__ import annotations

import argparse
from typing import Any

import msgspec

from asyncjobs.app import App
from asyncjobs.cli.target import add_command, on_app
from asyncjobs.errors import ConfigurationError

__all__ = ["add_parser"]

_EXAMPLES = """\
examples:
  asyncjobs pause --queue emails --app shop:app         (no job of the queue starts)
  asyncjobs pause --job send_email --app shop:app       (no job of this name starts, in any queue)
  asyncjobs pause --tenant acme --app shop:app          (no job of this tenant starts, in any queue)
  asyncjobs resume --job send_email --app shop:app

A name or a tenant is held back in the queues that were ever used, and in those of the app's code (with --app).
Nothing needs to be restarted; what runs goes on, and what is sent meanwhile is accepted.
"""


def add_parser(commands: Any) -> None:
    """Add the commands to ``commands``, an argparse subparsers object."""
    for name, text, action in (
        ("pause", "let no more jobs of a queue, a name or a tenant start", _pause),
        ("resume", "undo pause", _resume),
    ):
        parser = add_command(commands, name, text, _EXAMPLES, action)
        parser.add_argument("--queue", help="the queue; with --job or --tenant, only there")
        parser.add_argument("--job", metavar="NAME", help="the job name")
        parser.add_argument("--tenant", help="the tenant")


def _pause(options: argparse.Namespace) -> int:
    return _hold(options, on=True)


def _resume(options: argparse.Namespace) -> int:
    return _hold(options, on=False)


def _hold(options: argparse.Namespace, *, on: bool) -> int:
    if options.job is not None and options.tenant is not None:
        raise ConfigurationError("--job or --tenant, not both: hold back the one, then the other")
    if (options.queue, options.job, options.tenant) == (None, None, None):
        raise ConfigurationError(
            "say what: --queue NAME, --job NAME or --tenant TENANT, or one of the last two with --queue"
        )

    async def act(app: App) -> None:
        if options.job is not None:
            await (app.suspend_name if on else app.resume_name)(options.job, queue=options.queue)
        elif options.tenant is not None:
            await (app.suspend_tenant if on else app.resume_tenant)(options.tenant, queue=options.queue)
        else:
            await (app.pause if on else app.resume)(options.queue)

    on_app(options, act)
    what = f"queue {options.queue}"
    if options.job is not None:
        what = f"job {options.job}"
    elif options.tenant is not None:
        what = f"tenant {options.tenant}"
    state = "paused" if on else "resumed"
    print(msgspec.json.encode({what: state}).decode() if options.json else f"{what} is {state}")
    return 0
