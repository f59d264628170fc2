"""``asyncjobs schedules``: lists schedules, and pauses, resumes, removes or triggers one."""

from __future__ import annotations

import argparse
from collections.abc import Awaitable, Callable

from asyncjobs.app import App
from asyncjobs.app.verbs.schedules import ScheduleInfo, ScheduleRun
from asyncjobs.cli.command import Commands, add_operator_command
from asyncjobs.cli.loading import app_of
from asyncjobs.cli.output import print_lines, print_tables
from asyncjobs.cli.queues import note_unknown_queue
from asyncjobs.cli.running import on_app
from asyncjobs.cli.tables import Table, name_cell, seconds_cell, time_cell
from asyncjobs.errors import ConfigurationError

__all__ = ["add_commands"]

_EXAMPLES = """\
examples:
  asyncjobs schedules --app shop:app
  asyncjobs schedules pause nightly_report --app shop:app
  asyncjobs schedules next nightly_report --app shop:app
  asyncjobs schedules trigger nightly_report --app shop:app
"""

_UPCOMING = 10

# From when on a job counts as late.
_LATE_MS = 1_000

# What each action calls, and its past tense.
_VERBS: dict[str, tuple[Callable[..., Awaitable[object]], str]] = {
    "pause": (App.pause_schedule, "paused"),
    "resume": (App.resume_schedule, "resumed"),
    "remove": (App.remove_schedule, "removed"),
}


def add_commands(commands: Commands) -> None:
    """Add the command."""
    parser = add_operator_command(
        commands, "schedules", "list schedules; pause, resume, remove or trigger one", _EXAMPLES, _run
    )
    parser.add_argument(
        "action",
        nargs="?",
        default="list",
        choices=["list", *_VERBS, "trigger", "next"],
        help=f"list (the default), pause, resume, remove, trigger (a job now), or next (the next {_UPCOMING} times)",
    )
    parser.add_argument("id", nargs="?", help="the schedule's id; a tenant's as @tenant:id, as the list shows it")
    parser.add_argument("--queue", help="only schedules of this queue")


def _run(options: argparse.Namespace) -> int:
    if options.action == "list":
        return _list(options)
    if options.id is None:
        raise ConfigurationError(f"schedules {options.action}: name the schedule; `asyncjobs schedules` lists them")
    if options.action == "next":
        return _next(options)
    if options.action == "trigger":
        return _trigger(options)
    verb, done = _VERBS[options.action]
    on_app(app_of(options), lambda app: verb(app, options.id, queue=options.queue))
    print_lines(options, {options.id: done}, f"{options.id} is {done}")
    return 0


def _trigger(options: argparse.Namespace) -> int:
    handle = on_app(app_of(options), lambda app: app.trigger_schedule(options.id, queue=options.queue))
    data = {"id": handle.id, "queue": handle.queue}
    print_lines(options, {options.id: data}, f"{options.id} is triggered: job {handle.id} in queue {handle.queue}")
    return 0


def _list(options: argparse.Namespace) -> int:
    app = app_of(options)
    found = on_app(app, lambda app: app.schedules(options.queue))
    columns = ["id", "job", "queue", "when", "missed", "next (UTC)", "last (UTC)", "skipped", "did it work"]
    rows = [
        [
            info.id,
            name_cell(info.name),
            info.queue,
            _when(info),
            info.missed,
            "paused" if info.paused else time_cell(info.next_at),
            time_cell(info.last_at),
            _skipped_cell(info),
            _run_cell(info.last_run),
        ]
        for info in found
    ]
    print_tables(options, found, Table("Schedules", columns, rows))
    if not found:
        note_unknown_queue(app, options.queue)
    return 0


def _skipped_cell(info: ScheduleInfo) -> str:
    if info.overlap:
        return "-"
    return f"{info.skipped}, last {time_cell(info.last_skipped_at)}" if info.skipped else "0"


def _run_cell(run: ScheduleRun | None) -> str:
    """Return what became of the last job of a schedule."""
    if run is None:
        return "-"
    told = "not known" if run.state is None else run.state.value
    if run.duration_ms is not None:
        told += f" in {seconds_cell(run.duration_ms)}"
    if run.late_ms is not None and run.late_ms >= _LATE_MS:
        told += f", {seconds_cell(run.late_ms)} late"
    return f"{told}: {run.error}" if run.error else told


def _when(info: ScheduleInfo) -> str:
    if info.problem:
        return info.problem
    return f"every {info.every:g} s" if info.cron is None else f"{info.cron} {info.timezone}"


def _next(options: argparse.Namespace) -> int:
    info = on_app(app_of(options), lambda app: app.find_schedule(options.id, queue=options.queue))
    times = [when.isoformat() for when in info.upcoming(_UPCOMING)]
    print_lines(options, times, *times)
    return 0
