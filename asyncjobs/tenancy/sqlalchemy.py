"""Connections and sessions of SQLAlchemy's asyncio in the tenant's schema: ``pip install asyncjobs-redis[sqlalchemy]``.

With asyncpg or psycopg as the driver, on PostgreSQL.
"""

from __future__ import annotations

import contextlib
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from typing import Any

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, AsyncSession

from asyncjobs import TenantContext
from asyncjobs.errors import ConfigurationError
from asyncjobs.tenancy.checks import tenant_of_row
from asyncjobs.tenancy.lending.block import in_schema
from asyncjobs.tenancy.lending.sqlalchemy import SqlAlchemyConnection
from asyncjobs.tenancy.providers import provider_of
from asyncjobs.tenancy.schemas import Mode, wanted_schema

__all__ = ["SqlTenants", "connect", "connection", "open_session", "session"]


def connection(
    source: AsyncEngine | Callable[..., Any],
    *,
    mode: Mode = "transaction",
    shared: Sequence[str] = (),
    required: bool = False,
) -> Callable[..., AsyncGenerator[AsyncConnection, None]]:
    """Return a provider of ``connect`` for handlers.

    Args:
        source: An engine, or the provider of one, best ``@resource(scope="worker")``.
        mode: As ``connect`` takes it.
        shared: As ``connect`` takes it.
        required: As ``connect`` takes it.

    Raises:
        ConfigurationError: An option is wrong.

    Example:
        ```python
        @app.job
        async def write_invoice(customer: str, db: AsyncConnection = Inject(connection(engine))) -> None:
            await db.execute(insert(invoices).values(customer=customer))
        ```
    """
    return provider_of(connect, source, AsyncEngine, mode, shared, required)


def session(
    source: AsyncEngine | Callable[..., Any],
    *,
    mode: Mode = "transaction",
    shared: Sequence[str] = (),
    required: bool = False,
) -> Callable[..., AsyncGenerator[AsyncSession, None]]:
    """Return a provider of ``open_session`` for handlers.

    Args:
        source: An engine, or the provider of one, best ``@resource(scope="worker")``.
        mode: As ``connect`` takes it.
        shared: As ``connect`` takes it.
        required: As ``connect`` takes it.

    Raises:
        ConfigurationError: An option is wrong.

    Example:
        ```python
        @app.job
        async def write_invoice(customer: str, db: AsyncSession = Inject(session(engine))) -> None:
            db.add(Invoice(customer=customer))
        ```
    """
    return provider_of(open_session, source, AsyncEngine, mode, shared, required)


@contextlib.asynccontextmanager
async def connect(
    engine: AsyncEngine, *, mode: Mode = "transaction", shared: Sequence[str] = (), required: bool = False
) -> AsyncIterator[AsyncConnection]:
    """Lend a connection in the schema of ``current_tenant()``; without a tenant, one as the pool has it.

    What the block leaves uncommitted is committed at its end, or rolled back if it raises. Before the connection goes
    back its search path is as it was before, and verified; where that can't be verified, the connection is closed.

    Args:
        engine: An engine for PostgreSQL, with asyncpg or psycopg.
        mode: ``transaction``: each transaction of the block sets the schema for itself (``SET LOCAL``), which is safe
            behind a proxy that pools transactions. ``session``: the schema is set for as long as the connection is
            lent; refused behind a proxy.
        shared: Schemas behind the tenant's, of extensions for instance; none by default. ``public`` is in the path only
            if named here.
        required: Raise ``TenantError`` without a tenant.

    Yields:
        The connection.

    Raises:
        UnknownTenant: The tenant's schema is not there.
        TenantError: The tenant isn't resolved, its schema may not be used, there is no tenant and one is required, or
            the block has left the schema, by another search path for instance.
        ConfigurationError: An option is wrong, or session mode is asked for behind a proxy.

    Example:
        ```python
        async with connect(engine) as db:
            await db.execute(insert(invoices).values(customer="Ada"))
        ```
    """
    wanted = wanted_schema(mode, shared, required)
    async with engine.connect() as found, in_schema(SqlAlchemyConnection(found, lambda lent: lent), wanted) as given:
        yield given


@contextlib.asynccontextmanager
async def open_session(
    engine: AsyncEngine, *, mode: Mode = "transaction", shared: Sequence[str] = (), required: bool = False
) -> AsyncIterator[AsyncSession]:
    """Lend a session over a connection of ``connect``, which it keeps to its end.

    Its objects stay usable after a commit (``expire_on_commit=False``).

    Args:
        engine: As ``connect`` takes it.
        mode: As ``connect`` takes it.
        shared: As ``connect`` takes it.
        required: As ``connect`` takes it.

    Yields:
        The session.

    Raises:
        UnknownTenant: As ``connect`` raises it.
        TenantError: As ``connect`` raises it.
        ConfigurationError: As ``connect`` raises it.

    Example:
        ```python
        async with open_session(engine) as db:
            db.add(Invoice(customer="Ada"))
        ```
    """
    wanted = wanted_schema(mode, shared, required)
    async with engine.connect() as found, in_schema(SqlAlchemyConnection(found, _session_over), wanted) as given:
        yield given


def _session_over(lent: AsyncConnection) -> AsyncSession:
    return AsyncSession(lent, expire_on_commit=False)


class SqlTenants:
    """Finds tenants by a query of yours; put ``CachedTenants`` in front of it.

    The query returns a column ``schema`` and may return ``slug``, and ``suspended`` (true for tenants for which nothing
    may be done now).

    Args:
        engine: The engine to ask.
        query: A SELECT with the id as ``:tenant_id``.

    Raises:
        ConfigurationError: The query has no place for the id.
    """

    def __init__(self, engine: AsyncEngine, query: str) -> None:
        if ":tenant_id" not in query:
            raise ConfigurationError(f"the query for tenants has no :tenant_id for the id: {query:.200}")
        self._engine = engine
        self._query = text(query)

    async def resolve(self, tenant_id: str) -> TenantContext:
        """Return the tenant of this id.

        Raises:
            UnknownTenant: The query finds no row.
            TenantSuspended: The row says so.
            TenantError: Its schema can't be a tenant's.
            ConfigurationError: The query returns several rows, or no column ``schema``.
            sqlalchemy.exc.SQLAlchemyError: The query fails.
        """
        async with self._engine.connect() as lent:
            found = await lent.execute(self._query, {"tenant_id": tenant_id})
            return tenant_of_row(tenant_id, [row._asdict() for row in found])
