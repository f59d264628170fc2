"""What tests reach inside an app for: the parts that its users don't see."""

from __future__ import annotations

from typing import Any

from asyncjobs import App, Job, JobRequest, UnknownJob
from asyncjobs.ports import NewJob
from tests.waiting import SOON

__all__ = ["broker_of", "find_or_none", "host_of", "prepared", "wait_ended"]


def broker_of(app: App) -> Any:
    """Return the app's open broker; untyped, so that tests may replace its verbs."""
    return app._connection.broker


def host_of(app: App) -> Any:
    """Return the app as its worker sees it."""
    return app._host


def prepared(app: App, request: JobRequest[Any], *, sent_at_ms: int | None = None) -> NewJob:
    """Return the job that ``request`` asks for, as the app would send it."""
    return app._sender.prepare(request, sent_at_ms=sent_at_ms)


async def find_or_none(app: App, job_id: str, *, queue: str | None = None) -> Job | None:
    """Return a job as it stands, ``None`` if there is no record of it."""
    try:
        return await app.find_job(job_id, queue=queue)
    except UnknownJob:
        return None


async def wait_ended(app: App, job_id: str, *, queue: str = "default", timeout: float | None = SOON) -> Job | None:
    """Wait until a job has ended and return it."""
    return await app._lookup.wait_for_end(job_id, queue=queue, timeout=timeout)
