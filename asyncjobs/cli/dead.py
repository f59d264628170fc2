"""``asyncjobs failed``, ``retry`` and ``delete``: the dead letter queue."""

from __future__ import annotations

import argparse
import sys
from datetime import UTC, datetime
from typing import Any

import msgspec

from asyncjobs.app import App
from asyncjobs.cli.output import identity, moment
from asyncjobs.cli.tables import Table, show
from asyncjobs.cli.target import add_command, on_app
from asyncjobs.core.duration import utc_time
from asyncjobs.core.job import Job
from asyncjobs.core.states import JobState
from asyncjobs.errors import ConfigurationError

__all__ = ["add_parser"]

_EXAMPLES = """\
examples:
  asyncjobs failed --url redis://localhost:6379/0
  asyncjobs failed --app shop:app --name send_email --error SMTPException
  asyncjobs failed 01JD… --app shop:app              (the whole story of one job)
  asyncjobs retry 01JD… 01JE… --app shop:app
  asyncjobs retry --all --tenant acme --app shop:app
  asyncjobs delete --all --name send_email --until 2026-01-31 --app shop:app
"""


def add_parser(commands: Any) -> None:
    """Add the commands to ``commands``, an argparse subparsers object."""
    parser = add_command(commands, "failed", "list the dead letter queue, or show one dead job", _EXAMPLES, _failed)
    parser.add_argument("id", nargs="?", help="show this job with every attempt and its traceback")
    parser.add_argument("--limit", type=int, default=50, help="how many, the latest (50)")
    _add_filter(parser)
    for name, text, action in (
        ("retry", "make jobs of the dead letter queue ready again", _retry),
        ("delete", "forget jobs of the dead letter queue", _delete),
    ):
        parser = add_command(commands, name, text, _EXAMPLES, action)
        parser.add_argument("ids", nargs="*", metavar="id", help="the jobs; or --all, with a filter")
        parser.add_argument("--all", action="store_true", help="all that the filter lets through")
        _add_filter(parser)


def _add_filter(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--queue", help="of this queue alone")
    parser.add_argument("--name", help="with this job name")
    parser.add_argument("--error", help="whose last error is of this type, with its module or without")
    parser.add_argument("--tenant", help="of this tenant")
    parser.add_argument("--since", metavar="TIME", help="that died from then on; ISO 8601, UTC if it names no zone")
    parser.add_argument("--until", metavar="TIME", help="that died before then")


def _filter(options: argparse.Namespace) -> dict[str, Any]:
    return {
        "queue": options.queue,
        "name": options.name,
        "error": options.error,
        "tenant": options.tenant,
        "since": _time("--since", options.since),
        "until": _time("--until", options.until),
    }


def _time(option: str, text: str | None) -> datetime | None:
    if text is None:
        return None
    try:
        when = datetime.fromisoformat(text)
    except ValueError:
        raise ConfigurationError(f"{option} {text!r}: expected ISO 8601, as in 2026-01-31T08:00:00+01:00") from None
    return when if when.tzinfo else when.replace(tzinfo=UTC)


def _failed(options: argparse.Namespace) -> int:
    if options.id is not None:
        return _one(options)
    jobs = on_app(options, lambda app: app.failed_jobs(options.limit, **_filter(options)))
    if options.json:
        print(msgspec.json.format(msgspec.json.encode([_story(job) for job in jobs])).decode())
        return 0
    columns = ["id", "queue", "job", "tenant", "died at (UTC)", "failures", "last error"]
    rows = [
        [
            job.id,
            job.queue,
            job.name or "?",
            job.tenant or "-",
            moment(utc_time(job.finished_at_ms)),
            str(job.failures),
            _shortened(f"{job.errors[-1].type}: {job.errors[-1].message}" if job.errors else "-"),
        ]
        for job in jobs
    ]
    show(Table("Dead letter queue", columns, rows))
    return 0


def _one(options: argparse.Namespace) -> int:
    job = on_app(options, lambda app: app.find_job(options.id, queue=options.queue))
    if job is None:
        print(f"asyncjobs: there is no record of job {options.id!r}", file=sys.stderr)
        return 1
    story = _story(job)
    if options.json:
        print(msgspec.json.format(msgspec.json.encode(story)).decode())
        return 0
    errors = story.pop("errors")
    show(Table("Job", ["", ""], [[name, str(value)] for name, value in story.items()]))
    for error in errors:
        print(f"\nattempt {error['attempt']}, {error['at']}: {error['type']}: {error['message']}")
        if error["traceback"]:
            print(error["traceback"].rstrip())
    return 0


def _story(job: Job) -> dict[str, Any]:
    """Return what is told of a job, as plain values."""
    return {
        **identity(job),
        "arguments": _readable(job.arguments) if job.name else None,
        "metadata": job.metadata,
        "created_at": utc_time(job.created_at_ms),
        "finished_at": utc_time(job.finished_at_ms),
        "failures": job.failures,
        "deaths": job.deaths,
        "errors": [
            {
                "attempt": error.attempt,
                "at": utc_time(error.at_ms),
                "type": error.type,
                "message": error.message,
                "traceback": error.traceback,
            }
            for error in job.errors
        ],
    }


def _readable(value: Any) -> Any:
    return msgspec.to_builtins(value, str_keys=True)


def _shortened(text: str) -> str:
    line = text.partition("\n")[0]
    return line if len(line) <= 80 else line[:79] + "…"


def _retry(options: argparse.Namespace) -> int:
    return _each(options, "made ready again", lambda app: app.retry_failed(**_filter(options)))


def _delete(options: argparse.Namespace) -> int:
    return _each(options, "forgotten", lambda app: app.delete_failed(**_filter(options)))


def _each(options: argparse.Namespace, done: str, of_all: Any) -> int:
    """Do it to the jobs named, or to all that the filter lets through; 1 if one that was named isn't there."""
    if bool(options.ids) == options.all:
        raise ConfigurationError("name the jobs by their ids, or give --all with a filter; not both, and not neither")
    if options.all:
        count: int = on_app(options, of_all)
        print(msgspec.json.encode({"count": count}).decode() if options.json else f"{count} jobs {done}")
        return 0
    retries = options.run is _retry

    async def act(app: App) -> dict[str, bool]:
        found: dict[str, bool] = {}
        for job_id in options.ids:
            job = await app.find_job(job_id, queue=options.queue)
            verb = app.retry_job if retries else app.delete_job
            if job is None or job.state is not JobState.FAILED:
                found[job_id] = False
            else:
                found[job_id] = await verb(job_id, queue=job.queue)
        return found

    results = on_app(options, act)
    if options.json:
        print(msgspec.json.encode(results).decode())
    else:
        for job_id, was_there in results.items():
            print(f"{job_id}: {done}" if was_there else f"{job_id}: not in the dead letter queue")
    return 0 if all(results.values()) else 1
