"""Connections of SQLAlchemy's asyncio, over asyncpg or psycopg, for lending."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager
from typing import Any, NoReturn, TypeVar

from sqlalchemy import Connection, Pool, event, text
from sqlalchemy.dialects import postgresql
from sqlalchemy.exc import ResourceClosedError, SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncSession

from asyncjobs import TenantContext
from asyncjobs.errors import ConfigurationError, TenantError
from asyncjobs.tenancy.lending.search_path import Flow

__all__ = ["SqlAlchemyConnection", "roll_back"]

T = TypeVar("T")

# That of a driver with % in its placeholders would double each % of a name, for statements; ours are parameters.
_quote = postgresql.dialect(paramstyle="named").identifier_preparer.quote_identifier  # type: ignore[no-untyped-call]

# The keys of what is kept with a driver's connection.
_LENT_TO = "asyncjobs_tenant"
_MAY_HOLD_TEMPORARY = "asyncjobs_may_hold_temporary"


class SqlAlchemyConnection:
    """A connection of SQLAlchemy, which goes on with another one of its driver after a loss."""

    error = SQLAlchemyError

    def __init__(self, lent: AsyncConnection) -> None:
        # There is one from the start of the connection on, and it stays the same.
        assert lent.sync_connection is not None
        self._lent = lent
        self._sync = lent.sync_connection

    # `info` is kept with the driver's connection: another one, made after a loss, has nothing of it.

    @property
    def lent_to(self) -> TenantContext | None:
        found: TenantContext | None = self._sync.info.get(_LENT_TO)
        return found

    @lent_to.setter
    def lent_to(self, tenant: TenantContext | None) -> None:
        # Not the engine's events: its pool is also that of each engine that its execution_options() returns.
        _watch(self._sync.engine.pool)
        self._sync.info[_LENT_TO] = tenant

    @property
    def may_hold_temporary(self) -> bool:
        return bool(self._sync.info.get(_MAY_HOLD_TEMPORARY))

    @may_hold_temporary.setter
    def may_hold_temporary(self, value: bool) -> None:
        self._sync.info[_MAY_HOLD_TEMPORARY] = value

    @property
    def pid(self) -> int:
        driver = self._driver
        pid: int = driver.get_server_pid() if hasattr(driver, "get_server_pid") else driver.info.backend_pid
        return pid

    @property
    def is_open(self) -> bool:
        return not (self._sync.closed or self._sync.invalidated)

    @property
    def is_idle(self) -> bool:
        # Cancelled while it closed a broken one, SQLAlchemy has none left, and doesn't say so by `invalidated`.
        return self.is_open and not self._sync.in_transaction() and self._sync.connection.is_valid

    @property
    def reported_path(self) -> str | None:
        found: str | None = None
        driver, driver_name = self._driver, self._sync.dialect.driver
        if driver_name == "asyncpg" and not driver.is_closed():
            found = getattr(driver.get_settings(), "search_path", None)
        elif driver_name.startswith("psycopg") and not driver.closed:
            found = driver.info.parameter_status("search_path")
        return found

    @property
    def _driver(self) -> Any:
        """The connection of asyncpg or psycopg."""
        return self._sync.connection.driver_connection

    def quote(self, name: str) -> str:
        return _quote(name)

    def transactions(self, begin: Callable[[], Flow[None]]) -> AbstractAsyncContextManager[None]:
        def switch(begun: Connection) -> None:
            if getattr(begun.connection.dbapi_connection, "autocommit", False):
                raise ConfigurationError(
                    "the engine commits each statement by itself (AUTOCOMMIT), so a schema can't be set for a "
                    "transaction; use mode='session', or another isolation level"
                )
            # The driver begins with the first statement, so this is the first of the transaction.
            _run(begun, begin())

        return self._block(switch)

    def session(self, check: Callable[[], None]) -> AbstractAsyncContextManager[None]:
        return self._block(lambda begun: check())

    @contextlib.asynccontextmanager
    async def _block(self, prepare: Callable[[Connection], None]) -> AsyncIterator[None]:
        try:
            with _at_each_begin(self._sync, prepare):
                yield
                if self._sync.closed:
                    # SQLAlchemy would have nothing to commit, and say nothing.
                    raise ResourceClosedError("the connection is closed: what was written is lost")
                await self._lent.commit()
        except BaseException:
            await roll_back(self._lent)
            raise

    async def run_before(self, flow: Flow[T]) -> T:
        # Not as `run_after` does, which leaves the connection in another isolation level until it goes back.
        result = await self._lent.run_sync(_run, flow)
        await self._lent.commit()
        return result

    async def run_after(self, flow: Flow[T]) -> T:
        # The pool takes this back when the connection returns.
        await self._lent.execution_options(isolation_level="AUTOCOMMIT")
        return await self._lent.run_sync(_run, flow)

    async def close(self) -> None:
        await self._lent.invalidate()


def _run(lent: Connection, flow: Flow[T]) -> T:
    row = None
    while True:
        try:
            statement, parameters = flow.send(row)
        except StopIteration as end:
            result: T = end.value
            return result
        answer = lent.execute(_text(statement), parameters)
        row = answer.one_or_none() if answer.returns_rows else None


# Once for each statement, since SQLAlchemy parses it.
_text = functools.cache(text)


@contextlib.contextmanager
def _at_each_begin(lent: Connection, prepare: Callable[[Connection], None]) -> Iterator[None]:
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
        event.listen(lent, name, listener)
    try:
        yield
    finally:
        for name, listener in begins.items():
            event.remove(lent, name, listener)


def _refuse_twophase(begun: Connection, xid: object) -> NoReturn:
    # Nothing can be executed before it, to set the schema with.
    raise ConfigurationError("a transaction of two phases can't be had in a tenant's schema; begin an ordinary one")


async def roll_back(lent: AsyncConnection | AsyncSession) -> None:
    """Roll back after an error, which says more than what a broken connection then raises."""
    with contextlib.suppress(SQLAlchemyError):
        await lent.rollback()


def _watch(pool: Pool) -> None:
    """Let ``pool`` take back no connection that is lent to a tenant still, as one that a handler closes itself."""
    # A pool that takes the place of a disposed one has its listeners, of which event.contains() knows nothing.
    if _refuse_lent not in pool.dispatch.reset:
        event.listen(pool, "reset", _refuse_lent)


def _refuse_lent(connection: Any, record: Any, state: Any) -> None:
    if record is not None and (tenant := record.info.pop(_LENT_TO, None)) is not None:
        # The pool closes what it can't reset.
        raise TenantError(
            f"a connection came back to the pool in the middle of what it does for the tenant {tenant.tenant_id!r}; a "
            "handler must not close the one it was lent"
        )
