"""Connections of psycopg 3 in the tenant's schema: ``pip install asyncjobs-redis[psycopg]``."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from typing import Any, LiteralString

from psycopg import AsyncConnection
from psycopg.rows import dict_row
from psycopg_pool import AsyncConnectionPool

from asyncjobs import TenantContext
from asyncjobs.errors import ConfigurationError
from asyncjobs.tenancy.checks import tenant_of_row
from asyncjobs.tenancy.lending.block import in_schema
from asyncjobs.tenancy.lending.psycopg import PsycopgConnection
from asyncjobs.tenancy.providers import provider_of
from asyncjobs.tenancy.schemas import Mode, wanted_schema

__all__ = ["SqlTenants", "connect", "connection"]

Connection = AsyncConnection[Any]
Pool = AsyncConnectionPool[Any]


def connection(
    source: Pool | Callable[..., Any],
    *,
    mode: Mode = "transaction",
    shared: Sequence[str] = (),
    required: bool = False,
) -> Callable[..., AsyncGenerator[Connection, None]]:
    """Return a provider of ``connect`` for handlers.

    Args:
        source: A pool that is open, or the provider of one, best ``@resource(scope="worker")``.
        mode: As ``connect`` takes it.
        shared: As ``connect`` takes it.
        required: As ``connect`` takes it.

    Raises:
        ConfigurationError: An option is wrong.

    Example:
        ```python
        @app.job
        async def write_invoice(customer: str, db: AsyncConnection = Inject(connection(pool))) -> None:
            await db.execute("INSERT INTO invoices (customer) VALUES (%s)", (customer,))
        ```
    """
    return provider_of(connect, source, AsyncConnectionPool, mode, shared, required)


@contextlib.asynccontextmanager
async def connect(
    pool: Pool, *, mode: Mode = "transaction", shared: Sequence[str] = (), required: bool = False
) -> AsyncIterator[Connection]:
    """Lend a connection in the schema of ``current_tenant()``; without a tenant, one as the pool has it.

    What the block leaves uncommitted is committed at its end, or rolled back if it raises. Before the connection goes
    back its search path is as it was before, and verified; where that can't be verified, the connection is closed.

    Args:
        pool: A pool that is open.
        mode: ``transaction``: the block is one transaction, and the schema is set within it (``SET LOCAL``), which is
            safe behind a proxy that pools transactions. ``session``: the schema is set for as long as the connection is
            lent, and the block may have as many transactions as it likes; refused behind a proxy.
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
        async with connect(pool) as db:
            await db.execute("INSERT INTO invoices (customer) VALUES (%s)", ("Ada",))
        ```
    """
    wanted = wanted_schema(mode, shared, required)
    async with pool.connection() as found:
        lent = PsycopgConnection(found)
        if not lent.is_idle and (wanted is not None or lent.may_hold_temporary):
            # A check of the pool's has begun a transaction. A block inside that would not be committed at its end.
            await found.rollback()
        async with in_schema(lent, wanted) as given:
            yield given


class SqlTenants:
    """Finds tenants by a query of yours; put ``CachedTenants`` in front of it.

    The query returns a column ``schema`` and may return ``slug``, and ``suspended`` (true for tenants for which nothing
    may be done now).

    Args:
        source: A pool that is open, or how to connect (``postgresql://…``), where each question makes a connection of
            its own.
        query: A SELECT with the id as ``%s`` or ``%(tenant_id)s``.

    Raises:
        ConfigurationError: The query has no place for the id.
    """

    def __init__(self, source: Pool | str, query: LiteralString) -> None:
        if "%(tenant_id)s" not in query and "%s" not in query:
            raise ConfigurationError(f"the query for tenants has no %s for the id: {query:.200}")
        self._source = source
        self._query = query

    async def resolve(self, tenant_id: str) -> TenantContext:
        """Return the tenant of this id.

        Raises:
            UnknownTenant: The query finds no row.
            TenantSuspended: The row says so.
            TenantError: Its schema can't be a tenant's.
            ConfigurationError: The query returns several rows, or no column ``schema``.
            psycopg.Error: The query fails.
        """
        async with self._connect() as lent:
            cursor = lent.cursor(row_factory=dict_row)
            parameters = {"tenant_id": tenant_id} if "%(tenant_id)s" in self._query else (tenant_id,)
            await cursor.execute(self._query, parameters)
            return tenant_of_row(tenant_id, await cursor.fetchall())

    @contextlib.asynccontextmanager
    async def _connect(self) -> AsyncIterator[Connection]:
        if isinstance(self._source, str):
            async with await AsyncConnection.connect(self._source, autocommit=True) as own:
                yield own
        else:
            async with self._source.connection() as lent:
                yield lent
