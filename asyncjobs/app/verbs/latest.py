"""The jobs of the dead letter queues of several queues, latest first."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Iterable

import msgspec

from asyncjobs.app.naming import Naming
from asyncjobs.app.verbs.paging import ENTRIES_A_PAGE, matching_pages
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
    broker: JobStore, naming: Naming, limit: int, queues: Iterable[str], wanted: JobFilter, before: Death | None = None
) -> JobPage:
    """Return up to ``limit`` of the dead jobs that died before ``before``, latest first over all queues.

    Args:
        broker: The broker.
        naming: Gives the jobs the names of their arguments.
        limit: How many jobs at most.
        queues: The queues.
        wanted: Which jobs.
        before: The death behind which they begin, as ``read_death`` returns it.
    """
    if before is not None:
        # The others of that moment are read again, and left out below.
        at_ms = before[0] + 1
        until_ms = at_ms if wanted.until_ms is None else min(wanted.until_ms, at_ms)
        wanted = msgspec.structs.replace(wanted, until_ms=until_ms)
    each = await asyncio.gather(*(_latest_of(broker, one, limit, wanted, before) for one in queues))
    found = sorted(itertools.chain.from_iterable(each), key=_death, reverse=True)
    jobs = await naming.all_named(found[:limit])
    return JobPage(jobs, _cursor(found[limit - 1]) if len(found) > limit else "")


async def _latest_of(broker: JobStore, queue: str, limit: int, wanted: JobFilter, before: Death | None) -> list[Job]:
    """Return one more than ``limit`` of them, or all."""
    # Where a filter leaves jobs out, more are looked at in one call.
    size = min(limit, ENTRIES_A_PAGE) + 1 if wanted.name is None and wanted.error is None else ENTRIES_A_PAGE
    found: list[Job] = []
    async for page in matching_pages(broker, queue, "dead", wanted, size):
        for job in page:
            if before is not None and _death(job) >= before:
                continue
            found.append(job)
            if len(found) > limit:
                return found
    return found


def _death(job: Job) -> Death:
    return job.finished_at_ms or 0, job.id


def _cursor(job: Job) -> str:
    return f"{job.finished_at_ms or 0} {job.id}"


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
