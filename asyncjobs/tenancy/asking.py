"""Asks a resolver for a tenant, and takes nothing for an answer that isn't one."""

from __future__ import annotations

from asyncjobs.core.tenancy import TenantContext
from asyncjobs.errors import ConfigurationError
from asyncjobs.ports import TenantResolver

__all__ = ["checked_resolver", "resolved"]


def checked_resolver(where: str, resolver: TenantResolver) -> TenantResolver:
    """Return ``resolver``; raise ``ConfigurationError``, which names ``where`` it was given, if it can't be one."""
    if isinstance(resolver, type) or not callable(getattr(resolver, "resolve", None)):
        raise ConfigurationError(
            f"{where} was given {resolver!r:.100}; expected a resolver, an object with `async def resolve(tenant_id)`, "
            "as StaticTenants({'acme': 'tenant_acme'}) is"
        )
    return resolver


async def resolved(resolver: TenantResolver, tenant_id: str) -> TenantContext:
    """Return the tenant as ``resolver`` says; raise ``ConfigurationError`` if that returns anything else.

    Nothing, which some return for an unknown tenant, would mean nobody's job, and that runs in ``public``.
    """
    tenant: object = await resolver.resolve(tenant_id)
    if not isinstance(tenant, TenantContext):
        raise ConfigurationError(
            f"{type(resolver).__qualname__}.resolve({tenant_id!r}) returned {tenant!r:.100}; expected a TenantContext, "
            "or UnknownTenant raised"
        )
    return tenant
