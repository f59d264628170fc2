"""What asyncjobs asks a program about its tenants."""

from __future__ import annotations

from typing import Protocol

from asyncjobs.core.tenancy import TenantContext

__all__ = ["TenantResolver"]


class TenantResolver(Protocol):
    """Knows the tenants."""

    async def resolve(self, tenant_id: str) -> TenantContext:
        """Return the tenant of this id, with its schema.

        Raises:
            UnknownTenant: There is no such tenant.
            TenantSuspended: There is, but nothing may be done for it now.
        """
        ...
