"""From what a handler returned or raised to what becomes of its job."""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import Callable
from datetime import timedelta

import msgspec

from asyncjobs.core.duration import to_ms
from asyncjobs.core.job import Job, start_job
from asyncjobs.core.record.envelope import JobError
from asyncjobs.core.retry import UNLIMITED, RetryPolicy, RetryRule
from asyncjobs.core.settlement import (
    Cancelled,
    Completed,
    Failed,
    Outcome,
    Settlement,
    Snoozed,
    Verdict,
    bounded_error,
    settle,
)
from asyncjobs.core.states import JobState
from asyncjobs.core.stored import Situation, read_live, stand_in
from asyncjobs.core.text import message_of, type_name
from asyncjobs.errors import ArgumentsError, EncryptionError, EnvelopeError, NewerVersion
from asyncjobs.jobs.context import log_fields
from asyncjobs.jobs.encryption import Encryption
from asyncjobs.jobs.steering import Cancel, Discard, RateLimited, Retry, Snooze, unpack_steering
from asyncjobs.jobs.values.hooks import ENCODING_ERRORS
from asyncjobs.middleware.blame import layer_that_raised
from asyncjobs.ports import Claimed, Lease
from asyncjobs.worker.execution.plan import RunPlan
from asyncjobs.worker.execution.traces import folded, text_of
from asyncjobs.worker.processes.protocol import HandlerFailed

__all__ = ["Verdicts", "outcome_of_error", "outcome_of_value", "release"]

_log = logging.getLogger("asyncjobs.worker")

_NO_TRACE = "(its traceback can't be had"

# In the text of a traceback: that the log could not write it either, as a whole or for the escaped half of a character.
_UNWRITABLE = re.compile(rf"^{re.escape(_NO_TRACE)}|\\ud[89a-f]")

_DEFAULT = RetryPolicy()
_NO_RETRY = RetryPolicy(max_retries=0)


# -- the outcome of a handler


def outcome_of_value(value: object, job: Job, plan: RunPlan, max_bytes: int, now_ms: Callable[[], int]) -> Outcome:
    """Return the outcome of a handler that returned ``value``: a failure if the value can't be kept."""
    try:
        result = plan.encode_result(value)
    except ENCODING_ERRORS as error:
        problem = f"the result of type {type(value).__qualname__} can't be encoded: {error}"
    else:
        if len(result) <= max_bytes:
            return Completed(result)
        problem = f"the result has {len(result)} bytes; max_payload allows {max_bytes}"
    # Not worth a retry: the handler has done its work, only its value can't be kept.
    return Failed(bounded_error("ResultError", problem, "", job.attempt, now_ms()), retryable=False)


def outcome_of_error(
    error: BaseException, job: Job, plan: RunPlan, now_ms: int, *, trace: BaseException | None = None
) -> Outcome:
    """Return the outcome of a handler that raised ``error``; ``trace``: whose traceback to keep, if not its own."""
    remote = error if isinstance(error, HandlerFailed) else None
    if remote is not None and remote.steering:
        # Raised in the process of the handler.
        error = unpack_steering(remote.steering)
    match error:
        case Cancel():
            return Cancelled(error.reason)
        case RateLimited():
            return _rate_limited(error, job, plan, now_ms)
        case Snooze():
            return Snoozed(error.after_ms)
    if remote is None:
        problem = _problem_of(error, trace or error, job, plan, now_ms)
    else:
        problem = bounded_error(remote.type_name, remote.message, remote.traceback, job.attempt, now_ms)
    match error:
        case Discard():
            return Failed(problem, retryable=False)
        case Retry() if plan.rule is None or error.after_ms is not None:
            return Failed(problem, after_ms=error.after_ms)
    if plan.rule is not None:
        return _ruled(plan.rule, error, job, problem)
    kind = type(error) if remote is None else remote.kind
    policy = plan.retry.rule_for(kind)
    # What ends a handler from outside, or a process in its midst, is no fault of the job.
    retryable = policy.covers(kind) or issubclass(kind, asyncio.CancelledError | SystemExit)
    return Failed(problem, retryable, policy)


def _rate_limited(error: RateLimited, job: Job, plan: RunPlan, now_ms: int) -> Outcome:
    """Return the outcome of a job that closes one of its gates; a failure if it has no such gate."""
    envelope = job.envelope
    try:
        closes = plan.keys.gate(error.limit, error.by, bytes(envelope.arguments), envelope.keywords, job.tenant)
    except ArgumentsError as problem:
        return outcome_of_error(problem, job, plan, now_ms, trace=error)
    return Snoozed(error.after_ms, closes)


def _problem_of(error: BaseException, trace: BaseException, job: Job, plan: RunPlan, now_ms: int) -> JobError:
    layer, message = layer_that_raised(error, plan.middleware), message_of(error)
    if layer is not None:
        message = f"in the middleware {layer}: {message}"
    try:
        text = text_of(trace)
    except BaseException as problem:
        text = f"{_NO_TRACE}: {type_name(type(problem))})"
    return bounded_error(type_name(type(error)), message, text, job.attempt, now_ms)


def _ruled(rule: RetryRule, error: BaseException, job: Job, problem: JobError) -> Failed:
    try:
        wait: float | timedelta | None = rule(error, job.failures + 1)
        after_ms = None if wait is None else to_ms("the wait", wait)
    except BaseException:
        # A rule that fails must not cost the job: it is tried again as jobs without a policy are.
        _log.exception("the retry rule of job %s (%s) failed; the default policy decides", job.id, job.name)
        return Failed(problem, policy=_DEFAULT)
    return Failed(problem, retryable=wait is not None, policy=UNLIMITED, after_ms=after_ms)


