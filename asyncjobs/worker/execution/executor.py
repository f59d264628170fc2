"""Runs handlers: a plain task a job, made and owned here, so none is orphaned and each has a context of its own."""

from __future__ import annotations

import asyncio
import contextvars
import logging
import random
import sys
import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any

from asyncjobs.core.job import Job
from asyncjobs.core.settlement import Cancelled, Released, Settlement
from asyncjobs.jobs.context import JobContext, running
from asyncjobs.ports import Claimed, Extension, Lease, RunningJob
from asyncjobs.worker.broker_clock import BrokerClock
from asyncjobs.worker.duty import Duty
from asyncjobs.worker.event_sender import EventSender
from asyncjobs.worker.execution.attempt import LOST, OVERRUN, Attempt
from asyncjobs.worker.execution.callers import HandlerCallers
from asyncjobs.worker.execution.canceller import Canceller, abandon
from asyncjobs.worker.execution.endings import Endings
from asyncjobs.worker.execution.pipeline import Pipeline
from asyncjobs.worker.execution.plan import RunPlans
from asyncjobs.worker.execution.run_counter import RunCounter
from asyncjobs.worker.execution.verdict import Verdicts, release
from asyncjobs.worker.host import WorkerHost
from asyncjobs.worker.leases import Leases
from asyncjobs.worker.settler import Settler

__all__ = ["Executor"]

_log = logging.getLogger("asyncjobs.worker")

# How long cancelled handlers may take to end.
_CANCELLED_S = 5.0

# How long each way of ending the attempts that did not end then may take, in seconds.
_ABANDON_S = 0.5

_MAX_SHOWN = 100
_MAX_NOTE = 200


