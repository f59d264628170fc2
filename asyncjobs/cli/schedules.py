"""``asyncjobs schedules``: what fires when."""

from __future__ import annotations

import argparse
from collections.abc import Awaitable
from typing import Any

import msgspec

from asyncjobs.app import App
from asyncjobs.app.verbs.schedules import ScheduleInfo
from asyncjobs.cli.output import moment
from asyncjobs.cli.tables import Table, show
from asyncjobs.cli.target import add_command, on_app
from asyncjobs.errors import ConfigurationError

__all__ = ["add_parser"]

_EXAMPLES = """\
examples:
  asyncjobs schedules --app shop:app
  asyncjobs schedules pause nightly_report --app shop:app
  asyncjobs schedules next nightly_report --app shop:app
"""


def add_parser(commands: Any) -> None:
    """Add the command to ``commands``, an argparse subparsers object."""
    parser = add_command(commands, "schedules", "list schedules; pause, resume, remove or trigger one", _EXAMPLES, _run)
    parser.add_argument("action", nargs="?", default="list", choices=["list", *_ACTIONS, "next"], help="list, if none")
    parser.add_argument("id", nargs="?", help="the schedule")
    parser.add_argument("--queue", help="of this queue alone")


_ACTIONS = ["pause", "resume", "remove", "trigger"]


def _run(options: argparse.Namespace) -> int:
    if options.action == "list":
        return _list(options)
    if options.id is None:
        raise ConfigurationError(f"schedules {options.action}: name the schedule; `asyncjobs schedules` lists them")
    if options.action == "next":
        info = on_app(options, lambda app: app.find_schedule(options.id, queue=options.queue))
        times = [when.isoformat() for when in info.upcoming(10)]
        print(msgspec.json.encode(times).decode() if options.json else "\n".join(times))
        return 0

    def act(app: App) -> Awaitable[object]:
        verb = getattr(app, f"{options.action}_schedule")
        done: Awaitable[object] = verb(options.id, queue=options.queue)
        return done

    on_app(options, act)
    done = {"pause": "paused", "resume": "resumed", "remove": "removed", "trigger": "triggered"}[options.action]
    print(msgspec.json.encode({options.id: done}).decode() if options.json else f"{options.id} is {done}")
    return 0


def _list(options: argparse.Namespace) -> int:
    found = on_app(options, lambda app: app.schedules(options.queue))
    if options.json:
        print(msgspec.json.format(msgspec.json.encode(found)).decode())
        return 0
    columns = ["id", "job", "queue", "when", "missed", "next (UTC)", "last (UTC)"]
    rows = [
        [
            info.id,
            info.name,
            info.queue,
            _when(info),
            info.missed,
            "paused" if info.paused else moment(info.next_at),
            moment(info.last_at),
        ]
        for info in found
    ]
    show(Table("Schedules", columns, rows))
    return 0


def _when(info: ScheduleInfo) -> str:
    return f"every {info.every:g} s" if info.cron is None else f"{info.cron} {info.timezone}"
