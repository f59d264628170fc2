"""The statements that set a connection's search path and restore it, and what PostgreSQL's answers mean.

The path is set by ``set_config``, whose value is a parameter; the names in the path are quoted by the driver. One
statement looks for the schema, reads the path before, and switches, so that nothing comes between them.

A conversation with the server is a generator (as the authentication flows of httpx are): it yields statements, is sent
the answer to each, and returns its result. psycopg runs one with ``await``, SQLAlchemy from an event, where nothing can
be awaited.
"""

from __future__ import annotations

from collections.abc import Generator
from typing import Any, LiteralString, NamedTuple, TypeVar

from asyncjobs import TenantContext
from asyncjobs.errors import ConfigurationError, TenantError, UnknownTenant

__all__ = ["Flow", "Settings", "drop_temporary", "read_path", "restore_path", "show_settings", "switch_path"]

T = TypeVar("T")

#: Yields a statement with its parameters, written ``:name``; is sent the first row of its result, or ``None``.
Flow = Generator[tuple[LiteralString, dict[str, Any]], Any, T]


class Settings(NamedTuple):
    """What a connection must have as before when it goes back to its pool."""

    path: str
    """The search path."""

    session_user: str
    """The user for whom the session is, which ``SET SESSION AUTHORIZATION`` changes."""

    role: str
    """The role that ``SET ROLE`` has set, or ``none``."""


_SETTINGS: LiteralString = (
    "current_setting('search_path') AS path, current_setting('session_authorization') AS session_user_name, "
    "current_setting('role') AS role, pg_my_temp_schema() <> 0 AS has_temporary"
)
_FOUND: LiteralString = "found.path, found.session_user_name, found.role, found.has_temporary"

# The sub-query is computed before the rows are projected, so `path` is that from before the switch. A temporary table
# would be found before the catalog's of that name, unlike a function. `:pid` is the server's process as the driver read
# it when it connected: a proxy that pools makes up a number of its own, and puts a setting of the session, which isn't
# `:local`, on any connection it likes.
_SWITCH: LiteralString = f"""
WITH found AS MATERIALIZED (SELECT {_SETTINGS}, :local OR pg_backend_pid() = :pid AS is_kept)
SELECT {_FOUND}, found.is_kept,
       CASE WHEN found.is_kept AND has_schema_privilege(namespace.oid, 'USAGE')
            THEN set_config('search_path', :path, :local) END
FROM found, pg_catalog.pg_namespace AS namespace WHERE namespace.nspname = :schema
"""

# The settings, whether the connection has held temporary tables, and the path from here on.
_RESTORE: LiteralString = f"""
WITH found AS MATERIALIZED (SELECT {_SETTINGS}) SELECT {_FOUND}, set_config('search_path', :path, false) FROM found
"""
_SHOW: LiteralString = f"SELECT {_SETTINGS}"
_READ: LiteralString = "SELECT current_setting('search_path')"

# Temporary tables outlive a transaction. The next tenant of the connection would find them, and a job without a tenant
# would find them before the tables of that name in public. So they are dropped whenever the path is read, or else
# before the connection is lent again.
_DROP_TEMPORARY: LiteralString = "DISCARD TEMP"


def switch_path(tenant: TenantContext, path: str, pid: int, *, local: bool) -> Flow[Settings]:
    """Set the search path to ``path``, drop temporary tables, and return the settings before.

    Args:
        tenant: The tenant, whose schema must exist.
        path: The new path, its names quoted.
        pid: The number of the server's process as the driver read it when it connected.
        local: Whether the setting ends with the transaction, and not with the session.

    Raises:
        UnknownTenant: There is no such schema.
        TenantError: The database's user may not use the schema.
        ConfigurationError: The setting could not be relied upon, behind a proxy.
    """
    row = yield _SWITCH, {"path": path, "local": local, "schema": tenant.tenant_schema, "pid": pid}
    if row is None:
        raise UnknownTenant(
            f"the schema {tenant.tenant_schema!r} of the tenant {tenant.tenant_id!r} is not in the database"
        )
    *before, has_temporary, is_kept, switched_to = row
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
    if has_temporary:
        yield from drop_temporary()
    return Settings(*before)


def restore_path(path: str) -> Flow[tuple[Settings, str]]:
    """Set the search path to ``path`` for the session, and drop temporary tables.

    Returns:
        The settings as they were found, and the search path as it is now.
    """
    *found, has_temporary, restored = yield _RESTORE, {"path": path}
    if has_temporary:
        yield from drop_temporary()
    return Settings(*found), restored


def show_settings() -> Flow[Settings]:
    """Drop temporary tables, and return the settings."""
    *found, has_temporary = yield _SHOW, {}
    if has_temporary:
        yield from drop_temporary()
    return Settings(*found)


def read_path() -> Flow[str]:
    """Return the search path."""
    path: str
    (path,) = yield _READ, {}
    return path


def drop_temporary() -> Flow[None]:
    """Drop the connection's temporary tables."""
    yield _DROP_TEMPORARY, {}
