"""The jobs of the dead letter queues of several queues, latest first."""

from __future__ import annotations

import asyncio
import itertools
import math
import time
from collections.abc import Iterable
from typing import NamedTuple

import msgspec

from asyncjobs.app.naming import Naming
from asyncjobs.app.verbs.paging import ENTRIES_A_PAGE, pages
from asyncjobs.core.bounds import shown
from asyncjobs.core.filter import JobFilter
from asyncjobs.core.job import Job
from asyncjobs.core.options import checked_text
from asyncjobs.errors import ArgumentsError
from asyncjobs.ports import JobPage, JobStore

__all__ = ["Death", "latest", "read_death"]

Death = tuple[int, str]
"""When a job died, in Unix milliseconds, and its id: by these the dead of all queues are in order."""


async def latest(
    broker: JobStore,
    naming: Naming,
    limit: int,
    queues: Iterable[str],
    wanted: JobFilter,
    before: Death | None = None,
    *,
    ends_at: float = math.inf,
) -> JobPage:
    """Return up to ``limit`` of the dead jobs that died before ``before``, latest first over all queues.

    Args:
        broker: The broker.
        naming: Gives the jobs the names of their arguments.
        limit: How many jobs at most.
        queues: The queues.
        wanted: Which jobs.
        before: The death behind which they begin, as ``read_death`` returns it.
        ends_at: When to end, by ``time.monotonic()``, though there may be more. Each queue is read from once all the
            same, so that the next page begins further back.
    """
    if before is not None:
        # The others of that moment are read again, and left out below.
        at_ms = before[0] + 1
        until_ms = at_ms if wanted.until_ms is None else min(wanted.until_ms, at_ms)
        wanted = msgspec.structs.replace(wanted, until_ms=until_ms)
    each = await asyncio.gather(*(_latest_of(broker, one, limit, wanted, before, ends_at) for one in queues))
    found = sorted(itertools.chain.from_iterable(part.jobs for part in each), key=_death, reverse=True)
    # Behind the first place to which a queue was read, others may have jobs that weren't looked at.
    end = max((part.end for part in each if part.end is not None), default=None)
    whole = found if end is None else [job for job in found if _death(job) >= end]
    jobs = await naming.all_named(whole[:limit])
    if len(whole) > limit:
        return JobPage(jobs, _cursor(_death(whole[limit - 1])))
    return JobPage(jobs, "" if end is None else _cursor(end))


class _Part(NamedTuple):
    """The latest dead jobs of one queue."""

    jobs: list[Job]
    """Those that pass the filter."""
    end: Death | None
    """The last death that was looked at, where the time was over; ``None`` if there are as many jobs as asked for."""


async def _latest_of(
    broker: JobStore, queue: str, limit: int, wanted: JobFilter, before: Death | None, ends_at: float
) -> _Part:
    """Return one more than ``limit`` of them, or all, or those that were found in time."""
    # Where a filter leaves jobs out, more are looked at in one call.
    size = min(limit, ENTRIES_A_PAGE) + 1 if wanted.name is None and wanted.error is None else ENTRIES_A_PAGE
    found: list[Job] = []
    until_ms, tenant = wanted.until_ms or 0, wanted.tenant or ""
    async for page in pages(broker, queue, "dead", tenant, until_ms=until_ms, group=wanted.group, size=size):
        for job in page:
            if wanted.matches(job) and (before is None or _death(job) < before):
                found.append(job)
                if len(found) > limit:
                    return _Part(found, None)
        if page:
            last = _death(page[-1])
            # The dead are listed latest first, so the other pages have none either.
            if last[0] < (wanted.since_ms or 0):
                break
            if time.monotonic() >= ends_at and (before is None or last < before):
                return _Part(found, last)
    return _Part(found, None)


def _death(job: Job) -> Death:
    return job.finished_at_ms or 0, job.id


def _cursor(death: Death) -> str:
    return f"{death[0]} {death[1]}"


def read_death(text: str) -> Death | None:
    """Return the death that the cursor of a page names, ``None`` for the empty cursor.

    Raises:
        ArgumentsError: It is no such cursor.
    """
    if text == "":
        return None
    at_ms, _, job_id = checked_text("after", text).partition(" ")
    if not at_ms.isascii() or not at_ms.isdecimal() or len(at_ms) > 15 or not job_id:
        raise ArgumentsError(f"after={shown(text)}: expected the next of a page before, or '' for the first page")
    return int(at_ms), job_id
