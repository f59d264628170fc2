"""Connections of psycopg 3, for lending."""

from __future__ import annotations

import contextlib
import functools
import re
from collections.abc import AsyncIterator, Callable
from typing import Any, LiteralString, TypeVar
from weakref import WeakSet

from psycopg import AsyncConnection, AsyncCursor, Error, OperationalError, sql
from psycopg.pq import TransactionStatus
from psycopg.rows import tuple_row

from asyncjobs import TenantContext
from asyncjobs.tenancy.lending.search_path import Flow

__all__ = ["PsycopgConnection"]

T = TypeVar("T")

_CANCEL_WITHIN_S = 2.0

# Connections that may hold temporary tables of a tenant.
_with_temporary: WeakSet[AsyncConnection[Any]] = WeakSet()


class PsycopgConnection:
    """A connection of psycopg. Lost, or closed by a handler, it is closed for good, and no pool takes it back."""

    error = Error

    def __init__(self, lent: AsyncConnection[Any]) -> None:
        self._lent = lent
        self.lent_to: TenantContext | None = None

    @property
    def may_hold_temporary(self) -> bool:
        return self._lent in _with_temporary

    @may_hold_temporary.setter
    def may_hold_temporary(self, value: bool) -> None:
        if value:
            _with_temporary.add(self._lent)
        else:
            _with_temporary.discard(self._lent)

    @property
    def pid(self) -> int:
        return self._lent.info.backend_pid

    @property
    def is_open(self) -> bool:
        return not self._lent.closed

    @property
    def is_idle(self) -> bool:
        return not self._lent.closed and self._lent.info.transaction_status == TransactionStatus.IDLE

    def reported(self, setting: str) -> str | None:
        return self._lent.info.parameter_status(setting)

    def quote(self, name: str) -> str:
        return sql.Identifier(name).as_string(self._lent)

    @contextlib.asynccontextmanager
    async def plain(self) -> AsyncIterator[AsyncConnection[Any]]:
        # The pool commits.
        yield self._lent

    @contextlib.asynccontextmanager
    async def transactions(
        self, begin: Callable[[], Flow[None]], verify: Callable[[], Flow[None]]
    ) -> AsyncIterator[AsyncConnection[Any]]:
        # In this block the driver refuses a commit, a rollback and autocommit.
        async with self._lent.transaction():
            await self._run(begin())
            yield self._lent
            if self._lent.closed:
                # The driver would leave the block in silence, as if it had committed.
                raise OperationalError("the connection is closed: what was written is lost")
            await self._run(verify())

    @contextlib.asynccontextmanager
    async def session(
        self, check: Callable[[], Flow[None]], verify: Callable[[], Flow[None]]
    ) -> AsyncIterator[AsyncConnection[Any]]:
        autocommit = self._lent.autocommit
        try:
            yield self._lent
            if self._lent.info.transaction_status == TransactionStatus.INTRANS:
                await self._run(verify())
            await self._lent.commit()
        finally:
            if not self.is_idle:
                # What the block raised says more than what a broken connection does.
                with contextlib.suppress(Error):
                    await self._lent.rollback()
            if self.is_idle:
                # The handler may have set it.
                await self._lent.set_autocommit(autocommit)

    async def run_before(self, flow: Flow[T]) -> T:
        autocommit = self._lent.autocommit
        await self._lent.set_autocommit(True)
        try:
            return await self._run(flow)
        finally:
            if self.is_idle:
                await self._lent.set_autocommit(autocommit)

    run_after = run_before

    async def _run(self, flow: Flow[T]) -> T:
        # Not a cursor of the connection's own kind, which may write parameters in another way.
        cursor = AsyncCursor(self._lent, row_factory=tuple_row)
        row = None
        while True:
            try:
                statement, parameters = flow.send(row)
            except StopIteration as end:
                result: T = end.value
                return result
            await cursor.execute(_placeholders(statement), parameters or None)
            # `None` where there are no rows to fetch. `description` would say so too, but is built anew each time.
            row = None if cursor.rownumber is None else await cursor.fetchone()

    async def close(self) -> None:
        try:
            if self._lent.info.transaction_status == TransactionStatus.ACTIVE:
                # Cancelled twice, the driver no longer waits for the statement; the server would go on with it.
                with contextlib.suppress(Error):
                    await self._lent.cancel_safe(timeout=_CANCEL_WITHIN_S)
        finally:
            # Without waiting, so that no cancellation comes between; the pool opens another.
            self._lent.pgconn.finish()


@functools.cache
def _placeholders(statement: LiteralString) -> bytes:
    """Return ``statement`` with its ``:name`` as psycopg writes them."""
    return re.sub(r":(\w+)", r"%(\1)s", statement).encode()
