"""The one decision after a run: from an outcome to what the broker is to do."""

from __future__ import annotations

import enum
from collections.abc import Iterable
from typing import Any

import msgspec

from asyncjobs.core.job import Job, cancel_job, complete_job, fail_job
from asyncjobs.core.record.envelope import JobError, encode
from asyncjobs.core.record.tries import Tries, pack_tries
from asyncjobs.core.retention import TOMBSTONE_MS
from asyncjobs.core.retry import RetryPolicy, prepare_retry
from asyncjobs.core.states import JobState, check_transition
from asyncjobs.core.stored import encode_final
from asyncjobs.core.text import storable

__all__ = [
    "Cancelled",
    "Completed",
    "Failed",
    "HistoryEntry",
    "Outcome",
    "Released",
    "Settlement",
    "Snoozed",
    "Verdict",
    "bounded_error",
    "read_history",
    "settle",
]

# Of a job: how many of its errors are kept. Of an error: how many characters.
_MAX_ERRORS = 10
_MAX_MESSAGE = 2_048
_MAX_TRACEBACK = 8_192
_MAX_ENTRY_ERROR = 200
_NIL = b"\xc0"


class Completed(msgspec.Struct, frozen=True, gc=False):
    """The handler returned; ``result`` is its value in msgpack."""

    result: bytes = _NIL


class Failed(msgspec.Struct, frozen=True, gc=False):
    """The attempt failed; ``retryable`` says whether the policy covers this kind of error.

    ``policy``: the one that holds for this kind of error, where it isn't the job's. ``after_ms``: how long to wait for
    the next try, where that isn't for the policy to say.
    """

    error: JobError
    retryable: bool = True
    policy: RetryPolicy | None = None
    after_ms: int | None = None


class Cancelled(msgspec.Struct, frozen=True, gc=False):
    """The job was cancelled before or while it ran."""

    reason: str


class Released(msgspec.Struct, frozen=True, gc=False):
    """The job was stopped by a shutdown and goes back, nothing counted; one acknowledged early fails instead."""


class Snoozed(msgspec.Struct, frozen=True, gc=False):
    """The handler wants to run again in ``after_ms``; nothing is counted. One acknowledged early fails instead."""

    after_ms: int


Outcome = Completed | Failed | Cancelled | Released | Snoozed


class Verdict(enum.Enum):
    """What the broker is to do with a leased job; the value is its letter on the wire."""

    COMPLETE = "c"
    RETRY = "r"
    DEAD = "d"
    CANCEL = "x"
    RELEASE = "l"
    SNOOZE = "s"


