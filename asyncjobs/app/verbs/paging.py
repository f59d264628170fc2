"""All jobs in one place of a queue, page by page."""

from __future__ import annotations

from collections.abc import AsyncIterator

from asyncjobs.core.job import Job
from asyncjobs.ports import JobStore, Place

__all__ = ["pages"]

_ENTRIES_A_PAGE = 500


async def pages(broker: JobStore, queue: str, place: Place, tenant: str = "") -> AsyncIterator[list[Job]]:
    """Yield the jobs in ``place`` of ``queue`` in its order, all or those of one ``tenant``; no page is empty."""
    cursor = ""
    while True:
        jobs, cursor = await broker.page(queue, place, cursor, _ENTRIES_A_PAGE, tenant)
        if jobs:
            yield jobs
        if not cursor:
            return
