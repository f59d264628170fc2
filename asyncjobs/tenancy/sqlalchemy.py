"""Connections and sessions of SQLAlchemy's asyncio in the tenant's schema: ``pip install asyncjobs[sqlalchemy]``.

With asyncpg or psycopg as the driver, on PostgreSQL.
"""

from __future__ import annotations

import contextlib
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator, Sequence
from typing import Any, NoReturn

from sqlalchemy import Connection, TextClause, event, text
from sqlalchemy.dialects import postgresql
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, AsyncSession

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

__all__ = ["SqlTenants", "connect", "connection", "open_session", "session"]

# That of a driver with % in its placeholders would double each % of a name, for statements; ours are parameters.
_quote = postgresql.dialect(paramstyle="named").identifier_preparer.quote_identifier  # type: ignore[no-untyped-call]

_SWITCH = text(SWITCH)
_RESTORE = text(RESTORE)
_SHOW = text(SHOW)
_DROP_TEMPORARY = text(DROP_TEMPORARY)

# What a driver's connection is marked with from before the switch until it has been verified to be as before.
_LENT_TO = "asyncjobs_tenant"

# The mark of one that came back from a tenant without having been asked for temporary tables.
_UNASKED = "asyncjobs_unasked"


def connection(
    source: AsyncEngine | Callable[..., Any],
    *,
    mode: Mode = "transaction",
    shared: Sequence[str] = (),
    required: bool = False,
) -> Callable[..., AsyncGenerator[AsyncConnection, None]]:
    """Return a provider of ``connect`` for handlers: ``db: AsyncConnection = Inject(connection(engine))``.

    ``source``: an engine, or the provider of one, best ``@resource(scope="worker")``. The others are those of
    ``connect``.
    """
    provider = (lambda: source) if isinstance(source, AsyncEngine) else source
    checked_mode(mode)
    checked_shared(shared)

    async def tenant_connection(engine: Any = Inject(provider)) -> AsyncGenerator[AsyncConnection, None]:
        async with connect(engine, mode=mode, shared=shared, required=required) as found:
            yield found

    return tenant_connection


def session(
    source: AsyncEngine | Callable[..., Any],
    *,
    mode: Mode = "transaction",
    shared: Sequence[str] = (),
    required: bool = False,
) -> Callable[..., AsyncGenerator[AsyncSession, None]]:
    """Return a provider of ``open_session`` for handlers; arguments as of ``connection``."""
    provider = (lambda: source) if isinstance(source, AsyncEngine) else source
    checked_mode(mode)
    checked_shared(shared)

    async def tenant_session(engine: Any = Inject(provider)) -> AsyncGenerator[AsyncSession, None]:
        async with open_session(engine, mode=mode, shared=shared, required=required) as found:
            yield found

    return tenant_session


@contextlib.asynccontextmanager
async def connect(
    engine: AsyncEngine, *, mode: Mode = "transaction", shared: Sequence[str] = (), required: bool = False
) -> AsyncIterator[AsyncConnection]:
    """Lend a connection in the schema of ``current_tenant()``; without a tenant, one as the pool has it.

    ``mode="transaction"``: each transaction of the block sets the schema for itself (``SET LOCAL``), which is safe
    behind a proxy that pools transactions. ``mode="session"``: the schema is set for as long as the connection is lent;
    refused behind a proxy. In both, what the block leaves uncommitted is committed at its end, or rolled back if it
    raises.

    ``shared``: schemas behind the tenant's, of extensions for instance; ``public`` is in the path only if named here.
    ``required``: raise ``TenantError`` without a tenant. Before the connection goes back its search path is as it was
    before, and verified; where that can't be told, it is closed. Raises ``UnknownTenant`` if the schema is not there.
    """
    checked_mode(mode)
    tenant = wanted(required)
    shared = checked_shared(shared)
    async with engine.connect() as lent:
        if tenant is None:
            if _info(lent).pop(_UNASKED, False):
                # Not by `_ask_path`, which leaves the connection in another isolation level until it goes back.
                await lent.execute(_DROP_TEMPORARY)
                await lent.commit()
            yield lent
            if lent.in_transaction():
                await lent.commit()
            return
        path = path_of(tenant, shared, _quote)
        _watch_pool(engine)
        within = _in_transactions if mode == "transaction" else _in_session
        async with within(lent, tenant, path):
            yield lent


