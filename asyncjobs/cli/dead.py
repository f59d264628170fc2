"""``asyncjobs failed``, ``retry`` and ``delete``: the dead letter queue."""

from __future__ import annotations

import argparse
from collections.abc import Awaitable, Callable

from asyncjobs.app import App
from asyncjobs.app.counting import count_jobs
from asyncjobs.app.verbs.dead import DeadFilter
from asyncjobs.cli.command import Commands, add_operator_command, add_yes, limit
from asyncjobs.cli.destroying import destroy, of_filter
from asyncjobs.cli.loading import app_of
from asyncjobs.cli.output import print_changes, print_lines, print_tables
from asyncjobs.cli.queues import note_unknown_queue
from asyncjobs.cli.running import on_app
from asyncjobs.cli.tables import Table, name_cell, time_cell
from asyncjobs.cli.times import add_time_filter, time_option
from asyncjobs.core.states import JobState
from asyncjobs.core.view import JobDetails, job_details
from asyncjobs.errors import ConfigurationError, UnknownJob

__all__ = ["add_commands"]

_EXAMPLES = """\
examples:
  asyncjobs failed --url redis://localhost:6379/0
  asyncjobs failed --app shop:app --name send_email --error SMTPException
  asyncjobs show 01JD… --app shop:app                (one of these jobs, with every error)
  asyncjobs retry 01JD… 01JE… --app shop:app
  asyncjobs retry --all --tenant acme --app shop:app
  asyncjobs delete --all --name send_email --until 2026-01-31 --app shop:app
  asyncjobs delete --all --tenant acme --yes --url redis://localhost:6379/0          (doesn't ask)
"""

_MAX_ERROR_CHARS = 80


def add_commands(commands: Commands) -> None:
    """Add the commands."""
    parser = add_operator_command(commands, "failed", "list the dead letter queue", _EXAMPLES, _failed)
    parser.add_argument("--limit", type=limit, default=50, help="how many at most, the latest (50)")
    _add_filter(parser)
    for name, text, run in (
        ("retry", "make jobs of the dead letter queue ready again", _retry),
        ("delete", "delete jobs from the dead letter queue", _delete),
    ):
        parser = add_operator_command(commands, name, text, _EXAMPLES, run)
        parser.add_argument("ids", nargs="*", metavar="id", help="the jobs, a tenant's as @tenant:id; or use --all")
        parser.add_argument("--all", action="store_true", help="all jobs that the other options let through")
        _add_filter(parser)
        if name == "delete":
            add_yes(parser)


def _add_filter(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--queue", help="only jobs of this queue")
    parser.add_argument("--name", help="only jobs of this name")
    parser.add_argument("--error", help="only jobs whose last error is of this type, with its module or without")
    parser.add_argument("--tenant", help="only jobs of this tenant")
    add_time_filter(parser, "died")


def _filter(options: argparse.Namespace) -> DeadFilter:
    return DeadFilter(
        name=options.name,
        error=options.error,
        tenant=options.tenant,
        since=time_option(options, "since"),
        until=time_option(options, "until"),
    )


# -- failed


def _failed(options: argparse.Namespace) -> int:
    which = _filter(options)
    app = app_of(options)
    found = on_app(app, lambda app: app.failed_jobs(options.limit, queue=options.queue, **which))
    jobs = [job_details(job) for job in found]
    columns = ["id", "queue", "job", "tenant", "died at (UTC)", "failures", "last error"]
    rows = [
        [
            job.id,
            job.queue,
            name_cell(job.name, job.version),
            job.tenant or "-",
            time_cell(job.finished_at),
            str(job.failures),
            _last_error(job),
        ]
        for job in jobs
    ]
    print_tables(options, jobs, Table("Dead letter queue", columns, rows))
    if not jobs:
        note_unknown_queue(app, options.queue)
    return 0


def _last_error(job: JobDetails) -> str:
    if not job.errors:
        return "-"
    last = job.errors[-1]
    line = f"{last.type}: {last.message}".partition("\n")[0]
    return line if len(line) <= _MAX_ERROR_CHARS else f"{line[: _MAX_ERROR_CHARS - 1]}…"


# -- retry and delete


def _retry(options: argparse.Namespace) -> int:
    if not _is_of_all(options):
        return _change_named(options, "made ready again", App.retry_job)
    which = _filter(options)
    app = app_of(options)
    count = on_app(app, lambda app: app.retry_failed(queue=options.queue, **which))
    print_lines(options, {"count": count}, f"{count} jobs made ready again")
    if not count:
        note_unknown_queue(app, options.queue)
    return 0


def _delete(options: argparse.Namespace) -> int:
    if not _is_of_all(options):
        return _change_named(options, "forgotten", App.delete_job)
    which = _filter(options)
    return destroy(
        options,
        app_of(options),
        "delete",
        of_filter(options, "dead jobs", which),
        count=lambda app: count_jobs(app, ["dead"], queue=options.queue, **which),
        act=lambda app: app.delete_failed(queue=options.queue, **which),
        done="forgotten",
    )


def _is_of_all(options: argparse.Namespace) -> bool:
    """Return whether all jobs are meant that pass the filter, and not those that are named."""
    if bool(options.ids) == options.all:
        raise ConfigurationError("name the jobs by their ids, or give --all with a filter; not both, and not neither")
    return bool(options.all)


def _change_named(options: argparse.Namespace, done: str, change_one: Callable[..., Awaitable[bool]]) -> int:
    """Change the jobs that are named; return 1 if one of them isn't dead."""

    async def change_named(app: App) -> dict[str, str]:
        return {job_id: await _change_dead(app, job_id, options.queue, done, change_one) for job_id in options.ids}

    texts = on_app(app_of(options), change_named)
    changed = {job_id: text == done for job_id, text in texts.items()}
    return print_changes(options, changed, texts, {job_id for job_id, is_done in changed.items() if not is_done})


async def _change_dead(
    app: App, job_id: str, queue: str | None, done: str, change_one: Callable[..., Awaitable[bool]]
) -> str:
    """Change a job if it is in the dead letter queue, and return ``done``, or what kept it from that."""
    try:
        job = await app.find_job(job_id, queue=queue)
        # Asked first, as `delete_job` would delete a job that has completed too.
        if job.state is JobState.FAILED and await change_one(app, job_id, queue=job.queue):
            return done
    except UnknownJob:
        return "there is no record of it"
    return "not in the dead letter queue"
