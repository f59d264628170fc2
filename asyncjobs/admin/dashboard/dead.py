"""The pages of the dead: by what they died of, and what is done with all that match, in portions."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Literal

import msgspec

from asyncjobs.admin.api import bulk, jobs, undoing
from asyncjobs.admin.api import dead as groups
from asyncjobs.admin.api.route import Call, InQueue, NoQuery, Reason
from asyncjobs.admin.dashboard.page import TYPED_FROM, Form, Number, Page, Redirect, is_mistyped, to_own_tenant
from asyncjobs.admin.door import require
from asyncjobs.admin.problem import Problem
from asyncjobs.app.counting import Count
from asyncjobs.core.retention import UNGROUPED
from asyncjobs.core.states import JobState
from asyncjobs.core.view import JobDetails

__all__ = ["FORMS", "PAGES"]

#: How many groups the page shows, and how many jobs below them.
MAX_GROUPS = 50
JOBS_BELOW = 20

#: How many jobs a trial has, and how long a page waits for their ends, in seconds.
TRIAL = 10
TRIAL_WAIT_S = 2.0

# Over how many hours each choice of the filter reaches.
_HOURS = {"1h": 1, "24h": 24, "7d": 168}


class Dead(jobs.FailedQuery, frozen=True, forbid_unknown_fields=True):
    """The filter of the page of dead jobs, and what was done before."""

    done: Literal["", "retry", "delete", "undo", "seen"] = ""
    """What was done."""
    n: Number = 0
    """With how many jobs."""
    deletion: bulk.Deletion | None = None
    """The number of the deletion, so that it can be undone."""
    job: str = ""
    """The id of the only job that was deleted."""
    text: str = ""
    """Only groups in which this text stands, in upper or lower case."""
    within: Literal["", "any", "1h", "24h", "7d"] = ""
    """Only jobs that died lately, in place of ``since`` and ``until``."""


class Act(jobs.FailedQuery, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What is to be done with all dead jobs that pass a filter."""

    verb: Literal["retry", "delete"]
    """What is done with them, which is the permission that it needs, too."""
    why: Reason = ""
    """The reason, for the audit."""
    minutes: Annotated[float, msgspec.Meta(ge=0, le=10_080)] = 0
    """Within how many minutes retried jobs start."""
    cursor: Annotated[str, msgspec.Meta(max_length=8_000)] = ""
    """Where the next portion goes on."""
    did: Number = 0
    """With how many jobs it was done so far."""
    count: Number = 0
    """How many jobs there were when the page asked."""
    job: Annotated[list[str], msgspec.Meta(max_length=TRIAL)] = msgspec.field(default_factory=list)
    """The ids of the jobs of a trial, each with its queue."""
    mistyped: Literal["", "1"] = ""
    """Whether another number was typed than that of the jobs."""


