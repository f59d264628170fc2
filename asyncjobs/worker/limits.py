"""Lets the queues of a worker have the limits that its program declares."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping, Sequence

from asyncjobs.core.limits import NO_LIMIT, QueueLimit
from asyncjobs.ports import Broker
from asyncjobs.worker.duty import Duty

__all__ = ["DeclaredLimits"]

_log = logging.getLogger("asyncjobs.worker")


class DeclaredLimits(Duty):
    """Declares the limit of each of ``queues`` at the start, before the worker claims; also that a queue has none."""

    def __init__(self, broker: Broker, queues: Sequence[str], limits: Mapping[str, QueueLimit]) -> None:
        self._broker = broker
        self._queues = queues
        self._limits = limits

    async def start(self) -> None:
        """Declare the limits, and log where that takes another's place."""
        before = await asyncio.gather(*map(self._declare, self._queues))
        for queue, was in zip(self._queues, before, strict=True):
            limit = self._limits.get(queue, NO_LIMIT)
            if was and was != limit:
                _log.warning("the limit of the queue %s is %s now, as this program says; it was %s", queue, limit, was)

    async def _declare(self, queue: str) -> QueueLimit:
        return await self._broker.declare_limit(queue, self._limits.get(queue, NO_LIMIT))