@contextlib.asynccontextmanager
async def open_session(
    engine: AsyncEngine, *, mode: Mode = "transaction", shared: Sequence[str] = (), required: bool = False
) -> AsyncIterator[AsyncSession]:
    """Lend a session over a connection of ``connect``, which it keeps to its end; arguments and errors as there.

    Its objects stay usable after a commit (``expire_on_commit=False``).
    """
    async with (
        connect(engine, mode=mode, shared=shared, required=required) as lent,
        AsyncSession(lent, expire_on_commit=False) as found,
    ):
        try:
            yield found
            await found.commit()
        except BaseException:
            await _roll_back(found)
            raise


@contextlib.asynccontextmanager
async def _in_transactions(lent: AsyncConnection, tenant: TenantContext, path: str) -> AsyncIterator[None]:
    before: str | None = None
    is_told = False

    def switch(begun: Connection) -> None:
        nonlocal before, is_told
        # The driver begins with the first statement, so this is the first of the transaction.
        path_before = _switch(begun, tenant, path, local=True)
        # A later one may find what a SET of the handler's own has left.
        before = path_before if before is None else before
        begun.info[_LENT_TO] = tenant
        is_told = _told_path(begun) == path

    is_clean = False
    try:
        try:
            with _at_each_begin(lent, switch):
                yield
                if lent.in_transaction():
                    await lent.commit()
        except BaseException:
            await _roll_back(lent)
            raise
        finally:
            # The end of a transaction has undone a SET LOCAL, but not a SET of the handler's own.
            if _is_idle(lent):
                if is_told and _told_path(lent.sync_connection) == before:
                    is_clean = True
                    _info(lent)[_UNASKED] = True
                else:
                    is_clean = before is None or await _ask_path(lent, _SHOW, {}) == before
    finally:
        await _close_unless(is_clean, lent, tenant)


@contextlib.asynccontextmanager
async def _in_session(lent: AsyncConnection, tenant: TenantContext, path: str) -> AsyncIterator[None]:
    def stay(begun: Connection) -> None:
        # After a lost connection SQLAlchemy goes on with another one, which nobody has switched.
        if _LENT_TO not in begun.info:
            raise TenantError(
                f"the connection in the schema {tenant.tenant_schema!r} of the tenant {tenant.tenant_id!r} was lost; "
                "let the error out, so that the job is tried again"
            )

    is_clean = False
    _info(lent)[_LENT_TO] = tenant
    try:
        try:
            before = await lent.run_sync(_switch, tenant, path, local=False)
        except (ConfigurationError, TenantError):
            is_clean = True
            raise
        # Or the switch would be taken back with the first transaction that is rolled back.
        await lent.commit()
        try:
            with _at_each_begin(lent, stay):
                yield
                await lent.commit()
        except BaseException:
            await _roll_back(lent)
            raise
        finally:
            if _is_idle(lent):
                is_clean = await _ask_path(lent, _RESTORE, {"path": before}) == before
    finally:
        await _close_unless(is_clean, lent, tenant)


@contextlib.contextmanager
def _at_each_begin(lent: AsyncConnection, prepare: Callable[[Connection], None]) -> Iterator[None]:
    """Call ``prepare`` at the begin of each transaction of the block; if it raises, close the connection."""

    def begin(begun: Connection) -> None:
        try:
            prepare(begun)
        except BaseException:
            # SQLAlchemy takes it for begun all the same, and would run the next statement without asking again.
            begun.close()
            raise

    begins: dict[str, Callable[..., None]] = {"begin": begin, "begin_twophase": _refuse_twophase}
    for name, listener in begins.items():
        event.listen(lent.sync_connection, name, listener)
    try:
        yield
    finally:
        for name, listener in begins.items():
            event.remove(lent.sync_connection, name, listener)


def _refuse_twophase(begun: Connection, xid: object) -> NoReturn:
    # Nothing can be executed before it, to set the schema with.
    raise ConfigurationError("a transaction of two phases can't be had in a tenant's schema; begin an ordinary one")


def _switch(lent: Connection, tenant: TenantContext, path: str, *, local: bool) -> str:
    if local and getattr(lent.connection.dbapi_connection, "autocommit", False):
        raise ConfigurationError(
            "the engine commits each statement by itself (AUTOCOMMIT), so a schema can't be set for a transaction; use "
            "mode='session', or another isolation level"
        )
    parameters = {"path": path, "local": local, "schema": tenant.tenant_schema, "pid": _pid(lent)}
    row = lent.execute(_SWITCH, parameters).one_or_none()
    switched = Switched.of(row, tenant)
    if switched.has_temporary:
        lent.execute(_DROP_TEMPORARY)
    return switched.before


