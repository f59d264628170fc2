"""What becomes of a job after a run: from the outcome of the run to the settlement for the broker."""

from __future__ import annotations

import enum
from collections.abc import Iterable

import msgspec

from asyncjobs.core.bounds import MAX_DURATION_MS, bounded_ms
from asyncjobs.core.grouping import group_of
from asyncjobs.core.job import Job, cancel_job, complete_job, fail_job, transition
from asyncjobs.core.record.envelope import JobError, encode
from asyncjobs.core.record.tries import Tries, pack_tries
from asyncjobs.core.record.version import DECODING_ERRORS
from asyncjobs.core.retention import TOMBSTONE_MS
from asyncjobs.core.retry import RetryPolicy, prepare_retry
from asyncjobs.core.states import JobState
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
    "bounded_message",
    "read_history",
    "settle",
]

# How many errors of a job are kept, and how many characters of an error: in its record, and in its line of the history.
_MAX_ERRORS = 10
_MAX_MESSAGE = 2_048
_MAX_TRACEBACK = 8_192
_MAX_ENTRY_ERROR = 200

# ``None`` in msgpack.
_NIL = b"\xc0"


class Completed(msgspec.Struct, frozen=True, gc=False):
    """The handler returned."""

    result: bytes = _NIL
    """The value that it returned, in msgpack."""


class Failed(msgspec.Struct, frozen=True, gc=False):
    """The attempt failed."""

    error: JobError
    """What went wrong."""
    retryable: bool = True
    """Whether this kind of error is worth another try."""
    policy: RetryPolicy | None = None
    """The policy for this kind of error; ``None`` for the job's."""
    after_ms: int | None = None
    """How long to wait for the next try, in milliseconds; ``None`` if the policy decides."""


class Cancelled(msgspec.Struct, frozen=True, gc=False):
    """The job was cancelled before or while it ran."""

    reason: str
    """Why, for the record of the job."""


class Released(msgspec.Struct, frozen=True, gc=False):
    """A shutdown stopped the job, which goes back to its queue; the attempt isn't counted.

    A job acknowledged early fails instead.
    """


class Snoozed(msgspec.Struct, frozen=True, gc=False):
    """The handler is to run again later (``Snooze``); the attempt isn't counted.

    A job acknowledged early fails instead.
    """

    after_ms: int
    """How long to wait, in milliseconds."""
    closes: str = ""
    """The gate that is closed meanwhile (``RateLimited``), empty for none."""


Outcome = Completed | Failed | Cancelled | Released | Snoozed


class Verdict(enum.Enum):
    """What the broker does with a leased job; the value is its letter on the wire."""

    COMPLETE = "c"
    """Ends it as completed."""
    RETRY = "r"
    """Lets it wait for its next try."""
    DEAD = "d"
    """Sends it to the dead letter queue."""
    CANCEL = "x"
    """Ends it as cancelled."""
    RELEASE = "l"
    """Makes it ready again, before the others of its priority."""
    SNOOZE = "s"
    """Lets it wait for its time."""
    PARK = "p"
    """Sets it aside until a newer worker comes, since this version of asyncjobs can't read it."""


