"""The limits of several queues with what they hold back: what the command line and the admin API show."""

from __future__ import annotations

import asyncio
from collections.abc import Collection

import msgspec

from asyncjobs.app.connection import on_app_loop
from asyncjobs.app.gates import GateStats
from asyncjobs.app.stats import LimitStats, queue_stats
from asyncjobs.app.verbs.all import AllVerbs

__all__ = ["QueueLimits", "limits_of"]


class QueueLimits(msgspec.Struct, frozen=True, kw_only=True):
    """How many jobs of one queue may run, and what waits for it."""

    queue: str
    """The queue."""
    running: int
    """How many of its jobs run."""
    limit: LimitStats | None
    """The limit of the whole queue, ``None`` if it has none."""
    gates: list[GateStats]
    """Its limits by name, each followed by its gates of single values, those for which most lines wait first."""

    @property
    def has_any(self) -> bool:
        """Whether it has a limit, as a whole or by name."""
        return self.limit is not None or bool(self.gates)


@on_app_loop
async def limits_of(app: AllVerbs, queues: Collection[str] | None, limit: int) -> list[QueueLimits]:
    """Return the limits of queues, sorted by queue.

    Args:
        app: The app, which is open.
        queues: The queues, ``None`` for all in use.
        limit: How many gates of each limit by name at most.
    """
    names = sorted(await app._queues(queues))
    if not names:
        return []
    figures, gates = await asyncio.gather(
        app._broker.overview(names), asyncio.gather(*(app.gates(one, limit=limit) for one in names))
    )
    return [
        QueueLimits(queue=one.queue_name, running=one.running, limit=one.limit, gates=own)
        for one, own in zip(map(queue_stats, figures), gates, strict=True)
    ]