def _pid(lent: Connection) -> int:
    """Return the number of the server's process as asyncpg or psycopg was told it when it connected."""
    driver: Any = lent.connection.driver_connection
    pid: int = driver.get_server_pid() if hasattr(driver, "get_server_pid") else driver.info.backend_pid
    return pid


async def _ask_path(lent: AsyncConnection, statement: TextClause, parameters: dict[str, Any]) -> str | None:
    """Run what returns the search path, outside a transaction; drop temporary tables. ``None`` where that fails."""
    try:
        # The pool takes this back when the connection returns.
        await lent.execution_options(isolation_level="AUTOCOMMIT")
        found: str
        found, has_temporary = (await lent.execute(statement, parameters)).one()
        if has_temporary:
            await lent.execute(_DROP_TEMPORARY)
    except SQLAlchemyError:
        return None
    _info(lent).pop(_UNASKED, None)
    return found


def _told_path(lent: Connection | None) -> str | None:
    """Return the search path as the server told it last: PostgreSQL 18 does so with each change, before it is ready.

    ``None`` from older servers, from drivers that don't keep it, and where the connection is gone. Whether a proxy
    passes it on shows after the switch, which is such a change.
    """
    if lent is None or lent.closed or lent.invalidated:
        return None
    driver: Any = lent.connection.driver_connection
    found: str | None = None
    if lent.dialect.driver == "asyncpg" and not driver.is_closed():
        found = getattr(driver.get_settings(), "search_path", None)
    elif lent.dialect.driver.startswith("psycopg") and not driver.closed:
        found = driver.info.parameter_status("search_path")
    return found


def _is_idle(lent: AsyncConnection) -> bool:
    if lent.closed or lent.invalidated or lent.in_transaction() or lent.sync_connection is None:
        return False
    # Cancelled while it closed a broken one, SQLAlchemy has none left, and doesn't say so by `invalidated`.
    return lent.sync_connection.connection.is_valid


async def _roll_back(lent: AsyncConnection | AsyncSession) -> None:
    # What the block raised says more than what a broken connection does.
    with contextlib.suppress(SQLAlchemyError):
        await lent.rollback()


async def _close_unless(is_clean: bool, lent: AsyncConnection, tenant: TenantContext) -> None:
    if lent.closed or lent.invalidated:
        return
    if is_clean:
        _info(lent).pop(_LENT_TO, None)
    else:
        tell_doubt(tenant, "its search path could not be verified, or is not as it was before")
        await lent.invalidate()


def _info(lent: AsyncConnection) -> dict[Any, Any]:
    """Return what is remembered with the driver's connection; another one, made after a loss, knows nothing of it."""
    return {} if lent.sync_connection is None else lent.sync_connection.info


def _watch_pool(engine: AsyncEngine) -> None:
    """Let the pool take back no connection that is lent to a tenant still, as one that a handler closes itself."""
    # Not the engine's: its pool is also that of each engine that its execution_options() returns. A pool that takes
    # the place of a disposed one has its listeners, of which event.contains() knows nothing.
    pool = engine.sync_engine.pool
    if _refuse_lent not in pool.dispatch.reset:
        event.listen(pool, "reset", _refuse_lent)


def _refuse_lent(connection: Any, record: Any, state: Any) -> None:
    if record is not None and (tenant := record.info.pop(_LENT_TO, None)) is not None:
        # The pool closes what it can't reset.
        raise TenantError(
            f"a connection came back to the pool in the middle of what it does for the tenant {tenant.tenant_id!r}; a "
            "handler must not close the one it was lent"
        )


class SqlTenants:
    """Finds tenants by a ``query`` of yours, with the id as ``:tenant_id``.

    It returns a column ``schema`` and may return ``slug``, and ``suspended`` (true for those for which nothing may be
    done now). Put ``CachedTenants`` in front of it. Raises ``ConfigurationError`` for a query without the id.
    """

    def __init__(self, engine: AsyncEngine, query: str) -> None:
        if ":tenant_id" not in query:
            raise ConfigurationError(f"the query for tenants has no :tenant_id for the id: {query:.200}")
        self._engine = engine
        self._query = text(query)

    async def resolve(self, tenant_id: str) -> TenantContext:
        """Return the tenant; raise ``UnknownTenant``, ``TenantSuspended``, or what the driver raises."""
        async with self._engine.connect() as lent:
            found = await lent.execute(self._query, {"tenant_id": tenant_id})
            return tenant_of_row(tenant_id, [row._asdict() for row in found])
