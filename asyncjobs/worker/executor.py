"""Runs handlers: a plain task a job, made and owned here, so that none is orphaned and each has a context of its own.

Cancellation always comes from here, with what it leads to: a timeout, the sender's wish, a lost lease, the shutdown. It
is repeated while a handler swallows it. A sync handler's thread can't be cancelled: its slot stays taken until it
returns.
"""

from __future__ import annotations

import asyncio
import contextvars
import logging
import random
import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

from asyncjobs.context import JobContext, log_fields, running
from asyncjobs.core.envelope import JobError, decode_header, priority_of, tenant_in
from asyncjobs.core.job import Job, start_job
from asyncjobs.core.priority import Priority
from asyncjobs.core.record import read_job, unreadable_job
from asyncjobs.core.retry import RetryPolicy
from asyncjobs.core.settlement import (
    Cancelled,
    Failed,
    Outcome,
    Released,
    Settlement,
    Verdict,
    bounded_error,
    settle,
)
from asyncjobs.core.states import JobState
from asyncjobs.errors import ArgumentsError, EnvelopeError, UnknownJobName
from asyncjobs.ports import Claimed, Extension, Lease
from asyncjobs.worker.broker_clock import BrokerClock
from asyncjobs.worker.deadlines import Deadline, Deadlines
from asyncjobs.worker.events import EventBuffer
from asyncjobs.worker.host import WorkerHost
from asyncjobs.worker.leases import Leases
from asyncjobs.worker.outcomes import outcome_of_error, outcome_of_value
from asyncjobs.worker.plan import RunPlan, RunPlans
from asyncjobs.worker.settler import Settler
from asyncjobs.worker.ways import Ways

__all__ = ["Executor"]

_log = logging.getLogger("asyncjobs.worker")

_CANCEL_AGAIN_S = 1.0

# How long a job's resources may take to close before they are cancelled too.
_CLOSE_S = 4.0
_NO_RETRY = RetryPolicy(max_retries=0)

_Arguments: TypeAlias = tuple[tuple[Any, ...], dict[str, Any]]


class _Lost:
    """What a cancellation leads to once the lease is lost: nothing, another worker decides."""


_LOST = _Lost()


