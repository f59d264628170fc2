"""Runs each handler as its job's tenant."""

from __future__ import annotations

from typing import Any

from asyncjobs.jobs.context import JobContext
from asyncjobs.jobs.tenant_scope import tenant_scope
from asyncjobs.middleware.base import CallNext, Middleware
from asyncjobs.ports import TenantResolver
from asyncjobs.tenancy.asking import checked_resolver, resolved

__all__ = ["Tenants"]


class Tenants(Middleware):
    """Asks ``resolver`` for the job's tenant and makes it ``current_tenant()`` for the handler and the layers inside.

    A job without a tenant runs as it would without this layer. ``UnknownTenant`` and ``TenantSuspended`` fail the
    attempt before the handler starts; the job's retry policy decides what follows, by ``rules`` for these types, or
    ``Translate`` around this layer. Raises ``ConfigurationError`` for what is no resolver.
    """

    def __init__(self, resolver: TenantResolver) -> None:
        self._resolver = checked_resolver("Tenants(…)", resolver)

    async def process(self, job: JobContext, call_next: CallNext) -> Any:
        if job.tenant is None:
            return await call_next(job)
        tenant = await resolved(self._resolver, job.tenant)
        with tenant_scope(tenant):
            return await call_next(job)
