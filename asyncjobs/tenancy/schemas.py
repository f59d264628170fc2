"""What the database adapters have in common: whose schema, and the statements that switch to it and back.

The path is set by ``set_config``, whose value is a parameter; the names in the path are quoted by the driver. One
statement looks whether the schema is there, tells the path before, and switches, so that nothing comes between them.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from typing import Any, Literal, LiteralString, NamedTuple

from asyncjobs.core.tenancy import TenantContext
from asyncjobs.errors import ConfigurationError, TenantError, UnknownTenant
from asyncjobs.jobs.tenant_scope import current_tenant

__all__ = [
    "DROP_TEMPORARY",
    "RESTORE",
    "SHOW",
    "SWITCH",
    "Mode",
    "Switched",
    "checked_mode",
    "checked_shared",
    "path_of",
    "tell_doubt",
    "wanted",
]

_log = logging.getLogger("asyncjobs.tenancy")

#: ``transaction``: the schema holds until the transaction ends. ``session``: until the connection goes back.
Mode = Literal["transaction", "session"]

# The sub-query is computed before the rows are projected, so `path` is that from before the switch. A temporary table
# would be found before the catalog's of that name, unlike a function.
#: ``:path``, ``:local``, ``:schema`` and ``:pid`` stand for parameters. ``:pid`` is the server's process as the driver
#: was told when it connected: a proxy that pools tells a number of its own, and has a setting of the session, which
#: isn't ``:local``, land wherever it likes.
SWITCH: LiteralString = """
WITH before AS MATERIALIZED (
    SELECT current_setting('search_path') AS path, pg_my_temp_schema() <> 0 AS has_temporary,
           :local OR pg_backend_pid() = :pid AS is_kept
)
SELECT before.path, before.has_temporary, before.is_kept,
       CASE WHEN before.is_kept AND has_schema_privilege(found.oid, 'USAGE')
            THEN set_config('search_path', :path, :local) END
FROM before, pg_catalog.pg_namespace AS found WHERE found.nspname = :schema
"""

#: Both tell the path, and whether the connection has held temporary tables.
RESTORE: LiteralString = "SELECT set_config('search_path', :path, false), pg_my_temp_schema() <> 0"

SHOW: LiteralString = "SELECT current_setting('search_path'), pg_my_temp_schema() <> 0"

# Temporary tables outlive a transaction. The next tenant of the connection would find them, and a job without one would
# find them before the tables of that name in public: so they are dropped wherever the server is asked for the path, or
# else before the connection is lent to anybody again.
DROP_TEMPORARY: LiteralString = "DISCARD TEMP"


class Switched(NamedTuple):
    """The answer to ``SWITCH``: the path before, and whether the connection has held temporary tables."""

    before: str
    has_temporary: bool

    @classmethod
    def of(cls, row: Sequence[Any] | None, tenant: TenantContext) -> Switched:
        """Read the row; raise ``UnknownTenant`` if there is no such schema, ``TenantError`` if it can't be used.

        Raises ``ConfigurationError`` if it could not be relied upon, behind a proxy.
        """
        if row is None:
            raise UnknownTenant(
                f"the schema {tenant.tenant_schema!r} of the tenant {tenant.tenant_id!r} is not in the database"
            )
        before, has_temporary, is_kept, switched_to = row
        if not is_kept:
            raise ConfigurationError(
                "mode='session': the connection leads to a proxy (pgbouncer, for instance), which may take another "
                "connection of the server for the next transaction, with another search path; use mode='transaction'"
            )
        if switched_to is None:
            raise TenantError(
                f"the database's user may not use the schema {tenant.tenant_schema!r} of the tenant "
                f"{tenant.tenant_id!r}; grant it USAGE"
            )
        return cls(before, has_temporary)


def wanted(required: bool) -> TenantContext | None:
    """Return the tenant whose schema is to be used, ``None`` for none.

    Raises ``TenantError`` if it isn't resolved, or if there is none and one is ``required``.
    """
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
    return tenant


def checked_mode(mode: Mode) -> Mode:
    """Return ``mode``; raise ``ConfigurationError`` for another word."""
    if mode not in ("transaction", "session"):
        raise ConfigurationError(f"mode={mode!r}: expected 'transaction' or 'session'")
    return mode


def checked_shared(shared: Sequence[str]) -> tuple[str, ...]:
    """Return the schemas that stand behind the tenant's; raise ``ConfigurationError`` for what is no list of names."""
    if isinstance(shared, str) or not all(isinstance(name, str) and name for name in shared):
        raise ConfigurationError(f"shared={shared!r}: expected a list of schema names")
    return tuple(shared)


def path_of(tenant: TenantContext, shared: Sequence[str], quote: Callable[[str], str]) -> str:
    """Return the search path: the tenant's schema, what is shared, and temporary tables last, to hide none of them."""
    return ", ".join(map(quote, (tenant.tenant_schema, *shared, "pg_temp")))


def tell_doubt(tenant: TenantContext, why: str) -> None:
    """Log why a connection is closed instead of going back."""
    _log.error("a connection of the tenant %r is closed: %s", tenant.tenant_id, why)
