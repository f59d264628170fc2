"""What the buttons of the pages do: each is a form, answered by the page to go on with."""

from __future__ import annotations

from asyncjobs.admin.api import jobs
from asyncjobs.admin.api.route import Call, InQueue
from asyncjobs.admin.dashboard import cancelling, dead, limits, one_job, tenants, upkeep
from asyncjobs.admin.dashboard import jobs as listed_jobs
from asyncjobs.admin.dashboard.page import Form, Redirect

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
    done = await jobs.delete(call)
    return Redirect("dead", done="delete", n="1", job=done.id)


FORMS = [
    *listed_jobs.FORMS,
    *one_job.FORMS,
    *upkeep.FORMS,
    *limits.FORMS,
    *tenants.FORMS,
    *dead.FORMS,
    *cancelling.FORMS,
    Form("/jobs/{id:path}/retry", "retry", retry, InQueue),
    Form("/jobs/{id:path}/cancel", "cancel", cancel, InQueue),
    Form("/jobs/{id:path}/delete", "delete", delete, InQueue),
]
