"""Lets the queues of a worker have the limits that its program declares."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Mapping, Sequence

from asyncjobs.core.limits import NO_LIMIT, QueueLimit
from asyncjobs.errors import BrokerError, QueueUnavailable
from asyncjobs.ports import Broker
from asyncjobs.ports.outage import RESTART_PAUSES_S, pause_after
from asyncjobs.worker.duty import Duty

__all__ = ["DeclaredLimits"]

_log = logging.getLogger("asyncjobs.worker")


class DeclaredLimits(Duty):
    """Declares the limit of each of ``queues`` at the start, before the worker claims; also that a queue has none."""

    def __init__(self, broker: Broker, queues: Sequence[str], limits: Mapping[str, QueueLimit]) -> None:
        self._broker = broker
        self._queues = queues
        self._limits = limits
        # In a Cluster, those whose primary could not be reached yet.
        self._left: Sequence[str] = queues

    async def start(self) -> None:
        """Declare the limits, and log where that takes another's place."""
        await self._declare_left()

    async def run(self) -> None:
        """Declare the limits of queues that could not be reached before."""
        failures = 0
        while self._left:
            failures += 1
            await asyncio.sleep(pause_after(failures, RESTART_PAUSES_S))
            with contextlib.suppress(BrokerError):
                await self._declare_left()

    async def declare_again(self) -> None:
        """Declare all limits once more, since the server may have lost them."""
        self._left = self._queues
        await self._declare_left()

    async def _declare_left(self) -> None:
        queues = self._left
        replies = await asyncio.gather(*map(self._declare, queues), return_exceptions=True)
        self._left = [queue for queue, was in zip(queues, replies, strict=True) if isinstance(was, BaseException)]
        for queue, was in zip(queues, replies, strict=True):
            if isinstance(was, QueueLimit):
                limit = self._limits.get(queue, NO_LIMIT)
                if was and was != limit:
                    what = "the limit of the queue %s is %s now, as this program says; it was %s"
                    _log.warning(what, queue, limit, was)
            elif not isinstance(was, QueueUnavailable):
                raise was

    async def _declare(self, queue: str) -> QueueLimit:
        return await self._broker.declare_limit(queue, self._limits.get(queue, NO_LIMIT))
