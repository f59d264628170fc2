"""The verbs of an app for all that one tenant has."""

from __future__ import annotations

from asyncjobs.app.connection import on_app_loop
from asyncjobs.app.stats import TenantStats, tenant_stats
from asyncjobs.app.verbs.base import Verbs
from asyncjobs.app.verbs.dead import dead_pages
from asyncjobs.app.verbs.paging import pages
from asyncjobs.core.filter import JobFilter
from asyncjobs.core.options import checked_tenant
from asyncjobs.ports import Hold, Place

__all__ = ["TenantVerbs"]

# In the order in which a job goes on, so that few slip from one place to the next behind a purge's back.
_PLACES: tuple[Place, ...] = ("scheduled", "parked", "ready", "running")

# What a purge leaves after so many passes is being sent meanwhile.
_MAX_PASSES = 10


class TenantVerbs(Verbs):
    """The verbs for one tenant."""

    @on_app_loop
    async def tenant_stats(self, tenant: str) -> TenantStats:
        """Return what the jobs of a tenant came to, in all and queue by queue; an unknown tenant has zeros.

        Counters begin anew in a queue where none of its jobs has ended for 30 days.

        Args:
            tenant: The tenant's id.

        Raises:
            ArgumentsError: ``tenant`` can't be the id of a tenant.
        """
        hold = Hold("tenant", checked_tenant(tenant))
        queues = await self._queues(None)
        figures = await self._broker.tenant_figures(queues, tenant)
        suspended = {one.name for one in await self._broker.overview(queues) if hold in one.holds}
        return tenant_stats(tenant, dict(zip(queues, figures, strict=True)), suspended)

    @on_app_loop
    async def purge_tenant(self, tenant: str, *, queue: str | None = None) -> int:
        """Cancel all jobs of a tenant that wait or run, and forget its dead ones.

        The handlers of running jobs are cancelled as by ``cancel_job``. Schedules stay, and what is sent meanwhile may
        stay too: end those first.

        Args:
            tenant: The tenant's id.
            queue: Only in this queue.

        Returns:
            How many jobs there were.

        Raises:
            ArgumentsError: ``tenant`` can't be the id of a tenant.
        """
        checked_tenant(tenant)
        return sum([await self._purge(one, tenant) for one in await self._queues(queue)])

    async def _purge(self, queue: str, tenant: str) -> int:
        running: set[str] = set()
        count = 0
        for _ in range(_MAX_PASSES):
            # Jobs move while they are listed, so some are only found in the next pass.
            found = sum([await self._cancel_all(queue, place, tenant, running) for place in _PLACES])
            async for page in dead_pages(self._broker, queue, JobFilter(tenant=tenant)):
                found += sum(await self._broker.delete(queue, [job.id for job in page]))
            count += found
            if not found:
                break
        return count

    async def _cancel_all(self, queue: str, place: Place, tenant: str, running: set[str]) -> int:
        """Cancel what is in one place; return how many were not in ``running``, and add those that now run."""
        count = 0
        reason = f"the jobs of tenant {tenant!r} were purged"
        async for page in pages(self._broker, queue, place, tenant):
            ids = [job.id for job in page]
            replies = await self._broker.cancel(queue, ids, reason, self._lookup.keep_ms)
            done = dict(zip(ids, replies, strict=True))
            marked = {job_id for job_id, reply in done.items() if reply == "running"}
            cancelled = {job_id for job_id, reply in done.items() if reply == "cancelled"}
            count += len((cancelled | marked) - running)
            running |= marked
        return count
