"""The verbs of an app for its tenants."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Iterable, Sequence

from asyncjobs.app.connection import on_app_loop
from asyncjobs.app.tenants import Census, Part, TenantList, TenantStats, tenant_stats
from asyncjobs.app.verbs.base import Verbs
from asyncjobs.app.verbs.paging import held_in
from asyncjobs.core.bounds import checked_count
from asyncjobs.core.options import checked_tenant
from asyncjobs.errors import ArgumentsError
from asyncjobs.ports import Hold, Place, QueueFigures, TenantEnd, TenantFigures

__all__ = ["TenantVerbs"]

_MAX_TENANTS = 1_000

# At how many jobs in all queues is looked, and at how many of each place of a queue at least.
_SAMPLED, _LEAST_SAMPLED = 1_000, 100

_PLACES: tuple[Place, ...] = ("ready", "scheduled", "parked", "running")


class TenantVerbs(Verbs):
    """The verbs for tenants."""

    @on_app_loop
    async def tenants(self, *, queue: str | Collection[str] | None = None, limit: int = 100) -> TenantList:
        """Return the tenants, with what waits, runs, is dead and has ended of each.

        These are the tenants of whom a job waits or runs, is dead, or has ended in the last 30 days, and those that
        are suspended. Where more than 1,000 jobs wait or run, some of them are looked at, evenly from all queues.

        Args:
            queue: Only in this queue, or in these queues; by default in all.
            limit: How many tenants at most, 1 to 1,000.

        Returns:
            The tenants, those with the most waiting jobs first, and whether the numbers are exact.

        Raises:
            ArgumentsError: ``queue`` can't be the name of a queue, or ``limit`` is no such number.

        Example:
            ```python
            for one in (await app.tenants(limit=10)).tenants:
                print(one.tenant, one.waiting, one.running, one.failed)
            ```
        """
        limit = checked_count("limit", limit, least=1)
        if limit > _MAX_TENANTS:
            raise ArgumentsError(f"limit={limit}: expected at most {_MAX_TENANTS:,}")
        queues = await self._queues(queue)
        figures, ends = await asyncio.gather(self._broker.overview(queues), self._broker.tenants(queues, limit))
        parts = await self._parts(figures)
        census = Census(figures, ends, parts)
        own = await self._figures_of_each(census.first(limit), queues, ends, limit)
        found = [census.summary(tenant, of_tenant) for tenant, of_tenant in own.items()]
        return TenantList(
            tenants=[one for one in found if one is not None],
            waiting=sum(one.size for one in parts if one.place != "running"),
            running=sum(one.size for one in parts if one.place == "running"),
            looked_at=sum(one.sample.looked_at for one in parts),
            is_exact=sum(one.size for one in parts) <= _SAMPLED,
        )

    async def _parts(self, figures: Iterable[QueueFigures]) -> list[Part]:
        """Return the places of queues in which there are jobs, and look at some of these."""
        sizes = {(one.name, place): held_in(one, place) for one in figures for place in _PLACES}
        sizes = {part: size for part, size in sizes.items() if size}
        a_job = min(1.0, _SAMPLED / max(1, sum(sizes.values())))
        samples = await asyncio.gather(
            *(
                self._broker.sample(queue, place, max(_LEAST_SAMPLED, round(size * a_job)))
                for (queue, place), size in sizes.items()
            )
        )
        return [Part(place, size, one) for ((_, place), size), one in zip(sizes.items(), samples, strict=True)]

    async def _figures_of_each(
        self, tenants: Iterable[str], queues: Sequence[str], ends: Sequence[Sequence[TenantEnd]], limit: int
    ) -> dict[str, list[TenantFigures]]:
        """Return the figures of each tenant in the queues that have any; ``ends`` has ``limit`` of each at most."""
        listed = [({one.tenant for one in known}, len(known) < limit) for known in ends]
        own: dict[str, list[TenantFigures]] = {tenant: [] for tenant in tenants}
        asked = [
            (queue, tenant)
            for tenant in own
            for queue, (known, is_whole) in zip(queues, listed, strict=True)
            if tenant in known or not is_whole
        ]
        for (_, tenant), one in zip(asked, await self._broker.tenant_figures(asked), strict=True):
            own[tenant].append(one)
        return own

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
        figures = await self._broker.tenant_figures([(one, tenant) for one in queues])
        suspended = {one.name for one in await self._broker.overview(queues) if hold in one.holds}
        return tenant_stats(tenant, dict(zip(queues, figures, strict=True)), suspended)
