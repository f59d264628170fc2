"""The job record and the functions that move it through its life.

Every function returns a new record; an impossible move raises ``InvalidTransition``.
"""

from __future__ import annotations

from typing import Any

import msgspec

from asyncjobs.core.identity import time_of
from asyncjobs.core.priority import Priority
from asyncjobs.core.record.envelope import Envelope, JobError
from asyncjobs.core.states import JobState, refuse_transition

__all__ = [
    "Envelope",
    "Job",
    "JobError",
    "cancel_job",
    "complete_job",
    "create_job",
    "fail_job",
    "schedule_job",
    "start_job",
    "transition",
]


class Job(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One job as it stands: who it is, where it is in its life, and what has happened to it.

    Times are Unix milliseconds by the broker's clock, ``None`` where it hasn't happened. ``failures`` counts attempts
    that raised (they spend retries), ``deaths`` those whose worker died (they feed the poison guard); ``fence`` is
    the number of the claim under which it runs. ``errors`` holds what went wrong so far, oldest first, bounded.
    ``acks_early``: it is never run twice, at the price that it may be run to no end; see ``acks`` of ``@job``.
    ``result`` is a completed job's return value in msgpack, empty where it isn't kept.
    """

    id: str
    name: str
    queue: str
    priority: Priority
    state: JobState
    envelope: Envelope
    tenant: str = ""
    acks_early: bool = False
    failures: int = 0
    deaths: int = 0
    errors: tuple[JobError, ...] = ()
    fence: int = 0
    due_at_ms: int | None = None
    started_at_ms: int | None = None
    finished_at_ms: int | None = None
    result: bytes = b""
    reason: str = ""

    @property
    def attempt(self) -> int:
        """Which attempt runs or comes next (1 is the first); of an ended job, its last."""
        spent = self.failures + self.deaths
        return max(spent, 1) if self.state is JobState.FAILED else spent + 1

    @property
    def created_at_ms(self) -> int:
        """When the job was sent, by its sender's clock."""
        return self.envelope.created_at_ms or time_of(self.id)

    @property
    def metadata(self) -> dict[str, Any]:
        """The free mapping that the sender gave."""
        return self.envelope.metadata

    @property
    def arguments(self) -> list[Any]:
        """The arguments as plain values, in the order of the handler's parameters."""
        values: list[Any] = msgspec.msgpack.decode(self.envelope.arguments)
        return values

    @property
    def duration_ms(self) -> float | None:
        """How long the last attempt ran, once it has ended."""
        if self.started_at_ms is None or self.finished_at_ms is None:
            return None
        return self.finished_at_ms - self.started_at_ms


def transition(job: Job, state: JobState, **changes: Any) -> Job:
    """Return ``job`` in ``state`` with ``changes`` applied; raise ``InvalidTransition`` if it may not go there."""
    if state not in job.state.successors:
        refuse_transition(job.state, state, job.id)
    return msgspec.structs.replace(job, state=state, **changes)


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


def start_job(job: Job, fence: int, now_ms: int) -> Job:
    """Return the pending or retrying ``job`` as it runs under the claim ``fence``."""
    return transition(job, JobState.RUNNING, fence=fence, started_at_ms=now_ms, due_at_ms=None)


def complete_job(job: Job, result: bytes, now_ms: int) -> Job:
    """Return the running ``job`` completed with ``result``, a msgpack value, or empty if it isn't to be kept."""
    return transition(job, JobState.COMPLETED, result=result, finished_at_ms=now_ms)


def fail_job(job: Job, error: JobError, now_ms: int) -> Job:
    """Return ``job`` failed for good, for the dead letter queue; its failure is counted if it was running."""
    failures = job.failures + (job.state is JobState.RUNNING)
    return transition(job, JobState.FAILED, failures=failures, errors=(*job.errors, error), finished_at_ms=now_ms)


def cancel_job(job: Job, reason: str, now_ms: int) -> Job:
    """Return ``job`` cancelled, with the ``reason`` that its sender will read."""
    return transition(job, JobState.CANCELLED, reason=reason, finished_at_ms=now_ms)
