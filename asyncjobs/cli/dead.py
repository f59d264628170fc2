"""``asyncjobs failed``, ``retry``, ``delete`` and ``undo``: the dead letter queue."""

from __future__ import annotations

import argparse
import itertools
from collections.abc import Awaitable, Callable

from asyncjobs.app import App
from asyncjobs.app.counting import count_jobs
from asyncjobs.app.verbs.dead import DeadFilter
from asyncjobs.app.verbs.undoing import new_deletion
from asyncjobs.cli.command import Commands, add_operator_command, add_short_app, add_yes, limit, seconds
from asyncjobs.cli.destroying import destroy, of_filter
from asyncjobs.cli.loading import app_of
from asyncjobs.cli.output import print_changes, print_lines, print_note, print_tables
from asyncjobs.cli.queues import note_unknown_queue
from asyncjobs.cli.running import on_app
from asyncjobs.cli.tables import Table, name_cell, time_cell
from asyncjobs.cli.times import add_time_filter, time_option
from asyncjobs.core.duration import utc_time
from asyncjobs.core.states import JobState
from asyncjobs.core.view import JobDetails, job_details
from asyncjobs.errors import ConfigurationError, UnknownJob
from asyncjobs.ports import DeadGroup

__all__ = ["add_commands"]

_EXAMPLES = """\
examples:
  asyncjobs failed --url redis://localhost:6379/0
  asyncjobs failed --app shop:app --name send_email --error SMTPException
  asyncjobs failed --groups --app shop:app           (by what they died of)
  asyncjobs show 01JD… --app shop:app                (one of these jobs, with every error)
  asyncjobs retry 01JD… 01JE… --app shop:app
  asyncjobs retry --all --tenant acme --app shop:app
  asyncjobs retry --all --group 5f0c8e21a9d34b77 --spread 600 --app shop:app         (within ten minutes)
  asyncjobs delete --all --name send_email --until 2026-01-31 --app shop:app
  asyncjobs delete --all --tenant acme --yes --url redis://localhost:6379/0          (doesn't ask)
  asyncjobs undo --app shop:app                      (brings back what the last deletion took)
"""

_MAX_ERROR_CHARS = 80

ChangeOne = Callable[..., Awaitable[bool]]
"""Changes a job of an app, given its id and its queue; returns whether it was dead."""


def add_commands(commands: Commands) -> None:
    """Add the commands."""
    parser = add_operator_command(commands, "failed", "list the dead letter queue", _EXAMPLES, _failed)
    add_short_app(parser)
    parser.add_argument("--limit", type=limit, default=50, help="how many at most, the latest (50)")
    parser.add_argument("--groups", action="store_true", help="the groups of jobs that died of the same, not the jobs")
    _add_filter(parser)
    for name, text, run in (
        ("retry", "make jobs of the dead letter queue ready again", _retry),
        ("delete", "delete jobs from the dead letter queue", _delete),
    ):
        parser = add_operator_command(commands, name, text, _EXAMPLES, run)
        parser.add_argument("ids", nargs="*", metavar="id", help="the jobs, a tenant's as @tenant:id; or use --all")
        parser.add_argument("--all", action="store_true", help="all jobs that the other options let through")
        _add_filter(parser)
        add_yes(parser)
        if name == "delete":
            parser.add_argument("--purge", action="store_true", help="delete for good, so that undo can't help")
        else:
            parser.add_argument(
                "--spread",
                type=seconds,
                default=0.0,
                metavar="SECONDS",
                help="let them start within this time, at equal intervals (0: at once)",
            )
    parser = add_operator_command(commands, "undo", "bring back jobs that were deleted", _EXAMPLES, _undo)
    parser.add_argument("ids", nargs="*", metavar="id", help="the jobs; by default all of the last deletion")
    parser.add_argument("--queue", help="only jobs of this queue")


