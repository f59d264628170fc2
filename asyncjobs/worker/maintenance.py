"""The duties of a worker that are not its own jobs: recover expired leases, unpark, prune, show presence."""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Callable, Sequence

from asyncjobs.errors import BrokerError, BrokerRefused
from asyncjobs.ports import Broker, WorkerInfo

__all__ = ["Maintenance"]

_log = logging.getLogger("asyncjobs.worker")

# A lease that has expired is found within this time, so that recovery takes a lease and a second at most.
_RECOVER_EVERY_S = 0.75
_ANNOUNCE_EVERY_S = 5.0
_PRESENT_MS = 20_000
_PRUNE_EVERY_S = 60.0


class Maintenance:
    """Runs its duties for ever; everybody may run them at once, so no lock is needed."""

    def __init__(
        self,
        broker: Broker,
        *,
        queues: Sequence[str],
        names: frozenset[str],
        info: Callable[[], WorkerInfo],
        lease_ms: int,
        max_deaths: int,
        grace_ms: int,
        dead_ttl_ms: int,
        max_dead: int,
    ) -> None:
        self._broker = broker
        self._queues = queues
        self._names = names
        self._info = info
        self._lease_ms = lease_ms
        self._max_deaths = max_deaths
        self._grace_ms = grace_ms
        self._dead_ttl_ms = dead_ttl_ms
        self._max_dead = max_dead

    async def announce(self) -> None:
        """Show that the worker is there, and make jobs startable that waited for one that knows them."""
        try:
            await self.show()
        except BrokerRefused as error:
            # A server that is full refuses what only shows us, but not what drains it.
            _log.warning("the worker can't be seen by others: %s", error)
        await self._broker.unpark(self._queues, self._names, self._grace_ms)

    async def show(self) -> None:
        """Show what the worker does at the moment."""
        await self._broker.announce(self._info(), _PRESENT_MS)

    async def recover(self) -> None:
        """Take back jobs whose worker has died."""
        recovery = await self._broker.recover(self._queues, self._lease_ms, self._max_deaths)
        if recovered := recovery.recovered:
            _log.warning("recovered %d jobs whose worker had died: %s", len(recovered), _some(recovered))
        if dead := recovery.dead:
            _log.error("%d jobs went to the dead letter queue, their workers died: %s", len(dead), _some(dead))

    async def prune(self) -> None:
        """Forget the dead that are too old or too many."""
        count = 0
        # One call does a bounded amount; jobs may die faster than one call a minute forgets them.
        while some := await self._broker.prune(self._queues, self._dead_ttl_ms, self._max_dead):
            count += some
        if count:
            _log.warning("%d jobs left the dead letter queue, too old or too many: see dead_ttl, max_dead", count)

    async def run(self) -> None:
        """Do all, each in its time, for ever."""
        period = min(_RECOVER_EVERY_S, self._lease_ms / 4000)
        since_announced = since_pruned = 0.0
        is_away = False
        while True:
            # Spread a little, so that workers started together do not knock together.
            await asyncio.sleep(period * random.uniform(0.9, 1.0))
            since_announced += period
            since_pruned += period
            try:
                await self.recover()
                if since_announced >= _ANNOUNCE_EVERY_S:
                    await self.announce()
                    since_announced = 0.0
                if since_pruned >= _PRUNE_EVERY_S:
                    await self.prune()
                    since_pruned = 0.0
            except BrokerError as error:
                if not is_away:
                    _log.warning("the broker is away: %s", error)
                is_away = True
            else:
                if is_away:
                    _log.warning("the broker is back")
                is_away = False


def _some(ids: list[str]) -> str:
    return ", ".join(ids[:5]) + (" …" if len(ids) > 5 else "")