class HistoryEntry(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """One line of a history: how one job ended."""

    id: str
    """The job's id."""
    state: str
    """``completed``, ``cancelled`` or ``failed``."""
    attempt: int
    """The number of its last attempt; the first is 1."""
    finished_at_ms: int
    """When it ended, in Unix milliseconds by the broker's clock."""
    duration_us: int
    """How long its last attempt ran, in microseconds."""
    error: str = ""
    """Of a failed job, the type and message of its last error, cut short; of a cancelled job, the reason."""
    name: str = ""
    """The job name; stored only where a tenant's history needs it."""


class Settlement(msgspec.Struct, frozen=True, gc=False):
    """What the broker does with one leased job."""

    queue: str
    """The job's queue."""
    id: str
    """The job's id."""
    name: str
    """The job name."""
    priority: int
    """0 (critical) to 3 (low)."""
    fence: int
    """The number of the claim under which it ran."""
    verdict: Verdict
    """What to do with it."""
    body: bytes = b""
    """The body of the record of a job that ends (``core.record.envelope.Final``); to a broker, bytes."""
    ttl_ms: int = 0
    """How long the record of a job that ends is kept, in milliseconds."""
    tries: bytes = b""
    """What the attempts of a job that failed came to (``core.record.tries``), to be kept with it."""
    delay_ms: int = 0
    """How long a job that is retried or snoozed waits, in milliseconds."""
    duration_us: int = 0
    """How long the run took, in microseconds."""
    entry: bytes = b""
    """The line that an end adds to the history of its name and to that of its tenant; empty for other verdicts."""
    tenant: str = ""
    """The id of its tenant, empty if it has none."""
    acks_early: bool = False
    """Whether it is never run twice."""
    group: bytes = b""
    """The group of a job that is dead (``core.grouping``); empty for other verdicts."""
    unique_key: str = ""
    """The key under which a job that ends is unique, empty if it isn't."""
    closes: str = ""
    """The gate that is closed by rate for ``delay_ms``, as a snoozed job has found; empty for none."""

    @property
    def size(self) -> int:
        """How many bytes it moves, but for the names."""
        return len(self.body) + len(self.tries)


_entries = msgspec.msgpack.Decoder(HistoryEntry)

# Looked up once: every settlement asks for them.
_COMPLETE, _DEAD, _FAILED = Verdict.COMPLETE, Verdict.DEAD, JobState.FAILED


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
    """Return what becomes of a running job.

    Args:
        job: The job.
        outcome: What the run came to.
        policy: Says whether and when a failure is tried again.
        now_ms: The time, in Unix milliseconds.
        chance: A random number in [0, 1), for the jitter.
        body: The envelope with which the job was claimed.
        duration_us: How long the run took, in microseconds.
        result_ttl_ms: How long the result is kept, in milliseconds. With 0 it isn't; the job's id stays known for
            ``TOMBSTONE_MS`` at least.
    """
    match outcome:
        case Completed():
            after = complete_job(job, outcome.result if result_ttl_ms > 0 else b"", now_ms)
            verdict = _COMPLETE
        case Cancelled():
            after, verdict = cancel_job(job, outcome.reason, now_ms), Verdict.CANCEL
        case Failed() if _is_retried(job, outcome, policy):
            return _tried_again(job, outcome, policy, now_ms, chance, duration_us)
        case Failed():
            after, verdict = fail_job(job, outcome.error, now_ms), Verdict.DEAD
        case Released() | Snoozed() if job.acks_early:
            after, verdict = fail_job(job, _interrupted(job, outcome, now_ms), now_ms), Verdict.DEAD
        case Snoozed():
            return _given_back(job, Verdict.SNOOZE, bounded_ms(outcome.after_ms), outcome.closes)
        case Released():
            return _given_back(job, Verdict.RELEASE)
    is_dead = verdict is _DEAD
    outlives_ms = TOMBSTONE_MS - result_ttl_ms if 0 < result_ttl_ms < TOMBSTONE_MS else 0
    return Settlement(
        queue=job.queue,
        id=job.id,
        name=job.name,
        priority=job.priority,
        fence=job.fence,
        verdict=verdict,
        body=b"" if is_dead else encode_final(after, body, outlives_ms=outlives_ms),
        ttl_ms=min(max(result_ttl_ms, TOMBSTONE_MS), MAX_DURATION_MS),
        tries=_tries_of(after) if is_dead else b"",
        duration_us=duration_us,
        entry=_entry_of(after, duration_us),
        tenant=job.tenant,
        acks_early=job.acks_early,
        group=group_of(job.name, after.errors[-1]) if is_dead else b"",
        unique_key=job.unique_key,
    )


def read_history(stored: Iterable[bytes], name: str = "") -> list[HistoryEntry]:
    """Return the stored lines of a history; those that can't be read are left out.

    Args:
        stored: The lines.
        name: The job name, for the history of a name; the lines of a tenant's history hold their own.
    """
    entries = []
    for one in stored:
        try:
            entry = _entries.decode(one)
        except DECODING_ERRORS:
            continue
        entries.append(entry if entry.name else msgspec.structs.replace(entry, name=name))
    return entries


def _tried_again(
    job: Job, outcome: Failed, policy: RetryPolicy, now_ms: int, chance: float, duration_us: int
) -> Settlement:
    after = prepare_retry(job, outcome.error, outcome.policy or policy, chance, now_ms, after_ms=outcome.after_ms)
    return Settlement(
        queue=job.queue,
        id=job.id,
        name=job.name,
        priority=job.priority,
        fence=job.fence,
        verdict=Verdict.RETRY,
        tries=_tries_of(after),
        delay_ms=bounded_ms((after.due_at_ms or 0) - now_ms),
        duration_us=duration_us,
        tenant=job.tenant,
    )


def _given_back(job: Job, verdict: Verdict, delay_ms: int = 0, closes: str = "") -> Settlement:
    job = transition(job, JobState.PENDING)
    return Settlement(job.queue, job.id, job.name, job.priority, job.fence, verdict, delay_ms=delay_ms, closes=closes)


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
    if after.state is _FAILED:
        last = after.errors[-1]
        error = f"{last.type}: {last.message}"[:_MAX_ENTRY_ERROR]
    name = after.name if after.tenant else ""
    # `.value` takes ten times as long in Python 3.11.
    state = after.state._value_
    return encode(HistoryEntry(after.id, state, after.attempt, after.finished_at_ms or 0, duration_us, error, name))


def bounded_error(kind: str, message: str, traceback: str, attempt: int, at_ms: int) -> JobError:
    """Return an error, cut to the start of its message and the end of its traceback.

    Args:
        kind: The name of the exception's type.
        message: The exception's text.
        traceback: The traceback, empty without one.
        attempt: The number of the attempt.
        at_ms: When it ended, in Unix milliseconds.
    """
    if len(traceback) > _MAX_TRACEBACK:
        traceback = "…" + traceback[-_MAX_TRACEBACK:]
    return JobError(storable(kind), bounded_message(message), storable(traceback), attempt, at_ms)


def bounded_message(text: str) -> str:
    """Return the start of ``text`` as a message that can be stored."""
    return storable(text if len(text) <= _MAX_MESSAGE else text[:_MAX_MESSAGE] + "…")


def _bounded(errors: tuple[JobError, ...]) -> tuple[JobError, ...]:
    """Return the first error, which often is the cause, and the latest."""
    return errors if len(errors) <= _MAX_ERRORS else (errors[0], *errors[1 - _MAX_ERRORS :])
