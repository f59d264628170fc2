"""The pages that tell who works and what stands still: queues, workers, schedules, the audit and the server."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

from asyncjobs.admin.api import holds, listing, operations, queues, schedules
from asyncjobs.admin.api.route import Call, InQueue, NoQuery, Why
from asyncjobs.admin.dashboard.figures import loads_of
from asyncjobs.admin.dashboard.page import Done, Form, Page, Redirect
from asyncjobs.app.worker_stats import WorkerStats

__all__ = ["FORMS", "PAGES"]

# How many next ticks, and how many last runs, the page of a schedule shows, and among how many ends of its job name
# these are looked for.
_TICKS = 10
_RUNS = 20
_LOOKED_AT = 500


class OneSchedule(InQueue, frozen=True, forbid_unknown_fields=True):
    """Which schedule a page shows."""

    done: str = ""
    """What was done to it before."""
    job: str = ""
    """The id of the job that came of it."""


class Held(Why, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What a form says that holds a name or a tenant back."""

    queue: str | None = None
    """Only in this queue, to whose page it leads; by default in all."""


async def listed_queues(call: Call[Done]) -> Mapping[str, Any]:
    """List the queues."""
    stats, loads = await asyncio.gather(queues.stats(call.asking(InQueue())), loads_of(call))
    return {"queues": stats.queues, "slots": _slots(stats.workers), "loads": loads}


async def asked_to_pause(call: Call[NoQuery]) -> Mapping[str, Any]:
    """Ask why a queue is to be paused."""
    return {"queue": await queues.queue(call)}


# How many running jobs the page of workers shows, those that run longest.
_RUNS_SHOWN = 50


async def workers(call: Call[NoQuery]) -> Mapping[str, Any]:
    """List the workers, and what they run."""
    found = (await queues.stats(call.asking(InQueue()))).workers
    runs = sorted(((job, worker) for worker in found for job in worker.jobs), key=lambda run: run[0].started_at)
    versions = sorted({(one.deploy, one.version) for one in found})
    return {"workers": found, "versions": versions, "runs": runs[:_RUNS_SHOWN], "more": len(runs[_RUNS_SHOWN:])}


async def one_worker(call: Call[NoQuery]) -> Mapping[str, Any]:
    """Show one worker, and what it runs."""
    worker_id = call.path["id"]
    found = (await queues.stats(call.asking(InQueue()))).workers
    worker = next((one for one in found if one.id == worker_id), None)
    if worker is None:
        call.not_found(f"worker {worker_id!r}")
    return {"worker": worker, "runs": [(job, worker) for job in worker.jobs]}


async def listed_schedules(call: Call[NoQuery]) -> Mapping[str, Any]:
    """List the schedules."""
    return {"schedules": (await schedules.schedules(call.asking(InQueue()))).schedules}


async def one_schedule(call: Call[OneSchedule]) -> Mapping[str, Any]:
    """Show one schedule: its next ticks, and what became of the last ones."""
    found = await schedules.schedule(call)
    ended: list[listing.EndedJob] = []
    if found.name:
        asked = listing.EndedQuery(queue=found.queue, name=found.name, tenant=found.tenant, limit=_LOOKED_AT)
        jobs = (await listing.ended(call.asking(asked))).jobs
        # The job of a tick has the id of the schedule, and the tick.
        ended = [job for job in jobs if job.id.startswith(f"{found.id}@")][:_RUNS]
    return {"schedule": found, "upcoming": found.upcoming(_TICKS), "ended": ended}


async def audit(call: Call[operations.AuditQuery]) -> Mapping[str, Any]:
    """Show what was done by hand."""
    found = await operations.audit(call)
    return {"entries": found.entries, "next": found.next}


async def server(call: Call[NoQuery]) -> Mapping[str, Any]:
    """Show how the broker's server is."""
    return {"server": await operations.server(call)}


def _slots(workers: list[WorkerStats]) -> Mapping[str, int]:
    """Return how many jobs the workers of each queue may run at once."""
    found: dict[str, int] = {}
    for one in workers:
        for queue in one.queues:
            found[queue] = found.get(queue, 0) + one.concurrency
    return found


async def pause(call: Call[Why]) -> Redirect:
    """Pause a queue."""
    asked = call.asking(NoQuery())._replace(body=call.query)
    return Redirect("queues", (await queues.pause(asked)).queue, done="pause")


async def resume(call: Call[NoQuery]) -> Redirect:
    """Resume a queue."""
    return Redirect("queues", (await queues.resume(call)).queue, done="resume")


async def suspend_name(call: Call[Held]) -> Redirect:
    """Suspend a job name."""
    return _held(call, "names", await holds.suspend_name(_asked(call)))


async def resume_name(call: Call[Held]) -> Redirect:
    """Resume a job name."""
    return _held(call, "names", await holds.resume_name(_asked(call)))


async def suspend_tenant(call: Call[Held]) -> Redirect:
    """Suspend a tenant."""
    return _held(call, "tenants", await holds.suspend_tenant(_asked(call)))


async def resume_tenant(call: Call[Held]) -> Redirect:
    """Resume a tenant."""
    return _held(call, "tenants", await holds.resume_tenant(_asked(call)))


def _asked(call: Call[Held]) -> Call[InQueue]:
    return call.asking(InQueue(call.query.queue))._replace(body=Why(call.query.why))


def _held(call: Call[Held], place: str, to: holds.Suspension) -> Redirect:
    done = "suspend" if to.suspended else "release"
    if call.query.queue is not None:
        return Redirect("queues", call.query.queue, done=done)
    return Redirect(place, to.which, done=done)


async def trigger(call: Call[InQueue]) -> Redirect:
    """Run a schedule now."""
    done = await schedules.trigger(call)
    return Redirect("schedules", done.id, queue=done.queue, done="trigger", job=done.job)


async def pause_schedule(call: Call[InQueue]) -> Redirect:
    """Pause a schedule."""
    done = await schedules.pause(call)
    return Redirect("schedules", done.id, queue=done.queue, done="pause")


async def resume_schedule(call: Call[InQueue]) -> Redirect:
    """Resume a schedule."""
    done = await schedules.resume(call)
    return Redirect("schedules", done.id, queue=done.queue, done="resume")


PAGES = [
    Page("/queues", "queues.html", listed_queues, Done),
    Page("/queues/{name:path}/pause", "pause.html", asked_to_pause, needs="pause"),
    Page("/workers", "workers.html", workers),
    Page("/workers/{id:path}", "worker.html", one_worker),
    Page("/schedules", "schedules.html", listed_schedules),
    Page("/schedules/{id:path}", "schedule.html", one_schedule, OneSchedule),
    Page("/audit", "audit.html", audit, operations.AuditQuery),
    Page("/server", "server.html", server),
]

FORMS = [
    Form("/queues/{name:path}/pause", "pause", pause, Why),
    Form("/queues/{name:path}/resume", "pause", resume),
    Form("/names/{name:path}/suspend", "pause", suspend_name, Held),
    Form("/names/{name:path}/resume", "pause", resume_name, Held),
    Form("/tenants/{id:path}/suspend", "pause", suspend_tenant, Held),
    Form("/tenants/{id:path}/resume", "pause", resume_tenant, Held),
    Form("/schedules/{id:path}/trigger", "schedule", trigger, InQueue),
    Form("/schedules/{id:path}/pause", "schedule", pause_schedule, InQueue),
    Form("/schedules/{id:path}/resume", "schedule", resume_schedule, InQueue),
]
