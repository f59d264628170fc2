"""From what a handler returned or raised to an outcome that the core can settle."""

from __future__ import annotations

import asyncio
import logging
import traceback
from collections.abc import Callable
from datetime import timedelta

from asyncjobs.core.duration import to_ms
from asyncjobs.core.job import Job
from asyncjobs.core.record.envelope import JobError
from asyncjobs.core.retry import UNLIMITED, RetryPolicy, RetryRule
from asyncjobs.core.settlement import Cancelled, Completed, Failed, Outcome, Snoozed, bounded_error
from asyncjobs.core.text import message_of, type_name
from asyncjobs.core.values import ENCODING_ERRORS, encode_value
from asyncjobs.jobs.steering import Cancel, Discard, Retry, Snooze, unpack_control
from asyncjobs.middleware.blame import layer_that_raised
from asyncjobs.worker.execution.plan import RunPlan
from asyncjobs.worker.processes.protocol import HandlerFailed

__all__ = ["outcome_of_error", "outcome_of_value"]

_log = logging.getLogger("asyncjobs.worker")

_DEFAULT = RetryPolicy()


def outcome_of_value(value: object, job: Job, max_bytes: int, now_ms: Callable[[], int]) -> Outcome:
    """Return the outcome of a handler that returned ``value``: a failure if that can't be kept."""
    try:
        result = encode_value(value)
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
    told = None
    if isinstance(error, HandlerFailed):
        # It was raised in another process.
        told = error
        if error.control:
            error = unpack_control(error.control)
    kind = type(error) if told is None else told.kind
    if isinstance(error, Cancel):
        return Cancelled(error.reason)
    if isinstance(error, Snooze):
        return Snoozed(error.after_ms)
    if told is not None:
        problem = bounded_error(told.type_name, told.message, told.traceback, job.attempt, now_ms)
    else:
        text = "".join(traceback.format_exception(trace or error))
        layer = layer_that_raised(error, plan.middleware)
        message = message_of(error) if layer is None else f"in the middleware {layer}: {message_of(error)}"
        problem = bounded_error(type_name(kind), message, text, job.attempt, now_ms)
    if isinstance(error, Discard):
        return Failed(problem, retryable=False)
    if isinstance(error, Retry) and (plan.rule is None or error.after_ms is not None):
        return Failed(problem, after_ms=error.after_ms)
    if plan.rule is not None:
        return _ruled(plan.rule, error, job, problem)
    policy = plan.retry.rule_for(kind)
    # What ends a handler from outside, or a process in its midst, is no fault of the job.
    retryable = policy.covers(kind) or issubclass(kind, asyncio.CancelledError | SystemExit)
    return Failed(problem, retryable, policy)


def _ruled(rule: RetryRule, error: BaseException, job: Job, problem: JobError) -> Failed:
    try:
        wait: float | timedelta | None = rule(error, job.failures + 1)
        after_ms = None if wait is None else to_ms("the wait", wait)
    except Exception:
        # A rule that fails must not cost the job: it is tried again as jobs without a policy are.
        _log.exception("the retry rule of job %s (%s) failed; the default policy decides", job.id, job.name)
        return Failed(problem, policy=_DEFAULT)
    return Failed(problem, retryable=wait is not None, policy=UNLIMITED, after_ms=after_ms)
