"""The routes that list jobs by what they are: those that haven't ended, what a queue holds, and the last ends."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

import msgspec

from asyncjobs.admin.api.jobs import summary_for
from asyncjobs.admin.api.route import Call, InQueue, Route
from asyncjobs.admin.door import require
from asyncjobs.admin.problem import Problem
from asyncjobs.app.verbs.paging import ListedState
from asyncjobs.core.duration import utc_time
from asyncjobs.core.settlement import HistoryEntry
from asyncjobs.core.view import JobSummary

__all__ = [
    "ROUTES",
    "EndedJob",
    "EndedJobs",
    "EndedQuery",
    "ListedJobs",
    "ListedQuery",
    "NameShare",
    "QueueSample",
    "SampleQuery",
    "ended",
    "listed",
    "sample",
]

_Limit = Annotated[int, msgspec.Meta(ge=1, le=500)]


class ListedQuery(InQueue, frozen=True, forbid_unknown_fields=True):
    """Which jobs to list that haven't ended."""

    state: Literal["any", "ready", "scheduled", "running", "parked", "failed"] = "ready"
    """``ready``, ``scheduled``, ``running``, ``parked``: set aside until a worker knows its name, ``failed``: in the
    dead letter queue, or ``any`` of them."""
    name: str | None = None
    """Only jobs of this name."""
    tenant: str | None = None
    """Only jobs of this tenant."""
    text: str | None = None
    """Only jobs in which this text stands: in the id, the name, an argument, the metadata, a header or an error. Needs
    the permission ``values``."""
    limit: _Limit = 50
    """How many jobs at most, 1 to 500."""
    after: str = ""
    """``next`` of the reply before, to go on."""


class ListedJobs(msgspec.Struct, frozen=True, kw_only=True):
    """Jobs that haven't ended, state by state and queue by queue, in the order in which they will start."""

    jobs: list[JobSummary]
    """The jobs. Without the permission ``values``, their arguments are ``null`` and their metadata is empty."""
    next: str | None
    """``after`` of the request that goes on from here, ``null`` if all jobs were looked at. A request looks at 50,000
    jobs at most, so there may be more although it has found none."""
    looked_at: int
    """How many jobs were looked at, also by the requests before."""
    total: int
    """How many jobs there are in these states and queues."""


class SampleQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which jobs of a queue to look at."""

    state: ListedState = "ready"
    """The state of the jobs."""
    limit: Annotated[int, msgspec.Meta(ge=1, le=10_000)] = 1_000
    """How many jobs to look at, 1 to 10,000."""


class NameShare(msgspec.Struct, frozen=True, kw_only=True):
    """How many jobs of a sample have one name."""

    name: str
    """The job name; empty for jobs that can't be read."""
    count: int
    """How many of the jobs that were looked at."""
    share: float
    """The part of them, from 0 to 1."""


class QueueSample(msgspec.Struct, frozen=True, kw_only=True):
    """The job names in a queue, from some of its jobs."""

    looked_at: int
    """How many jobs were looked at."""
    names: list[NameShare]
    """The names, the most frequent first, 100 at most."""


class EndedQuery(InQueue, frozen=True, forbid_unknown_fields=True):
    """Which ends of jobs to list."""

    name: str | None = None
    """Only jobs of this name. A name or a tenant must be given."""
    tenant: str | None = None
    """Only jobs of this tenant."""
    limit: _Limit = 50
    """How many at most, 1 to 500."""


class EndedJob(msgspec.Struct, frozen=True, kw_only=True):
    """How one job ended."""

    id: str
    """Its id."""
    name: str
    """The job name."""
    state: str
    """``completed``, ``cancelled`` or ``failed``."""
    attempt: int
    """The number of its last attempt, 1 for the first."""
    finished_at: datetime
    """When it ended."""
    duration_ms: float
    """How long its last attempt ran, in milliseconds."""
    error: str
    """Of a failed job, its last error, cut short; of a cancelled one, the reason."""


class EndedJobs(msgspec.Struct, frozen=True, kw_only=True):
    """How the last jobs of a name, or of a tenant, ended, latest first."""

    jobs: list[EndedJob]
    """The ends. The records of the jobs may be gone."""


async def listed(call: Call[ListedQuery]) -> ListedJobs:
    """List jobs that haven't ended, by state, name, tenant or a text in them."""
    query = call.query
    if query.text:
        # Who may not see values could find them out one by one.
        require(call.access, "values")
    queues, tenant = call.narrowed(query.queue, query.tenant)
    found = await call.app.search_jobs(
        query.text,
        name=query.name,
        tenant=tenant,
        state=None if query.state == "any" else query.state,
        queue=queues,
        limit=query.limit,
        after=query.after,
    )
    return ListedJobs(
        jobs=[summary_for(call, job) for job in found.jobs],
        next=found.next or None,
        looked_at=found.looked_at,
        total=found.total,
    )


async def sample(call: Call[SampleQuery]) -> QueueSample:
    """Show which job names a queue holds, from some of its jobs."""
    call.whole_queues()
    queue = call.path["name"]
    if not call.access.sees_queue(queue):
        call.not_found(f"queue {queue!r}")
    looked_at, names, _ = await call.app.sample_queue(queue, call.query.state, limit=call.query.limit)
    most = sorted(names.items(), key=lambda one: (-one[1], one[0]))[:100]
    shares = [NameShare(name=name, count=count, share=round(count / looked_at, 4)) for name, count in most]
    return QueueSample(looked_at=looked_at, names=shares)


async def ended(call: Call[EndedQuery]) -> EndedJobs:
    """List how the last jobs of a name, or of a tenant, ended."""
    query = call.query
    queues, tenant = call.narrowed(query.queue, query.tenant)
    if query.name is None and tenant is None:
        raise Problem(400, "expected name= or tenant=, of whose jobs the last ends are to be listed")
    found = await call.app.job_history(query.name, query.limit, tenant=tenant, queue=queues)
    return EndedJobs(jobs=[_ended(one, query.name or one.name) for one in found])


def _ended(entry: HistoryEntry, name: str) -> EndedJob:
    return EndedJob(
        id=entry.id,
        name=name,
        state=entry.state,
        attempt=entry.attempt,
        finished_at=utc_time(entry.finished_at_ms),
        duration_ms=entry.duration_us / 1000,
        error=entry.error,
    )


ROUTES = [
    Route("GET", "/jobs", "look", listed, ListedJobs, ListedQuery),
    Route("GET", "/jobs/ended", "look", ended, EndedJobs, EndedQuery),
    Route("GET", "/queues/{name:path}/sample", "look", sample, QueueSample, SampleQuery),
]
