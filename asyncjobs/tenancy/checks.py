"""What is accepted as a resolver, and what as its answer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from asyncjobs import TenantContext
from asyncjobs.errors import ConfigurationError, TenantError, TenantSuspended, UnknownTenant
from asyncjobs.ports import TenantResolver
from asyncjobs.settings import shown

__all__ = ["checked_resolver", "resolve_checked", "tenant_of_row"]


def checked_resolver(where: str, resolver: TenantResolver) -> TenantResolver:
    """Return ``resolver``.

    Raises:
        ConfigurationError: It can't be a resolver; the message names ``where`` it was given.
    """
    if isinstance(resolver, type) or not callable(getattr(resolver, "resolve", None)):
        raise ConfigurationError(
            f"{where} was given {shown(resolver)}; expected a resolver, an object with `async def resolve(tenant_id)`, "
            "as StaticTenants({'acme': 'tenant_acme'}) is"
        )
    return resolver


async def resolve_checked(resolver: TenantResolver, tenant_id: str) -> TenantContext:
    """Return the tenant that ``resolver`` returns.

    Raises:
        ConfigurationError: It returns anything else. ``None``, which some return for an unknown tenant, would make it a
            job of no tenant, and such a job runs in ``public``.
    """
    tenant: object = await resolver.resolve(tenant_id)
    if not isinstance(tenant, TenantContext):
        raise ConfigurationError(
            f"{type(resolver).__qualname__}.resolve({tenant_id!r}) returned {shown(tenant)}; expected a TenantContext, "
            "or UnknownTenant raised"
        )
    return tenant


def tenant_of_row(tenant_id: str, rows: Sequence[Mapping[str, Any]]) -> TenantContext:
    """Return the tenant of the row that a query found, with ``schema``, ``slug`` and ``suspended``.

    Raises:
        UnknownTenant: There is no row.
        TenantSuspended: The row says so.
        TenantError: The schema can't be a tenant's.
        ConfigurationError: There are several rows, or there is no column ``schema``.
    """
    if not rows:
        raise UnknownTenant(f"there is no tenant {tenant_id!r}")
    row = rows[0]
    if len(rows) > 1 or "schema" not in row:
        raise ConfigurationError(
            f"the query for tenants returned {len(rows)} rows of {', '.join(map(str, row))} for {tenant_id!r}; "
            "expected one, with a column schema and, if you like, slug and suspended"
        )
    if row.get("suspended"):
        raise TenantSuspended(f"the tenant {tenant_id!r} is suspended")
    if row["schema"] == "":
        # In a TenantContext it would stand for a tenant that isn't resolved.
        raise TenantError(f"the tenant {tenant_id!r} can't be served: its schema is empty; expected a name")
    try:
        return TenantContext(tenant_id, str(row.get("slug") or tenant_id), row["schema"])
    except TenantError as error:
        raise TenantError(f"the tenant {tenant_id!r} can't be served: {error}") from None
