"""The page of jobs: by state, name, tenant and text, and what is done with those that are selected."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Annotated, Any, Literal, get_args

import msgspec

from asyncjobs.admin.access import Permission
from asyncjobs.admin.api import jobs, listing, queues
from asyncjobs.admin.api.route import Call, InQueue
from asyncjobs.admin.dashboard.commands import command, python_call
from asyncjobs.admin.dashboard.figures import sample_of
from asyncjobs.admin.dashboard.page import Form, Number, Page, Redirect, to_own_tenant
from asyncjobs.admin.dashboard.shell import place_of
from asyncjobs.admin.door import require
from asyncjobs.admin.problem import Problem
from asyncjobs.core.priority import PriorityName
from asyncjobs.core.view import JobSummary

__all__ = ["FORMS", "PAGES", "Jobs", "Selected"]

_State = Literal["ready", "scheduled", "running", "parked", "failed", "any", "ended"]
_Verb = Literal["cancel", "priority", "run"]

# What one must be permitted for each verb.
_NEEDS: dict[_Verb, Permission] = {"cancel": "cancel", "priority": "edit", "run": "edit"}
_EXAMPLES = 5
# A sample of a queue is shown for the names that most of its jobs have.
_NAMES_SHOWN = 3


class Jobs(InQueue, frozen=True, forbid_unknown_fields=True):
    """The filter of the page of jobs."""

    state: _State = "ready"
    """Where the jobs are; ``ended`` for the last ends of a name or a tenant."""
    name: str | None = None
    """Only jobs of this name."""
    tenant: str | None = None
    """Only jobs of this tenant."""
    text: str | None = None
    """Only jobs in which this text stands."""
    limit: Annotated[int, msgspec.Meta(ge=1, le=500)] = 50
    """How many jobs at most."""
    after: str = ""
    """Where the search goes on."""
    missing: str = ""
    """An id that was searched in vain."""
    done: str = ""
    """What was done before: a verb of ``Selected``."""
    n: Number = 0
    """With how many jobs."""
    skipped: Number = 0
    """With how many jobs it was too late."""

    @property
    def filter(self) -> dict[str, str | None]:
        """The filter as parameters of another page."""
        return {name: getattr(self, name) for name in ("state", "queue", "name", "tenant", "text")}


class Selected(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Jobs that were selected, and what is to be done with them."""

    verb: _Verb = "cancel"
    """What is to be done."""
    job: Annotated[list[str], msgspec.Meta(max_length=500)] = []
    """The jobs: each an id, a space and its queue."""
    priority: PriorityName = "normal"
    """The new priority, for the verb ``priority``."""
    at: str = ""
    """The page to go back to."""

    @property
    def jobs(self) -> list[tuple[str, str]]:
        """The ids and the queues of the jobs."""
        return [(job_id, queue) for job_id, _, queue in (one.partition(" ") for one in self.job)]


async def listed(call: Call[Jobs]) -> Mapping[str, Any]:
    """List jobs that haven't ended, or the last ends of a name or a tenant."""
    to_own_tenant(call, "jobs")
    query = call.query
    found: dict[str, Any] = {
        "states": get_args(_State),
        "names": sorted(call.app.registry.names())[:200],
        "filter": query.filter,
        "missing_at": jobs.sent_by_id(query.missing),
        **_copies(query),
    }
    if query.state == "ended":
        return {**found, "ended": await _ended(call), "found": None}
    asked = listing.ListedQuery(**query.filter, limit=query.limit, after=query.after)  # type: ignore[arg-type]
    page, progress, sample = await asyncio.gather(listing.listed(call.asking(asked)), _progress(call), _sample(call))
    if query.state == "running":
        page.jobs.sort(key=lambda job: -(job.duration_ms or 0))
    shown = {"progress": progress, "sample": sample if page.total > query.limit else None}
    return {**found, **shown, "ended": None, "found": page}


async def _ended(call: Call[Jobs]) -> list[listing.EndedJob]:
    query = call.query
    if query.name is None and query.tenant is None and not call.access.tenants:
        return []
    asked = listing.EndedQuery(queue=query.queue, name=query.name, tenant=query.tenant, limit=query.limit)
    return (await listing.ended(call.asking(asked))).jobs


async def _progress(call: Call[Jobs]) -> dict[str, Any]:
    """Return what running jobs have told of their progress, by id, for the list of these."""
    if call.query.state != "running" or call.access.tenants is not None:
        return {}
    stats = await queues.stats(call.asking(InQueue(call.query.queue)))
    return {job.id: job.progress for worker in stats.workers for job in worker.jobs if job.progress}


async def _sample(call: Call[Jobs]) -> listing.QueueSample | None:
    """Return the names that most jobs of the queue have, if the page shows all jobs of one queue."""
    query = call.query
    is_filtered = query.name or query.tenant or query.text or call.access.tenants is not None
    if query.queue is None or query.state == "any" or query.state == "ended" or is_filtered:
        return None
    found = await sample_of(call, query.queue, query.state)
    return msgspec.structs.replace(found, names=found.names[:_NAMES_SHOWN])


def _copies(query: Jobs) -> dict[str, str | None]:
    """Return the same list as a command, and as Python; ``None`` where there is none."""
    options = {name: query.filter[name] for name in ("queue", "name", "tenant", "text")}
    has_command = query.state in ("ready", "scheduled", "running", "parked")
    line = command(f"jobs {query.state}", options=options) if has_command else None
    state = None if query.state in ("any", "ended") else query.state
    call = None if query.state == "ended" else python_call("search_jobs", options={"state": state, **options})
    return {"command": line, "python": call}


def _checked(call: Call[Selected]) -> Selected:
    """Return what is asked for, if there is something, and the caller may do it."""
    if not call.query.job:
        raise Problem(400, "no job is selected; go back and select some")
    require(call.access, _NEEDS[call.query.verb])
    return call.query


async def ask(call: Call[Selected]) -> Mapping[str, Any]:
    """Say what a verb would do with the jobs that are selected, and ask."""
    query = _checked(call)
    examples: list[JobSummary] = []
    for job_id, queue in query.jobs[:_EXAMPLES]:
        try:
            examples.append(await jobs.show(call.asking(InQueue(queue), id=job_id)))
        except Problem as problem:
            if problem.status != 404:
                raise
    return {"examples": examples, "priorities": get_args(PriorityName)}


async def act(call: Call[Selected]) -> Redirect:
    """Do it with each of them that the caller may see."""
    query = _checked(call)
    done = 0
    for job_id, queue in query.jobs:
        try:
            done += await _change(call.asking(InQueue(queue), id=job_id), query)
        except Problem as problem:
            # It has gone, or has ended meanwhile.
            if problem.status not in (404, 409):
                raise
    parts, back = place_of(query.at)
    kept = {name: back.get(name) for name in ("state", "queue", "name", "tenant", "text")} if parts == ["jobs"] else {}
    return Redirect("jobs", **kept, done=query.verb, n=str(done), skipped=str(len(query.job) - done))


async def _change(call: Call[InQueue], query: Selected) -> bool:
    if query.verb == "cancel":
        await jobs.cancel(call)
        return True
    job = await jobs.show(call)
    given: dict[str, Any] = {"delay": 0} if query.verb == "run" else {"priority": query.priority}
    return await call.app.edit_job(job.id, queue=job.queue, **given) == "edited"


PAGES = [
    Page("/jobs", "jobs.html", listed, Jobs),
    Page("/jobs/selected", "selected.html", ask, Selected),
]

FORMS = [Form("/jobs/selected", "look", act, Selected)]
