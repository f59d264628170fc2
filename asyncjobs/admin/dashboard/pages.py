"""What each page shows: a template, and a function that reads what stands in it.

Pages read through the answers of the admin API, which apply what the caller may see.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

import msgspec

from asyncjobs.admin.api import jobs, problems, queues
from asyncjobs.admin.api import limits as api_limits
from asyncjobs.admin.api.route import Call, InQueue, NoQuery
from asyncjobs.admin.dashboard import cancelling, dead, limits, one_job, tenants, upkeep
from asyncjobs.admin.dashboard import figures as figure_pages
from asyncjobs.admin.dashboard import jobs as listed_jobs
from asyncjobs.admin.dashboard.charts import SpanName
from asyncjobs.admin.dashboard.figures import Charted, charts_of, sample_of
from asyncjobs.admin.dashboard.keeping import kept
from asyncjobs.admin.dashboard.page import Done, Page, Redirect
from asyncjobs.admin.dashboard.shell import KEYS, THEMES, zones
from asyncjobs.admin.dashboard.tenants import TENANTS_S, own_tenants
from asyncjobs.admin.problem import Problem
from asyncjobs.app.series import QueueSeries
from asyncjobs.app.turns import TurnStats, tenants_by_group
from asyncjobs.core.lines import DIGEST_MARK

__all__ = ["PAGES"]

# How many groups of a queue are shown.
_TURNS = 20

# Of how many tenants of a queue the groups are told by name where these are digests.
_MAX_TENANTS = 500


class OneQueue(Done, frozen=True, forbid_unknown_fields=True):
    """Which queue a page shows."""

    span: SpanName = "1h"
    """How far its charts look back."""


class Search(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What is searched."""

    q: str = ""
    """The id of a job, a queue, a job name, or a text."""


async def now(call: Call[Charted]) -> Mapping[str, Any]:
    """Show what is wrong, and all queues."""
    if call.access.tenants is not None:
        return {"own": await own_tenants(call), "stats": None}
    reading = asyncio.ensure_future(problems.situation(call.asking(InQueue())))

    async def last_hour() -> QueueSeries:
        return (await reading).hour

    # What is wrong is told by the same figures as the last hour's charts.
    charts = charts_of(call, call.query.span, read=last_hour if call.query.span == "1h" else None)
    found, charted = await asyncio.gather(reading, charts)
    return {"stats": found.stats, "findings": found.problems, "own": None, "loads": found.loads, **charted}


async def queue(call: Call[OneQueue]) -> Mapping[str, Any]:
    """Show one queue."""
    name = call.path["name"]
    stats, charts, sample = await asyncio.gather(
        queues.stats(call.asking(InQueue(name))),
        charts_of(call, call.query.span, name),
        sample_of(call, name),
    )
    # One that no job was sent to yet has figures too.
    found = stats.queues[0] if stats.queues else await queues.queue(call.asking(NoQuery()))
    turns: list[TurnStats] = []
    if found.lined:
        turns = (await api_limits.turns(call.asking(api_limits.TurnsQuery(_TURNS + 1), name=name))).turns
    digests = {one.group for one in turns[:_TURNS] if one.group.startswith(DIGEST_MARK)}
    tenants_by_group = await _tenants_by_group(call, name) if digests else {}
    return {
        "queue": found,
        "workers": stats.workers,
        "sample": sample,
        # Jobs that have limits and no group take no turns with others.
        "turns": turns[:_TURNS] if any(one.group for one in turns) else [],
        "more_turns": len(turns) > _TURNS,
        "tenants_by_group": tenants_by_group,
        "has_digests": bool(digests - tenants_by_group.keys()),
        # For how long a job waits for a worker that knows its name.
        "grace": timedelta(seconds=call.app.settings.unknown_job_grace),
        **charts,
    }


async def _tenants_by_group(call: Call[Any], queue: str) -> dict[str, str]:
    """Return the tenants whose groups are told as digests, where they have jobs in the queue, or had some lately."""

    async def load() -> queues.ListedTenants:
        return await queues.tenants(call.asking(queues.TenantsQuery(queue, limit=_MAX_TENANTS)))

    found = await kept(call, ("tenants of", queue), TENANTS_S, load)
    return tenants_by_group(one.tenant for one in found.tenants)


async def settings(call: Call[NoQuery]) -> Mapping[str, Any]:
    """Show what a viewer can choose."""
    return {"themes": THEMES, "zones": zones(), "keys": KEYS}


async def search(call: Call[Search]) -> Mapping[str, Any]:
    """Go to the job of an id, the queue or the job name that is meant, or the jobs in which the text stands."""
    wanted, tenants = call.query.q.strip(), call.access.tenants
    if not wanted:
        raise Redirect("jobs")
    try:
        found = await jobs.show(call.asking(InQueue(), id=wanted))
    except Problem as problem:
        if problem.status != 404:
            raise
    else:
        raise Redirect("jobs", found.id, queue=found.queue)
    if tenants is None:
        stats = await queues.stats(call.asking(InQueue()))
        if wanted in {one.queue_name for one in stats.queues}:
            raise Redirect("queues", wanted)
        if wanted in {one.name for one in await call.app.names(call.access.queues)}:
            raise Redirect("names", wanted)
    # Of several tenants, the page of jobs takes one.
    if "values" in call.access.permissions and tenants != []:
        raise Redirect("jobs", state="any", text=wanted, missing=wanted)
    raise Redirect("jobs", missing=wanted)


PAGES = [
    Page("/", "now.html", now, Charted),
    Page("/search", "now.html", search, Search),
    *upkeep.PAGES,
    *limits.PAGES,
    Page("/queues/{name:path}", "queue.html", queue, OneQueue),
    *figure_pages.PAGES,
    *listed_jobs.PAGES,
    *one_job.PAGES,
    *dead.PAGES,
    *cancelling.PAGES,
    *tenants.PAGES,
    Page("/settings", "settings.html", settings),
]