class ActNow(Act, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What the page that asks says, once it is answered."""

    typed: str = ""
    """The number of jobs, typed by hand."""
    trial: str = ""
    """Whether to begin with a few jobs."""


class Seen(InQueue, frozen=True, forbid_unknown_fields=True):
    """What is noted of a group."""

    note: Reason = ""
    """The note."""
    state: Literal["seen", "new"] = "seen"
    """How it is marked."""


class Undo(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which deletion is undone."""

    deletion: bulk.Deletion | None = None
    """Its number."""
    job: str = ""
    """The id of its only job."""
    n: Number = 0
    """How many jobs are back already."""


# -- looking


async def dead(call: Call[Dead]) -> Mapping[str, Any]:
    """List the dead: the groups, and the latest jobs; with a filter, the jobs alone."""
    to_own_tenant(call, "dead")
    query = call.query
    if query.within:
        # From now on a time, so that what is done with all that match is done with those that were shown.
        hours = _HOURS.get(query.within)
        since = None if hours is None else (datetime.now(UTC) - timedelta(hours=hours)).isoformat(timespec="seconds")
        raise Redirect("dead", **{**query.filter, "since": since, "until": None})
    narrows = any(value for name, value in query.filter.items() if name != "queue") or query.before
    shows_groups = not narrows and call.access.tenants is None
    latest = msgspec.structs.replace(query, limit=min(query.limit, JOBS_BELOW)) if shows_groups else query
    found, listed = await asyncio.gather(
        jobs.failed(call.asking(latest)), _groups(call, query.queue, is_wanted=shows_groups or bool(query.group))
    )
    shown = [one for one in listed if _has(one, query.text.strip().casefold())]
    return {
        "jobs": found.jobs,
        "next": found.next,
        "groups": shown[:MAX_GROUPS] if shows_groups else None,
        "more_groups": max(0, len(shown) - MAX_GROUPS),
        "group": _named(listed, query.group),
        "ungrouped": UNGROUPED,
        "max_dead": call.app.settings.max_dead,
        "dead_ttl_ms": call.app.settings.dead_ttl * 1_000,
    }


def _has(group: groups.ToldGroup, text: str) -> bool:
    parts = (group.name, group.error, group.message, group.frame, group.note)
    return any(text in part.casefold() for part in parts)


async def _groups(call: Call[Any], queue: str | None, *, is_wanted: bool = True) -> list[groups.ToldGroup]:
    if not is_wanted or call.access.tenants is not None:
        return []
    return (await groups.groups(call.asking(InQueue(queue)))).groups


async def _group(call: Call[Any], query: jobs.FailedQuery) -> groups.ToldGroup | None:
    """Return the group that a filter names, if the caller may see it."""
    if not query.group:
        return None
    return _named(await _groups(call, query.queue), query.group)


def _named(found: list[groups.ToldGroup], group: str | None) -> groups.ToldGroup | None:
    return next((one for one in found if group and one.id == group), None)


# -- acting on all that match


async def asked(call: Call[Act]) -> Mapping[str, Any]:
    """Say what a verb would do to how many jobs, and ask; or how far it has come, and how a trial went."""
    query = call.query
    require(call.access, query.verb)
    until = query.until or datetime.now(UTC)
    tried = await _trial(call) if query.job else {}
    examples: list[JobDetails] = []
    if not query.cursor and not query.job:
        examples = (await jobs.failed(call.asking(msgspec.structs.replace(query, limit=5, until=until)))).jobs
    # While it goes on, what was counted first says how far it is.
    count = Count(query.count) if query.cursor else await bulk.count_dead(call, _which(query), until)
    return {
        "count": count,
        "until": until,
        "examples": examples,
        "group": None if query.cursor else await _group(call, query),
        "tried": tried,
        "trial": TRIAL,
        "typed_from": TYPED_FROM,
    }


async def act(call: Call[ActNow]) -> Redirect:
    """Do it to the first jobs, or to the next portion; and go on to the page that says how far it is."""
    query = call.query
    require(call.access, query.verb)
    until = query.until or datetime.now(UTC)
    if query.trial:
        return await _begin_trial(call, until)
    if not query.cursor and is_mistyped(query.typed, query.count):
        return Redirect("act", **_told(query, until), mistyped="1")
    which, why = _which(query), query.why
    if query.verb == "retry":
        spread = query.minutes * 60
        reply = await bulk.act_on_dead(
            call, "retry", bulk.Retry(filter=which, until=until, spread=spread, cursor=query.cursor, why=why)
        )
    else:
        reply = await bulk.act_on_dead(
            call, "delete", bulk.Delete(filter=which, until=until, cursor=query.cursor, why=why)
        )
    did = query.did + reply.done
    if reply.next is not None:
        on = {"did": str(did), "count": str(query.count), "cursor": reply.next}
        return Redirect("act", **_told(query, until), **on)
    deletion = {"deletion": str(reply.deletion)} if reply.deletion else {}
    return Redirect("dead", **query.filter, done=query.verb, n=str(did), **deletion)


async def _begin_trial(call: Call[ActNow], until: datetime) -> Redirect:
    """Retry a few jobs, and go to the page that waits for their ends."""
    query = call.query
    if query.verb != "retry":
        raise Problem(400, f"trial: only of a retry, not of verb={query.verb}")
    first = msgspec.structs.replace(query, limit=TRIAL, until=until)
    found = (await jobs.failed(call.asking(first))).jobs
    await bulk.act_on_dead(
        call, "retry", bulk.Retry(filter=_which(query), until=until, limit=TRIAL, why=query.why or "a trial")
    )
    told = {**_told(query, until), "job": [f"{one.id} {one.queue}" for one in found]}
    return Redirect("act", **told)


async def _trial(call: Call[Act]) -> Mapping[str, Any]:
    """Return how the jobs of a trial ended; wait for a moment until they have."""
    ends = time.monotonic() + TRIAL_WAIT_S
    found = await _trial_jobs(call)
    while any(not _has_ended(one) for one in found) and time.monotonic() < ends:
        await asyncio.sleep(0.1)
        found = await _trial_jobs(call)
    return {
        "jobs": found,
        "succeeded": sum(one.state == JobState.COMPLETED.value for one in found),
        "failed": sum(_has_ended(one) and one.state != JobState.COMPLETED.value for one in found),
        "going": sum(not _has_ended(one) for one in found),
        "gone": len(call.query.job) - len(found),
    }


async def _trial_jobs(call: Call[Act]) -> list[JobDetails]:
    """Return the jobs of a trial of which there are records."""
    found = []
    for one in call.query.job:
        job_id, _, queue = one.rpartition(" ")
        try:
            found.append(await jobs.show(call.asking(InQueue(queue), id=job_id)))
        except Problem as problem:
            if problem.status != 404:
                raise
    return found


def _has_ended(job: JobDetails) -> bool:
    return job.state in (JobState.COMPLETED.value, JobState.CANCELLED.value, JobState.FAILED.value)


def _which(query: Act) -> bulk.WhichDead:
    return bulk.WhichDead(
        queue=query.queue,
        name=query.name,
        error=query.error,
        group=query.group,
        tenant=query.tenant,
        since=query.since,
    )


def _told(query: Act, until: datetime) -> dict[str, Any]:
    """Return what goes along from one page to the next."""
    minutes = f"{query.minutes:g}" if query.minutes else None
    return {**query.filter, "until": until.isoformat(), "verb": query.verb, "why": query.why, "minutes": minutes}


# -- what else the buttons do


async def mark(call: Call[Seen]) -> Redirect:
    """Mark a group."""
    marked = groups.Mark(state=call.query.state, note=call.query.note)
    await groups.mark(call.asking(InQueue(call.query.queue))._replace(body=marked))
    return Redirect("dead", done="seen")


async def undo(call: Call[Undo]) -> Redirect:
    """Bring back what was deleted."""
    query = call.query
    if not query.deletion and not query.job:
        raise Problem(400, "deletion: expected its number")
    what = undoing.Undo(ids=[query.job]) if query.job else undoing.Undo(deletion=query.deletion)
    undone = await undoing.undo(call.asking(NoQuery())._replace(body=what))
    # What was brought back before, where one request did not suffice.
    number = query.n + undone.done
    return Redirect("dead", done="undo", n=str(number), deletion=None if undone.next is None else str(undone.next))


PAGES = [
    Page("/dead", "dead.html", dead, Dead),
    Page("/act", "act.html", asked, Act),
]
FORMS = [
    Form("/act", "look", act, ActNow),
    Form("/undo", "delete", undo, Undo),
    Form("/dead/groups/{id:path}/seen", "retry", mark, Seen),
]
