"""Runs handlers: a plain task a job, made and owned here, so none is orphaned and each has a context of its own."""

from __future__ import annotations

import asyncio
import contextvars
import logging
import random
import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

from asyncjobs.core.job import Job, start_job
from asyncjobs.core.record.header import decode_header, priority_of
from asyncjobs.core.settlement import Cancelled, Outcome, Released, Settlement
from asyncjobs.core.stored import read_job
from asyncjobs.errors import ArgumentsError, EnvelopeError, UnknownJobName
from asyncjobs.jobs.context import JobContext, running
from asyncjobs.ports import Claimed, Extension, Lease
from asyncjobs.worker.broker_clock import BrokerClock
from asyncjobs.worker.event_sender import EventBuffer
from asyncjobs.worker.execution.attempt import LOST, Attempt, Lost
from asyncjobs.worker.execution.callers import Ways
from asyncjobs.worker.execution.canceller import Canceller
from asyncjobs.worker.execution.outcomes import outcome_of_error, outcome_of_value
from asyncjobs.worker.execution.plan import RunPlan, RunPlans
from asyncjobs.worker.execution.verdict import Decisions, release
from asyncjobs.worker.host import WorkerHost
from asyncjobs.worker.leases import Leases
from asyncjobs.worker.settler import Settler

__all__ = ["Executor"]

_log = logging.getLogger("asyncjobs.worker")

_Arguments: TypeAlias = tuple[tuple[Any, ...], dict[str, Any]]


