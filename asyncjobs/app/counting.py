"""How many jobs a command is about to change, and which queues there are: what the command line asks before it acts."""

from __future__ import annotations

from typing import Unpack, get_args

from asyncjobs.app.verbs.all import AllVerbs
from asyncjobs.app.verbs.dead import DeadFilter, dead_filter, dead_pages
from asyncjobs.app.verbs.paging import pages
from asyncjobs.core.filter import JobFilter
from asyncjobs.core.options import DEFAULT_QUEUE, checked_tenant
from asyncjobs.ports import Place

__all__ = ["count_dead", "count_of_tenant", "known_queues"]


async def count_dead(app: AllVerbs, *, queue: str | None, **which: Unpack[DeadFilter]) -> int:
    """Return how many jobs of the dead letter queues pass the filter.

    Args:
        app: The app, which is open.
        queue: Only jobs of this queue.
        **which: The filter, as ``App.failed_jobs`` takes it.
    """
    wanted = dead_filter(which)
    queues = await app._queues(queue)
    if wanted == JobFilter():
        # Counted by the broker, so that no job is read.
        return sum(one.dead for one in await app._broker.overview(queues))
    return sum([len(page) for one in queues async for page in dead_pages(app._broker, one, wanted)])


async def count_of_tenant(app: AllVerbs, tenant: str, *, queue: str | None) -> int:
    """Return how many jobs of a tenant wait, run or are dead.

    Args:
        app: The app, which is open.
        tenant: The tenant's id.
        queue: Only jobs of this queue.
    """
    checked_tenant(tenant)
    count = 0
    for one in await app._queues(queue):
        for place in get_args(Place):
            async for page in pages(app._broker, one, place, tenant):
                count += len(page)
    return count


async def known_queues(app: AllVerbs) -> set[str]:
    """Return the queues that the broker knows, and those of the app's code.

    Args:
        app: The app, which is open.
    """
    options = [app.registry.get(name).options for name in app.registry.names()]
    return {*await app._broker.queues(), *(one.queue or DEFAULT_QUEUE for one in options)}
