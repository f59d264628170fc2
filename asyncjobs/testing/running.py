"""Runs the jobs of the test kit: a worker as in production, and a clock that jumps to the next moment."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import Sequence
from typing import Any

import msgspec

from asyncjobs.jobs.context import JobContext
from asyncjobs.middleware.chain import Caller
from asyncjobs.ports import Broker
from asyncjobs.testing.attempts import Attempts
from asyncjobs.testing.clock import ManualClock
from asyncjobs.testing.swap import KitLoop
from asyncjobs.worker.host import WorkerApp
from asyncjobs.worker.run import WorkerRun
from asyncjobs.worker.worker import Worker

__all__ = ["KitWorker"]

# Of a lease, what passes at most between two looks for the jobs of killed workers, as in production.
_RECOVER_EVERY = 4

_MAX_ATTEMPTS = 10_000

# How many gates of a limit by value are asked when they open.
_MAX_GATES = 1_000


class KitWorker(Worker):
    """A worker that serves the queues of the kit until nothing is left to do, or a time is over.

    Args:
        app: The app.
        broker: The broker of the kit.
        attempts: What has run under the kit.
        clock: The clock of the kit, which is moved to when the next job is due.
        loop: The loop of the kit.
        queues: The queues, in strict order.
        concurrency: How many jobs run at once.
        schedules: Whether schedules fire.
    """

    def __init__(
        self,
        app: WorkerApp,
        broker: Broker,
        attempts: Attempts,
        clock: ManualClock,
        loop: KitLoop,
        *,
        queues: Sequence[str],
        concurrency: int,
        schedules: bool,
    ) -> None:
        # No share of the claims goes to low priority: that would be by chance.
        super().__init__(app, queues=queues, concurrency=concurrency, ageing=0.0, clock=clock)
        settings = msgspec.structs.replace(self._host.settings, scheduler=schedules)
        self._host = dataclasses.replace(self._host, settings=settings)
        self._broker = broker
        self._attempts = attempts
        self._kit_clock = clock
        self._kit_loop = loop
        self._lease_ms = round(settings.lease * 1000)
        self._max_deaths = settings.max_deaths
        self._most = len(attempts.ended) + _MAX_ATTEMPTS

    async def run_until(self, until_ms: int | None) -> bool:
        """Run jobs until nothing is due before ``until_ms``; if that is ``None``, until no job waits for its time.

        Returns:
            Whether it came to that. If not, a job was sent to a queue that the worker doesn't serve.

        Raises:
            DefinitionError: A job of the app could not be run.
            RuntimeError: Jobs are sent without an end.
        """

        async def work(run: WorkerRun) -> bool:
            self._watch_handlers(run)
            while True:
                if run._scheduler is not None:
                    await run._scheduler.step()
                await self._drain(run)
                if not set(await self._broker.queues()).issubset(self.queues):
                    return False
                moment = await self._next_moment(until_ms)
                if moment is None:
                    break
                self._move_to(moment)
                await self._broker.recover(self.queues, self._lease_ms, self._max_deaths)
            if until_ms is not None:
                self._move_to(until_ms)
            return True

        return bool(await self._live(work, False))

    def _watch_handlers(self, run: WorkerRun) -> None:
        """Keep what handlers raise, and run sync handlers in the thread that waits for this loop, if one does."""
        executor = run._executor
        for name, plan in executor.plans.items():
            executor.plans[name] = msgspec.structs.replace(plan, call=self._watched(plan.call))
        calling = self._kit_loop.serving.get(asyncio.get_running_loop())
        if calling is not None:
            executor.callers._threads = calling

    def _watched(self, call: Caller) -> Caller:
        async def run(job: JobContext) -> Any:
            try:
                return await call(job)
            except asyncio.CancelledError:
                raise
            except BaseException as error:
                self._attempts.raised(job.queue, job.id, error)
                raise

        return run

    async def _drain(self, run: WorkerRun) -> None:
        """Run what is due now, to the end of what that sends."""
        claimer = run._claimer
        while not claimer.is_stopping:
            limit = claimer.room
            claim = await claimer.step(limit) if limit > 0 else None
            if (claim is None or not (claim.jobs or claim.again)) and not await run._settled():
                return
            if len(self._attempts.ended) > self._most:
                raise RuntimeError(
                    f"{_MAX_ATTEMPTS} attempts have run, and jobs still wait, such as {self._attempts.ended[-1].name}: "
                    "a job that snoozes, or sends itself, goes on for ever, and a schedule fires often in a long time; "
                    "use kit.run_for(…) with a shorter time"
                )

    # -- the clock

    def _move_to(self, moment_ms: int) -> None:
        self._kit_clock.advance(max(0, moment_ms - self._kit_clock.now_ms()))

    async def _next_moment(self, until_ms: int | None) -> int | None:
        """Return when to go on, in Unix milliseconds; ``None`` if there is nothing to go on with."""
        now_ms = self._kit_clock.now_ms()
        moments = [at for queue in self.queues async for at in self._due_in(queue) if at > now_ms]
        figures = await self._broker.overview(self.queues)
        if any(one.running for one in figures):
            # Its worker was killed, since this one has ended what it had.
            moments.append(now_ms + self._lease_ms // _RECOVER_EVERY + 1)
        opens = [one.limit.opens_at_ms for one in figures if any(one.ready) and one.limit is not None]
        for queue in (one.name for one in figures if one.closed_lines):
            opens += [gate.opens_at_ms for gate in await self._broker.gates(queue, _MAX_GATES) if gate.lines]
        moments += [at for at in opens if at is not None and at > now_ms]
        for queue in self.queues if self._host.settings.scheduler else ():
            ticks = [one.next_ms for one in (await self._broker.schedules(queue)).schedules]
            moments += [tick for tick in ticks if tick is not None and tick > now_ms]
        moment = min(moments, default=None)
        return None if moment is None or (until_ms is not None and moment > until_ms) else moment

    async def _due_in(self, queue: str) -> Any:
        page = await self._broker.page(queue, "scheduled", "", 1)
        for job in page.jobs:
            if job.due_at_ms is not None:
                yield job.due_at_ms
