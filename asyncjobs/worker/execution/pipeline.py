"""What an attempt passes through: read, wait for a process, begin, call, conclude."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

from asyncjobs.core.bounds import bounded_ms
from asyncjobs.core.job import Job, start_job
from asyncjobs.core.lines import gates_in
from asyncjobs.core.settlement import Cancelled, Outcome, Released, Settlement
from asyncjobs.core.stored import read_live
from asyncjobs.errors import NewerVersion, UnknownJobName
from asyncjobs.jobs.context import JobContext, running
from asyncjobs.ports import Claimed
from asyncjobs.worker.broker_clock import BrokerClock
from asyncjobs.worker.event_sender import EventSender
from asyncjobs.worker.execution.attempt import Attempt, Lost, NotRun
from asyncjobs.worker.execution.canceller import Canceller
from asyncjobs.worker.execution.plan import RunPlan
from asyncjobs.worker.execution.verdict import Verdicts, outcome_of_error, outcome_of_value, release
from asyncjobs.worker.host import WorkerHost
from asyncjobs.worker.processes.protocol import HandlerFailed
from asyncjobs.worker.shield import Shielded

__all__ = ["Pipeline"]

_log = logging.getLogger("asyncjobs.worker")

_Arguments: TypeAlias = tuple[tuple[Any, ...], dict[str, Any]]


class Pipeline:
    """Runs attempts, each in its task.

    ``end`` is called once at the end of each, with the settlement if it has one, and the job if its handler has run.

    ``is_cancelled`` returns whether the worker itself is being cancelled, and its handlers with it.
    """

    def __init__(
        self,
        host: WorkerHost,
        clock: BrokerClock,
        plans: Mapping[str, RunPlan],
        events: EventSender,
        canceller: Canceller,
        verdicts: Verdicts,
        end: Callable[[Attempt, Settlement | None, Job | None], None],
        is_cancelled: Callable[[], bool],
    ) -> None:
        self._host = host
        self._clock = clock
        self._plans = plans
        self._events = events
        self._canceller = canceller
        self._verdicts = verdicts
        self._end = end
        self._is_cancelled = is_cancelled
        self._max_result_bytes = host.settings.max_payload
        self._encryption = host.encryption
        self._unlimited: set[str] = set()
        # Bound once: both are called for each job.
        self._decide = verdicts.of_attempt
        self._on_event = events.add
        #: Whether attempts may still wait for a process.
        self.may_wait = True

    async def run(self, attempt: Attempt) -> None:
        """Take ``attempt`` through all stages, then end it."""
        settlement: Settlement | None = None
        run: Job | None = None
        outcome: Outcome | Lost
        raised: BaseException | None = None
        try:
            job, plan, arguments = self._read(attempt.claimed)
            if plan.process_slots is not None:
                await self._take_process_slot(attempt, job, plan, plan.process_slots)
            context = self._begin(attempt, job, plan, arguments)
            job = context.record
            began_ns = time.perf_counter_ns()
            try:
                if attempt.leads_to is not None:
                    raise asyncio.CancelledError
                value = await plan.call(context)
                outcome = outcome_of_value(value, job, plan, self._max_result_bytes, self._clock.now_ms)
            except BaseException as error:
                if _is_closed(attempt, error):
                    raise
                outcome = self._outcome_of(error, attempt, job, plan)
                raised = _shown(error, attempt)
            duration_us = (time.perf_counter_ns() - began_ns) // 1000
            if attempt.deadline is not None:
                attempt.deadline.drop()
            if not isinstance(outcome, Lost) and not isinstance(attempt.leads_to, Lost):
                if self._events.is_busy and self._events.holds(attempt.lease):
                    with Shielded(context, "closing"):
                        await self._events.flush(attempt.lease)
                settlement = self._decide(attempt.claimed, job, plan, outcome, duration_us, raised)
                # Its traceback leads to this very frame.
                raised, run = None, job
        except NotRun as ended:
            settlement = ended.settlement
        except BaseException as error:
            if _is_closed(attempt, error):
                raise
            # A fault of the worker, not of the handler: the slot is freed, and the job is left to its lease.
            _log.exception("job %s could not be run to an end; it will be recovered", attempt.lease.id)
        self._end(attempt, settlement, run)

    def _read(self, claimed: Claimed) -> tuple[Job, RunPlan, _Arguments]:
        """Return the job, how it is run and its arguments; raise ``NotRun`` if one of them can't be had."""
        try:
            job = read_live(claimed, claimed.body, claimed.tries)
            plan = self._plans.get(job.name) or self._unknown(job.name)
            if plan.keys.limits and not gates_in(job.line):
                self._warn_of_unlimited(job, plan)
            if self._encryption is not None:
                job = self._encryption.readable(job)
            return job, plan, plan.signature.decode(job.envelope.arguments, job.envelope.keywords)
        except NewerVersion as error:
            raise NotRun(self._verdicts.of_newer(claimed, error)) from None
        except BaseException as error:
            # Also what code of users raises that decodes arguments, such as the validator of a model.
            raise NotRun(self._verdicts.of_unrunnable(claimed, error)) from None

    def _warn_of_unlimited(self, job: Job, plan: RunPlan) -> None:
        """Log, once for each name, that a job has come without the limits that its code has."""
        if job.name not in self._unlimited:
            self._unlimited.add(job.name)
            _log.warning(
                "job %s (%s) and perhaps others of its name were sent without their limits (%s): before they were "
                "there, or by its name without its code",
                job.id,
                job.name,
                ", ".join(plan.keys.rules),
            )

    def _unknown(self, name: str) -> RunPlan:
        self._host.registry.get(name)
        raise UnknownJobName(f"the job {name!r} was defined after this worker had started; define it before")

    async def _take_process_slot(self, attempt: Attempt, job: Job, plan: RunPlan, slots: asyncio.Semaphore) -> None:
        """Wait until a process is free for the attempt; raise ``NotRun`` if it is cancelled before."""
        if not self.may_wait and slots.locked():
            # Claimed as the worker was being stopped, its task begins only now.
            attempt.leads_to = attempt.leads_to or Released()
        attempt.is_waiting = True
        try:
            if attempt.leads_to is not None:
                raise asyncio.CancelledError
            await slots.acquire()
        except asyncio.CancelledError:
            raise NotRun(self._unstarted(attempt, job, plan)) from None
        finally:
            attempt.is_waiting = False
        attempt.process_slots = slots

    def _unstarted(self, attempt: Attempt, job: Job, plan: RunPlan) -> Settlement | None:
        """Return what becomes of a job that was cancelled while it waited for a process."""
        if isinstance(attempt.leads_to, Cancelled):
            job = start_job(job, attempt.claimed.fence, self._clock.now_ms())
            return self._decide(attempt.claimed, job, plan, attempt.leads_to)
        return None if isinstance(attempt.leads_to, Lost) else release(attempt.lease)

    def _begin(self, attempt: Attempt, job: Job, plan: RunPlan, arguments: _Arguments) -> JobContext:
        """Set the attempt's timeout and its context; raise ``NotRun`` if the job has expired."""
        now_ms, envelope = self._clock.now_ms(), job.envelope
        job = start_job(job, attempt.claimed.fence, now_ms, self._verdicts.worker)
        if 0 < envelope.expires_at_ms < now_ms:
            expired = Cancelled("it expired before a worker was free")
            raise NotRun(self._decide(attempt.claimed, job, plan, expired))
        timeout_ms = plan.timeout_ms if envelope.timeout_ms is None else bounded_ms(envelope.timeout_ms)
        due_ms = ends_at = None
        if timeout_ms is not None:
            due_ms = now_ms + timeout_ms
            is_default = plan.is_default_timeout and envelope.timeout_ms is None
            name = "the default timeout" if is_default else "its timeout"
            ends_at = self._canceller.limit(attempt, timeout_ms / 1000, name)
        context = attempt.context = JobContext(job, self._host.sender, due_ms, *arguments, self._on_event, ends_at)
        running.set(context)
        return context

    def overrun(self, attempt: Attempt, job: Job, error: TimeoutError) -> Settlement:
        """Return what ``error``, or its sender's cancellation, makes of ``job``, whose handler goes on."""
        plan, now_ms, outcome = self._plans[job.name], self._clock.now_ms(), attempt.leads_to
        if not isinstance(outcome, Cancelled):
            outcome = outcome_of_error(error, job, plan, now_ms)
        duration_us = (now_ms - (job.started_at_ms or now_ms)) * 1000
        return self._decide(attempt.claimed, job, plan, outcome, duration_us, error)

    def _outcome_of(self, error: BaseException, attempt: Attempt, job: Job, plan: RunPlan) -> Outcome | Lost:
        """Return what ``error`` leads to: raised while the attempt is cancelled, it isn't the handler's own failure."""
        leads_to = attempt.leads_to or error
        if not isinstance(leads_to, BaseException):
            return leads_to
        if isinstance(leads_to, asyncio.CancelledError) and self._is_cancelled():
            return Released()
        return outcome_of_error(leads_to, job, plan, self._clock.now_ms(), trace=error)


def _shown(error: BaseException, attempt: Attempt) -> BaseException | None:
    """Return the error of an attempt that is to be logged: what cancelled it, or what its handler raised."""
    if isinstance(attempt.leads_to, BaseException):
        return attempt.leads_to.with_traceback(error.__traceback__)
    return None if isinstance(error, HandlerFailed) else error


def _is_closed(attempt: Attempt, error: BaseException) -> bool:
    """Return whether ``error`` closes the coroutine of ``attempt`` from outside, and was not raised in its task."""
    if not isinstance(error, GeneratorExit):
        return False
    try:
        return asyncio.current_task() is not attempt.task
    except RuntimeError:  # No event loop runs any more.
        return True
