"""Runs each handler as its job's tenant."""

from __future__ import annotations

from typing import Any

from asyncjobs import JobContext, Middleware, tenant_scope
from asyncjobs.middleware import CallNext
from asyncjobs.ports import TenantResolver
from asyncjobs.tenancy.checks import checked_resolver, resolve_checked

__all__ = ["Tenants"]


class Tenants(Middleware):
    """Resolves the job's tenant and makes it ``current_tenant()`` for the handler and the layers inside.

    A job without a tenant runs as it would without this layer. ``UnknownTenant`` and ``TenantSuspended`` fail the
    attempt before the handler starts; the job's retry policy decides what follows, by ``rules`` for these types, or
    ``Translate`` around this layer.

    Args:
        resolver: What knows the tenants, best ``CachedTenants`` in front of another.

    Raises:
        ConfigurationError: ``resolver`` is none.

    Example:
        ```python
        app = App(middleware=[Tenants(StaticTenants({"acme": "tenant_acme"}))])
        ```
    """

    def __init__(self, resolver: TenantResolver) -> None:
        self._resolver = checked_resolver("Tenants(…)", resolver)

    async def process(self, job: JobContext, call_next: CallNext) -> Any:
        if job.tenant is None:
            return await call_next(job)
        tenant = await resolve_checked(self._resolver, job.tenant)
        with tenant_scope(tenant):
            return await call_next(job)
