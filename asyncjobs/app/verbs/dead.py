"""The verbs of an app for the dead letter queues."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import datetime
from typing import TypedDict, Unpack

from asyncjobs.app.connection import on_app_loop
from asyncjobs.app.verbs.base import Verbs
from asyncjobs.app.verbs.paging import pages
from asyncjobs.core.bounds import checked_count, shown
from asyncjobs.core.duration import unix_ms
from asyncjobs.core.filter import JobFilter
from asyncjobs.core.job import Job
from asyncjobs.core.options import checked_text
from asyncjobs.errors import ArgumentsError, UnknownJob
from asyncjobs.jobs.tenant_scope import id_here, tenant_here
from asyncjobs.ports import JobStore

__all__ = ["DeadFilter", "DeadVerbs", "dead_filter", "dead_pages"]


_RETRIED_A_CALL = 500


class DeadFilter(TypedDict, total=False):
    """A filter for jobs of the dead letter queues; ``None`` lets every job pass, except for ``tenant``."""

    name: str | None
    """The job name."""
    error: str | None
    """The type of the last error, with its module or without."""
    tenant: str | None
    """The id of the tenant; by default of the tenant that the code around runs for, if there is one."""
    since: datetime | None
    """The earliest time at which the job died, an aware datetime."""
    until: datetime | None
    """The time before which the job died, an aware datetime."""


class DeadVerbs(Verbs):
    """The verbs for the dead letter queues, of which each queue has one."""

    @on_app_loop
    async def failed_jobs(
        self, limit: int = 100, *, queue: str | None = None, **which: Unpack[DeadFilter]
    ) -> list[Job]:
        """Return jobs of the dead letter queues, latest first.

        Args:
            limit: How many jobs at most.
            queue: Only jobs of this queue.
            **which: Only jobs that pass the filter: ``name``, ``tenant``, ``error`` (the type of the last error, with
                its module or without), ``since`` and ``until`` (aware datetimes, the first included).

        Raises:
            ArgumentsError: A time is naive, ``tenant`` can't be the id of a tenant, or ``limit`` is no count.

        Example:
            ``await app.failed_jobs(error="ConnectionError", since=datetime.now(UTC) - timedelta(hours=1))``
        """
        limit = checked_count("limit", limit)
        wanted = dead_filter(which)
        found: list[Job] = []
        for one in await self._queues(queue):
            here: list[Job] = []
            async for page in dead_pages(self._broker, one, wanted):
                here += page
                if len(here) >= limit:
                    break
            found += here
        return sorted(found, key=lambda job: (job.finished_at_ms or 0, job.id), reverse=True)[:limit]

    @on_app_loop
    async def retry_job(self, job_id: str, *, queue: str | None = None) -> bool:
        """Make a job of the dead letter queue ready again, with all its retries.

        Args:
            job_id: The job's id.
            queue: Its queue; by default all queues are searched.

        Returns:
            Whether it was in the dead letter queue.

        Raises:
            UnknownJob: There is no record of the job.
        """
        job_id = id_here(job_id)
        where = await self._lookup.queue_of(job_id, queue)
        if where is None:
            raise UnknownJob(f"no queue has a record of job {job_id!r}")
        return (await self._broker.retry(where, [job_id]))[0]

    @on_app_loop
    async def retry_failed(self, *, queue: str | None = None, **which: Unpack[DeadFilter]) -> int:
        """Make jobs of the dead letter queues ready again, with all their retries.

        The job that died first comes first. A job that fails again meanwhile isn't retried twice.

        Args:
            queue: Only jobs of this queue.
            **which: Only jobs that pass the filter, as ``failed_jobs`` takes it.

        Returns:
            How many jobs there were.

        Raises:
            ArgumentsError: A time is naive, or ``tenant`` can't be the id of a tenant.
        """
        wanted = dead_filter(which)
        count = 0
        for one in await self._queues(queue):
            found = [job.id async for page in dead_pages(self._broker, one, wanted) for job in page]
            # They are listed latest first.
            found.reverse()
            for start in range(0, len(found), _RETRIED_A_CALL):
                count += sum(await self._broker.retry(one, found[start : start + _RETRIED_A_CALL]))
        return count

    @on_app_loop
    async def delete_failed(self, *, queue: str | None = None, **which: Unpack[DeadFilter]) -> int:
        """Delete jobs of the dead letter queues.

        Args:
            queue: Only jobs of this queue.
            **which: Only jobs that pass the filter, as ``failed_jobs`` takes it.

        Returns:
            How many jobs there were.

        Raises:
            ArgumentsError: A time is naive, or ``tenant`` can't be the id of a tenant.
        """
        wanted = dead_filter(which)
        count = 0
        for one in await self._queues(queue):
            async for page in dead_pages(self._broker, one, wanted):
                count += sum(await self._broker.delete(one, [job.id for job in page]))
        return count


async def dead_pages(broker: JobStore, queue: str, wanted: JobFilter) -> AsyncIterator[list[Job]]:
    """Yield the jobs of a dead letter queue that pass the filter, latest first, in pages of which none is empty.

    Args:
        broker: The broker.
        queue: The queue.
        wanted: The filter.
    """
    async for page in pages(broker, queue, "dead", wanted.tenant or ""):
        found = [job for job in page if wanted.matches(job)]
        if found:
            yield found
        if wanted.since_ms is not None and (page[-1].finished_at_ms or 0) < wanted.since_ms:
            return


def dead_filter(which: DeadFilter) -> JobFilter:
    bounds = {what: _unix_ms(what, which.get(what)) for what in ("since", "until")}
    texts: dict[str, object] = {what: which.get(what) for what in ("name", "error")}
    name, error = (None if given is None else checked_text(what, given) for what, given in texts.items())
    return JobFilter(
        name=name,
        error=error,
        tenant=tenant_here(which.get("tenant")),
        since_ms=bounds["since"],
        until_ms=bounds["until"],
    )


def _unix_ms(what: str, when: object) -> int | None:
    if when is None:
        return None
    at_ms = unix_ms(when)
    if at_ms is None:
        raise ArgumentsError(f"{what}={shown(when)}: expected an aware datetime, as in datetime.now(UTC)")
    return at_ms
