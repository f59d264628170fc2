"""Shows a running worker to others, makes jobs startable that waited for their names, and warns of others that wait."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import random
import socket
from collections import deque
from collections.abc import Callable, Sequence

from asyncjobs.core.package import PACKAGE_VERSION
from asyncjobs.errors import BrokerError, BrokerRefused
from asyncjobs.ports import Broker, CatalogueEntry, WorkerInfo
from asyncjobs.worker.claimer import Claimer
from asyncjobs.worker.duty import Duty
from asyncjobs.worker.execution.executor import Executor
from asyncjobs.worker.limits import DeclaredRules
from asyncjobs.worker.liveness.watchdog import Watchdog
from asyncjobs.worker.memory_use import resident_bytes
from asyncjobs.worker.namesakes import warn_of_namesakes
from asyncjobs.worker.unknown_names import UnknownNames
from asyncjobs.worker.unused_queues import warn_of_unused_queues

__all__ = ["Presence"]

_log = logging.getLogger("asyncjobs.worker")

_ANNOUNCE_EVERY_S = 5.0
_PRESENT_MS = 20_000
_MINUTE_S = 60.0

# So that a lag which nobody feels doesn't change from one time to the next.
_LAG_STEP_MS = 50

# By which share the memory may differ and still count as the same.
_SAME_RSS = 0.1


class Presence(Duty):
    """Announces the worker ``worker_id`` every few seconds, and withdraws it at the end.

    A job of ``queues`` that is parked (set aside, for want of a worker of its name) is buried after ``grace_ms``.
    """

    def __init__(
        self,
        broker: Broker,
        executor: Executor,
        claimer: Claimer,
        watchdog: Watchdog,
        limits: DeclaredRules,
        *,
        worker_id: str,
        queues: Sequence[str],
        handlers: dict[str, tuple[str, ...]],
        catalogue: Sequence[CatalogueEntry],
        started_at_ms: int,
        grace_ms: int,
        deploy: str,
        monotonic: Callable[[], float],
    ) -> None:
        self._broker = broker
        self._executor = executor
        self._claimer = claimer
        self._watchdog = watchdog
        self._limits = limits
        self._was_seen = False
        self._worker_id = worker_id
        self._queues = tuple(queues)
        self._handlers = handlers
        self._catalogue = catalogue
        self._names = frozenset(executor.plans)
        self._started_at_ms = started_at_ms
        self._grace_ms = grace_ms
        self._deploy = deploy
        self._rss = 0
        self._monotonic = monotonic
        # How many attempts had ended at which times of the last minute.
        self._finished: deque[tuple[float, int]] = deque()
        self._unknown = UnknownNames(
            monotonic,
            "jobs wait",
            " Jobs of a name that no worker knows go to the dead letter queue after "
            f"{grace_ms / 1000:g} s (unknown_job_grace)",
        )

    async def start(self) -> None:
        """Announce the worker, and look for others that take its jobs for theirs, and for queues that nothing uses."""
        try:
            await self.announce()
            with contextlib.suppress(BrokerError):
                warn_of_namesakes(self._info(), await self._broker.workers())
                await warn_of_unused_queues(self._broker, self._queues, {one.queue for one in self._catalogue})
        except BaseException:
            # What has not started is not stopped either: a worker that is stopped meanwhile would seem to be there.
            await self.stop()
            raise

    async def announce(self) -> None:
        """Show the worker, and make jobs startable that waited for a worker of their names."""
        try:
            await self.show()
        except BrokerRefused as error:
            # A server that is full refuses what only shows a worker, but not what empties its queues.
            _log.warning("the worker can't be seen by others: %s", error)
        await self.unpark()

    async def unpark(self) -> None:
        """Make jobs startable that waited for a worker of their names, and log the names of those that still wait."""
        unparking = await self._broker.unpark(self._queues, self._names, self._grace_ms)
        self._unknown.warn(unparking.unknown)

    async def run(self) -> None:
        """Announce the worker again and again."""
        while True:
            # Spread a little, so that workers started together do not call together.
            await asyncio.sleep(_ANNOUNCE_EVERY_S * random.uniform(0.9, 1.0))
            # Maintenance meets the same error and logs it.
            with contextlib.suppress(BrokerError):
                await self.announce()

    async def show(self) -> None:
        """Show what the worker does at the moment; where the server doesn't know of it, also what its program says."""
        if await self._broker.announce(self._info(), _PRESENT_MS):
            return
        was_seen, self._was_seen = self._was_seen, True
        if was_seen:
            # The server has lost what it had of this worker, and perhaps the limits of its queues.
            await self._limits.declare_again()
        with contextlib.suppress(BrokerError):
            await self._broker.publish_catalogue(self._catalogue)
            if self._deploy:
                await self._broker.note_deploy(self._deploy, self._started_at_ms)

    def _info(self) -> WorkerInfo:
        executor = self._executor
        return WorkerInfo(
            id=self._worker_id,
            host=socket.gethostname(),
            pid=os.getpid(),
            started_at_ms=self._started_at_ms,
            queues=self._queues,
            concurrency=executor.concurrency,
            status="stopping" if not self._claimer.may_claim else "running" if executor.running else "idle",
            running=executor.running_ids,
            handlers=self._handlers,
            jobs=executor.running_jobs(),
            version=PACKAGE_VERSION,
            deploy=self._deploy,
            rss=self._steady_rss(),
            ended_a_minute=self._ended_a_minute(),
            lag_ms=round(self._watchdog.take_lag_s() * 1000) // _LAG_STEP_MS * _LAG_STEP_MS,
        )

    def _ended_a_minute(self) -> int:
        now = self._monotonic()
        while self._finished and self._finished[0][0] < now - _MINUTE_S:
            self._finished.popleft()
        self._finished.append((now, self._executor.finished))
        return self._executor.finished - self._finished[0][1]

    def _steady_rss(self) -> int:
        """Return the memory of the process, or what it was before if it is about that still.

        So an idle worker announces the same each time, which a broker needs not store again.
        """
        rss = resident_bytes()
        if abs(rss - self._rss) > _SAME_RSS * self._rss:
            self._rss = rss
        return self._rss

    async def stop(self) -> None:
        """Wake another worker for what is left, and withdraw this one."""
        try:
            await self._broker.withdraw(self._worker_id, self._queues)
        except BrokerError as error:
            _log.warning("the worker could not say goodbye: %s", error)
