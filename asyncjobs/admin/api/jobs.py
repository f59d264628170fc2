"""The routes for jobs."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Annotated

import msgspec

from asyncjobs.admin.api.route import Call, InQueue, Route
from asyncjobs.admin.problem import Problem
from asyncjobs.app.reasons import WhyReason
from asyncjobs.app.verbs.dead import DeadFilter
from asyncjobs.app.verbs.search import why_of
from asyncjobs.core.duration import utc_time
from asyncjobs.core.identity import time_of
from asyncjobs.core.job import Job
from asyncjobs.core.priority import PriorityName
from asyncjobs.core.retention import UNGROUPED
from asyncjobs.core.states import JobState
from asyncjobs.core.view import JobDetails, JobSummary, job_details, job_summary
from asyncjobs.errors import UnknownJob

__all__ = [
    "ROUTES",
    "CancelledJob",
    "DeletedJob",
    "Edit",
    "EditedJob",
    "FailedJobs",
    "FailedQuery",
    "RetriedJob",
    "ToldReason",
    "WhyReply",
    "cancel",
    "dead_of",
    "delete",
    "details_for",
    "edit",
    "failed",
    "job_of",
    "retry",
    "sent_by_id",
    "show",
    "summary_for",
    "told_why",
    "why",
]


# When asyncjobs was young, and how far the clock of a sender may be ahead.
_FIRST = datetime(2026, 1, 1, tzinfo=UTC)
_AHEAD = timedelta(days=1)


class FailedQuery(InQueue, frozen=True, forbid_unknown_fields=True):
    """Which dead jobs to list."""

    limit: Annotated[int, msgspec.Meta(ge=1, le=500)] = 50
    """How many jobs at most, 1 to 500."""
    before: str = ""
    """``next`` of the reply before, for the jobs that died earlier."""
    name: str | None = None
    """Only jobs of this name."""
    error: str | None = None
    """Only jobs whose last error is of this type, with its module or without."""
    group: str | None = None
    """Only jobs of this group, as ``/dead/groups`` lists it; ``-`` for jobs in no group."""
    tenant: str | None = None
    """Only jobs of this tenant."""
    since: Annotated[datetime, msgspec.Meta(tz=True)] | None = None
    """Only jobs that died at this time or later; ISO 8601 with an offset."""
    until: Annotated[datetime, msgspec.Meta(tz=True)] | None = None
    """Only jobs that died before this time; ISO 8601 with an offset."""

    @property
    def filter(self) -> dict[str, str | None]:
        """The filter as parameters of another request."""
        texts = {name: getattr(self, name) for name in ("queue", "name", "error", "group", "tenant")}
        times = {name: getattr(self, name) for name in ("since", "until")}
        return {**texts, **{name: at and at.isoformat() for name, at in times.items()}}


class FailedJobs(msgspec.Struct, frozen=True, kw_only=True):
    """Jobs of the dead letter queues, latest first."""

    jobs: list[JobDetails]
    """The jobs. Without the permission ``values``, their arguments are ``null`` and their metadata is empty."""
    next: str | None
    """``before`` of the jobs that died earlier, ``null`` if there are none."""


class ToldReason(WhyReason, frozen=True, kw_only=True):
    """One reason why a job doesn't run."""

    sentence: str
    """The reason in words."""


class WhyReply(msgspec.Struct, frozen=True, kw_only=True):
    """Why a job doesn't run, or what it does instead."""

    id: str
    """Its id."""
    queue: str
    """Its queue."""
    state: str
    """Its state."""
    sentence: str
    """All reasons in words."""
    reasons: list[ToldReason]
    """The reasons, the first one first to be dealt with."""


class RetriedJob(msgspec.Struct, frozen=True, kw_only=True):
    """A job that has left the dead letter queue."""

    id: str
    """Its id."""
    queue: str
    """Its queue, in which it is ready again."""
    retried: bool = True
    """Always true."""


