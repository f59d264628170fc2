"""The jobs in one place of a queue, page by page."""

from __future__ import annotations

from collections.abc import AsyncIterator

from asyncjobs.core.job import Job
from asyncjobs.ports import JobStore, Place

__all__ = ["pages"]

_ENTRIES_A_PAGE = 500


async def pages(broker: JobStore, queue: str, place: Place, tenant: str = "") -> AsyncIterator[list[Job]]:
    """Yield the jobs in one place of a queue, in pages of which none is empty.

    Args:
        broker: The broker.
        queue: The queue.
        place: The place, which also says their order.
        tenant: Only jobs of this tenant; empty for the jobs of all.
    """
    cursor = ""
    while True:
        jobs, cursor = await broker.page(queue, place, cursor, _ENTRIES_A_PAGE, tenant)
        if jobs:
            yield jobs
        if not cursor:
            return
