"""What operators do to one tenant: look at its figures, hold its jobs back, purge it."""

from __future__ import annotations

from asyncjobs.app.sender import at_home
from asyncjobs.app.stats import TenantStats, tenant_stats
from asyncjobs.app.verbs.dead import Operations
from asyncjobs.core.options import checked_tenant
from asyncjobs.ports import Place

__all__ = ["TenantVerbs"]

_PAGE = 500

# In the order in which a job goes on, so that few slip from one place to the next behind a purge's back.
_PLACES: tuple[Place, ...] = ("scheduled", "parked", "ready", "running")

# What a purge leaves after so many passes is being sent meanwhile.
_PASSES = 10


class TenantVerbs(Operations):
    """The verbs of an app for one tenant; each raises ``ArgumentsError`` for what can't be a tenant's id."""

    @at_home
    async def tenant_stats(self, tenant: str) -> TenantStats:
        """Return what the jobs of ``tenant`` came to, in all and queue by queue; a tenant unknown has zeros.

        Counters begin anew in a queue where none of its jobs has ended for 30 days.
        """
        checked_tenant(tenant)
        broker = self.broker
        queues = await self._queues(None)
        figures = {one: await broker.tenant_figures(one, tenant) for one in queues}
        paused = {one for one in queues if ("tenant", tenant) in await broker.suspended(one)}
        return tenant_stats(tenant, figures, paused)

    @at_home
    async def suspend_tenant(self, tenant: str, *, queue: str | None = None) -> None:
        """Let no more jobs of ``tenant`` start, in all queues or in one; running ones go on, new ones wait.

        All are those that were ever used, and those to which the app's jobs go by their code.
        """
        await self._suspend("tenant", checked_tenant(tenant), queue, on=True)

    @at_home
    async def resume_tenant(self, tenant: str, *, queue: str | None = None) -> None:
        """Undo ``suspend_tenant``; the jobs that waited start before those that were sent later."""
        await self._suspend("tenant", checked_tenant(tenant), queue, on=False)

    @at_home
    async def suspended_tenants(self) -> dict[str, list[str]]:
        """Return the suspended tenants of each queue that has any."""
        return await self._suspended("tenant")

    @at_home
    async def purge_tenant(self, tenant: str, *, queue: str | None = None) -> int:
        """Cancel all jobs of ``tenant`` that wait or run and forget its dead ones; return how many there were.

        In all queues, or in one. The handlers of running jobs are cancelled as by ``cancel_job``. Schedules stay, and
        what is sent meanwhile may stay too: end those first.
        """
        checked_tenant(tenant)
        return sum([await self._purge(one, tenant) for one in await self._queues(queue)])

    async def _purge(self, queue: str, tenant: str) -> int:
        running: set[str] = set()
        count = 0
        for _ in range(_PASSES):
            # Claims shift the lists while they are read, so some jobs are only found in the next pass.
            found = sum([await self._cancel_all(queue, place, tenant, running) for place in _PLACES])
            found += await self.discard_failed(queue=queue, tenant=tenant)
            count += found
            if not found:
                break
        return count

    async def _cancel_all(self, queue: str, place: Place, tenant: str, running: set[str]) -> int:
        """Cancel what is in one place; return how many were not in ``running``, and add those that now run."""
        broker = self.broker
        offset = count = 0
        while True:
            page, looked_at = await broker.browse(queue, place, offset, _PAGE, tenant)
            ids = [job.id for job in page]
            reason = f"the jobs of tenant {tenant!r} were purged"
            replies = dict(zip(ids, await broker.cancel_many(queue, ids, reason, self._keep_ms), strict=True))
            cancelled = {job_id for job_id, reply in replies.items() if reply == "cancelled"}
            marked = {job_id for job_id, reply in replies.items() if reply == "running"}
            count += len((cancelled | marked) - running)
            running |= marked
            # A cancelled job leaves the timetable at once; in the lists its entry stays.
            offset += looked_at - (len(cancelled) if place == "scheduled" else 0)
            if looked_at < _PAGE:
                return count
