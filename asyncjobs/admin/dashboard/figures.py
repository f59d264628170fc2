"""The pages of job names, and the charts of pages."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

import msgspec

from asyncjobs.admin.api import figures, listing, queues
from asyncjobs.admin.api.route import Call, InQueue
from asyncjobs.admin.dashboard.charts import SPANS, SpanName, deploys, name_charts, queue_charts
from asyncjobs.admin.dashboard.page import Page
from asyncjobs.app.stats import WorkerStats

__all__ = ["PAGES", "Charted", "charts_of"]

_DAY = 86_400


class Charted(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a page with charts takes."""

    span: SpanName = "1h"
    """How far it looks back."""


class Named(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a page of job names takes."""

    span: Literal["24h", "7d"] = "24h"
    """How far it looks back."""
    queue: str | None = None
    """Only this queue."""
    done: str = ""
    """What was done before: ``suspend`` or ``release``."""


async def charts_of(
    call: Call[Any], span: SpanName, workers: list[WorkerStats], queue: str | None = None
) -> Mapping[str, Any]:
    """Return what ``charts.html`` takes: the charts of a queue, or of all that the caller may see."""
    since, step = SPANS[span]
    asked = figures.AllSeriesQuery(since=since, step=step, queue=queue or "")
    series = await figures.all_series(call.asking(asked))
    a_day_before = msgspec.structs.replace(asked, since=max(since, 3_600), step=max(step, 3_600), before=_DAY)
    before = await figures.all_series(call.asking(a_day_before))
    marks = deploys(workers, datetime.now(UTC) - timedelta(seconds=since))
    return {"charts": queue_charts(series, before), "marks": marks, "spans": list(SPANS), "span": span}


async def names(call: Call[Named]) -> Mapping[str, Any]:
    """List the job names, with what they came to before too."""
    since, _ = SPANS[call.query.span]
    asked = figures.NamesQuery(queue=call.query.queue, since=since)
    found = (await figures.names(call.asking(asked))).names
    earlier = (await figures.names(call.asking(msgspec.structs.replace(asked, before=since)))).names
    return {"names": found, "before": {one.name: one for one in earlier}, "spans": ["24h", "7d"]}


async def name(call: Call[Named]) -> Mapping[str, Any]:
    """Show one job name."""
    since, _ = SPANS[call.query.span]
    asked = figures.NamesQuery(queue=call.query.queue, since=since)
    series = await figures.name_series(call.asking(asked))
    stats = (await figures.names(call.asking(asked))).names
    one = next((found for found in stats if found.name == series.name), None)
    held = [
        (queue.queue_name, hold)
        for queue in (await queues.stats(call.asking(InQueue()))).queues
        for hold in queue.holds
        if (hold.kind, hold.which) == ("name", series.name)
    ]
    ended = (await listing.ended(call.asking(listing.EndedQuery(name=series.name, limit=20)))).jobs
    return {
        "name": series.name,
        "held": held,
        "stats": one,
        "charts": name_charts(series),
        "marks": [],
        "ended": ended,
        "spans": ["24h", "7d"],
        "span": call.query.span,
    }


PAGES = [
    Page("/names", "names.html", names, Named),
    Page("/names/{name:path}", "name.html", name, Named),
]
