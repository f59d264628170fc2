"""What each page shows: a template, and a function that reads what stands in it.

Pages read through the answers of the admin API, which apply what the caller may see.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Literal

import msgspec

from asyncjobs.admin.api import figures, jobs, problems, queues
from asyncjobs.admin.api.route import Call, InQueue, NoQuery, one_by_one
from asyncjobs.admin.dashboard import figures as figure_pages
from asyncjobs.admin.dashboard import jobs as listed_jobs
from asyncjobs.admin.dashboard import one_job, upkeep
from asyncjobs.admin.dashboard.charts import SpanName
from asyncjobs.admin.dashboard.figures import Charted, charts_of
from asyncjobs.admin.dashboard.page import Done, Page, Redirect
from asyncjobs.admin.dashboard.shell import KEYS, THEMES, zones
from asyncjobs.admin.door import require
from asyncjobs.admin.problem import Problem
from asyncjobs.app.counting import Count, count_jobs

__all__ = ["PAGES", "Act"]


class Dead(jobs.FailedQuery, frozen=True, forbid_unknown_fields=True):
    """The filter of the page of dead jobs."""

    done: str = ""
    """What was done before: a verb of ``Act``."""
    n: int = 0
    """With how many jobs."""


class Act(jobs.FailedQuery, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What is to be done with all dead jobs that pass a filter."""

    verb: Literal["retry", "delete"]
    """What is done with them, which is the permission that it needs, too."""


class OneQueue(Done, frozen=True, forbid_unknown_fields=True):
    """Which queue a page shows."""

    span: SpanName = "1h"
    """How far its charts look back."""


class Search(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What is searched."""

    q: str = ""
    """The id of a job, or a text in one."""


async def now(call: Call[Charted]) -> Mapping[str, Any]:
    """Show what is wrong, and all queues."""
    if call.access.tenants is not None:
        return {"tenants": [await call.app.tenant_stats(one) for one in call.access.tenants], "stats": None}
    stats = await queues.stats(call.asking(InQueue()))
    found = (await problems.problems(call.asking(InQueue()))).problems
    loads = {one.queue: one for one in (await figures.loads(call.asking(NoQuery()))).queues}
    shown = {"stats": stats, "findings": found, "tenants": None, "loads": loads}
    return {**shown, **await charts_of(call, call.query.span, stats.workers)}


async def queue(call: Call[OneQueue]) -> Mapping[str, Any]:
    """Show one queue."""
    found = await queues.queue(call.asking(NoQuery()))
    stats = await queues.stats(call.asking(InQueue(found.queue_name)))
    charts = await charts_of(call, call.query.span, stats.workers, found.queue_name)
    return {"queue": found, "workers": stats.workers, **charts}


async def dead(call: Call[Dead]) -> Mapping[str, Any]:
    """List the dead."""
    found = await jobs.failed(call)
    return {"jobs": found.jobs, "next": found.next}


async def act(call: Call[Act]) -> Mapping[str, Any]:
    """Say what a verb would do to how many jobs, and ask."""
    require(call.access, call.query.verb)
    until = call.query.until or datetime.now(UTC)
    asked = call.asking(msgspec.structs.replace(call.query, limit=5, until=until))
    queues, which = jobs.dead_of(asked)
    counts = [await count_jobs(call.app, ["dead"], queue=queue, **which) for queue in one_by_one(queues)]
    count = Count(sum(one.number for one in counts), all(one.is_whole for one in counts))
    return {"count": count, "examples": (await jobs.failed(asked)).jobs, "until": until}


async def tenant(call: Call[Done]) -> Mapping[str, Any]:
    """Show one tenant."""
    return {"tenant": await queues.tenant(call.asking(NoQuery()))}


async def settings(call: Call[NoQuery]) -> Mapping[str, Any]:
    """Show what a viewer can choose."""
    return {"themes": THEMES, "zones": zones(), "keys": KEYS}


async def search(call: Call[Search]) -> Mapping[str, Any]:
    """Go to the job of an id, or to the jobs in which the text stands."""
    wanted, tenants = call.query.q.strip(), call.access.tenants
    try:
        found = await jobs.show(call.asking(InQueue(), id=wanted))
    except Problem as problem:
        if problem.status != 404:
            raise
        if wanted and "values" in call.access.permissions and (tenants is None or len(tenants) == 1):
            raise Redirect("jobs", state="any", text=wanted, missing=wanted) from None
        raise Redirect("jobs", missing=wanted) from None
    raise Redirect("jobs", found.id, queue=found.queue)


PAGES = [
    Page("/", "now.html", now, Charted),
    Page("/search", "now.html", search, Search),
    *upkeep.PAGES,
    Page("/queues/{name:path}", "queue.html", queue, OneQueue),
    *figure_pages.PAGES,
    *listed_jobs.PAGES,
    *one_job.PAGES,
    Page("/dead", "dead.html", dead, Dead),
    Page("/act", "act.html", act, Act),
    Page("/tenants/{id:path}", "tenant.html", tenant, Done),
    Page("/settings", "settings.html", settings),
]
