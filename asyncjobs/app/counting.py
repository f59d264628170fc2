"""How many jobs a command is about to change, and which queues there are: what the command line asks before it acts."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Collection
from typing import NamedTuple, Unpack

from asyncjobs.app.connection import on_app_loop
from asyncjobs.app.verbs.all import AllVerbs
from asyncjobs.app.verbs.dead import DeadFilter, job_filter
from asyncjobs.app.verbs.paging import JOBS_A_SCAN, held_in, matching_pages
from asyncjobs.core.filter import JobFilter
from asyncjobs.core.job import Job
from asyncjobs.ports import JobStore, Place, ScanRequest

__all__ = ["Count", "count_jobs", "known_queues"]

# A count ends here: nobody who is asked whether to go on needs a larger one to the job.
_MAX_COUNT = 10_000
# How many pages it reads at most, where few of the jobs pass the filter.
_MAX_PAGES = 100


class Count(NamedTuple):
    """How many jobs there are; as text, the number for people."""

    number: int
    """How many were found."""
    is_whole: bool = True
    """Whether there are no more."""

    def __str__(self) -> str:
        return f"{self.number:,}" if self.is_whole else f"{self.number:,} or more"


@on_app_loop
async def count_jobs(
    app: AllVerbs, places: Collection[Place], *, queue: str | None, **which: Unpack[DeadFilter]
) -> Count:
    """Return how many jobs in some places pass a filter.

    Without a filter, the broker counts them, and of the dead also those of a tenant, of a group, and of a time. With
    another one, their records are read, and the count ends at 10,000 jobs or 100 pages, each of 500 dead jobs or 2,500
    others.

    Args:
        app: The app, which is open.
        places: The places.
        queue: Only jobs of this queue.
        **which: The filter, as ``App.failed_jobs`` or ``App.cancel_jobs`` takes it.

    Raises:
        ArgumentsError: A time is naive, or ``tenant`` can't be the id of a tenant.
    """
    wanted = job_filter(which, DeadFilter.__annotations__)
    queues = await app._queues(queue)
    if wanted == JobFilter():
        return Count(sum(held_in(one, place) for one in await app._broker.overview(queues) for place in places))
    counted = 0
    if "dead" in places and _is_counted(wanted):
        counted = sum(await asyncio.gather(*(_count_dead(app, one, wanted) for one in queues)))
        places = [one for one in places if one != "dead"]
    found = read = 0
    for one in queues:
        for place in places:
            pages = matching_pages if place == "dead" else _scanned_pages
            async for page in pages(app._broker, one, place, wanted):
                found += len(page)
                read += 1
                if found >= _MAX_COUNT or read >= _MAX_PAGES:
                    return Count(counted + min(found, _MAX_COUNT), is_whole=False)
    return Count(counted + found)


async def _scanned_pages(broker: JobStore, queue: str, place: Place, wanted: JobFilter) -> AsyncIterator[list[Job]]:
    """Yield the jobs that wait or run in one place of a queue and pass a filter, as ``matching_pages`` does."""
    name, tenant, after = wanted.name or "", wanted.tenant or "", ""
    while True:
        asked = ScanRequest(place=place, limit=JOBS_A_SCAN, most=JOBS_A_SCAN, name=name, tenant=tenant, after=after)
        page = await broker.scan(queue, asked)
        yield [job for job in page.jobs if wanted.matches(job)]
        after = page.next
        if not after:
            return


def _is_counted(wanted: JobFilter) -> bool:
    """Return whether the broker counts the dead jobs that pass a filter."""
    has_one_index = wanted.group is None or (wanted.group != "" and wanted.tenant is None)
    return has_one_index and wanted.name is None and wanted.error is None


async def _count_dead(app: AllVerbs, queue: str, wanted: JobFilter) -> int:
    return await app._broker.count_dead(
        queue,
        tenant=wanted.tenant or "",
        group=wanted.group or "",
        since_ms=wanted.since_ms or 0,
        until_ms=wanted.until_ms or 0,
    )


async def known_queues(app: AllVerbs) -> set[str]:
    """Return the queues that the broker knows, and those of the app's code.

    Args:
        app: The app, which is open.
    """
    return {*await app._broker.queues(), *app._declared.names()}
