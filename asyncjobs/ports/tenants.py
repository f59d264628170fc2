"""What a program provides so that its tenants can be found."""

from __future__ import annotations

from typing import Protocol

from asyncjobs.core.tenancy import TenantContext

__all__ = ["TenantResolver"]


class TenantResolver(Protocol):
    """Finds the tenants of a program, as ``asyncjobs.tenancy.StaticTenants`` does."""

    async def resolve(self, tenant_id: str) -> TenantContext:
        """Return the tenant of this id, with its schema.

        Raises:
            UnknownTenant: There is no such tenant.
            TenantSuspended: Nothing may be done for the tenant at the moment.
        """
        ...
