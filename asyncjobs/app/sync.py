"""``app.sync``: the verbs of an app for code without an event loop, as in Django, Flask, scripts and sync handlers."""

from __future__ import annotations

import functools
from collections.abc import Callable, Coroutine, Iterable
from datetime import timedelta
from typing import Any, Concatenate, ParamSpec, TypeVar

from asyncjobs.app.loop import Home
from asyncjobs.app.verbs.schedules import ScheduleVerbs
from asyncjobs.jobs.handle import JobHandle
from asyncjobs.jobs.request import JobRequest

__all__ = ["SyncApp"]

P = ParamSpec("P")
R = TypeVar("R")
T = TypeVar("T")


def _twin(
    verb: Callable[Concatenate[ScheduleVerbs, P], Coroutine[Any, Any, T]],
) -> Callable[Concatenate[SyncApp, P], T]:
    """Return a method that does what ``verb`` of the app does, and waits for it."""

    @functools.wraps(verb)
    def call(self: SyncApp, /, *args: P.args, **kwargs: P.kwargs) -> T:
        return self._home.run_sync(lambda: verb(self._client, *args, **kwargs), f"await app.{verb.__name__}(…)")

    return call


class SyncApp:
    """Each verb does what the app's does and waits for it, on the app's loop or, without one, on one in a thread.

    It takes the same arguments and raises the same errors. Inside a running event loop each raises ``AppNotOpen`` and
    names the verb to await instead.
    """

    def __init__(self, client: ScheduleVerbs, home: Home) -> None:
        self._client = client
        self._home = home

    def enqueue_many(self, requests: Iterable[JobRequest[R]]) -> list[JobHandle[R]]:
        """Send many jobs; see ``App.enqueue_many``."""
        return self._home.run_sync(lambda: self._client.enqueue_many(requests), "await app.enqueue_many(…)")

    def enqueue_for_tenant(self, tenant: str, request: JobRequest[R]) -> JobHandle[R]:
        """Send one job for a tenant; see ``App.enqueue_for_tenant``."""
        return self._home.run_sync(
            lambda: self._client.enqueue_for_tenant(tenant, request), "await app.enqueue_for_tenant(…)"
        )

    def result(self, handle: JobHandle[R], timeout: float | timedelta | None = None) -> R:
        """Wait for a job's result; see ``JobHandle.result``."""
        return self._home.run_sync(lambda: handle.result(timeout), "await handle.result(…)")

    # -- jobs by id

    find_job = _twin(ScheduleVerbs.find_job)
    cancel_job = _twin(ScheduleVerbs.cancel_job)
    edit_job = _twin(ScheduleVerbs.edit_job)
    delete_job = _twin(ScheduleVerbs.delete_job)

    # -- the dead letter queue

    failed_jobs = _twin(ScheduleVerbs.failed_jobs)
    retry_job = _twin(ScheduleVerbs.retry_job)
    retry_failed = _twin(ScheduleVerbs.retry_failed)
    discard_failed = _twin(ScheduleVerbs.discard_failed)

    # -- jobs and queues held back

    jobs = _twin(ScheduleVerbs.jobs)
    suspend_job = _twin(ScheduleVerbs.suspend_job)
    resume_job = _twin(ScheduleVerbs.resume_job)
    suspended_jobs = _twin(ScheduleVerbs.suspended_jobs)
    pause = _twin(ScheduleVerbs.pause)
    resume = _twin(ScheduleVerbs.resume)

    # -- figures

    stats = _twin(ScheduleVerbs.stats)
    queue_stats = _twin(ScheduleVerbs.queue_stats)
    job_history = _twin(ScheduleVerbs.job_history)

    # -- tenants

    tenant_stats = _twin(ScheduleVerbs.tenant_stats)
    suspend_tenant = _twin(ScheduleVerbs.suspend_tenant)
    resume_tenant = _twin(ScheduleVerbs.resume_tenant)
    suspended_tenants = _twin(ScheduleVerbs.suspended_tenants)
    purge_tenant = _twin(ScheduleVerbs.purge_tenant)

    # -- schedules

    add_schedule = _twin(ScheduleVerbs.add_schedule)
    schedules = _twin(ScheduleVerbs.schedules)
    find_schedule = _twin(ScheduleVerbs.find_schedule)
    pause_schedule = _twin(ScheduleVerbs.pause_schedule)
    resume_schedule = _twin(ScheduleVerbs.resume_schedule)
    remove_schedule = _twin(ScheduleVerbs.remove_schedule)
    trigger_schedule = _twin(ScheduleVerbs.trigger_schedule)
