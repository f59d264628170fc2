"""The jobs in one place of a queue, page by page."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Literal, get_args

from asyncjobs.core.bounds import shown
from asyncjobs.core.filter import JobFilter
from asyncjobs.core.job import Job
from asyncjobs.errors import ArgumentsError
from asyncjobs.ports import JobStore, ListedPlace, Place, QueueFigures

__all__ = ["ENTRIES_A_PAGE", "JOBS_A_SCAN", "ListedState", "held_in", "matching_pages", "pages", "place_of"]

ListedState = Literal["ready", "scheduled", "running", "parked", "failed"]
"""The states by which jobs are listed; ``failed`` jobs are in the dead letter queue."""

ENTRIES_A_PAGE = 500
JOBS_A_SCAN = 2_500
"""How many jobs the broker looks at in one call, and returns those of a name and tenant: some 5 to 10 ms."""
"""How many entries a page has at most."""


def place_of(state: ListedState) -> Place:
    """Return the place of the jobs that are listed by ``state``.

    Raises:
        ArgumentsError: There is no such state.
    """
    if not isinstance(state, str) or state not in get_args(ListedState):
        raise ArgumentsError(f"state={shown(state)}: expected ready, scheduled, running, parked or failed")
    return "dead" if state == "failed" else state


def held_in(figures: QueueFigures, place: Place) -> int:
    """Return how many jobs a queue has in one place."""
    number: int = sum(figures.ready) if place == "ready" else getattr(figures, place)
    return number


async def pages(
    broker: JobStore,
    queue: str,
    place: ListedPlace,
    tenant: str = "",
    *,
    until_ms: int = 0,
    group: str | None = None,
    size: int = ENTRIES_A_PAGE,
) -> AsyncIterator[list[Job]]:
    """Yield the jobs in one place of a queue, page by page; a page may be empty.

    Args:
        broker: The broker.
        queue: The queue.
        place: The place, which also says their order.
        tenant: Only jobs of this tenant; empty for the jobs of all.
        until_ms: Of dead jobs, only those that died before this Unix time in milliseconds; 0 for all.
        group: Of dead jobs, only those of this group; empty for those in none, ``None`` for all.
        size: How many entries a page has.
    """
    cursor = ""
    while True:
        jobs, cursor = await broker.page(queue, place, cursor, size, tenant, until_ms, group)
        yield jobs
        if not cursor:
            return


async def matching_pages(
    broker: JobStore, queue: str, place: ListedPlace, wanted: JobFilter, size: int = ENTRIES_A_PAGE
) -> AsyncIterator[list[Job]]:
    """Yield the jobs in one place of a queue that pass a filter, page by page; a page may be empty.

    Args:
        broker: The broker.
        queue: The queue.
        place: The place, which also says their order.
        wanted: The filter.
        size: How many entries are looked at for a page.
    """
    until_ms, group = wanted.until_ms or 0, wanted.group
    async for page in pages(broker, queue, place, wanted.tenant or "", until_ms=until_ms, group=group, size=size):
        yield [job for job in page if wanted.matches(job)]
        # The dead are listed latest first, so the other pages have none either.
        last = page[-1] if place == "dead" and page else None
        if last is not None and (last.finished_at_ms or 0) < (wanted.since_ms or 0):
            return
