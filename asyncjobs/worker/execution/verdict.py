"""What becomes of claimed jobs, whether they were run, couldn't be, or needn't be any more: their settlements."""

from __future__ import annotations

import logging
from collections.abc import Callable

from asyncjobs.core.job import Job, start_job
from asyncjobs.core.record.envelope import JobError
from asyncjobs.core.retry import RetryPolicy
from asyncjobs.core.settlement import Cancelled, Failed, Outcome, Settlement, Verdict, bounded_error, settle
from asyncjobs.errors import EnvelopeError
from asyncjobs.jobs.context import log_fields
from asyncjobs.ports import Claimed, Lease
from asyncjobs.worker.execution.claimed import read_claimed, stand_in_for
from asyncjobs.worker.execution.plan import RunPlan

__all__ = ["Decisions", "release"]

_log = logging.getLogger("asyncjobs.worker")

_NO_RETRY = RetryPolicy(max_retries=0)


class Decisions:
    """Asks the core, at the broker's time ``now_ms``, with ``chance`` for the jitter, and logs each failure."""

    def __init__(self, now_ms: Callable[[], int], chance: Callable[[], float]) -> None:
        self._now_ms = now_ms
        self._chance = chance

    def of_attempt(
        self, claimed: Claimed, job: Job, plan: RunPlan, outcome: Outcome, duration_us: int = 0
    ) -> Settlement:
        """Settle the started ``job``, that of ``claimed``, after ``outcome``."""
        override = job.envelope.result_ttl_ms
        settlement = settle(
            job,
            outcome,
            plan.retry,
            self._now_ms(),
            self._chance(),
            record=claimed.record,
            duration_us=duration_us,
            result_ttl_ms=plan.result_ttl_ms if override is None else override,
        )
        if isinstance(outcome, Failed):
            _report(job, outcome.error, settlement)
        return settlement

    def of_unrun(self, claimed: Claimed, outcome: Cancelled) -> Settlement:
        """Settle a job that was cancelled before it could start."""
        try:
            job = self._start(claimed)
        except EnvelopeError as error:
            return self.of_unrunnable(claimed, error)
        return settle(job, outcome, _NO_RETRY, self._now_ms(), 0.0, record=claimed.record)

    def of_unrunnable(self, claimed: Claimed, error: Exception) -> Settlement:
        """Send a job that can't be run to the dead letter queue, with the reason."""
        try:
            job = self._start(claimed)
        except EnvelopeError:
            job = stand_in_for(claimed)
        problem = bounded_error(type(error).__name__, str(error), "", job.attempt, self._now_ms())
        settlement = settle(job, Failed(problem, retryable=False), _NO_RETRY, self._now_ms(), 0.0)
        _report(job, problem, settlement)
        return settlement

    def _start(self, claimed: Claimed) -> Job:
        return start_job(read_claimed(claimed), claimed.fence, self._now_ms())


def release(lease: Lease) -> Settlement:
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
