"""A worker's duties, wired together: how they start, and the order in which they end."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import socket
from collections.abc import Iterator
from typing import Self

import anyio
import anyio.abc

from asyncjobs.core.schedule import Schedule
from asyncjobs.errors import BrokerError
from asyncjobs.jobs.definition import scheduled_request
from asyncjobs.middleware.chain import sees_sending
from asyncjobs.ports import Clock, Extension, WorkerInfo
from asyncjobs.worker.backoff import keep_running
from asyncjobs.worker.broker_clock import BrokerClock
from asyncjobs.worker.claimer import Claimer, Serving
from asyncjobs.worker.execution.executor import Executor
from asyncjobs.worker.host import WorkerHost
from asyncjobs.worker.leases import Leases
from asyncjobs.worker.liveness.health import Health
from asyncjobs.worker.liveness.heartbeat import Heartbeat
from asyncjobs.worker.liveness.watchdog import Watchdog
from asyncjobs.worker.maintenance import Maintenance
from asyncjobs.worker.schedules.scheduler import Scheduler
from asyncjobs.worker.schedules.tick_sender import TickSender
from asyncjobs.worker.settler import Settler

__all__ = ["Duties"]

_log = logging.getLogger("asyncjobs.worker")

# How long cancelled handlers and the last settlements may take, once the time to finish is over.
_CANCELLED_S = 5.0
_FLUSH_S = 5.0


class Duties:
    """The duties of one run of a worker: settler, maintenance and heartbeat from the start, the claimer when asked.

    Leaving it lets handlers finish for ``shutdown_timeout``, then cancels them; their jobs go back to ready.
    """

    def __init__(
        self,
        host: WorkerHost,
        serving: Serving,
        concurrency: int,
        clock: Clock,
        worker_id: str,
        numbers: Iterator[int],
    ) -> None:
        settings = host.settings
        broker = host.broker
        lease_ms = round(settings.lease * 1000)
        self._host = host
        self._serving = serving
        self._worker_id = worker_id
        self._clock = BrokerClock(clock)
        leases = Leases()
        self._settler = Settler(broker, leases)
        self._executor = Executor(host, self._clock, self._settler, leases, concurrency=concurrency)
        self._claimer = Claimer(
            broker,
            self._executor,
            serving,
            self._clock,
            worker_id=worker_id,
            numbers=numbers,
            lease_ms=lease_ms,
            poll_interval=settings.poll_interval,
            timer_interval=settings.scheduler_interval if settings.scheduler else None,
        )
        self._maintenance = Maintenance(
            broker,
            queues=serving.queues,
            names=frozenset(self._executor.plans),
            info=self._info,
            lease_ms=lease_ms,
            max_deaths=settings.max_deaths,
            grace_ms=round(settings.unknown_job_grace * 1000),
            dead_ttl_ms=round(settings.dead_ttl * 1000),
            max_dead=settings.max_dead,
        )
        self._scheduler: Scheduler | None = None
        if settings.scheduler:
            self._scheduler = Scheduler(
                broker,
                self._clock,
                queues=serving.queues,
                names=frozenset(self._executor.plans),
                own=_own_schedules(host),
                interval=settings.scheduler_interval,
                sender=TickSender(host) if sees_sending(host.middleware) else None,
            )
        self._leases = leases
        self._lease_ms = lease_ms
        self._started_at_ms = self._clock.now_ms()
        self._is_stopping = asyncio.Event()
        self._is_hurried = asyncio.Event()
        self._group: anyio.abc.TaskGroup
        self._heartbeat: Heartbeat
        self._watchdog: Watchdog

    def _info(self) -> WorkerInfo:
        return WorkerInfo(
            id=self._worker_id,
            host=socket.gethostname(),
            pid=os.getpid(),
            started_at_ms=self._started_at_ms,
            queues=self._serving.queues,
            concurrency=self._executor.concurrency,
            status="stopping" if self._is_stopping.is_set() else "running" if self._executor.running else "idle",
            running=self._executor.running_ids,
            names=tuple(sorted(self._executor.plans)),
        )

    async def __aenter__(self) -> Self:
        await self._executor.shared.open()
        try:
            await self._maintenance.announce()
            if self._scheduler is not None:
                await self._scheduler.announce()
        except BaseException:
            await self._executor.shared.close()
            raise
        loop = asyncio.get_running_loop()

        def tell(extension: Extension) -> None:
            with contextlib.suppress(RuntimeError):  # The loop has closed: nobody is left to be told.
                loop.call_soon_threadsafe(self._executor.learn, extension)

        self._watchdog = Watchdog(self._clock.monotonic, self._executor.blocking)
        self._watchdog.start()
        self._heartbeat = Heartbeat(
            self._host.broker.lease_keeper(),
            self._leases,
            self._watchdog,
            tell,
            monotonic=self._clock.monotonic,
            lease_ms=self._lease_ms,
            blocked_limit=self._host.settings.blocked_limit,
        )
        self._heartbeat.start()
        self._executor.events.open()
        self._group = anyio.create_task_group()
        await self._group.__aenter__()
        self._group.start_soon(keep_running, "settler", self._settler.run)
        self._group.start_soon(keep_running, "maintenance", self._maintenance.run)
        if self._scheduler is not None:
            self._group.start_soon(keep_running, "scheduler", self._scheduler.run)
        return self

    async def __aexit__(self, *error: object) -> None:
        """Stop claiming, let handlers finish, settle, give back the rest, stop the heartbeat: in this order."""
        self._is_stopping.set()
        with anyio.CancelScope(shield=True):
            self._claimer.stop()
            await self._claimer.finish()
            self._executor.give_back()
            self._executor.give_back_waiting()
            with contextlib.suppress(BrokerError):
                await self._maintenance.show()
            await self._finish_handlers()
            settled = await self._settler.flush(_FLUSH_S)
            if not settled:
                _log.error("not everything could be settled; those jobs will be recovered once their lease expires")
            self._heartbeat.stop()
            self._watchdog.stop()
            await self._executor.close()
            await self._executor.events.close()
            await self._executor.shared.close()
            try:
                await self._host.broker.ring(self._serving.queues)
                await self._host.broker.withdraw(self._worker_id)
            except BrokerError as problem:
                _log.warning("the worker could not say goodbye: %s", problem)
            self._group.cancel_scope.cancel()
        await self._group.__aexit__(None, None, None)

    async def _finish_handlers(self) -> None:
        waiting = asyncio.ensure_future(self._executor.drain(self._host.settings.shutdown_timeout))
        hurried = asyncio.ensure_future(self._is_hurried.wait())
        await asyncio.wait([waiting, hurried], return_when=asyncio.FIRST_COMPLETED)
        waiting.cancel()
        hurried.cancel()
        if self._executor.running:
            _log.warning("cancelling %d handlers; their jobs go back to their queues", self._executor.running)
            self._executor.cancel_all()
            if not await self._executor.drain(_CANCELLED_S):
                _log.error("%d handlers do not end; their jobs are left to their leases", self._executor.running)

    def health(self, within: float) -> Health:
        """Say whether a claim or an idle wait ended within the last ``within`` seconds."""
        idle_s = self._clock.monotonic() - self._claimer.last_active
        return Health(idle_s <= within, idle_s, self._executor.running)

    def stop(self) -> None:
        """Stop claiming; called once more, cancel the handlers without waiting for them."""
        if self._is_stopping.is_set():
            self._is_hurried.set()
        self._is_stopping.set()
        self._claimer.stop()

    async def until_stopped(self) -> None:
        """Claim and run jobs until ``stop`` is called."""
        _log.info("worker %s serves %s", self._worker_id, ", ".join(self._serving.queues))
        await keep_running("claimer", self._claimer.run)

    async def until_empty(self) -> int:
        """Claim and run jobs until nothing is startable and all that ran is settled; return how many ended."""
        while not self._is_stopping.is_set():
            limit = self._claimer.room
            claim = await self._claimer.step(limit) if limit > 0 else None
            if claim is not None and (claim.jobs or claim.again):
                continue
            if not self._executor.running and self._settler.is_idle:
                break
            if self._executor.running:
                await self._executor.changed(self._host.settings.poll_interval)
            else:
                await self._settler.flush()
        return self._executor.finished

    async def once(self) -> bool:
        """Claim one job, run it and settle it; return whether there was one."""
        claim = await self._claimer.step(1)
        while self._executor.running:
            await self._executor.changed(self._host.settings.poll_interval)
        await self._settler.flush()
        return bool(claim.jobs)


def _own_schedules(host: WorkerHost) -> dict[str, list[Schedule]]:
    """Return the schedules of the code, by queue; raise ``DefinitionError`` for one that could not run."""
    own: dict[str, list[Schedule]] = {}
    for definition in host.registry:
        timing = definition.options.timing
        if timing is not None:
            job = host.prepare(scheduled_request(definition), sent_at_ms=0)
            schedule = Schedule(
                id=definition.name, name=definition.name, timing=timing, record=job.record, from_code=True
            )
            own.setdefault(job.queue, []).append(schedule)
    return own
