"""``asyncjobs show``: one job, whatever has become of it."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from typing import Any

import msgspec

from asyncjobs.cli.command import Commands, add_operator_command
from asyncjobs.cli.loading import app_of
from asyncjobs.cli.output import print_json, print_text
from asyncjobs.cli.running import on_app
from asyncjobs.cli.tables import name_cell, record_lines, seconds_cell, time_cell
from asyncjobs.core.view import JobDetails, job_details

__all__ = ["add_commands"]

_EXAMPLES = """\
examples:
  asyncjobs show 01JD… --app shop:app
  asyncjobs show @acme:invoice-7 --queue emails --json --url redis://localhost:6379/0

Without the code of an app, arguments have numbers in place of names.
"""


def add_commands(commands: Commands) -> None:
    """Add the command."""
    parser = add_operator_command(
        commands, "show", "show one job, in whatever state, with its arguments and every error", _EXAMPLES, _show
    )
    parser.add_argument("id", help="the job; a tenant's as @tenant:id, as lists show it")
    parser.add_argument("--queue", help="its queue, if you know it")


def _show(options: argparse.Namespace) -> int:
    job = job_details(on_app(app_of(options), lambda app: app.find_job(options.id, queue=options.queue)))
    if options.json:
        print_json(job)
        return 0
    print_text("Job", *record_lines({name: text for name, text in _fields(job) if text != "-"}))
    for error in job.errors:
        print_text("", f"attempt {error.attempt}, {time_cell(error.at)}: {error.type}: {error.message}")
        if error.traceback:
            # Indented, so that no line of it looks like one of the command's own.
            print_text(*(f"  {line}" for line in error.traceback.rstrip().split("\n")))
    return 0


def _fields(job: JobDetails) -> Iterator[tuple[str, str]]:
    """Yield what is known of a job, as names and cells; a cell ``-`` is that of a field without a value."""
    yield "id", job.id
    yield "job", name_cell(job.name, job.version)
    yield "queue", job.queue
    yield "state", job.state
    yield "priority", job.priority
    yield "tenant", job.tenant or "-"
    yield "unique key", job.unique_key or "-"
    if job.group:
        yield "group", job.group
    if job.gates:
        yield "limits", ", ".join(job.gates)
    yield "attempt", f"{job.attempt} ({job.failures} failed, in {job.deaths} the worker died)"
    yield "sent at (UTC)", time_cell(job.created_at)
    yield "due at (UTC)", time_cell(job.due_at)
    yield "started at (UTC)", time_cell(job.started_at)
    yield "ended at (UTC)", time_cell(job.finished_at)
    yield "duration", seconds_cell(job.duration_ms)
    yield "worker", job.worker or "-"
    if job.encrypted_with:
        yield "encrypted with", f"key {job.encrypted_with}, and can't be decrypted here"
    elif job.arguments is None:
        yield "arguments", "can't be read"
    else:
        yield from ((f"argument {name}", _json(value)) for name, value in job.arguments.items())
    yield "metadata", _json(job.metadata) if job.metadata else "-"
    yield "result", _json(job.result) if job.state == "completed" else "-"
    yield "reason", job.reason or "-"


def _json(value: Any) -> str:
    return msgspec.json.encode(value).decode()
