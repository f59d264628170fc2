"""Connections of psycopg 3 in the tenant's schema: ``pip install asyncjobs[psycopg]``."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from typing import Any, LiteralString
from weakref import WeakSet

from psycopg import AsyncConnection, AsyncCursor, Error, OperationalError, sql
from psycopg.pq import TransactionStatus
from psycopg.rows import dict_row, tuple_row
from psycopg_pool import AsyncConnectionPool

from asyncjobs.core.tenancy import TenantContext
from asyncjobs.errors import ConfigurationError, TenantError
from asyncjobs.jobs.resources import Inject
from asyncjobs.tenancy.resolver import tenant_of_row
from asyncjobs.tenancy.schemas import (
    DROP_TEMPORARY,
    RESTORE,
    SHOW,
    SWITCH,
    Mode,
    Switched,
    checked_mode,
    checked_shared,
    path_of,
    tell_doubt,
    wanted,
)

__all__ = ["SqlTenants", "connect", "connection"]

Connection = AsyncConnection[Any]
Pool = AsyncConnectionPool[Any]

_CANCEL_WITHIN_S = 2.0

_SWITCH = (
    SWITCH.replace(":path", "%(path)s")
    .replace(":local", "%(local)s")
    .replace(":schema", "%(schema)s")
    .replace(":pid", "%(pid)s")
)
_RESTORE = RESTORE.replace(":path", "%(path)s")

# Connections that came back from a tenant without having been asked for temporary tables.
_unasked: WeakSet[Connection] = WeakSet()


def connection(
    source: Pool | Callable[..., Any],
    *,
    mode: Mode = "transaction",
    shared: Sequence[str] = (),
    required: bool = False,
) -> Callable[..., AsyncGenerator[Connection, None]]:
    """Return a provider of ``connect`` for handlers: ``db: AsyncConnection = Inject(connection(pool))``.

    ``source``: a pool that is open, or the provider of one, best ``@resource(scope="worker")``. The others are those of
    ``connect``.
    """
    provider = (lambda: source) if isinstance(source, AsyncConnectionPool) else source
    checked_mode(mode)
    checked_shared(shared)

    async def tenant_connection(pool: Any = Inject(provider)) -> AsyncGenerator[Connection, None]:
        async with connect(pool, mode=mode, shared=shared, required=required) as found:
            yield found

    return tenant_connection


@contextlib.asynccontextmanager
async def connect(
    pool: Pool, *, mode: Mode = "transaction", shared: Sequence[str] = (), required: bool = False
) -> AsyncIterator[Connection]:
    """Lend a connection in the schema of ``current_tenant()``; without a tenant, one as the pool has it.

    ``mode="transaction"``: the block is one transaction, and the schema is set within it (``SET LOCAL``), which is safe
    behind a proxy that pools transactions. ``mode="session"``: the schema is set for as long as the connection is lent,
    and the block may have as many transactions as it likes; refused behind a proxy. In both, what the block leaves
    uncommitted is committed at its end, or rolled back if it raises.

    ``shared``: schemas behind the tenant's, of extensions for instance; ``public`` is in the path only if named here.
    ``required``: raise ``TenantError`` without a tenant. Before the connection goes back its search path is as it was
    before, and verified; where that can't be told, it is closed. Raises ``UnknownTenant`` if the schema is not there.
    """
    checked_mode(mode)
    tenant = wanted(required)
    shared = checked_shared(shared)
    async with pool.connection() as lent:
        if tenant is None:
            if lent in _unasked:
                await _ask_path(lent, SHOW, {})
            yield lent
            return
        if not _is_idle(lent):
            # A check of the pool's has begun a transaction. A block inside that would not be committed at its end.
            await lent.rollback()
        path = path_of(tenant, shared, lambda name: sql.Identifier(name).as_string(lent))
        within = _in_transaction if mode == "transaction" else _in_session
        async with within(lent, tenant, path):
            yield lent


@contextlib.asynccontextmanager
async def _in_transaction(lent: Connection, tenant: TenantContext, path: str) -> AsyncIterator[None]:
    before: str | None = None
    is_told = is_clean = False
    try:
        try:
            async with lent.transaction():
                before = await _switch(lent, tenant, path, local=True)
                is_told = _told_path(lent) == path
                yield
                if lent.closed:
                    # The driver would leave the block in silence, as if it had committed.
                    raise OperationalError("the connection is closed: what was written is lost")
        finally:
            # The end of the transaction has undone a SET LOCAL, but not a SET of the handler's own.
            if _is_idle(lent):
                if is_told and _told_path(lent) == before:
                    is_clean = True
                    _unasked.add(lent)
                else:
                    is_clean = before is None or await _ask_path(lent, SHOW, {}) == before
    finally:
        await _close_unless(is_clean, lent, tenant)


@contextlib.asynccontextmanager
async def _in_session(lent: Connection, tenant: TenantContext, path: str) -> AsyncIterator[None]:
    autocommit = lent.autocommit
    is_clean = False
    try:
        # Outside a transaction, which would take the switch back when it is rolled back.
        await lent.set_autocommit(True)
        try:
            before = await _switch(lent, tenant, path, local=False)
        except (ConfigurationError, TenantError):
            is_clean = True
            raise
        finally:
            if not lent.closed:
                await lent.set_autocommit(autocommit)
        try:
            yield
            await lent.commit()
        finally:
            if not lent.closed and not _is_idle(lent):
                # What the block raised says more than what a broken connection does.
                with contextlib.suppress(Error):
                    await lent.rollback()
            if _is_idle(lent):
                await lent.set_autocommit(autocommit)
                is_clean = await _ask_path(lent, _RESTORE, {"path": before}) == before
    finally:
        await _close_unless(is_clean, lent, tenant)


async def _switch(lent: Connection, tenant: TenantContext, path: str, *, local: bool) -> str:
    parameters = {"path": path, "local": local, "schema": tenant.tenant_schema, "pid": lent.info.backend_pid}
    cursor = _cursor(lent)
    await cursor.execute(_SWITCH, parameters)
    switched = Switched.of(await cursor.fetchone(), tenant)
    if switched.has_temporary:
        await cursor.execute(DROP_TEMPORARY)
    return switched.before


async def _ask_path(lent: Connection, statement: LiteralString, parameters: dict[str, Any]) -> str | None:
    """Run what returns the search path, outside a transaction; drop temporary tables. ``None`` where that fails."""
    autocommit = lent.autocommit
    try:
        await lent.set_autocommit(True)
        cursor = _cursor(lent)
        await cursor.execute(statement, parameters)
        found: str
        [(found, has_temporary)] = await cursor.fetchall()
        if has_temporary:
            await cursor.execute(DROP_TEMPORARY)
        await lent.set_autocommit(autocommit)
    except Error:
        return None
    _unasked.discard(lent)
    return found


def _told_path(lent: Connection) -> str | None:
    """Return the search path as the server told it last: PostgreSQL 18 does so with each change, before it is ready.

    ``None`` from older servers. Whether a proxy passes it on shows after the switch, which is such a change.
    """
    return lent.info.parameter_status("search_path")


def _cursor(lent: Connection) -> AsyncCursor[tuple[Any, ...]]:
    # Not one of the connection's own kind, which may write parameters in another way.
    return AsyncCursor(lent, row_factory=tuple_row)


def _is_idle(lent: Connection) -> bool:
    return not lent.closed and lent.info.transaction_status == TransactionStatus.IDLE


async def _close_unless(is_clean: bool, lent: Connection, tenant: TenantContext) -> None:
    if is_clean or lent.closed:
        return
    tell_doubt(tenant, "its search path could not be verified, or is not as it was before")
    try:
        if lent.info.transaction_status == TransactionStatus.ACTIVE:
            # Cancelled twice, the driver no longer waits for the statement; the server would go on with it.
            with contextlib.suppress(Error):
                await lent.cancel_safe(timeout=_CANCEL_WITHIN_S)
    finally:
        # Without waiting, so that no cancellation comes between; the pool opens another.
        lent.pgconn.finish()


class SqlTenants:
    """Finds tenants by a ``query`` of yours, with the id as ``%s`` or ``%(tenant_id)s``.

    It returns a column ``schema`` and may return ``slug``, and ``suspended`` (true for those for which nothing may be
    done now). ``source``: a pool that is open, or how to connect (``postgresql://…``), where each question makes a
    connection of its own. Put ``CachedTenants`` in front of it. Raises ``ConfigurationError`` for a query without the
    id.
    """

    def __init__(self, source: Pool | str, query: LiteralString) -> None:
        if "%(tenant_id)s" not in query and "%s" not in query:
            raise ConfigurationError(f"the query for tenants has no %s for the id: {query:.200}")
        self._source = source
        self._query = query

    async def resolve(self, tenant_id: str) -> TenantContext:
        """Return the tenant; raise ``UnknownTenant``, ``TenantSuspended``, or what the driver raises."""
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
