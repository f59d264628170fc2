"""The route that brings back deleted jobs."""

from __future__ import annotations

import time

import msgspec

from asyncjobs.admin.api.bulk import PORTION_S, Deletion, Ids
from asyncjobs.admin.api.route import Call, NoQuery, Reason, Route, one_by_one
from asyncjobs.app.acting import acting, actor
from asyncjobs.app.verbs.undoing import undelete_within
from asyncjobs.core.identity import tenant_prefix
from asyncjobs.jobs.tenant_scope import tenant_scope

__all__ = ["ROUTES", "Undo", "Undone", "undo"]


class Undo(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which deleted jobs are to be brought back."""

    ids: Ids | None = None
    """The ids of the jobs; by default all of a deletion."""
    deletion: Deletion | None = None
    """The number of the deletion; by default the last one."""
    queue: str | None = None
    """Only jobs of this queue."""
    why: Reason = ""
    """The reason, for the audit; at most 500 characters."""


class Undone(msgspec.Struct, frozen=True, kw_only=True):
    """What was brought back."""

    done: int
    """How many jobs are back."""
    next: int | None
    """``deletion`` of the request that goes on, ``null`` if this was the last: a request takes about two seconds."""


async def undo(call: Call[NoQuery]) -> Undone:
    """Bring back jobs that were deleted within the last 24 hours: those of some ids, or of a deletion."""
    asked: Undo = call.body
    access = call.access
    if asked.queue is not None and not access.sees_queue(asked.queue):
        call.not_found(f"queue {asked.queue!r}")
    queues = one_by_one(access.queues) if asked.queue is None else [asked.queue]
    done, ends_at = 0, time.monotonic() + PORTION_S
    with acting(actor().by, actor().via, note=asked.why or actor().note):
        for queue in queues:
            if asked.ids is not None:
                ids = [one for one in asked.ids if _may_bring_back(call, one)]
                done += sum(await call.app.undelete_jobs(ids, queue=queue))
                continue
            for tenant in [None] if access.tenants is None else access.tenants:
                with tenant_scope(tenant):
                    count, rest = await undelete_within(call.app, ends_at, asked.deletion, queue=queue)
                done += count
                if rest is not None:
                    return Undone(done=done, next=rest)
    return Undone(done=done, next=None)


def _may_bring_back(call: Call[NoQuery], job_id: str) -> bool:
    tenants = call.access.tenants
    return tenants is None or any(job_id.startswith(tenant_prefix(tenant)) for tenant in tenants)


ROUTES = [Route("POST", "/jobs/undo", "delete", undo, Undone, body=Undo)]
