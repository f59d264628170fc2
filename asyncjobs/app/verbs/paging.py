"""The jobs in one place of a queue, page by page."""

from __future__ import annotations

from collections.abc import AsyncIterator

from asyncjobs.core.job import Job
from asyncjobs.ports import JobStore, Place

__all__ = ["ENTRIES_A_PAGE", "pages"]

ENTRIES_A_PAGE = 500
"""How many entries a page has at most."""


async def pages(
    broker: JobStore, queue: str, place: Place, tenant: str = "", *, until_ms: int = 0, size: int = ENTRIES_A_PAGE
) -> AsyncIterator[list[Job]]:
    """Yield the jobs in one place of a queue, in pages of which none is empty.

    Args:
        broker: The broker.
        queue: The queue.
        place: The place, which also says their order.
        tenant: Only jobs of this tenant; empty for the jobs of all.
        until_ms: Of dead jobs, only those that died before this Unix time in milliseconds; 0 for all.
        size: How many entries a page has.
    """
    cursor = ""
    while True:
        jobs, cursor = await broker.page(queue, place, cursor, size, tenant, until_ms)
        if jobs:
            yield jobs
        if not cursor:
            return