def _add_filter(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--queue", help="only jobs of this queue")
    parser.add_argument("--name", help="only jobs of this name")
    parser.add_argument("--error", help="only jobs whose last error is of this type, with its module or without")
    parser.add_argument("--group", metavar="ID", help="only jobs of this group, as failed --groups lists it")
    parser.add_argument("--tenant", help="only jobs of this tenant")
    add_time_filter(parser, "died")


def _filter(options: argparse.Namespace) -> DeadFilter:
    return DeadFilter(
        name=options.name,
        error=options.error,
        tenant=options.tenant,
        since=time_option(options, "since"),
        until=time_option(options, "until"),
        group=options.group,
    )


# -- failed


def _failed(options: argparse.Namespace) -> int:
    which = _filter(options)
    if options.groups:
        return _groups(options, [name for name, value in which.items() if value is not None])
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


def _groups(options: argparse.Namespace, given: list[str]) -> int:
    """List the groups of dead jobs; the options ``given`` are those of a filter for jobs."""
    if given:
        raise ConfigurationError(f"{', '.join(f'--{name}' for name in given)}: not with --groups, which takes --queue")
    app = app_of(options)
    groups = on_app(app, lambda app: app.failed_groups(queue=options.queue))[: options.limit]
    columns = ["group", "queue", "jobs", "last hour", "state", "job", "last died at (UTC)", "error", "where", "note"]
    rows = [
        [
            group.id or "-",
            group.queue,
            f"{group.count:,}",
            f"{group.hour:,}",
            group.state if group.id else "-",
            group.name or "-",
            time_cell(utc_time(group.last_ms) if group.last_ms else None),
            _heading(group),
            group.frame or "-",
            group.note or "-",
        ]
        for group in groups
    ]
    print_tables(options, groups, Table("Groups of dead jobs", columns, rows))
    if not groups:
        note_unknown_queue(app, options.queue)
    return 0


def _heading(group: DeadGroup) -> str:
    if not group.id:
        return "(not grouped: an earlier asyncjobs has buried them)"
    return f"{group.error}: {group.message}" if group.error else "(jobs of further groups)"


def _last_error(job: JobDetails) -> str:
    if not job.errors:
        return "-"
    last = job.errors[-1]
    line = f"{last.type}: {last.message}".partition("\n")[0]
    return line if len(line) <= _MAX_ERROR_CHARS else f"{line[: _MAX_ERROR_CHARS - 1]}…"


# -- retry and delete


def _retry(options: argparse.Namespace) -> int:
    if not _is_of_all(options):
        return _change_named(options, "made ready again", _retry_one(options.spread, len(options.ids)))
    which = _filter(options)
    return destroy(
        options,
        app_of(options),
        "retry",
        of_filter(options, "dead jobs", which),
        count=lambda app: count_jobs(app, ["dead"], queue=options.queue, **which),
        act=lambda app: app.retry_failed(queue=options.queue, spread=options.spread, **which),
        done="made ready again",
    )


def _retry_one(spread: float, count: int) -> ChangeOne:
    """Return what retries a named job, each of ``count`` at its own time."""
    turns = itertools.count()

    async def retry_one(app: App, job_id: str, *, queue: str) -> bool:
        [is_done] = await app.retry_jobs([job_id], queue=queue, delay=spread * next(turns) / count)
        return is_done

    return retry_one


def _delete(options: argparse.Namespace) -> int:
    deletion = new_deletion()
    if not _is_of_all(options):

        async def delete_one(app: App, job_id: str, *, queue: str) -> bool:
            [is_done] = await app.delete_jobs([job_id], queue=queue, deletion=deletion, purge=options.purge)
            return is_done

        return _change_named(options, "deleted", delete_one)
    which = _filter(options)
    code = destroy(
        options,
        app_of(options),
        "purge" if options.purge else "delete",
        of_filter(options, "dead jobs", which),
        count=lambda app: count_jobs(app, ["dead"], queue=options.queue, **which),
        act=lambda app: app.delete_failed(queue=options.queue, deletion=deletion, purge=options.purge, **which),
        done="deleted",
    )
    if code == 0 and not options.purge:
        print_note("within 24 hours, asyncjobs undo brings them back")
    return code


def _undo(options: argparse.Namespace) -> int:
    app = app_of(options)
    if not options.ids:
        count = on_app(app, lambda app: app.undelete_failed(queue=options.queue))
        print_lines(options, {"count": count}, f"{count} jobs are back")
        if not count:
            print_note("nothing was deleted within the last 24 hours, or what was is back already")
        return 0 if count else 1
    done = on_app(app, lambda app: app.undelete_jobs(options.ids, queue=options.queue))
    changed = dict(zip(options.ids, done, strict=True))
    texts = {
        job_id: "is back" if is_back else "can't be brought back: not deleted, too long ago, or its id was sent again"
        for job_id, is_back in changed.items()
    }
    return print_changes(options, changed, texts, {job_id for job_id, is_back in changed.items() if not is_back})


def _is_of_all(options: argparse.Namespace) -> bool:
    """Return whether all jobs are meant that pass the filter, and not those that are named."""
    if bool(options.ids) == options.all:
        raise ConfigurationError("name the jobs by their ids, or give --all with a filter; not both, and not neither")
    return bool(options.all)


def _change_named(options: argparse.Namespace, done: str, change_one: ChangeOne) -> int:
    """Change the jobs that are named; return 1 if one of them isn't dead."""

    async def change_named(app: App) -> dict[str, str]:
        return {job_id: await _change_dead(app, job_id, options.queue, done, change_one) for job_id in options.ids}

    texts = on_app(app_of(options), change_named)
    changed = {job_id: text == done for job_id, text in texts.items()}
    return print_changes(options, changed, texts, {job_id for job_id, is_done in changed.items() if not is_done})


async def _change_dead(app: App, job_id: str, queue: str | None, done: str, change_one: ChangeOne) -> str:
    """Change a job if it is in the dead letter queue, and return ``done``, or what kept it from that."""
    try:
        job = await app.find_job(job_id, queue=queue)
        # Asked first, as `delete_job` would delete a job that has completed too.
        if job.state is JobState.FAILED and await change_one(app, job_id, queue=job.queue):
            return done
    except UnknownJob:
        return "there is no record of it"
    return "not in the dead letter queue"