class HistoryEntry(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """One line of a history: how one job ended, and how long its last run took.

    ``name``: the job name; stored only where a tenant's history needs it.
    """

    id: str
    state: str
    attempt: int
    finished_at_ms: int
    duration_us: int
    error: str = ""
    name: str = ""


class Settlement(msgspec.Struct, frozen=True, gc=False):
    """What the broker is to do with one leased job, complete in itself.

    ``body`` and ``ttl_ms``: the final body of a job that ends and how long it is kept. ``tries`` and ``delay_ms``: of a
    job that failed, what to remember and how long to wait. ``entry`` is its line in the history, that of its name and
    that of its ``tenant``, if it has one.
    """

    queue: str
    id: str
    name: str
    priority: int
    fence: int
    verdict: Verdict
    body: bytes = b""
    ttl_ms: int = 0
    tries: bytes = b""
    delay_ms: int = 0
    duration_us: int = 0
    entry: bytes = b""
    tenant: str = ""
    acks_early: bool = False


_entries = msgspec.msgpack.Decoder(HistoryEntry)


def settle(
    job: Job,
    outcome: Outcome,
    policy: RetryPolicy,
    now_ms: int,
    chance: float,
    *,
    body: bytes = b"",
    duration_us: int = 0,
    result_ttl_ms: int = 0,
) -> Settlement:
    """Decide what becomes of the running ``job`` after ``outcome``.

    ``body`` is the one that it was claimed with, ``chance`` a number in [0, 1) for the jitter. A result is kept
    for ``result_ttl_ms``; with 0 the job's id stays known for ``TOMBSTONE_MS``, without the result.
    """
    match outcome:
        case Completed():
            after = complete_job(job, outcome.result if result_ttl_ms > 0 else b"", now_ms)
            verdict = Verdict.COMPLETE
        case Cancelled():
            after, verdict = cancel_job(job, outcome.reason, now_ms), Verdict.CANCEL
        case Failed() if _is_retried(job, outcome, policy):
            delay_ms = outcome.after_ms
            after = prepare_retry(job, outcome.error, outcome.policy or policy, chance, now_ms, after_ms=delay_ms)
            return _settlement(
                after,
                Verdict.RETRY,
                tries=_tries_of(after),
                delay_ms=max(0, (after.due_at_ms or 0) - now_ms),
                duration_us=duration_us,
                tenant=job.tenant,
            )
        case Failed():
            after, verdict = fail_job(job, outcome.error, now_ms), Verdict.DEAD
        case Released() | Snoozed() if job.acks_early:
            after, verdict = fail_job(job, _interrupted(job, outcome, now_ms), now_ms), Verdict.DEAD
        case Snoozed():
            check_transition(job.state, JobState.PENDING, job.id)
            return _settlement(job, Verdict.SNOOZE, delay_ms=outcome.after_ms)
        case Released():
            check_transition(job.state, JobState.PENDING, job.id)
            return _settlement(job, Verdict.RELEASE)
    is_dead = verdict is Verdict.DEAD
    return Settlement(
        queue=job.queue,
        id=job.id,
        name=job.name,
        priority=job.priority,
        fence=job.fence,
        verdict=verdict,
        body=b"" if is_dead else encode_final(after, body),
        ttl_ms=max(result_ttl_ms, TOMBSTONE_MS),
        tries=_tries_of(after) if is_dead else b"",
        duration_us=duration_us,
        entry=_entry_of(after, duration_us),
        tenant=job.tenant,
        acks_early=job.acks_early,
    )


def read_history(stored: Iterable[bytes], name: str = "") -> list[HistoryEntry]:
    """Return the stored lines of the history of ``name``, or those of a tenant's, each of which has its own."""
    entries = [_entries.decode(one) for one in stored]
    return [entry if entry.name else msgspec.structs.replace(entry, name=name) for entry in entries]


def _settlement(job: Job, verdict: Verdict, **fields: Any) -> Settlement:
    return Settlement(job.queue, job.id, job.name, job.priority, job.fence, verdict, **fields)


def _is_retried(job: Job, outcome: Failed, policy: RetryPolicy) -> bool:
    override = job.envelope.max_retries
    limit = (outcome.policy or policy).max_retries if override is None else override
    return outcome.retryable and job.failures < limit and not job.acks_early


def _interrupted(job: Job, outcome: Released | Snoozed, now_ms: int) -> JobError:
    what = "it asked to be run again" if isinstance(outcome, Snoozed) else "its worker stopped while it ran"
    message = f"{what}; acknowledged early, it is not run again"
    return bounded_error("Interrupted", message, "", job.attempt, now_ms)


def _tries_of(after: Job) -> bytes:
    return pack_tries(Tries(after.failures, after.deaths, _bounded(after.errors)))


def _entry_of(after: Job, duration_us: int) -> bytes:
    error = after.reason
    if after.state is JobState.FAILED:
        last = after.errors[-1]
        error = f"{last.type}: {last.message}"[:_MAX_ENTRY_ERROR]
    name = after.name if after.tenant else ""
    return encode(
        HistoryEntry(after.id, after.state.value, after.attempt, after.finished_at_ms or 0, duration_us, error, name)
    )


def bounded_error(kind: str, message: str, traceback: str, attempt: int, at_ms: int) -> JobError:
    """Return the error cut to what is worth keeping: a message's start and a traceback's end."""
    if len(message) > _MAX_MESSAGE:
        message = message[:_MAX_MESSAGE] + "…"
    if len(traceback) > _MAX_TRACEBACK:
        traceback = "…" + traceback[-_MAX_TRACEBACK:]
    return JobError(storable(kind), storable(message), storable(traceback), attempt, at_ms)


def _bounded(errors: tuple[JobError, ...]) -> tuple[JobError, ...]:
    """Keep the first error, which often is the cause, and the latest."""
    return errors if len(errors) <= _MAX_ERRORS else (errors[0], *errors[1 - _MAX_ERRORS :])
