"""The routes for queues, workers and tenants."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Any

import msgspec

from asyncjobs.admin.api.route import Call, InQueue, NoQuery, Route, Why
from asyncjobs.app.stats import QueueStats, Stats, stats_of
from asyncjobs.app.tenants import TenantStats, TenantSummary
from asyncjobs.app.worker_stats import WorkerStats

__all__ = [
    "ROUTES",
    "ListedQueues",
    "ListedTenants",
    "ListedWorkers",
    "PausedQueue",
    "StatsReply",
    "TenantsQuery",
    "pause",
    "queue",
    "queue_of",
    "queues",
    "resume",
    "stats",
    "tenant",
    "tenants",
    "workers",
]


class StatsReply(Stats, frozen=True, kw_only=True):
    """All queues and workers that the caller may see."""

    as_of: datetime
    """When they were read, in UTC by this server's clock."""


class ListedQueues(msgspec.Struct, frozen=True, kw_only=True):
    """Queues."""

    queues: list[QueueStats]
    """The queues that the caller may see, sorted by name."""


class ListedWorkers(msgspec.Struct, frozen=True, kw_only=True):
    """Workers."""

    workers: list[WorkerStats]
    """The workers that serve a queue which the caller may see, sorted by id."""


class ListedTenants(msgspec.Struct, frozen=True, kw_only=True):
    """Some tenants, and how exact their numbers are."""

    tenants: list[TenantSummary]
    """The tenants: those with the most waiting jobs first. Where ``is_exact`` is false, only the first 100 are in this
    order, on the first page; behind these come all others, those of whom a job ended last first."""
    next: str | None
    """``after`` of the next tenants, ``null`` if there are none."""
    waiting: int
    """Jobs that wait in all these queues, also those of no tenant."""
    running: int
    """Jobs that run in all these queues, also those of no tenant."""
    looked_at: int
    """At how many of these jobs was looked."""
    is_exact: bool
    """Whether that was each of them."""


class PausedQueue(msgspec.Struct, frozen=True, kw_only=True):
    """Whether a queue gives jobs to workers."""

    queue: str
    """The queue."""
    paused: bool
    """Whether it is paused."""


class TenantsQuery(InQueue, frozen=True, forbid_unknown_fields=True):
    """Which tenants to list."""

    limit: Annotated[int, msgspec.Meta(ge=1, le=500)] = 100
    """How many at most, 1 to 500."""
    after: str = ""
    """``next`` of the reply before, to go on."""


async def stats(call: Call[InQueue]) -> StatsReply:
    """Show the figures of all queues and workers, or of one queue."""
    call.whole_queues()
    wanted = call.query.queue
    if wanted is not None and not call.access.sees_queue(wanted):
        call.not_found(f"queue {wanted!r}")
    found = await call.app.stats()
    seen_queues = [
        one for one in found.queues if call.access.sees_queue(one.queue_name) and wanted in (None, one.queue_name)
    ]
    names = {one.queue_name for one in seen_queues}
    seen = stats_of(seen_queues, [_seen(call, one) for one in found.workers if names.intersection(one.queues)])
    return StatsReply(**msgspec.structs.asdict(seen), as_of=datetime.now(UTC))


async def queues(call: Call[NoQuery]) -> ListedQueues:
    """Show the figures of all queues: what waits, what is overdue or set aside, and what is paused by whom and why."""
    return ListedQueues(queues=(await stats(call.asking(InQueue()))).queues)


async def workers(call: Call[NoQuery]) -> ListedWorkers:
    """Show the workers that are present, and what they run."""
    return ListedWorkers(workers=(await stats(call.asking(InQueue()))).workers)


async def queue(call: Call[NoQuery]) -> QueueStats:
    """Show the figures of one queue."""
    call.whole_queues()
    return await call.app.queue_stats(queue_of(call))


async def pause(call: Call[NoQuery]) -> PausedQueue:
    """Pause a queue: workers start none of its jobs."""
    call.whole_queues()
    name = queue_of(call)
    await call.app.pause(name, why=call.body.why)
    return PausedQueue(queue=name, paused=True)


async def resume(call: Call[NoQuery]) -> PausedQueue:
    """Resume a paused queue."""
    call.whole_queues()
    name = queue_of(call)
    await call.app.resume(name)
    return PausedQueue(queue=name, paused=False)


async def tenants(call: Call[TenantsQuery]) -> ListedTenants:
    """List the tenants, those with the most waiting jobs first."""
    call.whole_queues()
    wanted, seen = call.query.queue, call.access.queues
    if wanted is not None and not call.access.sees_queue(wanted):
        call.not_found(f"queue {wanted!r}")
    found = await call.app.tenants(
        queue=seen if wanted is None else wanted, limit=call.query.limit, after=call.query.after
    )
    return ListedTenants(**{**msgspec.structs.asdict(found), "next": found.next or None})


async def tenant(call: Call[NoQuery]) -> TenantStats:
    """Show the figures of one tenant, in the queues that the caller may see."""
    tenant_id = call.path["id"]
    if not (call.access.tenants is None or tenant_id in call.access.tenants):
        call.not_found(f"tenant {tenant_id!r}")
    return await call.app.tenant_stats(tenant_id, queue=call.access.queues)


def queue_of(call: Call[Any]) -> str:
    """Return the queue of the path, if the caller may see it."""
    name = call.path["name"]
    if not call.access.sees_queue(name):
        call.not_found(f"queue {name!r}")
    return name


def _seen(call: Call[InQueue], worker: WorkerStats) -> WorkerStats:
    """Return a worker without what it does for queues that the caller may not see."""
    if call.access.queues is None:
        return worker
    queues = tuple(one for one in worker.queues if call.access.sees_queue(one))
    jobs = tuple(one for one in worker.jobs if call.access.sees_queue(one.queue))
    running = worker.running if queues == worker.queues else tuple(one.id for one in jobs)
    return msgspec.structs.replace(worker, queues=queues, running=running, jobs=jobs)


ROUTES = [
    Route("GET", "/jobs/stats", "look", stats, StatsReply, InQueue),
    Route("GET", "/queues", "look", queues, ListedQueues),
    Route("GET", "/workers", "look", workers, ListedWorkers),
    Route("GET", "/queues/{name:path}", "look", queue, QueueStats),
    Route("POST", "/queues/{name:path}/pause", "pause", pause, PausedQueue, body=Why),
    Route("POST", "/queues/{name:path}/resume", "pause", resume, PausedQueue),
    Route("GET", "/tenants", "look", tenants, ListedTenants, TenantsQuery),
    Route("GET", "/tenants/{id:path}", "look", tenant, TenantStats),
]
