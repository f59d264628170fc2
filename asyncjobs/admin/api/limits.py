"""The routes for limits, of queues and by name, and for turns."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec

from asyncjobs.admin.api.queues import queue_of
from asyncjobs.admin.api.route import Call, NoQuery, Route
from asyncjobs.app.counting import known_queues
from asyncjobs.app.gates import MAX_LOOKED_THROUGH, GateStats, limit_of
from asyncjobs.app.limited import QueueLimits, limits_of
from asyncjobs.app.stats import LimitStats
from asyncjobs.app.turns import MAX_TURNS, TurnStats

__all__ = [
    "MAX_GATES",
    "ROUTES",
    "GatesQuery",
    "LimitChange",
    "LimitReset",
    "LimitedQueue",
    "ListedLimits",
    "ListedTurns",
    "TurnsQuery",
    "gates",
    "limits",
    "reset_limit",
    "set_limit",
    "turns",
]

#: How many gates of one limit are told at most.
MAX_GATES = 1_000


class GatesQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How many gates to list."""

    limit: Annotated[int, msgspec.Meta(ge=1, le=MAX_GATES)] = 50
    """How many gates of each limit at most, 1 to 1,000: those for which most lines wait."""


class ListedLimits(msgspec.Struct, frozen=True, kw_only=True):
    """The limits of queues."""

    queues: list[QueueLimits]
    """The queues that the caller may see and that have a limit, sorted by name."""


class TurnsQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How many groups to list."""

    limit: Annotated[int, msgspec.Meta(ge=1, le=MAX_TURNS)] = 20
    """How many groups at most, 1 to 500."""


class ListedTurns(msgspec.Struct, frozen=True, kw_only=True):
    """The groups of a queue."""

    turns: list[TurnStats]
    """Those that have jobs waiting for a turn, by priority and in the order of their next starts."""


class LimitChange(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What a limit is to be; what isn't given stays as it is."""

    gate: str = ""
    """A limit by name, as ``stripe``, or one of its gates, as ``customer=42``; empty for the limit of the queue."""
    running: int | msgspec.UnsetType | None = msgspec.UNSET
    """How many jobs may run at once, on all workers together; ``null`` for any number."""
    rate: str | msgspec.UnsetType | None = msgspec.UNSET
    """How many jobs may start in a time, such as ``50/s``, on all workers together; ``null`` for any number."""


class LimitReset(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Which limit is to be as the program declares it."""

    gate: str = ""
    """A limit by name, or one of its gates; empty for the limit of the queue."""


class LimitedQueue(msgspec.Struct, frozen=True, kw_only=True):
    """How many jobs of a queue may run."""

    queue: str
    """The queue."""
    limit: LimitStats | None
    """The limit of the whole queue, ``null`` if it has none."""
    gate: GateStats | None = None
    """What holds for the gate that was changed: its own limit, or the one of its name; ``null`` for no limit."""


async def limits(call: Call[GatesQuery]) -> ListedLimits:
    """Show the limits of all queues that have one, how much of them is in use, and what waits."""
    call.whole_queues()
    found = await limits_of(call.app, call.access.queues, call.query.limit)
    return ListedLimits(queues=[one for one in found if one.has_any])


async def gates(call: Call[GatesQuery]) -> QueueLimits:
    """Show the limits of a queue: how much of them is in use, by which jobs, and what waits."""
    [found] = await limits_of(call.app, [await _known_queue(call)], call.query.limit)
    return found


async def turns(call: Call[TurnsQuery]) -> ListedTurns:
    """Show the groups of a queue with fair turns that have jobs waiting, those that start next first."""
    return ListedTurns(turns=await call.app.turns(await _known_queue(call), limit=call.query.limit))


async def set_limit(call: Call[NoQuery]) -> LimitedQueue:
    """Limit how many jobs run, of a queue or through one of its gates, whatever its program declares."""
    name, change = await _known_queue(call), call.body
    await call.app.set_limit(name, change.gate, running=change.running, rate=change.rate)
    return await _limited(call, name, change.gate)


async def reset_limit(call: Call[NoQuery]) -> LimitedQueue:
    """Let a queue, or one of its gates, have the limit again that its program declares."""
    name = await _known_queue(call)
    await call.app.reset_limit(name, call.body.gate)
    return await _limited(call, name, call.body.gate)


async def _known_queue(call: Call[Any]) -> str:
    """Return the queue of the path, if the caller may see it and there is one."""
    call.whole_queues()
    name = queue_of(call)
    if name not in await known_queues(call.app):
        call.not_found(f"queue {name!r}")
    return name


async def _limited(call: Call[NoQuery], queue: str, gate: str) -> LimitedQueue:
    limit = (await call.app.queue_stats(queue)).limit
    if not gate:
        return LimitedQueue(queue=queue, limit=limit)
    gates = await call.app.gates(queue, limit=MAX_LOOKED_THROUGH)
    return LimitedQueue(queue=queue, limit=limit, gate=limit_of(gates, gate))


ROUTES = [
    Route("GET", "/limits", "look", limits, ListedLimits, GatesQuery),
    Route("GET", "/queues/{name:path}/gates", "look", gates, QueueLimits, GatesQuery),
    Route("GET", "/queues/{name:path}/turns", "look", turns, ListedTurns, TurnsQuery),
    Route("POST", "/queues/{name:path}/limit", "pause", set_limit, LimitedQueue, body=LimitChange),
    Route("POST", "/queues/{name:path}/limit/reset", "pause", reset_limit, LimitedQueue, body=LimitReset),
]
