"""``app.sync``: the methods of an app for code without an event loop, as in Django, Flask and scripts."""

from __future__ import annotations

import functools
from collections.abc import Callable, Coroutine, Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Concatenate, ParamSpec, TypeVar, Unpack, overload

from asyncjobs.app.loop import AppLoop
from asyncjobs.app.verbs.all import AllVerbs
from asyncjobs.core.bounds import shown
from asyncjobs.core.duration import Duration
from asyncjobs.core.options import SendOptions
from asyncjobs.errors import ArgumentsError
from asyncjobs.jobs.handle import JobHandle
from asyncjobs.jobs.request import JobRequest

__all__ = ["SyncApp"]

P = ParamSpec("P")
R = TypeVar("R")
T = TypeVar("T")


def _twin(
    verb: Callable[Concatenate[AllVerbs, P], Coroutine[Any, Any, T]],
) -> Callable[Concatenate[SyncApp, P], T]:
    """Return the blocking counterpart of a method of the app, with the same docstring."""

    @functools.wraps(verb)
    def call(self: SyncApp, /, *args: P.args, **kwargs: P.kwargs) -> T:
        return self._loop.run_sync(lambda: verb(self._app, *args, **kwargs), f"await app.{verb.__name__}(…)")

    return call


class SyncApp:
    """The blocking counterparts of the app's methods, with the same arguments, results and errors.

    Each runs on the app's event loop, and waits until it has ended. An app that isn't open is opened on a loop in a
    thread of its own at the first call, and closed when the process ends.

    Inside a running event loop each method raises ``AppNotOpen``, and names what to await instead.

    Example:
        ```python
        job = app.sync.find_job("01JZ3E5Q8Y6W2K0N4M7R9T1V3X")
        ```
    """

    def __init__(self, app: AllVerbs, loop: AppLoop, send_timeout: float) -> None:
        self._app = app
        self._loop = loop
        self._send_timeout = send_timeout

    def enqueue_many(self, requests: Iterable[JobRequest[R]]) -> list[JobHandle[R]]:
        """Send many jobs, as ``App.enqueue_many`` does.

        Args:
            requests: The calls, each made by ``job.request(…)``.

        Returns:
            Their handles, in order.
        """
        return self._loop.run_sync(
            lambda: self._app.enqueue_many(requests), "await app.enqueue_many(…)", patience=self._send_timeout
        )

    def enqueue_for_tenant(self, tenant: str, request: JobRequest[R]) -> JobHandle[R]:
        """Send one job for a tenant, as ``App.enqueue_for_tenant`` does.

        Args:
            tenant: The tenant's id.
            request: The call, made by ``job.request(…)``.

        Returns:
            The handle of the job.
        """
        return self._loop.run_sync(
            lambda: self._app.enqueue_for_tenant(tenant, request),
            "await app.enqueue_for_tenant(…)",
            patience=self._send_timeout,
        )

    def result(self, handle: JobHandle[R], timeout: float | timedelta | None = None, *, forget: bool = False) -> R:
        """Wait until a job has ended, as ``JobHandle.result`` does.

        Args:
            handle: The handle of the job.
            timeout: How long to wait: seconds or ``timedelta``; by default for ever.
            forget: Whether to remove the job once its result is read.

        Returns:
            What its handler returned.

        Raises:
            ArgumentsError: ``handle`` is none, as ``job.delay(…)``, which sends nothing until it is awaited.
        """
        if not isinstance(handle, JobHandle):
            raise ArgumentsError(
                f"{shown(handle)} is no handle: expected what job.delay_sync(…) or app.handle(…) returns"
            )
        return self._loop.run_sync(lambda: handle.result(timeout, forget=forget), "await handle.result(…)")

    @overload
    def send(
        self,
        name: str,
        arguments: Sequence[Any] | Mapping[str, Any] = (),
        *,
        delay: Duration | None = None,
        at: datetime | None = None,
        **options: Unpack[SendOptions],
    ) -> JobHandle[Any]: ...
    @overload
    def send(
        self,
        name: str,
        arguments: Sequence[Any] | Mapping[str, Any] = (),
        *,
        returns: type[R],
        delay: Duration | None = None,
        at: datetime | None = None,
        **options: Unpack[SendOptions],
    ) -> JobHandle[R]: ...
    def send(
        self,
        name: str,
        arguments: Sequence[Any] | Mapping[str, Any] = (),
        *,
        returns: Any = Any,
        delay: Duration | None = None,
        at: datetime | None = None,
        **options: Unpack[SendOptions],
    ) -> JobHandle[Any]:
        """Send a job by its name, as ``App.send`` does.

        Args:
            name: The job name.
            arguments: The arguments in the order of the parameters, or by their names.
            returns: The type as which the handle reads the result; by default plain data.
            delay: How long after it is sent the job is due: seconds or ``timedelta``.
            at: When the job is due, an aware ``datetime``, in place of ``delay``.
            **options: As ``with_options`` takes them.

        Returns:
            The handle of the job.
        """
        return self._loop.run_sync(
            lambda: self._app.send(name, arguments, returns=returns, delay=delay, at=at, **options),
            "await app.send(…)",
            patience=self._send_timeout,
        )

    # -- jobs by id

    find_job = _twin(AllVerbs.find_job)
    cancel_job = _twin(AllVerbs.cancel_job)
    cancel_jobs = _twin(AllVerbs.cancel_jobs)
    edit_job = _twin(AllVerbs.edit_job)
    delete_job = _twin(AllVerbs.delete_job)

    # -- the dead letter queue

    failed_jobs = _twin(AllVerbs.failed_jobs)
    failed_page = _twin(AllVerbs.failed_page)
    retry_job = _twin(AllVerbs.retry_job)
    retry_failed = _twin(AllVerbs.retry_failed)
    retry_jobs = _twin(AllVerbs.retry_jobs)
    delete_failed = _twin(AllVerbs.delete_failed)
    delete_jobs = _twin(AllVerbs.delete_jobs)
    undelete_failed = _twin(AllVerbs.undelete_failed)
    undelete_jobs = _twin(AllVerbs.undelete_jobs)
    failed_groups = _twin(AllVerbs.failed_groups)
    mark_group = _twin(AllVerbs.mark_group)

    # -- jobs and queues held back

    jobs = _twin(AllVerbs.jobs)
    search_jobs = _twin(AllVerbs.search_jobs)
    sample_queue = _twin(AllVerbs.sample_queue)
    why = _twin(AllVerbs.why)
    problems = _twin(AllVerbs.problems)
    suspend_name = _twin(AllVerbs.suspend_name)
    resume_name = _twin(AllVerbs.resume_name)
    suspended_names = _twin(AllVerbs.suspended_names)
    set_limit = _twin(AllVerbs.set_limit)
    reset_limit = _twin(AllVerbs.reset_limit)
    pause = _twin(AllVerbs.pause)
    resume = _twin(AllVerbs.resume)
    purge_queue = _twin(AllVerbs.purge_queue)

    # -- figures

    stats = _twin(AllVerbs.stats)
    queue_stats = _twin(AllVerbs.queue_stats)
    gates = _twin(AllVerbs.gates)
    turns = _twin(AllVerbs.turns)
    queue_minutes = _twin(AllVerbs.queue_minutes)
    queue_series = _twin(AllVerbs.queue_series)
    queue_loads = _twin(AllVerbs.queue_loads)
    load = _twin(AllVerbs.load)
    names = _twin(AllVerbs.names)
    name_series = _twin(AllVerbs.name_series)
    job_history = _twin(AllVerbs.job_history)

    # -- tenants

    tenants = _twin(AllVerbs.tenants)
    tenant_stats = _twin(AllVerbs.tenant_stats)
    suspend_tenant = _twin(AllVerbs.suspend_tenant)
    resume_tenant = _twin(AllVerbs.resume_tenant)
    suspended_tenants = _twin(AllVerbs.suspended_tenants)
    purge_tenant = _twin(AllVerbs.purge_tenant)

    # -- schedules

    add_schedule = _twin(AllVerbs.add_schedule)
    schedules = _twin(AllVerbs.schedules)
    find_schedule = _twin(AllVerbs.find_schedule)
    pause_schedule = _twin(AllVerbs.pause_schedule)
    resume_schedule = _twin(AllVerbs.resume_schedule)
    remove_schedule = _twin(AllVerbs.remove_schedule)
    trigger_schedule = _twin(AllVerbs.trigger_schedule)

    # -- who looks after it

    audit = _twin(AllVerbs.audit)
    server = _twin(AllVerbs.server)
    deploys = _twin(AllVerbs.deploys)