class CancelledJob(msgspec.Struct, frozen=True, kw_only=True):
    """A job that was cancelled."""

    id: str
    """Its id."""
    queue: str
    """Its queue."""
    cancelled: bool
    """Whether it is cancelled already. If not, it runs, and its worker will cancel the handler."""


class Edit(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is to change of a job."""

    priority: PriorityName | None = None
    """Its priority: ``critical``, ``high``, ``normal`` or ``low``."""
    at: Annotated[datetime, msgspec.Meta(tz=True)] | None = None
    """When it may start; ISO 8601 with an offset."""
    delay: Annotated[float, msgspec.Meta(ge=0, le=315_360_000)] | None = None
    """How many seconds it waits from now, in place of ``at``; 0 to start at once."""
    to_queue: str | None = None
    """The queue to which it moves."""


class EditedJob(msgspec.Struct, frozen=True, kw_only=True):
    """A job that was changed."""

    id: str
    """Its id."""
    queue: str
    """Its queue."""
    edited: bool = True
    """Always true."""


class DeletedJob(msgspec.Struct, frozen=True, kw_only=True):
    """A job that was deleted; for 24 hours it can be brought back."""

    id: str
    """Its id."""
    queue: str
    """The queue in which it was."""
    deleted: bool = True
    """Always true."""


async def failed(call: Call[FailedQuery]) -> FailedJobs:
    """List the dead letter queues, latest first."""
    queues, which = dead_of(call)
    page = await call.app.failed_page(call.query.limit, after=call.query.before, queue=queues, **which)
    return FailedJobs(jobs=[details_for(call, job) for job in page.jobs], next=page.next or None)


def dead_of(call: Call[FailedQuery]) -> tuple[list[str] | None, DeadFilter]:
    """Return which dead jobs are asked for, of those that the caller may see: their queues, and the filter."""
    query = call.query
    queues, tenant = call.narrowed(query.queue, query.tenant)
    group = "" if query.group == UNGROUPED else query.group
    which = DeadFilter(
        name=query.name, error=query.error, group=group, tenant=tenant, since=query.since, until=query.until
    )
    return queues, which


async def show(call: Call[InQueue]) -> JobDetails:
    """Show a job as it stands."""
    return details_for(call, await job_of(call))


async def why(call: Call[InQueue]) -> WhyReply:
    """Show why a job doesn't run, or what it does instead."""
    return await told_why(call, await job_of(call))


async def told_why(call: Call[InQueue], job: Job) -> WhyReply:
    """Return why a job doesn't run that the caller may see."""
    found = await why_of(call.app, job)
    reasons = found.reasons
    if call.access.tenants is not None:
        reasons = [_without_figures(one) for one in reasons]
    return WhyReply(
        id=found.id,
        queue=found.queue,
        state=found.state,
        sentence=" ".join(map(str, reasons)),
        reasons=[ToldReason(**msgspec.structs.asdict(one), sentence=str(one)) for one in reasons],
    )


def _without_figures(reason: WhyReason) -> WhyReason:
    """Return a reason without the figures of whole queues, without jobs of others, and without who holds them back."""
    return msgspec.structs.replace(
        reason,
        ahead=None,
        slots=None,
        free_slots=None,
        in_use=None,
        holders=(),
        lines_ahead=None,
        groups_ahead=None,
        by="",
        note="" if reason.kind == "queue paused" else reason.note,
        which="" if reason.kind in ("runs", "worker silent") else reason.which,
    )


async def retry(call: Call[InQueue]) -> RetriedJob:
    """Make a dead job ready again, with all its retries."""
    job = await job_of(call)
    if job.state is not JobState.FAILED or not await call.app.retry_job(job.id, queue=job.queue):
        raise Problem(409, f"job {job.id} is not in the dead letter queue: {_state_of(job)}")
    return RetriedJob(id=job.id, queue=job.queue)


async def cancel(call: Call[InQueue]) -> CancelledJob:
    """Cancel a job that waits or runs."""
    job = await job_of(call)
    reason = f"cancelled by {call.access.name}"
    reply = await call.app.cancel_job(job.id, queue=job.queue, reason=reason)
    if reply not in ("cancelled", "running"):
        raise Problem(409, f"job {job.id} neither waits nor runs: {_state_of(job)}")
    return CancelledJob(id=job.id, queue=job.queue, cancelled=reply == "cancelled")


async def delete(call: Call[InQueue]) -> DeletedJob:
    """Delete a job that has ended or is dead."""
    job = await job_of(call)
    if not await call.app.delete_job(job.id, queue=job.queue):
        raise Problem(409, f"job {job.id} waits or runs, so it must be cancelled first: {_state_of(job)}")
    return DeletedJob(id=job.id, queue=job.queue)


async def edit(call: Call[InQueue]) -> EditedJob:
    """Give a job that waits another priority, time or queue."""
    job, asked = await job_of(call), call.body
    if asked == Edit():
        raise Problem(400, 'the body: expected "priority", "at", "delay" or "to_queue"')
    if asked.to_queue is not None and not call.access.sees_queue(asked.to_queue):
        call.not_found(f"queue {asked.to_queue!r}")
    reply = await call.app.edit_job(
        job.id,
        queue=job.queue,
        priority=asked.priority,
        at=asked.at,
        delay=asked.delay,
        to_queue=asked.to_queue,
    )
    if reply == "known":
        raise Problem(409, f"job {job.id} can't move: queue {asked.to_queue!r} knows another job of this id")
    if reply != "edited":
        raise Problem(409, f"job {job.id} doesn't wait: {_state_of(job)}")
    return EditedJob(id=job.id, queue=asked.to_queue or job.queue)


async def job_of(call: Call[InQueue]) -> Job:
    """Return the job of the path, if the caller may see it."""
    job_id = call.path["id"]
    try:
        job = await call.app.find_job(job_id, queue=call.query.queue)
    except UnknownJob:
        job = None
    if job is None or not call.access.sees(job.queue, job.tenant or None):
        sent_at = sent_by_id(job_id)
        when = f"; by its id it was sent at {sent_at:%Y-%m-%d %H:%M:%S} UTC" if sent_at else ""
        call.not_found(f"record of job {job_id!r}", when)
    return job


def sent_by_id(job_id: str) -> datetime | None:
    """Return when a job was sent, by its id; ``None`` for an id that only looks like one of asyncjobs."""
    sent_at = utc_time(time_of(job_id))
    return sent_at if _FIRST <= sent_at <= datetime.now(UTC) + _AHEAD else None


def summary_for(call: Call[InQueue], job: Job) -> JobSummary:
    """Return a job as one of many, with what the caller may see."""
    summary = job_summary(job)
    if "values" in call.access.permissions:
        return summary
    return msgspec.structs.replace(summary, arguments=None, metadata={})


def details_for(call: Call[InQueue], job: Job) -> JobDetails:
    """Return a job with what it came to, and with what the caller may see."""
    details = job_details(job)
    if "values" in call.access.permissions:
        return details
    return msgspec.structs.replace(details, arguments=None, metadata={}, result=None)


def _state_of(job: Job) -> str:
    since = f", as of {datetime.now(UTC):%H:%M:%S} UTC"
    return f"it is {job.state.value}{since}"


ROUTES = [
    Route("GET", "/jobs/failed", "look", failed, FailedJobs, FailedQuery),
    Route("GET", "/jobs/{id:path}/why", "look", why, WhyReply, InQueue),
    Route("GET", "/jobs/{id:path}", "look", show, JobDetails, InQueue),
    Route("PATCH", "/jobs/{id:path}", "edit", edit, EditedJob, InQueue, body=Edit),
    Route("POST", "/jobs/{id:path}/retry", "retry", retry, RetriedJob, InQueue),
    Route("POST", "/jobs/{id:path}/cancel", "cancel", cancel, CancelledJob, InQueue),
    Route("POST", "/jobs/{id:path}/delete", "delete", delete, DeletedJob, InQueue),
]
