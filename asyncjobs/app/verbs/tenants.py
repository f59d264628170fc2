"""The verbs of an app for one tenant: its statistics, and the end of all its jobs."""

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

# In the order in which a job passes them, so that a purge misses few of the jobs that move meanwhile.
_PLACES: tuple[Place, ...] = ("scheduled", "parked", "ready", "running")

# How often a purge begins anew; jobs that are left after so many passes were sent meanwhile.
_MAX_PASSES = 10


class TenantVerbs(Verbs):
    """The verbs for one tenant."""

    @on_app_loop
    async def tenant_stats(self, tenant: str) -> TenantStats:
        """Return what the jobs of a tenant came to, in all and queue by queue; for an unknown tenant, zeros.

        The counters of a queue begin anew if none of the tenant's jobs has ended in it for 30 days.

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
        """Cancel the waiting and running jobs of a tenant, and delete its dead ones.

        Running handlers are cancelled as by ``cancel_job``. The tenant's schedules stay, and so may jobs that are sent
        meanwhile. So remove the schedules and stop the senders first.

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
        """Cancel the jobs in one place, and return how many there were, without those in ``running``.

        Jobs that run, and so end later, are added to ``running``.
        """
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
