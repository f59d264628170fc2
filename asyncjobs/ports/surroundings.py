"""What a process asks its surroundings, beside the broker: the time, and who the tenants are."""

from __future__ import annotations

from typing import Protocol

from asyncjobs.core.tenancy import TenantContext

__all__ = ["Clock", "TenantResolver"]


class Clock(Protocol):
    """Time as the process sees it."""

    def now_ms(self) -> int:
        """Return Unix time in milliseconds."""
        ...

    def monotonic(self) -> float:
        """Return seconds that only rise, from an arbitrary start."""
        ...


class TenantResolver(Protocol):
    """Knows the tenants."""

    async def resolve(self, tenant_id: str) -> TenantContext:
        """Return the tenant of this id, with its schema; raise ``UnknownTenant`` or ``TenantSuspended``."""
        ...
