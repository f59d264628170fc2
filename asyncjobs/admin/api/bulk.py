"""The routes for many jobs: by their ids, or all that pass a filter, in portions that leave the server to others.

A portion keeps nothing on the server. What the next one needs stands in its cursor.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from functools import partial
from typing import Annotated, Any, Literal, TypeVar

import msgspec

from asyncjobs.admin.api.route import Call, NoQuery, Reason, Route, one_by_one
from asyncjobs.admin.problem import Problem
from asyncjobs.app.acting import acting, actor
from asyncjobs.app.counting import Count, count_jobs
from asyncjobs.app.verbs.dead import DeadFilter, delete_found, failed_within, retry_found
from asyncjobs.app.verbs.sweeping import cancel_many
from asyncjobs.app.verbs.undoing import new_deletion
from asyncjobs.core.cursor import cursor_of, read_cursor
from asyncjobs.core.duration import unix_ms, utc_time
from asyncjobs.core.filter import JobFilter
from asyncjobs.core.job import Job
from asyncjobs.core.retention import UNGROUPED
from asyncjobs.core.states import JobState
from asyncjobs.errors import UnknownJob
from asyncjobs.jobs.tenant_scope import tenant_here

__all__ = [
    "PORTION_S",
    "ROUTES",
    "BulkReply",
    "Cancel",
    "Dead",
    "DeadVerb",
    "Delete",
    "Deletion",
    "Ids",
    "Retry",
    "WhichDead",
    "WhichLive",
    "act_on_dead",
    "count_dead",
]

One = TypeVar("One")
Reply = TypeVar("Reply")

DeadVerb = Literal["retry", "delete"]

#: How many jobs one portion has at most.
MAX_PORTION = 500

#: For how many seconds one looks for them: where few pass the filter, the next goes on.
PORTION_S = 2.0

#: With how many jobs that wait or run a count by name, tenant or text ends; it also ends after two seconds.
MAX_COUNTED = 10_000

#: How many calls for single jobs are made at once.
AT_ONCE = 100

_Time = Annotated[datetime, msgspec.Meta(tz=True)]
Ids = Annotated[list[str], msgspec.Meta(max_length=MAX_PORTION)]
Deletion = Annotated[int, msgspec.Meta(ge=1, le=99_999_999_999_998)]
_Limit = Annotated[int, msgspec.Meta(ge=1, le=MAX_PORTION)]


class WhichDead(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A filter for dead jobs; without fields, all of them."""

    queue: str | None = None
    """Only jobs of this queue."""
    name: str | None = None
    """Only jobs of this name."""
    error: str | None = None
    """Only jobs whose last error is of this type, with its module or without."""
    group: str | None = None
    """Only jobs of this group, as ``/dead/groups`` lists it; ``-`` for jobs in no group."""
    tenant: str | None = None
    """Only jobs of this tenant."""
    since: _Time | None = None
    """Only jobs that died at this time or later."""


