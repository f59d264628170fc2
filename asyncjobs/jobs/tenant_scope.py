"""The tenant that code runs for: a context variable, which tasks and threads inherit and can't change for others."""

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
    """A block, and the job that it is in."""

    tenant: TenantContext | None
    """The tenant of the block, ``None`` for none."""

    job: JobContext | None
    """The job whose handler has entered the block, ``None`` outside of jobs.

    A job that a worker starts inside a block is not in the block, so a block counts for its own job alone.
    """


_scope: ContextVar[_Scope | None] = ContextVar("asyncjobs_tenant", default=None)


@contextlib.contextmanager
def tenant_scope(tenant: str | TenantContext | None) -> Iterator[None]:
    """Run the block for ``tenant``: each job that is sent inside carries it, and ``current_tenant()`` returns it.

    After the block the tenant is the one of before. Tasks and threads that start inside inherit it.

    Args:
        tenant: An id, up to 255 bytes without control characters; or a resolved tenant, with its schema; or ``None``
            for code that runs for no tenant, inside a block that does.

    Raises:
        ArgumentsError: ``tenant`` can't be an id.

    Example:
        ```python
        with tenant_scope("acme"):
            await write_invoice.delay("Ada")
        ```
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
    """Return the tenant that this code runs for.

    Its schema and slug are known where a resolver was asked: under the ``Tenants`` middleware of a worker, or a
    ``TenantMiddleware`` with a resolver.

    Returns:
        The tenant of the innermost ``tenant_scope``, else the running job's; ``None`` without a tenant.
    """
    job = running.get()
    scope = _scope.get()
    if scope is not None and scope.job is job:
        return scope.tenant
    if job is None or job.tenant is None:
        return None
    return TenantContext(job.tenant)


def current_tenant_id() -> str | None:
    """Return the id of the tenant that a job sent here is for, without the cost of a ``TenantContext``."""
    job = running.get()
    scope = _scope.get()
    if scope is not None and scope.job is job:
        return None if scope.tenant is None else scope.tenant.tenant_id
    return None if job is None else job.tenant