class _Run:
    """One running handler."""

    __slots__ = ("claimed", "context", "deadline", "held_since", "is_waiting", "leads_to", "lease", "task", "turns")

    def __init__(self, claimed: Claimed, lease: Lease) -> None:
        self.claimed = claimed
        self.lease = lease
        self.task: asyncio.Task[None] | None = None
        self.context: JobContext | None = None
        self.deadline: Deadline | None = None
        self.held_since: float | None = None
        self.is_waiting = False
        self.turns: asyncio.Semaphore | None = None
        self.leads_to: Outcome | TimeoutError | _Lost | None = None


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
        self._chance = chance
        self._max_result = host.settings.max_payload
        self._grace = host.settings.lease
        self._context = contextvars.copy_context()
        self._running: dict[Lease, _Run] = {}
        self._buffer: deque[tuple[Lease, Claimed]] = deque()
        self._deadlines = Deadlines()
        self._change = asyncio.Event()

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
        for run in self._running.copy().values():
            if run.task is task:
                return f"job {run.lease.id} ({decode_header(run.claimed.record).name})"
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
            run = self._running[lease] = _Run(claimed, lease)
            # In a copy of the worker's own context: this may be called by the task of a job that has just ended.
            run.task = create_task(self._run(run), context=context.copy())

    async def _run(self, run: _Run) -> None:
        try:
            read = self._read(run)
            if read is None:
                return
            job, plan, arguments = read
            if plan.turns is not None and not await self._await_turn(run, job, plan, plan.turns):
                return
            context = self._begin(run, job, plan, arguments)
            if context is None:
                return
            job = context.record
            began = time.perf_counter_ns()
            outcome: Outcome | _Lost
            try:
                if run.leads_to is not None:
                    raise asyncio.CancelledError
                value = await plan.call(context)
                outcome = outcome_of_value(value, job, self._max_result, self._clock.now_ms)
            except (KeyboardInterrupt, GeneratorExit):
                # Not of the handler: the process is being stopped, or its loop has ended without us.
                raise
            except BaseException as error:
                # What a handler raises while it is being cancelled is not its own failure.
                leads_to = run.leads_to or error
                if isinstance(leads_to, BaseException):
                    outcome = outcome_of_error(leads_to, job, plan, self._clock.now_ms(), trace=error)
                else:
                    outcome = leads_to
            if run.deadline is not None:
                run.deadline.drop()
            if isinstance(outcome, _Lost) or run.leads_to is _LOST:
                self._end(run, None)
                return
            duration_us = (time.perf_counter_ns() - began) // 1000
            if self.events.is_busy and self.events.holds(run.lease):
                with context.uninterrupted():
                    await self.events.flush(run.lease)
            self._end(run, self._decide(job, plan, outcome, run, duration_us))
        except Exception:
            # A fault of ours, not of the handler: the slot must not be lost with it, and the job is left to its lease.
            _log.exception("job %s could not be run to an end; it will be recovered", run.lease.id)
            if run.lease in self._running:
                self._end(run, None)

    def _read(self, run: _Run) -> tuple[Job, RunPlan, _Arguments] | None:
        """Return the job, how it is run and its arguments, ``None`` if it has ended because that can't be told."""
        claimed = run.claimed
        try:
            job = read_job(claimed.id, claimed.queue, claimed.record, claimed.tries)
            plan = self.plans.get(job.name) or self._unknown(job.name)
            return job, plan, plan.signature.decode(job.envelope.arguments, job.envelope.keywords)
        except (EnvelopeError, ArgumentsError, UnknownJobName) as error:
            self._end(run, self._buried(claimed, error))
            return None

    async def _await_turn(self, run: _Run, job: Job, plan: RunPlan, turns: asyncio.Semaphore) -> bool:
        """Wait for one of the ``turns`` and take it; return whether the job is still to be run then."""
        run.is_waiting = True
        try:
            if run.leads_to is not None:
                raise asyncio.CancelledError
            await turns.acquire()
        except asyncio.CancelledError:
            settlement = None
            if isinstance(run.leads_to, Cancelled):
                job = start_job(job, run.claimed.fence, self._clock.now_ms())
                settlement = self._decide(job, plan, run.leads_to, run, 0)
            elif isinstance(run.leads_to, Released):
                settlement = _release(run.lease)
            self._end(run, settlement)
            return False
        finally:
            run.is_waiting = False
        run.turns = turns
        return True

    def _begin(self, run: _Run, job: Job, plan: RunPlan, arguments: _Arguments) -> JobContext | None:
        """Set the attempt's timeout and its context; return ``None`` if the job has ended without being run."""
        now_ms, envelope = self._clock.now_ms(), job.envelope
        job = start_job(job, run.claimed.fence, now_ms)
        if 0 < envelope.expires_at_ms < now_ms:
            self._end(run, self._decide(job, plan, Cancelled("it expired before a worker was free"), run, 0))
            return None
        timeout_ms = plan.timeout_ms if envelope.timeout_ms is None else envelope.timeout_ms
        due_ms = None if timeout_ms is None else self._limit(run, timeout_ms)
        context = run.context = JobContext(job, self._host, due_ms, *arguments, self._tell)
        running.set(context)
        return context

    def _limit(self, run: _Run, timeout_ms: int) -> int:
        """Have the attempt cancelled after ``timeout_ms``; return when that is, by the broker's clock."""
        seconds = timeout_ms / 1000
        run.deadline = self._deadlines.add(seconds, lambda: self._time_out(run, timeout_ms))
        # A handler that goes on long past its timeout can't be stopped: its job is then for another worker.
        self._leases.hold(run.lease, self._clock.monotonic() + seconds + self._grace)
        return self._clock.now_ms() + timeout_ms

    def _start(self, claimed: Claimed) -> Job:
        job = read_job(claimed.id, claimed.queue, claimed.record, claimed.tries)
        return start_job(job, claimed.fence, self._clock.now_ms())

    def _unknown(self, name: str) -> RunPlan:
        self._host.registry.get(name)
        raise UnknownJobName(f"the job {name!r} was defined after this worker had started; define it before")

    def _error(self, kind: str, message: str, trace: str, job: Job) -> JobError:
        return bounded_error(kind, message, trace, job.attempt, self._clock.now_ms())

    def _decide(self, job: Job, plan: RunPlan, outcome: Outcome, run: _Run, duration_us: int) -> Settlement:
        override = job.envelope.result_ttl_ms
        settlement = settle(
            job,
            outcome,
            plan.retry,
            self._clock.now_ms(),
            self._chance(),
            record=run.claimed.record,
            duration_us=duration_us,
            result_ttl_ms=plan.result_ttl_ms if override is None else override,
        )
        if isinstance(outcome, Failed):
            _report(job, outcome.error, settlement)
        return settlement

    def _buried(self, claimed: Claimed, error: Exception) -> Settlement:
        """Send a job that can't be run to the dead letter queue, with the reason."""
        try:
            job = self._start(claimed)
        except EnvelopeError:
            job = unreadable_job(
                claimed.id,
                claimed.queue,
                Priority(priority_of(claimed.record)),
                claimed.tries,
                JobState.RUNNING,
                fence=claimed.fence,
                tenant=tenant_in(claimed.record),
            )
        problem = self._error(type(error).__name__, str(error), "", job)
        settlement = settle(job, Failed(problem, retryable=False), _NO_RETRY, self._clock.now_ms(), 0.0)
        _report(job, problem, settlement)
        return settlement

    def _end(self, run: _Run, settlement: Settlement | None) -> None:
        del self._running[run.lease]
        self.finished += 1
        if run.turns is not None:
            run.turns.release()
        if settlement is None:
            self._leases.let_go(run.lease)
        else:
            self._add(run.lease, settlement)
        if self._buffer:
            self._fill()
        self._change.set()

    # -- cancellation

    def _time_out(self, run: _Run, timeout_ms: int) -> None:
        self._cancel(run, TimeoutError(f"the attempt took longer than its timeout of {timeout_ms / 1000:g} s"))

    def _cancel(self, run: _Run, leads_to: Outcome | TimeoutError | _Lost) -> None:
        if run.leads_to is None or leads_to is _LOST:
            run.leads_to = leads_to
        if run.task is None or run.task.done():
            return
        if not self._is_held(run):
            run.task.cancel()
        self._deadlines.add(_CANCEL_AGAIN_S, lambda: self._cancel(run, leads_to))

    def _is_held(self, run: _Run) -> bool:
        """Say whether the attempt can't be cancelled now: it is in a thread, or is closing its resources."""
        if run.context is None:
            # A task that is cancelled before its first step ends without it, and nobody would free the slot.
            return not run.is_waiting
        hold = run.context.hold
        if hold != "closing":
            run.held_since = None
            return hold == "thread"
        now = self._clock.monotonic()
        run.held_since = run.held_since or now
        return now - run.held_since < _CLOSE_S

    def learn(self, extension: Extension) -> None:
        """Act on what the heartbeat was told: cancel the handlers of lost leases and of cancelled jobs."""
        for lease in extension.lost:
            # One that isn't running is just being settled, or waits in the buffer.
            if lease in self._running:
                _log.warning("job %s was taken over by another worker: its handler is cancelled here", lease.id)
                self._cancel(self._running[lease], _LOST)
            elif self._unbuffer(lease) is not None:
                self._leases.let_go(lease)
        for lease, reason in extension.cancelled:
            if lease in self._running:
                self._cancel(self._running[lease], Cancelled(reason))
            elif (claimed := self._unbuffer(lease)) is not None:
                self._settle_unrun(lease, claimed, Cancelled(reason))

    def _unbuffer(self, lease: Lease) -> Claimed | None:
        for entry in self._buffer:
            if entry[0] == lease:
                self._buffer.remove(entry)
                return entry[1]
        return None

    def _settle_unrun(self, lease: Lease, claimed: Claimed, outcome: Cancelled) -> None:
        try:
            job = self._start(claimed)
        except EnvelopeError as error:
            self._add(lease, self._buried(claimed, error))
        else:
            self._add(lease, settle(job, outcome, _NO_RETRY, self._clock.now_ms(), 0.0, record=claimed.record))

    # -- giving back and ending

    def give_back(self) -> None:
        """Release what was claimed ahead and has not started."""
        while self._buffer:
            lease, _ = self._buffer.popleft()
            self._add(lease, _release(lease))

    def give_back_waiting(self) -> None:
        """Release the jobs that wait for a process, too."""
        for run in list(self._running.values()):
            if run.is_waiting:
                self._cancel(run, Released())

    async def drain(self, timeout: float) -> bool:
        """Wait until no handler runs, at most ``timeout`` seconds; return whether none does."""
        until = time.monotonic() + timeout
        while self._running and (left := until - time.monotonic()) > 0:
            await self.changed(left)
        return not self._running

    def cancel_all(self) -> None:
        """Cancel every handler; their jobs go back to ready at once, the attempt not counted."""
        for run in list(self._running.values()):
            self._cancel(run, Released())

    async def close(self) -> None:
        """Give up timers, threads and processes; a sync handler that still runs is left to its lease."""
        self._deadlines.close()
        await self._ways.close()
        for run in self._running.values():
            self._leases.let_go(run.lease)


def _release(lease: Lease) -> Settlement:
    """Give back a job that has not started; unlike one that has, also if it is acknowledged early."""
    return Settlement(lease.queue, lease.id, "", lease.priority, lease.fence, Verdict.RELEASE)


def _report(job: Job, error: JobError, settlement: Settlement) -> None:
    if settlement.verdict is Verdict.RETRY:
        _log.warning(
            "job %s (%s) failed at attempt %d, retry in %.1f s: %s: %s",
            job.id,
            job.name,
            job.attempt,
            settlement.delay_ms / 1000,
            error.type,
            error.message,
            extra=log_fields(job),
        )
    else:
        _log.error(
            "job %s (%s) failed at attempt %d and went to the dead letter queue: %s: %s\n%s",
            job.id,
            job.name,
            job.attempt,
            error.type,
            error.message,
            error.traceback,
            extra=log_fields(job),
        )
