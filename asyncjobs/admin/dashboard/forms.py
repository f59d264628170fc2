"""What the buttons of the pages do: each is a form, answered by the page to go on with."""

from __future__ import annotations

from asyncjobs.admin.api import jobs, queues, schedules
from asyncjobs.admin.api.route import Call, InQueue, NoQuery, Why, one_by_one
from asyncjobs.admin.dashboard import jobs as listed_jobs
from asyncjobs.admin.dashboard.page import Form, Redirect
from asyncjobs.admin.dashboard.pages import Act
from asyncjobs.admin.door import require

__all__ = ["FORMS"]


async def retry(call: Call[InQueue]) -> Redirect:
    """Retry a dead job."""
    done = await jobs.retry(call)
    return Redirect("jobs", done.id, queue=done.queue, done="retry")


async def cancel(call: Call[InQueue]) -> Redirect:
    """Cancel a job."""
    done = await jobs.cancel(call)
    return Redirect("jobs", done.id, queue=done.queue, done="cancel")


async def delete(call: Call[InQueue]) -> Redirect:
    """Delete a job."""
    await jobs.delete(call)
    return Redirect("dead", done="delete", n="1")


async def pause(call: Call[Why]) -> Redirect:
    """Pause a queue."""
    asked = call.asking(NoQuery())._replace(body=call.query)
    return Redirect("queues", (await queues.pause(asked)).queue, done="pause")


async def resume(call: Call[NoQuery]) -> Redirect:
    """Resume a queue."""
    return Redirect("queues", (await queues.resume(call)).queue, done="resume")


async def act(call: Call[Act]) -> Redirect:
    """Retry or delete all dead jobs that pass a filter, and died before the page that asked."""
    query = call.query
    require(call.access, query.verb)
    verb = call.app.retry_failed if query.verb == "retry" else call.app.delete_failed
    queues, which = jobs.dead_of(call)
    count = sum([await verb(queue=queue, **which) for queue in one_by_one(queues)])
    return Redirect("dead", **query.filter, done=query.verb, n=str(count))


async def trigger(call: Call[InQueue]) -> Redirect:
    """Run a schedule now."""
    return Redirect("schedules", done="trigger", job=(await schedules.trigger(call)).job)


async def pause_schedule(call: Call[InQueue]) -> Redirect:
    """Pause a schedule."""
    await schedules.pause(call)
    return Redirect("schedules", done="pause")


async def resume_schedule(call: Call[InQueue]) -> Redirect:
    """Resume a schedule."""
    await schedules.resume(call)
    return Redirect("schedules", done="resume")


FORMS = [
    *listed_jobs.FORMS,
    Form("/act", "look", act, Act),
    Form("/jobs/{id:path}/retry", "retry", retry, InQueue),
    Form("/jobs/{id:path}/cancel", "cancel", cancel, InQueue),
    Form("/jobs/{id:path}/delete", "delete", delete, InQueue),
    Form("/queues/{name:path}/pause", "pause", pause, Why),
    Form("/queues/{name:path}/resume", "pause", resume),
    Form("/schedules/{id:path}/trigger", "schedule", trigger, InQueue),
    Form("/schedules/{id:path}/pause", "schedule", pause_schedule, InQueue),
    Form("/schedules/{id:path}/resume", "schedule", resume_schedule, InQueue),
]
