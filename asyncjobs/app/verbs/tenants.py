"""The verbs of an app for one tenant."""

from __future__ import annotations

from asyncjobs.app.connection import on_app_loop
from asyncjobs.app.stats import TenantStats, tenant_stats
from asyncjobs.app.verbs.base import Verbs
from asyncjobs.core.options import checked_tenant
from asyncjobs.ports import Hold

__all__ = ["TenantVerbs"]


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
