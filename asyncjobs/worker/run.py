"""One run of a worker: its duties in the order in which they start, which is that of their stopping in reverse."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import math
import time
from collections.abc import Coroutine, Iterator
from typing import Any, Self, TypeVar

from asyncjobs.core.text import some_of
from asyncjobs.errors import BrokerError
from asyncjobs.jobs.catalogue import catalogue_of
from asyncjobs.middleware.chain import sees_sending
from asyncjobs.ports import Clock, Extension
from asyncjobs.worker.broker_clock import BrokerClock
from asyncjobs.worker.claimer import Claimer
from asyncjobs.worker.duty import Duty, keep_running, on_duty
from asyncjobs.worker.execution.executor import Executor
from asyncjobs.worker.figures import Figures
from asyncjobs.worker.host import WorkerHost
from asyncjobs.worker.leases import Leases
from asyncjobs.worker.leftovers import Leftovers
from asyncjobs.worker.limits import DeclaredRules
from asyncjobs.worker.liveness.cancel_watch import CancelWatch
from asyncjobs.worker.liveness.health import Health, health_of, healthy_within
from asyncjobs.worker.liveness.heartbeat import Heartbeat
from asyncjobs.worker.liveness.watchdog import Watchdog
from asyncjobs.worker.maintenance import Maintenance
from asyncjobs.worker.namesakes import names_by_module
from asyncjobs.worker.presence import Presence
from asyncjobs.worker.queue_order import QueueOrder
from asyncjobs.worker.recycling import EndedBy, Recycling
from asyncjobs.worker.schedules.every_worker import EveryWorker, Timed, timed_for_every_worker
from asyncjobs.worker.schedules.from_code import schedules_in_code
from asyncjobs.worker.schedules.scheduler import Scheduler
from asyncjobs.worker.schedules.tick_sender import TickSender
from asyncjobs.worker.settler import Settler
from asyncjobs.worker.suspects import Suspects

__all__ = ["END_WITHIN_S", "WorkerRun"]

_log = logging.getLogger("asyncjobs.worker")

T = TypeVar("T")

#: How long all duties together may take to stop, once handlers have had their ``shutdown_timeout``, in seconds.
END_WITHIN_S = 8.0

# What a duty is given to stop where that time is over, and how long others may take to learn that the worker stops.
_LEAST_S = 0.1
_SHOW_WITHIN_S = 0.5


class WorkerRun:
    """A worker's duties while it runs: entering starts them, leaving stops them.

    Leaving lets handlers finish for ``shutdown_timeout``, then cancels them; their jobs go back to ready. Where it is
    cancelled, that is done at once.
    """

    def __init__(
        self,
        host: WorkerHost,
        order: QueueOrder,
        concurrency: int,
        clock: Clock,
        worker_id: str,
        numbers: Iterator[int],
        *,
        max_jobs: int | None = None,
        max_memory: int | None = None,
    ) -> None:
        settings = host.settings
        self._host = host
        self._order = order
        self._clock = BrokerClock(clock)
        self._lease_ms = round(settings.lease * 1000)
        self._leases = Leases()
        self._settler = Settler(host.connection.broker, self._leases)
        self._executor = Executor(
            host, self._clock, self._settler, self._leases, concurrency=concurrency, worker_id=worker_id
        )
        self._recycling: Recycling | None = None
        if max_jobs is not None or max_memory is not None:
            self._recycling = Recycling(self._executor, max_jobs, max_memory, time.monotonic)
        self._claimer = Claimer(
            host.connection.broker,
            self._executor,
            order,
            self._clock,
            worker_id=worker_id,
            numbers=numbers,
            lease_ms=self._lease_ms,
            poll_interval=settings.poll_interval,
            timer_interval=settings.scheduler_interval if settings.scheduler else None,
            suspects=Suspects(self._leases, concurrency=concurrency, max_deaths=settings.max_deaths),
            recycling=self._recycling,
        )
        # Of the real time, which a clock for tests does not move.
        self._watchdog = Watchdog(time.monotonic, self._executor.blocking_job)
        self._limits = DeclaredRules(host.connection.broker, {queue: host.rules_of(queue) for queue in order.queues})
        self._presence = Presence(
            host.connection.broker,
            self._executor,
            self._claimer,
            self._watchdog,
            self._limits,
            worker_id=worker_id,
            queues=order.queues,
            handlers=names_by_module(host.registry),
            catalogue=list(catalogue_of(host.registry)),
            started_at_ms=self._clock.now_ms(),
            grace_ms=round(settings.unknown_job_grace * 1000),
            deploy=settings.deploy,
            monotonic=self._clock.monotonic,
        )
        self._scheduler = self._make_scheduler() if settings.scheduler else None
        timed = timed_for_every_worker(host)
        self._every_worker = self._make_every_worker(timed) if timed else None
        self._shutdown_timeout_s = settings.shutdown_timeout
        self._exit = contextlib.AsyncExitStack()
        self._ends_at = math.inf
        self._has_begun = False

    def _duties(self) -> Iterator[tuple[str, Duty]]:
        """Give each duty with its name, made once those before it have started; they stop in the reverse order.

        So the handlers end first, and a claim that was under way; what they came to is settled, while the heartbeat
        still keeps the leases; and other workers are woken for what has gone back.
        """
        yield "resources", self._executor.shared
        yield "hooks", self._executor.hooks
        yield "presence", self._presence
        yield "limits", self._limits
        yield "maintenance", self._make_maintenance()
        yield "figures", self._make_figures()
        if self._scheduler is not None:
            yield "scheduler", self._scheduler
        yield "threads and processes of handlers", self._executor.callers
        if self._every_worker is not None:
            yield "schedules of every worker", self._every_worker
        yield "watchdog", self._watchdog
        heartbeat = self._make_heartbeat()
        yield "heartbeat", heartbeat
        yield "cancel watch", self._make_cancel_watch(heartbeat)
        yield "event sender", self._executor.events
        if self._executor.endings is not None:
            yield "ended", self._executor.endings
        yield "settler", self._settler
        yield "claimer", self._claimer
        yield "executor", self._executor

    async def __aenter__(self) -> Self:
        async with contextlib.AsyncExitStack() as stack:
            for name, duty in self._duties():
                await stack.enter_async_context(on_duty(name, duty, self._bounded))
            self._exit = stack.pop_all()
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        self._end_soon(self._shutdown_timeout_s)
        if isinstance(error, asyncio.CancelledError):
            self._hurry()
        try:
            self._claimer.halt()
            with contextlib.suppress(BrokerError, TimeoutError):
                async with asyncio.timeout(_SHOW_WITHIN_S):
                    await self._presence.show()
        finally:
            await self._exit.aclose()

    def _end_soon(self, after_s: float) -> None:
        """Let the worker end within a few seconds more than ``after_s``, unless it is to end earlier."""
        self._ends_at = min(self._ends_at, time.monotonic() + after_s + END_WITHIN_S)

    def _bounded(self, duty: Duty) -> float:
        return max(_LEAST_S, min(duty.stop_within_s, self._ends_at - time.monotonic() - duty.leaves_s))

    def _hurry(self) -> None:
        self._end_soon(0.0)
        self._executor.hurry()
        if self._every_worker is not None:
            self._every_worker.hurry()

    # -- the making of duties

    def _make_maintenance(self) -> Maintenance:
        settings = self._host.settings
        return Maintenance(
            self._host.connection.broker,
            queues=self._order.queues,
            lease_ms=self._lease_ms,
            max_deaths=settings.max_deaths,
            dead_ttl_ms=round(settings.dead_ttl * 1000),
            max_dead=settings.max_dead,
        )

    def _make_figures(self) -> Figures:
        return Figures(
            self._host.connection.broker,
            self._executor.runs,
            queues=self._order.queues,
            monotonic=self._clock.monotonic,
        )

    def _make_scheduler(self) -> Scheduler:
        host = self._host
        return Scheduler(
            host.connection.broker,
            self._clock,
            queues=self._order.queues,
            names=frozenset(self._executor.plans),
            in_code=schedules_in_code(host),
            interval=host.settings.scheduler_interval,
            prepare=host.sender.prepare,
            sender=TickSender(host) if sees_sending(host.middleware) else None,
            encryption=host.encryption,
        )

    def _make_every_worker(self, timed: Timed) -> EveryWorker:
        return EveryWorker(
            self._host,
            self._clock,
            self._executor.plans,
            timed,
            worker_id=self._claimer.worker_id,
            is_stopping=lambda: self._claimer.is_stopping,
        )

    def _make_heartbeat(self) -> Heartbeat:
        loop = asyncio.get_running_loop()

        def from_its_thread(extension: Extension) -> None:
            with contextlib.suppress(RuntimeError):  # The loop has closed, and the worker has ended with it.
                loop.call_soon_threadsafe(self._executor.apply, extension)

        return Heartbeat(
            self._host.connection.broker.lease_keeper(),
            self._leases,
            self._watchdog,
            from_its_thread,
            monotonic=self._clock.monotonic,
            lease_ms=self._lease_ms,
            blocked_limit=self._host.settings.blocked_limit,
        )

    def _make_cancel_watch(self, heartbeat: Heartbeat) -> CancelWatch:
        return CancelWatch(
            self._host.connection.broker,
            heartbeat.hurry,
            worker_id=self._claimer.worker_id,
            queues=self._order.queues,
        )

    # -- what a worker does with its run

    def health(self, within: float | None) -> Health:
        """Return the health; a claim or a wait may have ended ``within`` seconds, by default as the waits allow."""
        if within is None:
            within = healthy_within(self._claimer.longest_wait_s)
        return health_of(
            "stopping" if not self._claimer.may_claim else "working" if self._has_begun else "starting",
            idle_s=self._clock.monotonic() - self._claimer.last_active,
            within_s=within,
            blocked_s=self._watchdog.silence_s,
            running=self._executor.running,
        )

    @property
    def reached(self) -> EndedBy:
        """The limit that the worker has reached, so that it ends; empty if none, or if it was stopped before."""
        return "" if self._claimer.is_stopping or self._recycling is None else self._recycling.reached()

    def stop(self) -> None:
        """Stop claiming; called once more, cancel the handlers without waiting for them."""
        self._end_soon(self._shutdown_timeout_s)
        if self._claimer.is_stopping:
            self._hurry()
        elif ids := self._executor.running_ids:
            _log.info(
                "the worker stops, and waits up to %g s for %d jobs: %s",
                self._shutdown_timeout_s,
                self._executor.running,
                some_of(ids),
            )
        else:
            _log.info("the worker stops")
        self._claimer.halt()

    def begin(self, work: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        """Start ``work``, which claims: ``until_stopped``, ``until_empty`` or ``once``; leaving ends it."""
        self._has_begun = True
        self._executor.owner = asyncio.current_task()
        task = self._claimer.work = asyncio.create_task(work)
        return task

    async def until_stopped(self) -> None:
        """Claim and run jobs until ``stop`` is called, or a limit is reached."""
        _log.info("worker %s serves %s", self._claimer.worker_id, ", ".join(self._order.queues))
        await keep_running("claimer", self._claimer.serve)
        await self._finish()

    async def _finish(self) -> None:
        """Let all that runs end, however long it takes, where a limit is reached: that is no reason to cancel it."""
        if limit := self.reached:
            _log.info(
                "the worker has reached %s: it claims no more, and %d jobs still run", limit, self._executor.running
            )
            self._executor.give_back()
        while await self._settled():
            continue

    async def until_empty(self) -> int:
        """Claim and run jobs until nothing is startable, all that ran is settled, and no killed worker has left a job.

        Schedules fire until then, and not while the jobs of their last ticks run, which would have no end.

        Returns:
            How many jobs ended.
        """
        claimer, leftovers = self._claimer, self._leftovers()
        while claimer.may_claim:
            try:
                if not await claimer.claim() and not await self._goes_on(leftovers):
                    break
            except BrokerError:
                if self._executor.free > 0:
                    raise
                # With all slots taken, a claim can wait.
                await self._executor.job_ended(self._host.settings.poll_interval)
        await self._finish()
        await self._warn_of_unknown()
        return self._executor.finished

    async def _goes_on(self, leftovers: Leftovers) -> bool:
        """Wait a little for a job, since a claim left slots free; return whether to claim again."""
        # What takes no time ends now.
        await asyncio.sleep(0)
        if self._executor.running and self._claimer.may_claim:
            await self._claimer.wait_while_running()
            return True
        if await self._settled() or not self._claimer.may_claim or await leftovers.wait():
            return True
        return self._scheduler is not None and await self._scheduler.finish()

    async def once(self) -> bool:
        """Claim one job, run it and settle it; return whether there was one."""
        claimer, leftovers = self._claimer, self._leftovers()
        claimer.keep_no_timer()
        claim = await claimer.step(1)
        while not (claim.jobs or claimer.is_stopping) and (claim.again or await leftovers.wait()):
            claim = await claimer.step(1)
        while await self._settled() and not claimer.is_stopping:
            continue
        if not claim.jobs:
            await self._warn_of_unknown()
        return bool(claim.jobs)

    async def _warn_of_unknown(self) -> None:
        """Log the names of jobs that were set aside, which a worker that ends here would not be there to do later."""
        with contextlib.suppress(BrokerError):
            await self._presence.unpark()

    async def _settled(self) -> bool:
        """Wait a little for a job to end and be settled; return whether any ran, or was still to be settled.

        The wait ends when the worker is stopped.
        """
        executor, longest_s = self._executor, self._host.settings.poll_interval
        if self._claimer.is_stopping:
            return False
        # A slot that is never free again is no reason to go on where no more is to be claimed.
        if executor.unsettled if self.reached else executor.running:
            await executor.job_ended(longest_s)
            return True
        if not self._settler.is_idle:
            await self._settler.flush(longest_s)
            return True
        if executor.endings is not None and not executor.endings.is_idle:
            await executor.endings.one_done(longest_s)
            return True
        return False

    def _leftovers(self) -> Leftovers:
        settings = self._host.settings
        return Leftovers(self._host.connection.broker, self._claimer, self._order.queues, settings.lease)
