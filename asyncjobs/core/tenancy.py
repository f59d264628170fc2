"""Who a job is for: a tenant, and the database schema that is its own."""

from __future__ import annotations

import msgspec

from asyncjobs.errors import TenantError

__all__ = ["TenantContext", "checked_schema"]

# NAMEDATALEN - 1: PostgreSQL cuts what is longer, and two tenants would share a schema.
_MAX_SCHEMA_BYTES = 63

_RESERVED = frozenset({"public", "information_schema"})


class TenantContext(msgspec.Struct, frozen=True):
    """A tenant: its id, a readable name for it, and its schema, empty while it hasn't been resolved.

    Raises ``TenantError`` for a name that can't be a tenant's schema, as ``checked_schema`` does.
    """

    tenant_id: str
    tenant_slug: str = ""
    tenant_schema: str = ""

    def __post_init__(self) -> None:
        if self.tenant_schema != "":
            checked_schema(self.tenant_schema)


def checked_schema(name: object) -> str:
    """Return ``name`` if it can be the schema of one tenant; raise ``TenantError`` if not.

    Whatever else it holds, the database's driver quotes. Refused are names that PostgreSQL would cut (over 63 bytes),
    that mean something else even in quotes (``$user``), that are the system's (``pg_…``) or everybody's (``public``).
    Source: PostgreSQL manual, 4.1.1 "Identifiers and Key Words", 5.10.3 "The Schema Search Path".
    """
    if not isinstance(name, str) or not name:
        raise TenantError(f"the schema {name!r:.100} can't be a tenant's: expected a name")
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
