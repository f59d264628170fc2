"""The tenant that code runs for: a context variable, which tasks and threads inherit and can't change for others."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator
from contextvars import ContextVar
from typing import NamedTuple, TypeVar

from asyncjobs.core.bounds import shown
from asyncjobs.core.identity import kept_id, tenant_prefix
from asyncjobs.core.options import UNSET, UnsetType, checked_tenant
from asyncjobs.core.tenancy import TenantContext
from asyncjobs.core.text import storable
from asyncjobs.errors import ArgumentsError
from asyncjobs.jobs.context import JobContext, running
from asyncjobs.jobs.request import JobRequest, checked_request

__all__ = ["current_tenant", "current_tenant_id", "id_here", "is_here", "requests_here", "tenant_here", "tenant_scope"]

R = TypeVar("R")


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

    Inside, ids and lists are of the tenant's jobs and schedules alone.

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


def tenant_here(given: str | None) -> str | None:
    """Return the tenant whose jobs are to be listed: ``given``, or for ``None`` the one that this code runs for.

    Raises:
        ArgumentsError: ``given`` can't be the id of a tenant.
    """
    return current_tenant_id() if given is None else checked_tenant(given)


def requests_here(requests: Iterable[JobRequest[R]]) -> list[JobRequest[R]]:
    """Return ``requests`` for the tenant that this code runs for, each unless it says for whom it is.

    Raises:
        ArgumentsError: These are no requests.
    """
    if not isinstance(requests, Iterable):
        raise ArgumentsError(f"requests={shown(requests)}: expected a list of calls made by job.request(…)")
    asked = list(requests)
    if {*map(type, asked)} - {JobRequest}:
        asked = [checked_request(one) for one in asked]
    tenant = current_tenant_id()
    if tenant is None:
        return asked
    return [one if one.options.tenant is not UNSET else one.with_options(tenant=tenant) for one in asked]


def id_here(given: str, tenant: str | UnsetType | None = UNSET) -> str:
    """Return the id under which the job or schedule is kept that this code calls ``given``.

    Where the code runs for a tenant it is one of the tenant's own; so another tenant's is unknown.

    Args:
        given: The id.
        tenant: The tenant, ``None`` for an operator, who names any; by default the one that this code runs for.

    Raises:
        ArgumentsError: ``given`` is no text, or none that UTF-8 can hold.
    """
    if not isinstance(given, str) or given != storable(given):
        raise ArgumentsError(f"{shown(given)} is no id: expected text that UTF-8 can hold")
    tenant = current_tenant_id() if tenant is UNSET else tenant
    return str(given) if tenant is None else kept_id(tenant, given)


def ids_here(given: Iterable[str]) -> list[str]:
    """Return what ``id_here`` returns for each of several ids.

    Raises:
        ArgumentsError: They are no several ids, or one of them is none.
    """
    if isinstance(given, str | bytes) or not isinstance(given, Iterable):
        raise ArgumentsError(f"{shown(given)}: expected several ids, as in [{shown(given)}]")
    return [id_here(one) for one in given]


def is_here(kept: str) -> bool:
    """Return whether the job or schedule of an id is one that this code may see: its tenant's, or any without one."""
    tenant = current_tenant_id()
    return tenant is None or kept.startswith(tenant_prefix(tenant))
