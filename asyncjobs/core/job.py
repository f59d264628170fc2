"""The job record and the functions that move it through its life.

Every function returns a new record; an impossible move raises ``InvalidTransition``.
"""

from __future__ import annotations

from typing import Any

import msgspec

from asyncjobs.core.encrypted import key_id_of, refuse_encrypted
from asyncjobs.core.identity import time_of
from asyncjobs.core.priority import Priority
from asyncjobs.core.record.envelope import Envelope, JobError
from asyncjobs.core.record.version import VERSION
from asyncjobs.core.states import JobState, refuse_transition

__all__ = [
    "Envelope",
    "Job",
    "JobError",
    "cancel_job",
    "complete_job",
    "create_job",
    "errors_with",
    "fail_job",
    "schedule_job",
    "start_job",
    "transition",
]


class Job(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A job as it stands: what was sent, where it is in its life, and what its attempts came to.

    Times are Unix milliseconds by the broker's clock.
    """

    id: str
    """Its id, which is unique in its queue; with its tenant, as in ``@acme:invoice-7``."""
    name: str
    """The job name, empty for a damaged record."""
    queue: str
    """Its queue."""
    priority: Priority
    """How urgent it is within its queue."""
    state: JobState
    """Where it is in its life."""
    envelope: Envelope
    """What was sent: the encoded arguments, and the options of the call."""
    tenant: str = ""
    """The id of its tenant, empty if it has none."""
    acks_early: bool = False
    """Whether it is never run twice, even if its worker dies while it runs; see ``acks`` of ``@job``."""
    unique_key: str = ""
    """The key under which it is unique in its queue, as ``unique`` or ``debounce`` of ``@job`` says; empty if it
    isn't."""
    failures: int = 0
    """How many attempts failed; each spends a retry."""
    deaths: int = 0
    """In how many attempts the worker died; the setting ``max_deaths`` limits them."""
    errors: tuple[JobError, ...] = ()
    """The errors of its attempts, oldest first: the first one and the latest, 10 at most."""
    fence: int = 0
    """The number of the claim under which it runs (its fence), or ran last if it has ended; 0 while it waits."""
    due_at_ms: int | None = None
    """When it may start, ``None`` if it may start now or has started."""
    started_at_ms: int | None = None
    """When its last attempt began: of a job that runs, or has ended, or is dead. ``None`` while it waits, and where no
    attempt began."""
    worker: str = ""
    """The id of the worker that runs it; empty while it doesn't run."""
    seen_at_ms: int | None = None
    """Of a running job, the time at which the broker told it, by which ``duration_ms`` goes."""
    finished_at_ms: int | None = None
    """When it ended or went to the dead letter queue, ``None`` before."""
    encoded_result: bytes = b""
    """What the handler of a completed job returned, in msgpack; empty where it isn't kept."""
    reason: str = ""
    """Why a cancelled job was cancelled."""
    parameters: tuple[str, ...] = ()
    """The names of its arguments, in their order; empty where neither the app nor a worker knows the job."""
    secret: tuple[str, ...] = ()
    """Those of these names whose values are not to be shown."""
    version: int = VERSION
    """The version of its record. A newer asyncjobs has written one that is above this asyncjobs's own, which is that of
    all other jobs; of such a job neither arguments nor metadata are known here."""
    deletion: int | None = None
    """The number of its deletion, if it was deleted and can be brought back; ``None`` of other jobs."""
    line: str = ""
    """The key of the line in which it waits (``core.lines``): its group, and the gates that it needs; empty if it has
    neither, and once it has ended."""

    @property
    def is_newer(self) -> bool:
        """Whether a newer asyncjobs has written its record, which this one can't read."""
        return self.version > VERSION

    @property
    def attempt(self) -> int:
        """The number of the attempt that runs or comes next, 1 for the first; of an ended job, of its last."""
        spent = self.failures + self.deaths
        return max(spent, 1) if self.state is JobState.FAILED else spent + 1

    @property
    def created_at_ms(self) -> int:
        """When the job was sent, in Unix milliseconds by its sender's clock."""
        return self.envelope.created_at_ms or time_of(self.id)

    @property
    def metadata(self) -> dict[str, Any]:
        """The mapping that its sender gave with it."""
        return self.envelope.metadata

    @property
    def encrypted_with(self) -> str:
        """The id of the key with which arguments, result or errors are encrypted, as far as they aren't decrypted here.

        Empty if all of them can be read. See the setting ``encryption_keys``.
        """
        stored = (self.envelope.arguments, self.encoded_result, *(error.encrypted for error in self.errors))
        return next(filter(None, map(key_id_of, stored)), "")

    @property
    def arguments(self) -> list[Any]:
        """The arguments as plain values, in the order of the handler's parameters.

        Raises:
            EncryptionError: They are encrypted, and could not be decrypted here.
        """
        refuse_encrypted(f"the arguments of job {self.id} are", self.envelope.arguments)
        values: list[Any] = msgspec.msgpack.decode(self.envelope.arguments)
        return values

    @property
    def result(self) -> Any:
        """What the handler of a completed job returned, as plain values; ``None`` too where it isn't kept.

        Raises:
            EncryptionError: It is encrypted, and could not be decrypted here.
        """
        refuse_encrypted(f"the result of job {self.id} is", self.encoded_result)
        return msgspec.msgpack.decode(self.encoded_result) if self.encoded_result else None

    @property
    def named_arguments(self) -> dict[str, Any]:
        """The arguments as plain values by the names of the handler's parameters.

        The code of the app tells the names, or else a worker that knows the job. Where neither does, an argument goes
        by its position, ``"0"`` for the first, unless it was passed by name. Secret ones are there as they are.
        """
        values, keywords = self.arguments, self.envelope.keywords
        names = self.parameters or (*map(str, range(len(values) - len(keywords))), *keywords)
        return dict(zip(names, values, strict=True))

    @property
    def duration_ms(self) -> float | None:
        """How long the last attempt ran, or has run so far, in milliseconds; ``None`` where that isn't known."""
        until_ms = self.seen_at_ms if self.state is JobState.RUNNING else self.finished_at_ms
        if self.started_at_ms is None or until_ms is None:
            return None
        # The clock may have been set back meanwhile.
        return max(0, until_ms - self.started_at_ms)


# Looked up once: every job is moved twice, and Python 3.11 takes as long to find the member of an enum, or a function
# in a module of a package, as to make the record.
_replace = msgspec.structs.replace
_RUNNING, _COMPLETED = JobState.RUNNING, JobState.COMPLETED


def transition(job: Job, state: JobState, **changes: Any) -> Job:
    """Return ``job`` in ``state`` with ``changes`` applied; raise ``InvalidTransition`` if it may not go there."""
    _check_move(job, state)
    return _replace(job, state=state, **changes)


def _check_move(job: Job, state: JobState) -> None:
    if state not in job.state.successors:
        refuse_transition(job.state, state, job.id)


def create_job(
    job_id: str,
    name: str,
    queue: str,
    priority: Priority,
    envelope: Envelope,
    *,
    tenant: str = "",
    acks_early: bool = False,
) -> Job:
    """Return a new pending job."""
    return Job(
        id=job_id,
        name=name,
        queue=queue,
        priority=priority,
        state=JobState.PENDING,
        envelope=envelope,
        tenant=tenant,
        acks_early=acks_early,
    )


def schedule_job(job: Job, due_at_ms: int) -> Job:
    """Return the pending ``job`` with the time before which it must not start."""
    if job.state is not JobState.PENDING:
        refuse_transition(job.state, JobState.PENDING, job.id)
    return msgspec.structs.replace(job, due_at_ms=due_at_ms)


def start_job(job: Job, fence: int, now_ms: int, worker: str = "") -> Job:
    """Return the pending or retrying ``job`` as it runs under the claim ``fence`` of ``worker``."""
    _check_move(job, _RUNNING)
    return _replace(job, state=_RUNNING, fence=fence, started_at_ms=now_ms, due_at_ms=None, worker=worker)


def complete_job(job: Job, result: bytes, now_ms: int) -> Job:
    """Return the running ``job`` completed with ``result``, a msgpack value, or empty if it isn't to be kept."""
    _check_move(job, _COMPLETED)
    return _replace(job, state=_COMPLETED, encoded_result=result, finished_at_ms=now_ms)


def fail_job(job: Job, error: JobError, now_ms: int) -> Job:
    """Return ``job`` failed for good, for the dead letter queue; its failure is counted if it was running."""
    failures = job.failures + (job.state is JobState.RUNNING)
    return transition(job, JobState.FAILED, failures=failures, errors=errors_with(job, error), finished_at_ms=now_ms)


def errors_with(job: Job, error: JobError) -> tuple[JobError, ...]:
    """Return the errors of ``job``, and behind them ``error``, that of the attempt which it is in."""
    return (*job.errors, msgspec.structs.replace(error, started_at_ms=job.started_at_ms))


def cancel_job(job: Job, reason: str, now_ms: int) -> Job:
    """Return ``job`` cancelled, with the ``reason`` that its sender will read."""
    return transition(job, JobState.CANCELLED, reason=reason, finished_at_ms=now_ms)