class WhichLive(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A filter for jobs that wait or run."""

    state: Literal["ready", "scheduled", "running", "parked"] = "ready"
    """In which state they are."""
    queue: str | None = None
    """Only jobs of this queue."""
    name: str | None = None
    """Only jobs of this name."""
    tenant: str | None = None
    """Only jobs of this tenant."""
    text: str | None = None
    """Only jobs in which this text stands."""
    since: _Time | None = None
    """Only jobs that were sent at this time or later, by the clock of their sender."""


class _Bulk(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which jobs, and how many at once."""

    ids: Ids | None = None
    """The ids of the jobs, in place of a filter."""
    queue: str | None = None
    """With ids, the queue of the jobs; by default all queues are searched."""
    limit: _Limit = MAX_PORTION
    """How many jobs at most in this portion."""
    cursor: str = ""
    """``next`` of the reply before, with the same filter."""
    dry_run: bool = False
    """Whether to count the jobs alone, and do nothing."""
    why: Reason = ""
    """The reason, for the audit; at most 500 characters."""


class Dead(_Bulk, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which dead jobs."""

    filter: WhichDead | None = None
    """All jobs that pass this filter, in place of ids."""
    until: _Time | None = None
    """Only jobs that died before this time; by default now, so that what dies meanwhile is left out."""


class Retry(Dead, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which dead jobs are to be retried, and when."""

    spread: Annotated[float, msgspec.Meta(ge=0, le=604_800)] = 0
    """Within how many seconds they start, at equal intervals, all portions together; 0 to start at once."""


class Delete(Dead, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which dead jobs are to be deleted."""

    deletion: Deletion | None = None
    """The number of the deletion, by which it is undone; by default a new one, which the reply tells."""


class Cancel(_Bulk, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which jobs are to be cancelled, that wait or run."""

    filter: WhichLive | None = None
    """All jobs that pass this filter, in place of ids."""
    until: _Time | None = None
    """Only jobs that were sent before this time, by the clock of their sender; by default also those sent meanwhile."""


class BulkReply(msgspec.Struct, frozen=True, kw_only=True):
    """What became of a portion."""

    matched: int
    """How many jobs of this portion there were; with ``dry_run``, how many jobs there are in all portions."""
    matched_all: bool = True
    """Whether there are no others: false where a portion has a ``next``, and where the count of a ``dry_run`` has ended
    early. A count of jobs that wait or run, by name, tenant or text, ends at 10,000 that match, or after two seconds;
    of dead jobs, by name, error, or group and tenant, at 10,000 that match, or behind the first 50,000."""
    done: int
    """To how many of them it was done."""
    next: str | None
    """``cursor`` of the next portion, ``null`` if this was the last."""
    deletion: int | None = None
    """The number of the deletion, by which it can be undone for 24 hours."""


class _Position(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """Where the next portion goes on."""

    until: _Time
    """The time before which the jobs died."""
    began_ms: int
    """When the first portion was taken, in Unix milliseconds."""
    offset: int
    """How many jobs the portions before had."""
    total: int
    """How many there are in all, where they are spread over a time."""
    deletion: int
    """The number of the deletion."""
    after: str
    """The cursor of the list of jobs."""


async def retry(call: Call[NoQuery]) -> BulkReply:
    """Make dead jobs ready again: those of some ids, or a portion of those that pass a filter."""
    return await act_on_dead(call, "retry", call.body)


async def delete(call: Call[NoQuery]) -> BulkReply:
    """Delete dead jobs: those of some ids, or a portion of those that pass a filter."""
    return await act_on_dead(call, "delete", call.body)


async def act_on_dead(call: Call[Any], verb: DeadVerb, asked: Dead) -> BulkReply:
    """Do something to dead jobs.

    Args:
        call: Who asks.
        verb: What to do.
        asked: To which jobs; for a retry that is spread, a ``Retry``, and for a deletion a ``Delete``.
    """
    _check_choice(asked.ids, asked.filter)
    position = _position(asked)
    if asked.dry_run:
        count = await _count(call, asked, position.until)
        return BulkReply(matched=count.number, matched_all=count.is_whole, done=0, next=None)
    spread = getattr(asked, "spread", 0) if verb == "retry" else 0
    if spread and not position.total:
        total = len(asked.ids) if asked.ids is not None else (await _count(call, asked, position.until)).number
        position = msgspec.structs.replace(position, total=max(total, 1))
    which = None
    if asked.ids is None:
        queues, which = _filter(call, asked.filter or WhichDead(), position.until)
        page = await failed_within(call.app, PORTION_S, asked.limit, after=position.after, queue=queues, **which)
        jobs, after = page.jobs, page.next
    else:
        jobs, after = await _dead(call, asked.ids, asked.queue), ""
    with acting(actor().by, actor().via, note=asked.why or actor().note):
        done = await _act(call, verb, jobs, which, position, spread)
    goes_on = msgspec.structs.replace(position, offset=position.offset + len(jobs), after=after)
    return BulkReply(
        matched=len(jobs),
        matched_all=not after,
        done=done,
        next=cursor_of(goes_on, *_question(asked)) if after else None,
        deletion=position.deletion if verb == "delete" else None,
    )


async def _act(
    call: Call[Any], verb: DeadVerb, jobs: list[Job], which: DeadFilter | None, position: _Position, spread: float
) -> int:
    """Do it to the jobs of one portion, queue by queue; return to how many."""
    app, done = call.app, 0
    # The job that died first comes first.
    for queue, ids in _by_queue(reversed(jobs)).items():
        if verb == "delete":
            done += sum(await delete_found(app, ids, which, queue=queue, deletion=position.deletion))
            continue
        interval = spread / position.total if spread else 0
        begins = position.began_ms / 1000 + interval * (position.offset + done) - time.time()
        delay, within = max(begins, 0), interval * len(ids)
        done += sum(await retry_found(app, ids, which, queue=queue, delay=delay, spread=within))
    return done


async def cancel(call: Call[NoQuery]) -> BulkReply:
    """Cancel jobs that wait or run: those of some ids, or a portion of those that pass a filter."""
    asked: Cancel = call.body
    _check_choice(asked.ids, asked.filter)
    if asked.ids is not None:
        jobs = [job for job in await _found(call, asked.ids, asked.queue) if not _is_over(job)]
        return BulkReply(matched=len(jobs), done=await _cancel(call, jobs), next=None)
    which = asked.filter or WhichLive()
    queues, tenant = call.narrowed(which.queue, which.tenant)
    told = {"state": which.state, "name": which.name, "tenant": tenant, "text": which.text}
    times = {"since": which.since, "until": asked.until}
    in_time = JobFilter(since_ms=unix_ms(which.since), until_ms=unix_ms(asked.until))
    search = partial(call.app.search_jobs, which.text, name=which.name, tenant=tenant, state=which.state, queue=queues)
    if asked.dry_run and not (which.text or which.name or tenant_here(tenant) or any(times.values())):
        return BulkReply(matched=(await search(limit=1)).total, done=0, next=None)
    found: list[Job] = []
    matched, after, ends_at = 0, asked.cursor, time.monotonic() + PORTION_S
    most = MAX_COUNTED if asked.dry_run else asked.limit
    while True:
        listed, after, *_ = await search(limit=most - matched, after=after)
        jobs = [job for job in listed if in_time.matches(job)]
        matched += len(jobs)
        found += [] if asked.dry_run else jobs
        if not after or matched == most or time.monotonic() >= ends_at:
            done = await _cancel(call, found, {**told, **times})
            return BulkReply(matched=matched, matched_all=not after, done=done, next=after or None)


async def _cancel(call: Call[NoQuery], jobs: list[Job], which: Mapping[str, object] | None = None) -> int:
    """Cancel jobs, unless the request is a dry run; return how many were not over yet."""
    asked: Cancel = call.body
    if asked.dry_run:
        return 0
    reason = asked.why or f"cancelled by {call.access.name}"
    each = _by_queue(jobs).items()
    return sum([await cancel_many(call.app, ids, queue=queue, reason=reason, which=which) for queue, ids in each])


async def count_dead(call: Call[Any], which: WhichDead, until: datetime) -> Count:
    """Return how many dead jobs pass a filter."""
    queues, dead = _filter(call, which, until)
    counts = [await count_jobs(call.app, ["dead"], queue=queue, **dead) for queue in one_by_one(queues)]
    return Count(sum(one.number for one in counts), all(one.is_whole for one in counts))


async def _count(call: Call[Any], asked: Dead, until: datetime) -> Count:
    """Return how many dead jobs a request means."""
    if asked.ids is not None:
        return Count(len(await _dead(call, asked.ids, asked.queue)))
    return await count_dead(call, asked.filter or WhichDead(), until)


def _filter(call: Call[Any], which: WhichDead, until: datetime) -> tuple[list[str] | None, DeadFilter]:
    """Return the queues and the filter, of what the caller may see."""
    queues, tenant = call.narrowed(which.queue, which.tenant)
    group = "" if which.group == UNGROUPED else which.group
    return queues, DeadFilter(
        name=which.name, error=which.error, group=group, tenant=tenant, since=which.since, until=until
    )


async def _found(call: Call[Any], ids: list[str], queue: str | None) -> list[Job]:
    """Return the jobs of some ids that the caller may see, each once."""

    async def find(job_id: str) -> Job | None:
        try:
            return await call.app.find_job(job_id, queue=queue)
        except UnknownJob:
            return None

    found = await _of_each(find, [*dict.fromkeys(ids)])
    return [job for job in found if job is not None and call.access.sees(job.queue, job.tenant or None)]


async def _dead(call: Call[Any], ids: list[str], queue: str | None) -> list[Job]:
    """Return those of ``_found`` that are dead."""
    return [job for job in await _found(call, ids, queue) if job.state is JobState.FAILED]


async def _of_each(ask: Callable[[One], Awaitable[Reply]], of: Sequence[One]) -> list[Reply]:
    """Return what ``ask`` returns for each one; ``AT_ONCE`` of them share round trips."""
    replies: list[Reply] = []
    for start in range(0, len(of), AT_ONCE):
        replies += await asyncio.gather(*map(ask, of[start : start + AT_ONCE]))
    return replies


def _is_over(job: Job) -> bool:
    return job.state in (JobState.FAILED, JobState.COMPLETED, JobState.CANCELLED)


def _by_queue(jobs: Iterable[Job]) -> Mapping[str, list[str]]:
    groups: dict[str, list[str]] = {}
    for job in jobs:
        groups.setdefault(job.queue, []).append(job.id)
    return groups


def _check_choice(ids: list[str] | None, which: object) -> None:
    """Refuse a request that says twice which jobs it means, or not at all: that would mean all of them.

    Raises:
        Problem: There are both ids and a filter, or neither.
    """
    if (ids is None) == (which is None):
        raise Problem(400, 'the body: expected "ids", or "filter" with {} for all; not both, and not neither')


def _position(asked: Dead) -> _Position:
    """Return where a portion begins.

    Raises:
        ArgumentsError: The cursor is none of ours, or is one of other jobs.
    """
    now = datetime.now(UTC)
    if asked.cursor:
        return read_cursor("cursor", asked.cursor, _Position, *_question(asked))
    deletion = getattr(asked, "deletion", None) or new_deletion()
    # What died in this millisecond, too.
    until = asked.until or utc_time(int(now.timestamp() * 1000) + 1)
    return _Position(until, int(now.timestamp() * 1000), 0, 0, deletion, "")


def _question(asked: Dead) -> tuple[str, str]:
    """Return what all portions have in common: what is done to which jobs."""
    return type(asked).__name__, repr(asked.filter)


ROUTES = [
    Route("POST", "/jobs/retry", "retry", retry, BulkReply, body=Retry),
    Route("POST", "/jobs/delete", "delete", delete, BulkReply, body=Delete),
    Route("POST", "/jobs/cancel", "cancel", cancel, BulkReply, body=Cancel),
]
