"""``asyncjobs pause`` and ``resume``: queues, and single job names."""

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
  asyncjobs resume --job send_email --app shop:app

Nothing needs to be restarted; what runs goes on, and what is sent meanwhile is accepted.
"""


def add_parser(commands: Any) -> None:
    """Add the commands to ``commands``, an argparse subparsers object."""
    for name, text, action in (
        ("pause", "let no more jobs of a queue, or of a name, start", _pause),
        ("resume", "undo pause", _resume),
    ):
        parser = add_command(commands, name, text, _EXAMPLES, action)
        parser.add_argument("--queue", help="the queue; with --job, only there")
        parser.add_argument("--job", metavar="NAME", help="the job name")


def _pause(options: argparse.Namespace) -> int:
    return _hold(options, on=True)


def _resume(options: argparse.Namespace) -> int:
    return _hold(options, on=False)


def _hold(options: argparse.Namespace, *, on: bool) -> int:
    if options.queue is None and options.job is None:
        raise ConfigurationError("say what: --queue NAME, --job NAME, or both")

    async def act(app: App) -> None:
        if options.job is None:
            await (app.pause if on else app.resume)(options.queue)
        else:
            await (app.suspend_job if on else app.resume_job)(options.job, queue=options.queue)

    on_app(options, act)
    what = f"queue {options.queue}" if options.job is None else f"job {options.job}"
    state = "paused" if on else "resumed"
    print(msgspec.json.encode({what: state}).decode() if options.json else f"{what} is {state}")
    return 0