class Executor:
    """Runs up to ``concurrency`` jobs at once; more that were claimed ahead wait in a buffer.

    ``shared`` are the resources of all of them, to be opened before the first job and closed after the last; ``events``
    is what they tell.

    Each lease is held from the claim on, while its job waits in the buffer, runs, and waits to be settled.
    """

    def __init__(
        self,
        host: WorkerHost,
        clock: BrokerClock,
        settler: Settler,
        leases: Leases,
        *,
        concurrency: int,
        chance: Callable[[], float] = random.random,
    ) -> None:
        settings = host.settings
        self.events = EventBuffer(host.broker, most=settings.max_events, ttl_ms=round(settings.event_ttl * 1000))
        self._tell = self.events.add
        self._ways = Ways(settings.handler_processes, self._tell)
        plans = RunPlans(host, self._ways)
        self.plans = plans.by_name
        self.shared = plans.shared
        self.concurrency = concurrency
        self.finished = 0
        self._host = host
        self._clock = clock
        self._add = settler.add
        self._leases = leases
        self._decisions = Decisions(clock.now_ms, chance)
        # Bound once: it is called for each job.
        self._decide = self._decisions.of_attempt
        self._max_result = host.settings.max_payload
        self._grace = host.settings.lease
        self._context = contextvars.copy_context()
        self._running: dict[Lease, Attempt] = {}
        self._buffer: deque[tuple[Lease, Claimed]] = deque()
        self._canceller = Canceller(clock.monotonic)
        self._change = asyncio.Event()
        self._may_wait = True

    # -- what the other duties ask

    @property
    def running(self) -> int:
        """How many handlers run."""
        return len(self._running)

    @property
    def buffered(self) -> int:
        """How many claimed jobs wait for a slot."""
        return len(self._buffer)

    @property
    def running_ids(self) -> tuple[str, ...]:
        """The ids of the jobs that run, at most 100."""
        return tuple(lease.id for lease in list(self._running)[:100])

    def blocking(self, loop: asyncio.AbstractEventLoop) -> str:
        """Name the job whose handler runs on ``loop`` at this very moment; from any thread."""
        task = asyncio.current_task(loop)
        for attempt in self._running.copy().values():
            if attempt.task is task:
                return f"job {attempt.lease.id} ({decode_header(attempt.claimed.record).name})"
        return "code that is no handler"

    async def changed(self, timeout: float) -> None:
        """Wait until a job has ended, at most ``timeout`` seconds."""
        self._change.clear()
        try:
            async with asyncio.timeout(timeout):
                await self._change.wait()
        except TimeoutError:
            return

    # -- the way of a job

    def accept(self, jobs: Sequence[Claimed]) -> None:
        """Take over claimed jobs and start as many as there are slots."""
        for claimed in jobs:
            lease = Lease(claimed.queue, claimed.id, priority_of(claimed.record), claimed.fence)
            self._leases.hold(lease)
            self._buffer.append((lease, claimed))
        self._fill()

    def _fill(self) -> None:
        create_task, context = asyncio.get_running_loop().create_task, self._context
        while self._buffer and len(self._running) < self.concurrency:
            lease, claimed = self._buffer.popleft()
            attempt = self._running[lease] = Attempt(claimed, lease)
            # In a copy of the worker's own context: this may be called by the task of a job that has just ended.
            attempt.task = create_task(self._run(attempt), context=context.copy())

    async def _run(self, attempt: Attempt) -> None:
        try:
            read = self._read(attempt)
            if read is None:
                return
            job, plan, arguments = read
            if plan.turns is not None and not await self._await_turn(attempt, job, plan, plan.turns):
                return
            context = self._begin(attempt, job, plan, arguments)
            if context is None:
                return
            job = context.record
            began = time.perf_counter_ns()
            outcome: Outcome | Lost
            try:
                if attempt.leads_to is not None:
                    raise asyncio.CancelledError
                value = await plan.call(context)
                outcome = outcome_of_value(value, job, self._max_result, self._clock.now_ms)
            except (KeyboardInterrupt, GeneratorExit):
                # Not of the handler: the process is being stopped, or its loop has ended without us.
                raise
            except BaseException as error:
                # What a handler raises while it is being cancelled is not its own failure.
                leads_to = attempt.leads_to or error
                if isinstance(leads_to, BaseException):
                    outcome = outcome_of_error(leads_to, job, plan, self._clock.now_ms(), trace=error)
                else:
                    outcome = leads_to
            if attempt.deadline is not None:
                attempt.deadline.drop()
            if isinstance(outcome, Lost) or attempt.leads_to is LOST:
                self._end(attempt, None)
                return
            duration_us = (time.perf_counter_ns() - began) // 1000
            if self.events.is_busy and self.events.holds(attempt.lease):
                with context.uninterrupted():
                    await self.events.flush(attempt.lease)
            self._end(attempt, self._decide(job, plan, outcome, attempt.claimed.record, duration_us))
        except Exception:
            # A fault of ours, not of the handler: the slot must not be lost with it, and the job is left to its lease.
            _log.exception("job %s could not be run to an end; it will be recovered", attempt.lease.id)
            if attempt.lease in self._running:
                self._end(attempt, None)

    def _read(self, attempt: Attempt) -> tuple[Job, RunPlan, _Arguments] | None:
        """Return the job, how it is run and its arguments, ``None`` if it has ended because that can't be told."""
        claimed = attempt.claimed
        try:
            job = read_job(claimed.id, claimed.queue, claimed.record, claimed.tries)
            plan = self.plans.get(job.name) or self._unknown(job.name)
            return job, plan, plan.signature.decode(job.envelope.arguments, job.envelope.keywords)
        except (EnvelopeError, ArgumentsError, UnknownJobName) as error:
            self._end(attempt, self._decisions.of_unrunnable(claimed, error))
            return None

    async def _await_turn(self, attempt: Attempt, job: Job, plan: RunPlan, turns: asyncio.Semaphore) -> bool:
        """Wait for one of the ``turns`` and take it; return whether the job is still to be run then."""
        if not self._may_wait and turns.locked():
            # Claimed as the worker was told to stop, its task begins only now.
            attempt.leads_to = attempt.leads_to or Released()
        attempt.is_waiting = True
        try:
            if attempt.leads_to is not None:
                raise asyncio.CancelledError
            await turns.acquire()
        except asyncio.CancelledError:
            settlement = None
            if isinstance(attempt.leads_to, Cancelled):
                job = start_job(job, attempt.claimed.fence, self._clock.now_ms())
                settlement = self._decide(job, plan, attempt.leads_to, attempt.claimed.record, 0)
            elif isinstance(attempt.leads_to, Released):
                settlement = release(attempt.lease)
            self._end(attempt, settlement)
            return False
        finally:
            attempt.is_waiting = False
        attempt.turns = turns
        return True

    def _begin(self, attempt: Attempt, job: Job, plan: RunPlan, arguments: _Arguments) -> JobContext | None:
        """Set the attempt's timeout and its context; return ``None`` if the job has ended without being run."""
        now_ms, envelope = self._clock.now_ms(), job.envelope
        job = start_job(job, attempt.claimed.fence, now_ms)
        if 0 < envelope.expires_at_ms < now_ms:
            outcome = Cancelled("it expired before a worker was free")
            self._end(attempt, self._decide(job, plan, outcome, attempt.claimed.record, 0))
            return None
        timeout_ms = plan.timeout_ms if envelope.timeout_ms is None else envelope.timeout_ms
        due_ms = None
        if timeout_ms is not None:
            seconds, due_ms = timeout_ms / 1000, now_ms + timeout_ms
            self._canceller.limit(attempt, seconds)
            # A handler that goes on long past its timeout can't be stopped: its job is then for another worker.
            self._leases.hold(attempt.lease, self._clock.monotonic() + seconds + self._grace)
        context = attempt.context = JobContext(job, self._host, due_ms, *arguments, self._tell)
        running.set(context)
        return context

    def _unknown(self, name: str) -> RunPlan:
        self._host.registry.get(name)
        raise UnknownJobName(f"the job {name!r} was defined after this worker had started; define it before")

    def _end(self, attempt: Attempt, settlement: Settlement | None) -> None:
        del self._running[attempt.lease]
        self.finished += 1
        if attempt.turns is not None:
            attempt.turns.release()
        if settlement is None:
            self._leases.let_go(attempt.lease)
        else:
            self._add(attempt.lease, settlement)
        if self._buffer:
            self._fill()
        self._change.set()

    # -- what others decide

    def learn(self, extension: Extension) -> None:
        """Act on what the heartbeat was told: cancel the handlers of lost leases and of cancelled jobs."""
        for lease in extension.lost:
            # One that isn't running is just being settled, or waits in the buffer.
            if lease in self._running:
                _log.warning("job %s was taken over by another worker: its handler is cancelled here", lease.id)
                self._canceller.cancel(self._running[lease], LOST)
            elif self._unbuffer(lease) is not None:
                self._leases.let_go(lease)
        for lease, reason in extension.cancelled:
            if lease in self._running:
                self._canceller.cancel(self._running[lease], Cancelled(reason))
            elif (claimed := self._unbuffer(lease)) is not None:
                self._add(lease, self._decisions.of_unrun(claimed, Cancelled(reason)))

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
            self._add(lease, release(lease))

    def give_back_waiting(self) -> None:
        """Release the jobs that wait for a process, too, and from now on those that would have to."""
        self._may_wait = False
        for attempt in list(self._running.values()):
            if attempt.is_waiting:
                self._canceller.cancel(attempt, Released())

    async def drain(self, timeout: float) -> bool:
        """Wait until no handler runs, at most ``timeout`` seconds; return whether none does."""
        until = time.monotonic() + timeout
        while self._running and (left := until - time.monotonic()) > 0:
            await self.changed(left)
        return not self._running

    def cancel_all(self) -> None:
        """Cancel every handler; their jobs go back to ready at once, the attempt not counted."""
        for attempt in list(self._running.values()):
            self._canceller.cancel(attempt, Released())

    async def close(self) -> None:
        """Give up timers, threads and processes; a sync handler that still runs is left to its lease."""
        self._canceller.close()
        await self._ways.close()
        for attempt in self._running.values():
            self._leases.let_go(attempt.lease)
