"""What the buttons of the pages do: each is a form, answered by the page to go on with."""

from __future__ import annotations

from asyncjobs.admin.api import jobs
from asyncjobs.admin.api.route import Call, InQueue, one_by_one
from asyncjobs.admin.dashboard import jobs as listed_jobs
from asyncjobs.admin.dashboard import one_job, upkeep
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


async def act(call: Call[Act]) -> Redirect:
    """Retry or delete all dead jobs that pass a filter, and died before the page that asked."""
    query = call.query
    require(call.access, query.verb)
    verb = call.app.retry_failed if query.verb == "retry" else call.app.delete_failed
    queues, which = jobs.dead_of(call)
    count = sum([await verb(queue=queue, **which) for queue in one_by_one(queues)])
    return Redirect("dead", **query.filter, done=query.verb, n=str(count))


FORMS = [
    *listed_jobs.FORMS,
    *one_job.FORMS,
    *upkeep.FORMS,
    Form("/act", "look", act, Act),
    Form("/jobs/{id:path}/retry", "retry", retry, InQueue),
    Form("/jobs/{id:path}/cancel", "cancel", cancel, InQueue),
    Form("/jobs/{id:path}/delete", "delete", delete, InQueue),
]
