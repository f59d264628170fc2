"""``asyncjobs jobs``: jobs that wait or run."""

from __future__ import annotations

import argparse

from asyncjobs.app import App
from asyncjobs.app.verbs.paging import ListedState
from asyncjobs.cli.command import Commands, add_operator_command, limit
from asyncjobs.cli.loading import app_of
from asyncjobs.cli.output import print_tables
from asyncjobs.cli.queues import note_unknown_queue
from asyncjobs.cli.running import on_app
from asyncjobs.cli.tables import Table, name_cell, time_cell
from asyncjobs.core.job import Job
from asyncjobs.core.view import job_summary

__all__ = ["add_commands"]

_EXAMPLES = """\
examples:
  asyncjobs jobs --app shop:app
  asyncjobs jobs parked --tenant acme --app shop:app
  asyncjobs jobs --text user123@example.com --app shop:app
  asyncjobs jobs scheduled --queue emails --limit 20 --url redis://localhost:6379/0
  asyncjobs show 01JD… --app shop:app                (one of these jobs, with all that is known)
"""

# Those that are dead have a command of their own.
_STATES: tuple[ListedState, ...] = ("ready", "scheduled", "running", "parked")


def add_commands(commands: Commands) -> None:
    """Add the command."""
    parser = add_operator_command(commands, "jobs", "list jobs that wait or run", _EXAMPLES, _jobs)
    parser.add_argument(
        "state",
        nargs="?",
        default="ready",
        choices=_STATES,
        help="ready (the default), scheduled, running, or parked (no worker knows their name, or they are suspended)",
    )
    parser.add_argument("--queue", help="only jobs of this queue")
    parser.add_argument("--name", help="only jobs of this name")
    parser.add_argument("--tenant", help="only jobs of this tenant")
    parser.add_argument(
        "--text", help="only jobs in which this stands: in the id, the name, an argument, the metadata, a header"
    )
    parser.add_argument("--limit", type=limit, default=50, help="how many at most (50)")


def _jobs(options: argparse.Namespace) -> int:
    app = app_of(options)
    found = on_app(app, lambda app: _search(app, options))
    jobs = [job_summary(job) for job in found]
    columns = ["id", "queue", "job", "priority", "tenant", "attempt", "sent at (UTC)"]
    columns += ["started at (UTC)", "worker"] if options.state == "running" else ["due at (UTC)"]
    rows = [
        [
            job.id,
            job.queue,
            name_cell(job.name, job.version),
            job.priority,
            job.tenant or "-",
            str(job.attempt),
            time_cell(job.created_at),
            *(
                [time_cell(job.started_at), job.worker or "-"]
                if options.state == "running"
                else [time_cell(job.due_at)]
            ),
        ]
        for job in jobs
    ]
    print_tables(options, jobs, Table(f"Jobs that are {options.state}", columns, rows))
    if not jobs:
        note_unknown_queue(app, options.queue)
    return 0


async def _search(app: App, options: argparse.Namespace) -> list[Job]:
    """Search to the end, or until as many jobs are found as are wanted."""
    found: list[Job] = []
    after = ""
    while True:
        page = await app.search_jobs(
            options.text,
            name=options.name,
            tenant=options.tenant,
            state=options.state,
            queue=options.queue,
            limit=options.limit - len(found),
            after=after,
        )
        found += page.jobs
        after = page.next
        if not after or len(found) >= options.limit:
            return found
