"""The routes for figures over time, and for the load of queues."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

import msgspec

from asyncjobs.admin.api.route import Call, NoQuery, Route
from asyncjobs.app.load import Load, QueueLoad
from asyncjobs.app.series import NameSeries, NameStats, QueueSeries

__all__ = [
    "ROUTES",
    "AllSeriesQuery",
    "ListedLoads",
    "ListedNames",
    "NamesQuery",
    "ScaleQuery",
    "SeriesQuery",
    "all_series",
    "loads",
    "name_series",
    "names",
    "scale",
    "series",
]

_DAYS = 86_400

_Before = Annotated[float, msgspec.Meta(ge=0, le=90 * _DAYS)]


class SeriesQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which time span of a queue to show."""

    since: Annotated[float, msgspec.Meta(ge=60, le=90 * _DAYS)] = 3_600
    """How far to look back, in seconds. Figures are kept by minute for six hours, and by hour for 90 days."""
    step: Annotated[float, msgspec.Meta(ge=60, le=90 * _DAYS)] | None = None
    """How long each step is, in seconds; by default a minute up to six hours, else an hour."""
    before: _Before = 0
    """How long before now the span ends, in seconds."""


class AllSeriesQuery(SeriesQuery, frozen=True, forbid_unknown_fields=True):
    """Which time span of which queues to show."""

    queue: str = ""
    """The queues, with commas between them; by default all."""


class NamesQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which time span of which queue to show."""

    queue: str | None = None
    """Only this queue; by default all."""
    since: Annotated[float, msgspec.Meta(ge=1, le=14 * _DAYS)] = _DAYS
    """How far to look back, in seconds. Figures of job names are kept by hour for 14 days."""
    before: _Before = 0
    """How long before now the span ends, in seconds."""


class ScaleQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which queues to tell the load of."""

    queue: str = ""
    """The queues, with commas between them; by default all."""
    target: Annotated[float, msgspec.Meta(ge=1, le=_DAYS)] = 60
    """Within how many seconds ``wanted_slots`` are to run the backlog."""


class ListedNames(msgspec.Struct, frozen=True, kw_only=True):
    """What attempts came to by job name."""

    names: list[NameStats]
    """The names, those that took the most time first."""


class ListedLoads(msgspec.Struct, frozen=True, kw_only=True):
    """The load of each queue."""

    queues: list[QueueLoad]
    """The queues that the caller may see, sorted."""


async def series(call: Call[SeriesQuery]) -> QueueSeries:
    """Show the figures of a queue over time, as columns."""
    query = call.query
    _queues(call, [name := call.path["name"]])
    return await call.app.queue_series(name, query.since, step=query.step, before=query.before)


async def all_series(call: Call[AllSeriesQuery]) -> QueueSeries:
    """Show the figures of several queues together over time, as columns."""
    query = call.query
    queues = _queues(call, query.queue.split(",") if query.queue else None)
    return await call.app.queue_series(queues, query.since, step=query.step, before=query.before)


async def names(call: Call[NamesQuery]) -> ListedNames:
    """Show what attempts came to by job name."""
    query = call.query
    queues = _queues(call, None if query.queue is None else [query.queue])
    return ListedNames(names=await call.app.names(queues, query.since, before=query.before))


async def name_series(call: Call[NamesQuery]) -> NameSeries:
    """Show the figures of one job name, hour by hour."""
    query = call.query
    queues = _queues(call, None if query.queue is None else [query.queue])
    return await call.app.name_series(call.path["name"], query.since, queues=queues, before=query.before)


async def loads(call: Call[NoQuery]) -> ListedLoads:
    """Show what comes in and what is served in each queue, and in what time its backlog is gone."""
    return ListedLoads(queues=await call.app.queue_loads(_queues(call, None)))


async def scale(call: Call[ScaleQuery]) -> Load:
    """Show the load of queues together, one number each, for autoscalers."""
    query = call.query
    queues = _queues(call, query.queue.split(",") if query.queue else None)
    return await call.app.load(queues, target=query.target)


def _queues(call: Call[msgspec.Struct], wanted: Sequence[str] | None) -> Sequence[str] | None:
    """Return the queues that are asked for, if the caller may see them all; ``None`` for all queues."""
    call.whole_queues()
    if wanted is None:
        return call.access.queues
    for one in wanted:
        if not call.access.sees_queue(one):
            call.not_found(f"queue {one!r}")
    return wanted


ROUTES = [
    Route("GET", "/queues/{name:path}/series", "look", series, QueueSeries, SeriesQuery),
    Route("GET", "/series", "look", all_series, QueueSeries, AllSeriesQuery),
    Route("GET", "/names", "look", names, ListedNames, NamesQuery),
    Route("GET", "/names/{name:path}/series", "look", name_series, NameSeries, NamesQuery),
    Route("GET", "/loads", "look", loads, ListedLoads),
    Route("GET", "/scale", "look", scale, Load, ScaleQuery),
]
