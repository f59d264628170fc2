"""The pages of job names, and the charts of pages."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

import msgspec

from asyncjobs.admin.api import figures, listing, operations, queues
from asyncjobs.admin.api.route import Call, InQueue, NoQuery
from asyncjobs.admin.dashboard.charts import SPANS, Mark, SpanName, name_charts, queue_charts
from asyncjobs.admin.dashboard.keeping import kept
from asyncjobs.admin.dashboard.page import Page
from asyncjobs.app.load import QueueLoad
from asyncjobs.app.series import NameStats, QueueSeries
from asyncjobs.app.verbs.by_name import definition_of
from asyncjobs.app.verbs.paging import ListedState

__all__ = ["PAGES", "Charted", "charts_of", "loads_of", "sample_of"]

_DAY = 86_400

# How old the loads of queues may be: they are rates of five minutes.
_LOADS_S = 5.0

# How old figures of the days before may be, of which hours are read.
_EARLIER_S = 60.0

# And those of job names.
_NAMES_S = 20.0

# How old the sample of a queue may be, and how many jobs it has: in a long queue, each is far from both ends.
_SAMPLE_S = 20.0
_SAMPLED = 400


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
    call: Call[Any],
    span: SpanName,
    queue: str | None = None,
    *,
    read: Callable[[], Awaitable[QueueSeries]] | None = None,
) -> Mapping[str, Any]:
    """Return what ``charts.html`` takes: the charts of a queue, or of all that the caller may see.

    Args:
        call: The caller.
        span: How far they look back.
        queue: The queue, ``None`` for all.
        read: Returns their figures, where these are read for something else too.
    """
    since, step = SPANS[span]
    days = max(since // _DAY, 1)
    asked = figures.AllSeriesQuery(since=since, step=step, queue=queue or "")
    earlier = msgspec.structs.replace(asked, since=max(since, 3_600), step=max(step, 3_600), before=days * _DAY)

    async def kept_series(asked: figures.AllSeriesQuery, max_age_s: float) -> QueueSeries:
        key = ("series", span, queue, asked.before)
        return await kept(call, key, max_age_s, lambda: figures.all_series(call.asking(asked)))

    # They end with the last full step, so that they seldom change.
    series, before, marks = await asyncio.gather(
        kept_series(asked, min(60.0, step / 12)) if read is None else read(),
        kept_series(earlier, _EARLIER_S),
        _deploys(call, since),
    )
    charts = queue_charts(series, before, days)
    return {"charts": charts, "marks": marks, "spans": list(SPANS), "span": span}


async def _deploys(call: Call[Any], since_s: int) -> list[Mark]:
    """Return the deploys that began in this time, the earliest first."""
    since = datetime.now(UTC) - timedelta(seconds=since_s)
    found = (await operations.deploys(call.asking(NoQuery()))).deploys
    return [Mark(one.began_at, one.name) for one in found if one.began_at >= since]


async def loads_of(call: Call[Any], max_age_s: float = _LOADS_S) -> Mapping[str, QueueLoad]:
    """Return the load of each queue that the caller may see, by its name, as it was at most ``max_age_s`` ago."""

    async def load() -> Mapping[str, QueueLoad]:
        return {one.queue: one for one in (await figures.loads(call.asking(NoQuery()))).queues}

    return await kept(call, ("loads",), max_age_s, load)


async def sample_of(call: Call[Any], queue: str, state: ListedState = "ready") -> listing.QueueSample:
    """Return which job names a queue holds, as it was a moment ago."""

    async def load() -> listing.QueueSample:
        return await listing.sample(call.asking(listing.SampleQuery(state, _SAMPLED), name=queue))

    return await kept(call, ("sample", queue, state), _SAMPLE_S, load)


async def names(call: Call[Named]) -> Mapping[str, Any]:
    """List the job names, with what they came to before too."""
    since, _ = SPANS[call.query.span]
    found, earlier = await asyncio.gather(_stats(call, since), _stats(call, since, since))
    return {"names": found, "before": {one.name: one for one in earlier}, "spans": ["24h", "7d"]}


async def _stats(call: Call[Named], since: int, before: int = 0) -> list[NameStats]:
    """Return what the names came to in a span that ended so many seconds ago."""

    async def load() -> list[NameStats]:
        asked = figures.NamesQuery(queue=call.query.queue, since=since, before=before)
        return (await figures.names(call.asking(asked))).names

    return await kept(call, ("names", call.query.queue, since, before), _NAMES_S, load)


async def name(call: Call[Named]) -> Mapping[str, Any]:
    """Show one job name."""
    since, _ = SPANS[call.query.span]
    series, stats, here, ended, marks, definition = await asyncio.gather(
        figures.name_series(call.asking(figures.NamesQuery(queue=call.query.queue, since=since))),
        _stats(call, since),
        queues.stats(call.asking(InQueue())),
        listing.ended(call.asking(listing.EndedQuery(name=call.path["name"], limit=20))),
        _deploys(call, since),
        definition_of(call.app, call.path["name"]),
    )
    one = next((found for found in stats if found.name == series.name), None)
    held = [
        (queue.queue_name, hold)
        for queue in here.queues
        for hold in queue.holds
        if (hold.kind, hold.which) == ("name", series.name)
    ]
    return {
        "name": series.name,
        "held": held,
        "stats": one,
        "definition": definition,
        "charts": name_charts(series),
        "marks": marks,
        "ended": ended.jobs,
        "spans": ["24h", "7d"],
        "span": call.query.span,
    }


PAGES = [
    Page("/names", "names.html", names, Named),
    Page("/names/{name:path}", "name.html", name, Named),
]
