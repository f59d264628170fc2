"""What every worker does for its queues as a whole: recover expired leases, and prune the dead letter queue."""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Sequence

from asyncjobs.core.text import some_of
from asyncjobs.errors import BrokerError
from asyncjobs.ports import JobQueue
from asyncjobs.ports.outage import Outage
from asyncjobs.worker.duty import Duty

__all__ = ["Maintenance"]

_log = logging.getLogger("asyncjobs.worker")

# A lease that has expired is found within this time, so that recovery takes a lease and a second at most.
_RECOVER_EVERY_S = 0.75
_PRUNE_EVERY_S = 60.0


class Maintenance(Duty):
    """Recovers and prunes ``queues`` for ever; all workers may do so at once, so no lock is needed.

    ``max_deaths``: a job goes to the dead letter queue once so many workers have died under it. ``dead_ttl_ms`` and
    ``dead_most``: how long, and how many of a queue, dead jobs are kept.
    """

    def __init__(
        self,
        broker: JobQueue,
        *,
        queues: Sequence[str],
        lease_ms: int,
        max_deaths: int,
        dead_ttl_ms: int,
        max_dead: int,
    ) -> None:
        self._broker = broker
        self._queues = queues
        self._lease_ms = lease_ms
        self._max_deaths = max_deaths
        self._dead_ttl_ms = dead_ttl_ms
        self._max_dead = max_dead

    async def recover(self) -> None:
        """Take back jobs whose worker has died."""
        recovery = await self._broker.recover(self._queues, self._lease_ms, self._max_deaths)
        if recovered := recovery.recovered:
            _log.warning(
                "recovered %d jobs whose worker had died, or lost their lease: %s", len(recovered), some_of(recovered)
            )
        if dead := recovery.dead:
            _log.error(
                "%d jobs went to the dead letter queue, their workers died, or lost their lease: %s",
                len(dead),
                some_of(dead),
            )

    async def prune(self) -> None:
        """Forget the dead that are too old or too many."""
        count = 0
        # The work of one call is bounded; jobs may die faster than one call a minute forgets them.
        while some := await self._broker.prune(self._queues, self._dead_ttl_ms, self._max_dead):
            count += some
        if count:
            _log.warning("%d jobs left the dead letter queue, too old or too many: see dead_ttl, max_dead", count)

    async def run(self) -> None:
        """Recover often, and prune now and then, for ever."""
        period_s = min(_RECOVER_EVERY_S, self._lease_ms / 4000)
        since_pruned_s = 0.0
        outage = Outage(_log, "the broker is away: %s", "the broker is back")
        while True:
            # Spread a little, so that workers started together do not call together.
            await asyncio.sleep(period_s * random.uniform(0.9, 1.0))
            since_pruned_s += period_s
            try:
                await self.recover()
                if since_pruned_s >= _PRUNE_EVERY_S:
                    await self.prune()
                    since_pruned_s = 0.0
            except BrokerError as error:
                outage.failed(error)
            else:
                outage.over()
