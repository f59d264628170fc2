"""``asyncjobs jobs`` and ``cancel``: jobs that wait or run."""

from __future__ import annotations

import argparse
from typing import Any

import msgspec

from asyncjobs.app import App
from asyncjobs.cli.output import identity, moment
from asyncjobs.cli.tables import Table, show
from asyncjobs.cli.target import add_command, on_app
from asyncjobs.core.duration import utc_time

__all__ = ["add_parser"]

_EXAMPLES = """\
examples:
  asyncjobs jobs --app shop:app
  asyncjobs jobs parked --tenant acme --app shop:app
  asyncjobs jobs scheduled --queue emails --limit 20 --url redis://localhost:6379/0
  asyncjobs cancel 01JD… --reason "sent by mistake" --app shop:app
"""

_PLACES = ["ready", "scheduled", "running", "parked"]


def add_parser(commands: Any) -> None:
    """Add the commands to ``commands``, an argparse subparsers object."""
    parser = add_command(commands, "jobs", "list jobs that wait or run", _EXAMPLES, _jobs)
    parser.add_argument("state", nargs="?", default="ready", choices=_PLACES, help="ready, if nothing is said")
    parser.add_argument("--queue", help="of this queue alone")
    parser.add_argument("--tenant", help="of this tenant alone")
    parser.add_argument("--limit", type=int, default=50, help="how many (50)")
    parser = add_command(commands, "cancel", "cancel jobs that wait or run", _EXAMPLES, _cancel)
    parser.add_argument("ids", nargs="+", metavar="id", help="the jobs")
    parser.add_argument("--queue", help="the queue that they are in, if you know it")
    parser.add_argument("--reason", default="cancelled on the command line", help="what its sender will read")


def _jobs(options: argparse.Namespace) -> int:
    jobs = on_app(
        options,
        lambda app: app.jobs(options.state, queue=options.queue, tenant=options.tenant, limit=options.limit),
    )
    if options.json:
        told = [
            {
                **identity(job),
                "attempt": job.attempt,
                "due_at": utc_time(job.due_at_ms),
                "created_at": utc_time(job.created_at_ms),
                "metadata": job.metadata,
            }
            for job in jobs
        ]
        print(msgspec.json.format(msgspec.json.encode(told)).decode())
        return 0
    columns = ["id", "queue", "job", "priority", "tenant", "attempt", "sent at (UTC)", "due at (UTC)"]
    rows = [
        [
            job.id,
            job.queue,
            job.name,
            job.priority.label,
            job.tenant or "-",
            str(job.attempt),
            moment(utc_time(job.created_at_ms)),
            moment(utc_time(job.due_at_ms)),
        ]
        for job in jobs
    ]
    show(Table(f"Jobs that are {options.state}", columns, rows))
    return 0


_TOLD = {
    "cancelled": "cancelled",
    "running": "its handler is being cancelled",
    "ended": "too late, it has ended",
    "failed": "it is in the dead letter queue; delete it there",
    "unknown": "there is no record of it",
}


def _cancel(options: argparse.Namespace) -> int:
    async def act(app: App) -> dict[str, str]:
        return {
            job_id: await app.cancel_job(job_id, queue=options.queue, reason=options.reason) for job_id in options.ids
        }

    replies = on_app(options, act)
    if options.json:
        print(msgspec.json.encode(replies).decode())
    else:
        for job_id, reply in replies.items():
            print(f"{job_id}: {_TOLD[reply]}")
    return 0 if all(reply in ("cancelled", "running") for reply in replies.values()) else 1
