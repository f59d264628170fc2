"""Workers and what they run, as ``app.stats()`` returns them, made from what they announce."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

import msgspec

from asyncjobs.core.duration import utc_time
from asyncjobs.jobs.events import Progress
from asyncjobs.ports import RunningJob, WorkerInfo

__all__ = ["WorkerJob", "WorkerStats", "deploys_began", "worker_stats"]


class WorkerJob(msgspec.Struct, frozen=True, kw_only=True):
    """A job that a worker runs, as the worker told it last, up to five seconds ago."""

    id: str
    """Its id; with its tenant, as in ``@acme:invoice-7``."""
    queue: str
    """Its queue."""
    name: str
    """The job name."""
    tenant: str | None
    """The tenant's id, if it has one."""
    attempt: int
    """The number of the attempt, from 1 on."""
    started_at: datetime
    """When the attempt began, in UTC by the broker's clock."""
    progress: Progress | None
    """What the handler reported last, with at most 200 characters of its note; ``None`` if it reported nothing, or runs
    in a process of its own."""


class WorkerStats(msgspec.Struct, frozen=True, kw_only=True):
    """One worker that is present."""

    id: str
    """Its id."""
    status: str
    """``idle``, ``running`` or ``stopping``."""
    host: str
    """The name of its machine."""
    pid: int
    """Its process."""
    started_at: datetime
    """When it started, in UTC."""
    queues: tuple[str, ...]
    """The queues that it serves."""
    concurrency: int
    """How many jobs it runs at once."""
    running: tuple[str, ...]
    """The ids of the jobs that it runs, at most 100."""
    jobs: tuple[WorkerJob, ...] = ()
    """The jobs that it runs, those that began first, at most 100; none from a worker of an earlier version."""
    version: str = ""
    """The version of asyncjobs that it runs with; empty from an earlier version."""
    deploy: str = ""
    """The setting ``deploy`` of its program: its release or commit."""
    rss: int = 0
    """The memory of its process in bytes, within 10 %; 0 where the system doesn't tell."""
    lag_ms: int = 0
    """How late its event loop ran at most in the last seconds, in milliseconds, in steps of 50."""
    ended_a_minute: int = 0
    """How many attempts ended in the last minute."""
    beat_at: datetime | None = None
    """When it gave its last sign of life, in UTC by the broker's clock."""


def worker_stats(info: WorkerInfo) -> WorkerStats:
    """Return the statistics of one worker."""
    return WorkerStats(
        id=info.id,
        status=info.status,
        host=info.host,
        pid=info.pid,
        started_at=utc_time(info.started_at_ms),
        queues=info.queues,
        concurrency=info.concurrency,
        running=info.running,
        jobs=tuple(map(_worker_job, info.jobs)),
        version=info.version,
        deploy=info.deploy,
        rss=info.rss,
        lag_ms=info.lag_ms,
        ended_a_minute=info.ended_a_minute,
        beat_at=utc_time(info.beat_at_ms) if info.beat_at_ms else None,
    )


def _worker_job(job: RunningJob) -> WorkerJob:
    return WorkerJob(
        id=job.id,
        queue=job.queue,
        name=job.name,
        tenant=job.tenant or None,
        attempt=job.attempt,
        started_at=utc_time(job.started_at_ms),
        progress=None if job.progress is None else Progress(*job.progress),
    )


def deploys_began(workers: Iterable[WorkerStats]) -> dict[str, datetime]:
    """Return when the first of the workers of each deploy started, without workers that name none."""
    first: dict[str, datetime] = {}
    for worker in workers:
        if worker.deploy:
            first[worker.deploy] = min(worker.started_at, first.get(worker.deploy, worker.started_at))
    return first
