"""The tenant that code runs for: a context variable, inherited by tasks and threads, that none changes for others."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from contextvars import ContextVar
from typing import NamedTuple

from asyncjobs.core.options import checked_tenant
from asyncjobs.core.tenancy import TenantContext
from asyncjobs.jobs.context import JobContext, running

__all__ = ["current_tenant", "current_tenant_id", "tenant_scope"]


class _Scope(NamedTuple):
    """A block and the job that it is in, if any: a job that starts inside a block is not inside it."""

    tenant: TenantContext | None
    job: JobContext | None


_scope: ContextVar[_Scope | None] = ContextVar("asyncjobs_tenant", default=None)


@contextlib.contextmanager
def tenant_scope(tenant: str | TenantContext | None) -> Iterator[None]:
    """Do what is in the block for ``tenant``: every job that is sent there carries it, without being told.

    ``tenant``: an id, or a resolved tenant, ``None`` for nobody's jobs inside a block for somebody. The block before
    holds again after it. Raises ``ArgumentsError`` for what can't be an id.
    """
    if isinstance(tenant, str):
        tenant = TenantContext(checked_tenant(tenant))
    elif isinstance(tenant, TenantContext):
        checked_tenant(tenant.tenant_id)
    elif tenant is not None:
        checked_tenant(tenant)
    token = _scope.set(_Scope(tenant, running.get()))
    try:
        yield
    finally:
        _scope.reset(token)


def current_tenant() -> TenantContext | None:
    """Return the tenant that this code runs for: that of the innermost ``tenant_scope``, else that of the running job.

    Its schema and slug are known where a resolver was asked: under the ``Tenants`` middleware of a worker, or a
    ``TenantMiddleware`` with a resolver.
    """
    job = running.get()
    scope = _scope.get()
    if scope is not None and scope.job is job:
        return scope.tenant
    if job is None or job.tenant is None:
        return None
    return TenantContext(job.tenant)


def current_tenant_id() -> str | None:
    """Return the id of the tenant that a job sent here is for."""
    job = running.get()
    scope = _scope.get()
    if scope is not None and scope.job is job:
        return None if scope.tenant is None else scope.tenant.tenant_id
    return None if job is None else job.tenant
