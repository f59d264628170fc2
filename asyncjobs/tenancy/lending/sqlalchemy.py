"""Connections of SQLAlchemy's asyncio, over asyncpg or psycopg, for lending."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from typing import Any, Generic, TypeVar

from sqlalchemy import Connection, Pool, event, text
from sqlalchemy.dialects import postgresql
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, AsyncSession
from sqlalchemy.util import greenlet_spawn

from asyncjobs import TenantContext
from asyncjobs.errors import TenantError
from asyncjobs.tenancy.lending.guard import Guard, is_in_transaction
from asyncjobs.tenancy.lending.guarded import GuardedEngine
from asyncjobs.tenancy.lending.search_path import Flow

__all__ = ["SqlAlchemyConnection"]

T = TypeVar("T")
C = TypeVar("C", AsyncConnection, AsyncSession)

# That of a driver with % in its placeholders would double each % of a name, for statements; ours are parameters.
_quote = postgresql.dialect(paramstyle="named").identifier_preparer.quote_identifier  # type: ignore[no-untyped-call]

# The keys of what is kept with a driver's connection.
_LENT_TO = "asyncjobs_tenant"
_MAY_HOLD_TEMPORARY = "asyncjobs_may_hold_temporary"


class SqlAlchemyConnection(Generic[C]):
    """A connection of SQLAlchemy, which goes on with another one of its driver after a loss.

    Args:
        lent: The connection as the pool lends it.
        give: Makes what the handler is given, of ``lent`` or of a connection under guard.
    """

    error = SQLAlchemyError

    def __init__(self, lent: AsyncConnection, give: Callable[[AsyncConnection], C]) -> None:
        # There is one from the start of the connection on, and it stays the same.
        assert lent.sync_connection is not None
        self._lent = lent
        self._give: Callable[[AsyncConnection], C] = give
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
        return (
            self.is_open
            and not self._sync.in_transaction()
            and self._sync.connection.is_valid
            and not is_in_transaction(self._driver)
        )

    def reported(self, setting: str) -> str | None:
        found: str | None = None
        driver, driver_name = self._driver, self._sync.dialect.driver
        if driver_name == "asyncpg" and not driver.is_closed():
            found = getattr(driver.get_settings(), setting, None)
        elif driver_name.startswith("psycopg") and not driver.closed:
            found = driver.info.parameter_status(setting)
        return found

    @property
    def _driver(self) -> Any:
        """The connection of asyncpg or psycopg."""
        return self._sync.connection.driver_connection

    def quote(self, name: str) -> str:
        return _quote(name)

    @contextlib.asynccontextmanager
    async def plain(self) -> AsyncIterator[C]:
        given = self._give(self._lent)
        try:
            yield given
            await given.commit()
            if self.is_open and is_in_transaction(self._driver):
                # Begun by the driver itself, for what a handler has written past SQLAlchemy.
                await self._lent.begin()
                await self._lent.commit()
        except BaseException:
            await _roll_back(given)
            raise
        finally:
            await given.close()

    def transactions(
        self, begin: Callable[[], Flow[None]], verify: Callable[[], Flow[None]]
    ) -> AbstractAsyncContextManager[C]:
        return self._block(begin, verify, is_local=True)

    def session(
        self, check: Callable[[], Flow[None]], verify: Callable[[], Flow[None]]
    ) -> AbstractAsyncContextManager[C]:
        return self._block(check, verify, is_local=False)

    @contextlib.asynccontextmanager
    async def _block(
        self, begin: Callable[[], Flow[None]], verify: Callable[[], Flow[None]], *, is_local: bool
    ) -> AsyncIterator[C]:
        guard = Guard(self._sync, lambda own: _run(own, begin()), lambda own: _run(own, verify()), is_local)
        lent = await AsyncConnection(AsyncEngine(GuardedEngine(self._sync.engine, guard))).start()
        guard.lent = lent.sync_connection
        given = self._give(lent)
        try:
            yield given
            guard.is_ending = True
            if given is not lent:
                await given.commit()
            await greenlet_spawn(guard.commit_last)
        except BaseException:
            guard.is_ending = True
            await _roll_back(given)
            await greenlet_spawn(guard.roll_back_last)
            raise
        finally:
            guard.is_over = True
            # Breaks a circle of references, which only the garbage collector would find.
            guard.lent = None
            if given is not lent:
                await given.close()

    async def run_before(self, flow: Flow[T]) -> T:
        return await self._lent.run_sync(_run_and_commit, flow)

    async def run_after(self, flow: Flow[T]) -> T:
        return await self._lent.run_sync(_run_in_autocommit, flow)

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


def _run_and_commit(lent: Connection, flow: Flow[T]) -> T:
    # Not as the other does, which leaves the connection in another isolation level until it goes back.
    result = _run(lent, flow)
    lent.commit()
    return result


def _run_in_autocommit(lent: Connection, flow: Flow[T]) -> T:
    # The pool takes this back when the connection returns.
    lent.execution_options(isolation_level="AUTOCOMMIT")
    return _run(lent, flow)


# Once for each statement, since SQLAlchemy parses it.
_text = functools.cache(text)


async def _roll_back(lent: AsyncConnection | AsyncSession) -> None:
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
