"""In which schema a connection is lent: the tenant's, and those that stand behind it in the search path."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal, NamedTuple

from asyncjobs import TenantContext, current_tenant
from asyncjobs.errors import ConfigurationError, TenantError

__all__ = ["Mode", "WantedSchema", "checked_options", "wanted_schema"]

#: ``transaction``: the schema is set until the transaction ends. ``session``: until the connection goes back.
Mode = Literal["transaction", "session"]


class WantedSchema(NamedTuple):
    """The schema that a connection is to be lent in."""

    tenant: TenantContext
    """The tenant, with its schema."""

    shared: tuple[str, ...]
    """Schemas behind the tenant's."""

    mode: Mode
    """How long the schema is set for."""

    def path(self, quote: Callable[[str], str]) -> str:
        """Return the search path, its names quoted by ``quote``.

        Temporary tables come last. By default PostgreSQL finds them first, where they hide the tenant's own.
        """
        return ", ".join(map(quote, (self.tenant.tenant_schema, *self.shared, "pg_temp")))


def wanted_schema(mode: Mode, shared: Sequence[str], required: bool) -> WantedSchema | None:
    """Return the schema of the current tenant, or ``None`` without a tenant.

    Raises:
        ConfigurationError: An option is wrong.
        TenantError: The tenant isn't resolved, or there is none and one is ``required``.
    """
    behind = checked_options(mode, shared)
    tenant = current_tenant()
    if tenant is None:
        if required:
            raise TenantError(
                "a connection for a tenant was asked for, and there is none; send the job with "
                "with_options(tenant=…) or inside tenant_scope(…)"
            )
        return None
    if not tenant.tenant_schema:
        raise TenantError(
            f"the tenant {tenant.tenant_id!r} has no schema: nobody has resolved it. Add Tenants(resolver) to "
            "App(middleware=[…]), or enter tenant_scope(…) with what a resolver returned"
        )
    return WantedSchema(tenant, behind, mode)


def checked_options(mode: Mode, shared: Sequence[str]) -> tuple[str, ...]:
    """Return ``shared`` as a tuple.

    Raises:
        ConfigurationError: ``mode`` is another word, or ``shared`` is no list of names.
    """
    if mode not in ("transaction", "session"):
        raise ConfigurationError(f"mode={mode!r}: expected 'transaction' or 'session'")
    if isinstance(shared, str) or not all(isinstance(name, str) and name for name in shared):
        raise ConfigurationError(f"shared={shared!r}: expected a list of schema names")
    return tuple(shared)
