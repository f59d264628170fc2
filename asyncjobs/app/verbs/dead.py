"""The verbs of an app for the dead letter queues."""

from __future__ import annotations

import math
import time
from collections.abc import Collection, Iterable, Mapping
from datetime import datetime
from typing import Any, TypedDict, Unpack

from asyncjobs.app.audit import note
from asyncjobs.app.connection import on_app_loop
from asyncjobs.app.verbs.groups import GroupVerbs
from asyncjobs.app.verbs.latest import latest, read_death
from asyncjobs.app.verbs.paging import matching_pages
from asyncjobs.app.verbs.undoing import UndoVerbs, deletion_of
from asyncjobs.core.bounds import checked_count, shown
from asyncjobs.core.duration import Duration, to_ms, unix_ms
from asyncjobs.core.filter import JobFilter
from asyncjobs.core.job import Job
from asyncjobs.core.options import checked_queue, checked_text
from asyncjobs.errors import ArgumentsError, closest
from asyncjobs.jobs.tenant_scope import id_here, ids_here, tenant_here
from asyncjobs.ports import JobPage

__all__ = ["DeadFilter", "DeadVerbs", "delete_found", "failed_within", "job_filter", "retry_found"]


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
    group: str | None
    """The id of the group of what the job died of, as ``App.failed_groups`` tells it; empty for jobs in no group."""