# -- the settlement of a claimed job


class Verdicts:
    """Settles claimed jobs at the broker's time ``now_ms``, with ``chance`` for the jitter, and logs each failure.

    ``worker`` is the id of the worker, which errors carry. ``encryption`` encrypts results and the text of errors.
    """

    def __init__(
        self,
        now_ms: Callable[[], int],
        chance: Callable[[], float],
        worker: str,
        encryption: Encryption | None = None,
    ) -> None:
        self._now_ms = now_ms
        self._chance = chance
        #: The id of the worker.
        self.worker = worker
        self._encryption = encryption
        self._newer_versions: set[int] = set()

    def of_attempt(
        self,
        claimed: Claimed,
        job: Job,
        plan: RunPlan,
        outcome: Outcome,
        duration_us: int = 0,
        raised: BaseException | None = None,
    ) -> Settlement:
        """Settle the started ``job``, that of ``claimed``, after ``outcome``; ``raised`` led to it, for the log."""
        if isinstance(outcome, Failed):
            error = msgspec.structs.replace(outcome.error, worker=self.worker)
            outcome = msgspec.structs.replace(outcome, error=error)
        override = job.envelope.result_ttl_ms
        settlement = settle(
            job,
            outcome if self._encryption is None else self._encryption.stored_outcome(job, outcome),
            plan.retry,
            self._now_ms(),
            self._chance(),
            body=claimed.body,
            duration_us=duration_us,
            result_ttl_ms=plan.result_ttl_ms if override is None else override,
        )
        if not isinstance(outcome, Completed):
            _report(job, outcome, settlement, raised)
        return settlement

    def of_unstarted(self, claimed: Claimed, outcome: Cancelled) -> Settlement:
        """Settle a job that was cancelled before it could start."""
        try:
            job = self._started(claimed)
        except NewerVersion as error:
            return self.of_newer(claimed, error)
        except EnvelopeError as error:
            return self.of_unrunnable(claimed, error)
        settlement = settle(job, outcome, _NO_RETRY, self._now_ms(), 0.0, body=claimed.body)
        _report(job, outcome, settlement)
        return settlement

    def of_newer(self, claimed: Claimed, error: NewerVersion) -> Settlement:
        """Leave a job that a newer asyncjobs has written to a newer worker; log that once for each version."""
        if error.version not in self._newer_versions:
            self._newer_versions.add(error.version)
            _log.error(
                "job %s of queue %s, and others like it, wait for a newer worker: %s", claimed.id, claimed.queue, error
            )
        return Settlement(claimed.queue, claimed.id, claimed.name, claimed.priority, claimed.fence, Verdict.PARK)

    def of_unrunnable(self, claimed: Claimed, error: BaseException) -> Settlement:
        """Send a job that can't be run to the dead letter queue, with the reason."""
        try:
            job = self._started(claimed)
        except EnvelopeError:
            job = stand_in(claimed, claimed.tries, JobState.RUNNING, situation=Situation(fence=claimed.fence))
        problem = bounded_error(type(error).__name__, message_of(error), "", job.attempt, self._now_ms())
        problem = msgspec.structs.replace(problem, worker=self.worker)
        outcome = Failed(problem, retryable=False)
        stored: Outcome = outcome
        # What is wrong with the encryption is told to those without a key, too.
        if self._encryption is not None and not isinstance(error, EncryptionError):
            stored = self._encryption.stored_outcome(job, outcome)
        settlement = settle(job, stored, _NO_RETRY, self._now_ms(), 0.0)
        _report(job, outcome, settlement)
        return settlement

    def _started(self, claimed: Claimed) -> Job:
        return start_job(read_live(claimed, claimed.body, claimed.tries), claimed.fence, self._now_ms())


def release(lease: Lease) -> Settlement:
    """Give back a job that has not started; unlike one that has, also if it is acknowledged early."""
    return Settlement(lease.queue, lease.id, "", lease.priority, lease.fence, Verdict.RELEASE)


def _report(job: Job, outcome: Outcome, settlement: Settlement, raised: BaseException | None = None) -> None:
    """Log what became of a job that was not completed; error trackers see what was ``raised`` where it failed."""
    which, fields = (job.id, job.name, job.attempt), log_fields(job)
    match outcome:
        case Cancelled():
            _log.info("job %s (%s) was cancelled at attempt %d: %s", *which, outcome.reason, extra=fields)
        case Snoozed() if settlement.verdict is Verdict.SNOOZE:
            what = "job %s (%s) at attempt %d is to run again in %.1f s%s"
            closes = f", and closes {outcome.closes} until then" if outcome.closes else ""
            _log.info(what, *which, settlement.delay_ms / 1000, closes, extra=fields)
        case Failed(error=error):
            trace = None
            what = f"{error.type}: {error.message}"
            if raised is not None and not _UNWRITABLE.search(error.traceback):
                trace = type(raised), raised, folded(raised.__traceback__)
            elif error.traceback:
                # That of another process, or one that would break the log.
                what = f"{what}\n{error.traceback}"
            if settlement.verdict is Verdict.RETRY:
                _log.warning(
                    "job %s (%s) failed at attempt %d, retry in %.1f s: %s",
                    *which,
                    settlement.delay_ms / 1000,
                    what,
                    exc_info=trace,
                    extra=fields,
                )
            else:
                _log.error(
                    "job %s (%s) failed at attempt %d and went to the dead letter queue: %s",
                    *which,
                    what,
                    exc_info=trace,
                    extra=fields,
                )