class Executor(Duty):
    """Runs up to ``concurrency`` jobs at once; more that were claimed ahead wait in a buffer.

    A job's lease is held from the claim on, while the job waits in the buffer, runs, and waits to be settled.
    """

    def __init__(
        self,
        host: WorkerHost,
        clock: BrokerClock,
        settler: Settler,
        leases: Leases,
        *,
        concurrency: int,
        worker_id: str = "",
        chance: Callable[[], float] = random.random,
    ) -> None:
        settings = host.settings
        #: What sends the events of the jobs.
        self.events = EventSender(
            host.connection.broker,
            max_events=settings.max_events,
            ttl_ms=round(settings.event_ttl * 1000),
            encryption=host.encryption,
        )
        #: The threads and processes of handlers, which end after the last handler, whoever has called it.
        self.callers = HandlerCallers(settings.handler_processes, settings.max_payload, self.events.add)
        plans = RunPlans(host, self.callers)
        #: How to run each job, by name and alias.
        self.plans = plans.by_name
        #: The resources that all jobs share: opened before the first job, closed after the last.
        self.shared = plans.shared
        #: Code of users, called before the first job and after the last.
        self.hooks = plans.hooks
        self.concurrency = concurrency
        #: How many jobs have ended so far.
        self.finished = 0
        #: What attempts came to, for the figures over time.
        self.runs = RunCounter()
        self._shutdown_timeout_s = settings.shutdown_timeout
        self.stop_within_s = settings.shutdown_timeout + _CANCELLED_S + 2 * _ABANDON_S
        #: What tells middleware of jobs that have ended, if any wants to know.
        self.endings: Endings | None = None
        if plans.ended:
            self.endings = Endings(
                host.connection.broker, plans.ended, plans.shared.values, host.lookup, self._note_room
            )
            settler.on_settled = self.endings.settled
        self._settle = settler.add
        self._leases = leases
        self._verdicts = Verdicts(clock.now_ms, chance, worker_id, host.encryption)
        self._context = contextvars.copy_context()
        self._running: dict[Lease, Attempt] = {}
        self._buffer: deque[tuple[Lease, Claimed]] = deque()
        self._canceller = Canceller(clock.monotonic, leases, settings.lease, self._overrun)
        #: The task that runs the worker, if it is known. Where it is cancelled, all others are too: the loop ends.
        self.owner: asyncio.Task[Any] | None = None
        self._pipeline = Pipeline(
            host,
            clock,
            self.plans,
            self.events,
            self._canceller,
            self._verdicts,
            end=self._end,
            is_cancelled=lambda: self.owner is not None and self.owner.cancelling() > 0,
        )
        self._ended = asyncio.Event()
        self._is_hurried = False

    # -- what the other duties ask

    @property
    def running(self) -> int:
        """How many jobs have a slot."""
        return len(self._running)

    @property
    def unsettled(self) -> int:
        """How many of them wait for their handler: the job of one that goes on long past its timeout is settled."""
        return sum(attempt.leads_to is not OVERRUN for attempt in self._running.values())

    @property
    def buffered(self) -> int:
        """How many claimed jobs wait for a slot."""
        return len(self._buffer)

    @property
    def free(self) -> int:
        """How many slots are free for further claims; below 0 where more jobs wait for one than there are.

        The slot of a job that has ended is free once middleware was told of it.
        """
        ending = 0 if self.endings is None else self.endings.waiting
        return self.concurrency - len(self._running) - len(self._buffer) - ending

    @property
    def running_ids(self) -> tuple[str, ...]:
        """The ids of the jobs that run, at most 100."""
        return tuple(lease.id for lease in list(self._running)[:_MAX_SHOWN])

    def running_jobs(self) -> tuple[RunningJob, ...]:
        """Return the jobs whose handlers have begun, those that began first, at most 100."""
        contexts = (attempt.context for attempt in self._running.values())
        begun = [context for context in contexts if context is not None][:_MAX_SHOWN]
        return tuple(map(_running_job, begun))

    def blocking_job(self, loop: asyncio.AbstractEventLoop) -> str:
        """Return words for the job whose handler runs on ``loop`` at this very moment, if any; from any thread."""
        task, job = asyncio.current_task(loop), None
        if task is not None and sys.version_info >= (3, 12):
            # Of a task that a handler has made too, as by a TaskGroup.
            job = task.get_context().get(running)
        for attempt in self._running.copy().values():
            if attempt.task is task or (job is not None and attempt.context is job):
                name = "" if attempt.context is None else f" ({attempt.context.name})"
                return f"job {attempt.lease.id}{name}"
        return ""

    async def job_ended(self, timeout: float) -> None:
        """Wait until a job has ended, at most ``timeout`` seconds."""
        self._ended.clear()
        try:
            async with asyncio.timeout(timeout):
                await self._ended.wait()
        except TimeoutError:
            return

    def wake(self) -> None:
        """Let ``job_ended`` return at once, although no job has ended."""
        self._ended.set()

    def _note_room(self) -> None:
        """Wake who waits for a free slot, if one has become free although no job has ended."""
        if self.free > 0:
            self.wake()

    # -- from the claim to the end

    def accept(self, jobs: Sequence[Claimed]) -> None:
        """Take over claimed jobs and start as many as there are slots."""
        for claimed in jobs:
            lease = Lease(claimed.queue, claimed.id, claimed.priority, claimed.fence)
            self._leases.hold(lease)
            self._buffer.append((lease, claimed))
        self._fill()

    def refuse(self, jobs: Sequence[Claimed]) -> None:
        """Give claimed jobs back at once."""
        for claimed in jobs:
            lease = Lease(claimed.queue, claimed.id, claimed.priority, claimed.fence)
            self._settle(lease, release(lease))

    def _fill(self) -> None:
        loop, run, context = asyncio.get_running_loop(), self._pipeline.run, self._context
        while self._buffer and len(self._running) < self.concurrency:
            lease, claimed = self._buffer.popleft()
            attempt = self._running[lease] = Attempt(claimed, lease)
            # In a copy of the worker's own context: this may be called by the task of a job that has just ended.
            # Past the loop's task factory: an eager one would begin, and end, one attempt inside the end of another.
            attempt.task = asyncio.Task(run(attempt), loop=loop, context=context.copy())

    def _overrun(self, attempt: Attempt, job: Job, error: TimeoutError) -> None:
        """Settle the job of an attempt whose handler goes on long past its timeout, and keeps its slot."""
        settlement = self._pipeline.overrun(attempt, job, error)
        attempt.leads_to = OVERRUN
        self.runs.count(job, settlement, is_first=not attempt.claimed.tries)
        if self.endings is not None:
            self.endings.expect(attempt.claimed, attempt.lease, settlement)
        self._settle(attempt.lease, settlement)
        self._ended.set()

    def _end(self, attempt: Attempt, settlement: Settlement | None, run: Job | None = None) -> None:
        del self._running[attempt.lease]
        self.finished += 1
        if attempt.process_slots is not None:
            attempt.process_slots.release()
        if attempt.leads_to is OVERRUN:
            # Its settlement is done, or under way.
            _log.warning("the handler of job %s ends now, long after its timeout, to no effect", attempt.lease.id)
        elif settlement is None:
            self._leases.let_go(attempt.lease)
        else:
            if run is not None:
                self.runs.count(run, settlement, is_first=not attempt.claimed.tries)
            if self.endings is not None:
                self.endings.expect(attempt.claimed, attempt.lease, settlement)
            self._settle(attempt.lease, settlement)
        if self._buffer:
            self._fill()
        self._ended.set()

    # -- what the heartbeat learns

    def apply(self, extension: Extension) -> None:
        """Cancel the handlers of lost leases and of cancelled jobs."""
        for lease in extension.lost:
            # A job that isn't running is just being settled, or waits in the buffer.
            if lease in self._running:
                _log.warning(
                    "the lease of job %s is lost: its handler is cancelled here, and the job runs again", lease.id
                )
                self._canceller.cancel(self._running[lease], LOST)
            elif self._unbuffer(lease) is not None:
                self._leases.let_go(lease)
        for lease, reason in extension.cancelled:
            if attempt := self._running.get(lease):
                self._canceller.cancel_job(attempt, reason)
            elif (claimed := self._unbuffer(lease)) is not None:
                settlement = self._verdicts.of_unstarted(claimed, Cancelled(reason))
                if self.endings is not None:
                    self.endings.expect(claimed, lease, settlement)
                self._settle(lease, settlement)

    def _unbuffer(self, lease: Lease) -> Claimed | None:
        for entry in self._buffer:
            if entry[0] == lease:
                self._buffer.remove(entry)
                return entry[1]
        return None

    # -- giving back and ending

    def give_back(self) -> None:
        """Release what was claimed ahead and has not started."""
        while self._buffer:
            lease, _ = self._buffer.popleft()
            self._settle(lease, release(lease))

    def _give_back_waiting(self) -> None:
        """Release the jobs that wait for a process, too, and from now on those that would have to."""
        self._pipeline.may_wait = False
        for attempt in list(self._running.values()):
            if attempt.is_waiting:
                self._canceller.cancel(attempt, Released())

    async def stop(self) -> None:
        """Give back what has not begun, let handlers finish for ``shutdown_timeout``, cancel the others, and close."""
        try:
            self.give_back()
            self._give_back_waiting()
            until = time.monotonic() + self._shutdown_timeout_s
            while self.unsettled and not self._is_hurried and (left_s := until - time.monotonic()) > 0:
                await self.job_ended(left_s)
            if self.unsettled:
                _log.warning("cancelling %d handlers; their jobs go back to their queues", self.unsettled)
                self.cancel_all()
                if not await self.drain(_CANCELLED_S):
                    _log.error("%d handlers do not end; their jobs are left to their leases", self.unsettled)
        finally:
            await self.close()

    def hurry(self) -> None:
        """Let ``stop`` wait no longer for handlers to finish by themselves."""
        self._is_hurried = True
        self.wake()

    def cancel_all(self) -> None:
        """Cancel every handler; their jobs go back to ready at once, the attempt not counted."""
        for attempt in list(self._running.values()):
            self._canceller.cancel(attempt, Released())

    async def drain(self, timeout: float) -> bool:
        """Wait until all that ran is settled, at most ``timeout`` seconds; return whether it is."""
        until = time.monotonic() + timeout
        self._end_unbegun()
        while self.unsettled and (left_s := until - time.monotonic()) > 0:
            await self.job_ended(left_s)
        return not self.unsettled

    def _end_unbegun(self) -> None:
        """End the attempts whose tasks were cancelled before their first step, at the end of the loop."""
        for attempt in list(self._running.values()):
            if attempt.task is not None and attempt.task.done():
                self._end(attempt, release(attempt.lease))

    async def close(self) -> None:
        """Give up timers and attempts; the job of one that still runs is left to its lease."""
        self._canceller.close()
        left = list(self._running.values())
        for attempt in left:
            attempt.leads_to = LOST
            self._leases.let_go(attempt.lease)
        await abandon([attempt for attempt in left if attempt.task is not None and not attempt.task.done()], _ABANDON_S)


def _running_job(context: JobContext) -> RunningJob:
    job, progress = context.record, context.last_progress
    return RunningJob(
        id=job.id,
        queue=job.queue,
        name=job.name,
        attempt=job.attempt,
        started_at_ms=job.started_at_ms or 0,
        tenant=job.tenant or "",
        progress=None if progress is None else (progress.done, progress.total, progress.note[:_MAX_NOTE]),
    )
