"""The verbs of an app for the dead letter queues."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import datetime
from typing import TypedDict, Unpack

from asyncjobs.app.connection import on_app_loop
from asyncjobs.app.verbs.base import Verbs
from asyncjobs.app.verbs.paging import pages
from asyncjobs.core.filter import JobFilter
from asyncjobs.core.job import Job
from asyncjobs.errors import ArgumentsError, UnknownJob
from asyncjobs.ports import JobStore

__all__ = ["DeadFilter", "DeadVerbs", "dead_pages"]


class DeadFilter(TypedDict, total=False):
    """Which jobs of the dead letter queues are meant; ``None`` lets everything pass."""

    name: str | None
    """Only those of this job name."""
    error: str | None
    """Only those whose last error is of this type, with its module or without."""
    tenant: str | None
    """Only those of this tenant."""
    since: datetime | None
    """Only those that died from this time on (aware)."""
    until: datetime | None
    """Only those that died before this time (aware)."""


class DeadVerbs(Verbs):
    """The verbs for the dead letter queues, of which each queue has one."""

    @on_app_loop
    async def failed_jobs(
        self, limit: int = 100, *, queue: str | None = None, **which: Unpack[DeadFilter]
    ) -> list[Job]:
        """Return jobs of the dead letter queues, latest first.

        Args:
            limit: How many at most.
            queue: Only those of this queue.
            **which: Only those that pass the filter: ``name``, ``tenant``, ``error`` (the type of the last error, with
                its module or without), ``since`` and ``until`` (aware datetimes, the first included).

        Raises:
            ArgumentsError: A time is naive.
        """
        wanted = _filter(which)
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
            queue: Its queue, if you know it.

        Returns:
            Whether it was in the dead letter queue.

        Raises:
            UnknownJob: There is no record of the job.
        """
        where = await self._lookup.queue_of(job_id, queue)
        if where is None:
            raise UnknownJob(f"no queue has a record of job {job_id!r}")
        return (await self._broker.retry(where, [job_id]))[0]

    @on_app_loop
    async def retry_failed(self, *, queue: str | None = None, **which: Unpack[DeadFilter]) -> int:
        """Make all jobs of the dead letter queues ready again that ``failed_jobs`` would list.

        The earliest to die comes first in each batch of 500. What fails again meanwhile isn't retried twice.

        Args:
            queue: Only those of this queue.
            **which: Only those that pass the filter, as of ``failed_jobs``.

        Returns:
            How many there were.

        Raises:
            ArgumentsError: A time is naive.
        """
        wanted = _filter(which)
        count = 0
        for one in await self._queues(queue):
            async for page in dead_pages(self._broker, one, wanted):
                count += sum(await self._broker.retry(one, [job.id for job in reversed(page)]))
        return count

    @on_app_loop
    async def delete_failed(self, *, queue: str | None = None, **which: Unpack[DeadFilter]) -> int:
        """Forget all jobs of the dead letter queues that ``failed_jobs`` would list.

        Args:
            queue: Only those of this queue.
            **which: Only those that pass the filter, as of ``failed_jobs``.

        Returns:
            How many there were.

        Raises:
            ArgumentsError: A time is naive.
        """
        wanted = _filter(which)
        count = 0
        for one in await self._queues(queue):
            async for page in dead_pages(self._broker, one, wanted):
                count += sum(await self._broker.delete(one, [job.id for job in page]))
        return count


async def dead_pages(broker: JobStore, queue: str, wanted: JobFilter) -> AsyncIterator[list[Job]]:
    """Yield the wanted jobs of a dead letter queue as it is now, latest first, in pages of which none is empty."""
    async for page in pages(broker, queue, "dead", wanted.tenant or ""):
        found = [job for job in page if wanted.matches(job)]
        if found:
            yield found
        if wanted.since_ms is not None and (page[-1].finished_at_ms or 0) < wanted.since_ms:
            return


def _filter(which: DeadFilter) -> JobFilter:
    bounds = {what: _unix_ms(what, which.get(what)) for what in ("since", "until")}
    return JobFilter(
        name=which.get("name"),
        error=which.get("error"),
        tenant=which.get("tenant"),
        since_ms=bounds["since"],
        until_ms=bounds["until"],
    )


def _unix_ms(what: str, when: object) -> int | None:
    if when is None:
        return None
    if not isinstance(when, datetime) or when.tzinfo is None:
        raise ArgumentsError(f"{what}={when!r}: expected an aware datetime, as in datetime.now(UTC)")
    return round(when.timestamp() * 1000)
