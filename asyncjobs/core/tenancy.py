"""The tenant that a job is for, and the database schema of its own."""

from __future__ import annotations

import msgspec

from asyncjobs.core.bounds import shown
from asyncjobs.errors import TenantError

__all__ = ["TenantContext", "checked_schema"]

# NAMEDATALEN - 1: PostgreSQL cuts what is longer, and two tenants would share a schema.
_MAX_SCHEMA_BYTES = 63

_RESERVED = frozenset({"public", "information_schema"})


class TenantContext(msgspec.Struct, frozen=True):
    """A tenant, and the database schema of its own.

    Raises:
        TenantError: ``tenant_schema`` can't be the schema of one tenant.
    """

    tenant_id: str
    """Its id, by which the program and the jobs name it."""
    tenant_slug: str = ""
    """A readable name for it; empty where the resolver gives none."""
    tenant_schema: str = ""
    """Its schema; empty until the tenant is resolved."""

    def __post_init__(self) -> None:
        if not isinstance(self.tenant_schema, str) or self.tenant_schema:
            checked_schema(self.tenant_schema)


def checked_schema(name: object) -> str:
    """Return ``name``, the schema of one tenant.

    The database's driver quotes it, so only a few names are refused.

    Raises:
        TenantError: PostgreSQL would cut the name (over 63 bytes), takes it for something else even in quotes
            (``$user``), or has the schema for itself (``pg_…``) or for all (``public``). Source: PostgreSQL manual,
            4.1.1 "Identifiers and Key Words", 5.10.3 "The Schema Search Path".
    """
    if not isinstance(name, str) or not name:
        raise TenantError(f"the schema {shown(name)} can't be a tenant's: expected a name")
    try:
        size = len(name.encode())
    except UnicodeEncodeError:
        raise TenantError(f"the schema {name!r:.100} can't be a tenant's: it isn't text that UTF-8 can hold") from None
    if size > _MAX_SCHEMA_BYTES:
        raise TenantError(
            f"the schema {name!r:.100} can't be a tenant's: it has {size} bytes, and PostgreSQL would cut it to "
            f"{_MAX_SCHEMA_BYTES}"
        )
    if "\0" in name:
        raise TenantError(f"the schema {name!r} can't be a tenant's: it holds a NUL character")
    folded = name.casefold()
    if folded in _RESERVED or folded.startswith("pg_") or name == "$user":
        raise TenantError(f"the schema {name!r} can't be a tenant's: it is the database's own, or everybody's")
    return name
