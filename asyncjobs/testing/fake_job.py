"""A running job that a test makes up, for handlers that are called as plain functions."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Coroutine, Iterator, Mapping
from contextvars import Context
from datetime import datetime
from typing import Any, TypeVar

from asyncjobs.core.bounds import checked_count, shown
from asyncjobs.core.duration import unix_ms
from asyncjobs.core.identity import kept_id
from asyncjobs.core.job import Job
from asyncjobs.core.options import checked_tenant
from asyncjobs.core.priority import Priority, PriorityName
from asyncjobs.core.record.envelope import Envelope
from asyncjobs.core.states import JobState
from asyncjobs.errors import ArgumentsError
from asyncjobs.jobs.context import JobContext, running
from asyncjobs.jobs.events import JobEvent, decode_event
from asyncjobs.jobs.handle import JobHandle
from asyncjobs.jobs.open_apps import dispatcher_for
from asyncjobs.jobs.request import Dispatcher, JobRequest
from asyncjobs.jobs.values.codec import Codec
from asyncjobs.ports import Lease

__all__ = ["FakeJob", "fake_job"]

R = TypeVar("R")


class FakeJob(JobContext):
    """The running job inside of ``fake_job``: a ``JobContext`` that keeps its events."""

    __slots__ = ("events",)

    def __init__(self, job: Job, deadline_ms: int | None) -> None:
        super().__init__(job, _OpenApp(), deadline_ms, on_event=self._keep)
        self.events: list[JobEvent] = []
        """What the handler has reported by ``progress``, ``emit`` and ``log``, in order."""

    def _keep(self, lease: Lease, event: bytes) -> None:
        self.events.append(decode_event(len(self.events) + 1, event, 0))


@contextlib.contextmanager
def fake_job(
    *,
    job_id: str = "fake-job",
    name: str = "fake_job",
    queue: str = "default",
    priority: PriorityName = "normal",
    attempt: int = 1,
    tenant: str | None = None,
    metadata: Mapping[str, Any] | None = None,
    headers: Mapping[str, str] | None = None,
    deadline: datetime | None = None,
) -> Iterator[FakeJob]:
    """Let ``current_job()`` return a made-up job inside a ``with`` block, for a handler called as a plain function.

    Args:
        job_id: The job's id; of a job with a tenant, the part behind the tenant's.
        name: The job name.
        queue: The job's queue.
        priority: ``critical``, ``high``, ``normal`` or ``low``.
        attempt: The number of the attempt, 1 or more.
        tenant: The id of the tenant, which ``current_tenant()`` returns too.
        metadata: What the sender gave as ``metadata=``.
        headers: What middleware sent along.
        deadline: When the timeout would end the attempt, an aware ``datetime``. Nothing is cancelled then.

    Yields:
        The job, whose ``events`` are what the handler reports.

    Raises:
        ArgumentsError: An argument has a wrong value.

    Example:
        ```python
        async def test_the_last_attempt_gives_up_politely() -> None:
            with fake_job(attempt=4) as job:
                assert await export("orders.csv") == "skipped"
            assert job.last_progress == (0, 1, "skipped")
        ```
    """
    deadline_ms = None if deadline is None else unix_ms(deadline)
    if deadline is not None and deadline_ms is None:
        raise ArgumentsError(f"deadline={shown(deadline)}: expected an aware datetime")
    now_ms = time.time_ns() // 1_000_000
    context = FakeJob(
        Job(
            id=job_id if tenant is None else kept_id(checked_tenant(tenant), job_id),
            name=name,
            queue=queue,
            priority=Priority.parse(priority),
            state=JobState.RUNNING,
            envelope=Envelope(created_at_ms=now_ms, headers=dict(headers or {}), metadata=dict(metadata or {})),
            tenant=tenant or "",
            failures=checked_count("attempt", attempt, least=1) - 1,
            fence=1,
            started_at_ms=now_ms,
        ),
        deadline_ms,
    )
    token = running.set(context)
    try:
        yield context
    finally:
        running.reset(token)


class _OpenApp:
    """Sends what a made-up job sends: with the one app that is open then, as code outside of jobs does."""

    def dispatch(self, request: JobRequest[R], where: str) -> Coroutine[None, None, JobHandle[R]]:
        return self._found(request.name).dispatch(request, where)

    def dispatch_sync(self, request: JobRequest[R], instead: str) -> JobHandle[R]:
        return self._found(request.name).dispatch_sync(request, instead)

    def handle(self, queue: str, job_id: str, returns: Codec) -> JobHandle[Any]:
        return self._found(job_id).handle(queue, job_id, returns)

    def _found(self, name: str) -> Dispatcher:
        # In a context of its own, in which no job runs.
        return Context().run(dispatcher_for, name)