class DeadVerbs(GroupVerbs, UndoVerbs):
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
                its module or without), ``group`` (of ``failed_groups``), ``since`` and ``until`` (aware datetimes, the
                first included).

        Raises:
            ArgumentsError: A time is naive, ``tenant`` can't be the id of a tenant, or ``limit`` is no count.

        Example:
            ``await app.failed_jobs(error="ConnectionError", since=datetime.now(UTC) - timedelta(hours=1))``
        """
        limit, wanted = checked_count("limit", limit), job_filter(which, DeadFilter.__annotations__)
        return (await latest(self._broker, self._lookup.naming, limit, await self._queues(queue), wanted)).jobs

    @on_app_loop
    async def failed_page(
        self,
        limit: int = 100,
        *,
        after: str = "",
        queue: str | Collection[str] | None = None,
        **which: Unpack[DeadFilter],
    ) -> JobPage:
        """Return jobs of the dead letter queues, latest first, page by page.

        A job that stays in its dead letter queue while the pages are read comes once.

        Args:
            limit: How many jobs at most.
            after: ``next`` of the page before, empty for the first page.
            queue: Only jobs of this queue, or of these queues.
            **which: Only jobs that pass the filter, as ``failed_jobs`` takes it.

        Raises:
            ArgumentsError: ``after`` is not the ``next`` of a page, or as of ``failed_jobs``.

        Example:
            ```python
            page = await app.failed_page(50)
            older = await app.failed_page(50, after=page.next)
            ```
        """
        return await self._failed_page(limit, math.inf, after, queue, which)

    async def _failed_page(
        self, limit: int, ends_at: float, after: str, queue: str | Collection[str] | None, which: DeadFilter
    ) -> JobPage:
        limit, wanted = checked_count("limit", limit, least=1), job_filter(which, DeadFilter.__annotations__)
        before, queues = read_death(after), await self._queues(queue)
        return await latest(self._broker, self._lookup.naming, limit, queues, wanted, before, ends_at=ends_at)

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
        [was_dead] = await self._broker.retry(where, [job_id])
        if not was_dead:
            await self._lookup.known(job_id, where)
        await note(self._broker, "retry_job", job_id, queue=where, count=was_dead, of_one=True)
        return was_dead

    @on_app_loop
    async def retry_jobs(
        self, job_ids: Iterable[str], *, queue: str, delay: Duration = 0, spread: Duration = 0
    ) -> list[bool]:
        """Make jobs of a dead letter queue ready again, with all their retries, or let them start over a time.

        Args:
            job_ids: The ids of the jobs, in the order in which they are to start.
            queue: Their queue.
            delay: When the first of them is to start, from now: seconds or ``timedelta``.
            spread: Within what time from then on the others start, at equal intervals.

        Returns:
            For each id, whether it was that of a dead job.

        Raises:
            ArgumentsError: A value is wrong.

        Example:
            ``await app.retry_jobs([job.id for job in page.jobs], queue="payments", spread=600)``
        """
        return await self._retry_jobs(job_ids, queue, delay, spread)

    async def _retry_jobs(
        self, job_ids: Iterable[str], queue: str, delay: Duration, spread: Duration, which: DeadFilter | None = None
    ) -> list[bool]:
        delay_ms, spread_ms = to_ms("delay", delay), to_ms("spread", spread)
        ids = ids_here(job_ids)
        done = await self._broker.retry(checked_queue(queue), ids, delay_ms=delay_ms, spread_ms=spread_ms)
        if which is None:
            await note(self._broker, "retry_jobs", ids, queue=queue, count=sum(done))
        else:
            await note(self._broker, "retry_failed", queue=queue, which=which, count=sum(done))
        return done

    @on_app_loop
    async def retry_failed(self, *, queue: str | None = None, spread: Duration = 0, **which: Unpack[DeadFilter]) -> int:
        """Make jobs of the dead letter queues ready again, with all their retries.

        The job that died first comes first. A job that fails again meanwhile isn't retried twice.

        Args:
            queue: Only jobs of this queue.
            spread: Within what time from now on they start, at equal intervals: seconds or ``timedelta``. So what has
                just come back isn't overrun at once. Each queue is spread over this time.
            **which: Only jobs that pass the filter, as ``failed_jobs`` takes it.

        Returns:
            How many jobs there were.

        Raises:
            ArgumentsError: A time is naive, ``spread`` is no duration, or ``tenant`` can't be the id of a tenant.
        """
        wanted, spread_ms = job_filter(which, DeadFilter.__annotations__), to_ms("spread", spread)
        count = 0
        for one in await self._queues(queue):
            found = [job.id async for page in matching_pages(self._broker, one, "dead", wanted) for job in page]
            # They are listed latest first.
            found.reverse()
            for start in range(0, len(found), _RETRIED_A_CALL):
                ids = found[start : start + _RETRIED_A_CALL]
                delay_ms, part_ms = (spread_ms * number // len(found) for number in (start, len(ids)))
                count += sum(await self._broker.retry(one, ids, delay_ms=delay_ms, spread_ms=part_ms))
        await note(self._broker, "retry_failed", queue=queue, which={**which, "tenant": wanted.tenant}, count=count)
        return count

    @on_app_loop
    async def delete_jobs(
        self, job_ids: Iterable[str], *, queue: str, deletion: int | None = None, purge: bool = False
    ) -> list[bool]:
        """Delete jobs of a queue that have ended or are in the dead letter queue; ``undelete_jobs`` undoes that.

        Args:
            job_ids: The ids of the jobs.
            queue: Their queue.
            deletion: The number of the deletion that this call belongs to, as of ``delete_failed``.
            purge: Whether they are gone for good, and their memory is free at once.

        Returns:
            For each id, whether a job was deleted.

        Raises:
            ArgumentsError: A value is wrong.
        """
        return await self._delete_jobs(job_ids, queue, deletion, purge)

    async def _delete_jobs(
        self, job_ids: Iterable[str], queue: str, deletion: int | None, purge: bool, which: DeadFilter | None = None
    ) -> list[bool]:
        keep_ms, number = deletion_of(deletion, purge)
        ids = ids_here(job_ids)
        done = await self._broker.delete(checked_queue(queue), ids, keep_ms=keep_ms, deletion=number)
        if which is None:
            await note(self._broker, "delete_jobs", ids, queue=queue, count=sum(done))
        else:
            await note(self._broker, "delete_failed", queue=queue, which=which, count=sum(done))
        return done

    @on_app_loop
    async def delete_failed(
        self,
        *,
        queue: str | None = None,
        deletion: int | None = None,
        purge: bool = False,
        **which: Unpack[DeadFilter],
    ) -> int:
        """Delete jobs of the dead letter queues; for 24 hours, ``undelete_failed`` undoes that.

        Args:
            queue: Only jobs of this queue.
            deletion: The number of this deletion, by which ``undelete_failed`` finds its jobs; by default the time in
                Unix milliseconds. Calls with the same number are undone together.
            purge: Whether the jobs are gone for good, and their memory is free at once.
            **which: Only jobs that pass the filter, as ``failed_jobs`` takes it.

        Returns:
            How many jobs there were.

        Raises:
            ArgumentsError: A time is naive, ``deletion`` is no number, or ``tenant`` can't be the id of a tenant.
        """
        wanted, (keep_ms, number) = job_filter(which, DeadFilter.__annotations__), deletion_of(deletion, purge)
        count = 0
        for one in await self._queues(queue):
            async for page in matching_pages(self._broker, one, "dead", wanted):
                if page:
                    ids = [job.id for job in page]
                    count += sum(await self._broker.delete(one, ids, keep_ms=keep_ms, deletion=number))
        await note(self._broker, "delete_failed", queue=queue, which={**which, "tenant": wanted.tenant}, count=count)
        return count


@on_app_loop
async def failed_within(
    app: DeadVerbs,
    seconds: float,
    limit: int,
    *,
    after: str,
    queue: str | Collection[str] | None,
    **which: Unpack[DeadFilter],
) -> JobPage:
    """Return a page as ``app.failed_page`` does, which may have fewer jobs, or none, where the time was over."""
    return await app._failed_page(limit, time.monotonic() + seconds, after, queue, which)


@on_app_loop
async def retry_found(
    app: DeadVerbs, job_ids: Iterable[str], which: DeadFilter | None, *, queue: str, delay: Duration, spread: Duration
) -> list[bool]:
    """Retry jobs as ``app.retry_jobs`` does; those of a filter are noted by it, as of ``app.retry_failed``."""
    return await app._retry_jobs(job_ids, queue, delay, spread, which)


@on_app_loop
async def delete_found(
    app: DeadVerbs, job_ids: Iterable[str], which: DeadFilter | None, *, queue: str, deletion: int
) -> list[bool]:
    """Delete jobs as ``app.delete_jobs`` does; those of a filter are noted by it, as of ``app.delete_failed``."""
    return await app._delete_jobs(job_ids, queue, deletion, purge=False, which=which)


def job_filter(which: Mapping[str, Any], known: Collection[str]) -> JobFilter:
    """Return the filter that the keywords ``which`` of a verb make.

    Args:
        which: The keywords, as of a ``DeadFilter``.
        known: The keywords that the verb takes.

    Raises:
        ArgumentsError: A keyword isn't known, a time is naive, or a text is none.
    """
    for given in which:
        # A filter with a typing error would let every job pass.
        if given not in known:
            raise ArgumentsError(f"{given}= is no filter; expected {', '.join(known)}.{closest(given, known)}")
    bounds = {what: _unix_ms(what, which.get(what)) for what in ("since", "until")}
    texts = {what: which.get(what) for what in ("name", "error", "group")}
    name, error, group = (None if given is None else checked_text(what, given) for what, given in texts.items())
    return JobFilter(
        name=name,
        error=error,
        tenant=tenant_here(which.get("tenant")),
        since_ms=bounds["since"],
        until_ms=bounds["until"],
        group=group,
    )


def _unix_ms(what: str, when: object) -> int | None:
    if when is None:
        return None
    at_ms = unix_ms(when)
    if at_ms is None:
        raise ArgumentsError(f"{what}={shown(when)}: expected an aware datetime, as in datetime.now(UTC)")
    return at_ms
