"""The guard over the transactions of a connection of SQLAlchemy that a handler has.

A driver commits what is written outside a transaction, or begins a transaction of its own, in the pool's schema and not
in the tenant's. So in transaction mode a transaction begins, with its switch, before a handler gets at the driver. From
then on, the next one begins as soon as the one before has ended, since the handler may have kept what it got.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import Any

from sqlalchemy import Connection
from sqlalchemy.exc import DontWrapMixin, ResourceClosedError, SQLAlchemyError
from sqlalchemy.util import await_only
from sqlalchemy.util.concurrency import in_greenlet

from asyncjobs.errors import ConfigurationError, TenantError

__all__ = ["Guard", "SchemaError", "is_in_transaction"]


class SchemaError(TenantError, DontWrapMixin):
    """A ``TenantError`` that SQLAlchemy raises as it is, also in the middle of a statement."""


class Guard:
    """Keeps a handler's connection in its schema, whichever way the handler takes to it.

    Args:
        own: The connection as the pool has lent it, which no handler sees.
        begin: Called with ``own`` when the connection is handed out, and at the begin of each later transaction.
        verify: Called with ``own`` before each commit; raises if the schema is no longer the one that was set.
        is_local: Whether ``begin`` sets the schema for a transaction, so that there must always be one.
    """

    def __init__(
        self, own: Connection, begin: Callable[[Connection], None], verify: Callable[[Connection], None], is_local: bool
    ) -> None:
        self._own = own
        self._prepare = begin
        self._verify = verify
        self._is_local = is_local
        self._is_begun = self._is_handed_out = self._is_exposed = False
        # psycopg's block of a transaction, in which the driver refuses a commit or a rollback past this guard.
        self._block: Any = None
        self.lent: Connection | None = None
        """The connection that SQLAlchemy has made for the handler of what was handed out."""
        self.is_ending = False
        """Whether no transaction is to follow the one that is open."""
        self.is_over = False
        """Whether the handler has had its time."""

    @property
    def has_transaction(self) -> bool:
        """Whether there is a transaction to commit, also one of which only the driver knows."""
        if self._is_lost():
            return False
        return self._is_begun or is_in_transaction(self._driver)

    def _is_lost(self) -> bool:
        """Return whether the driver's connection is gone, and let ``own`` know of it."""
        if not self._own.invalidated and not self._own.connection.is_valid:
            self._own.invalidate()
        return self._own.invalidated

    @property
    def _driver(self) -> Any:
        return self._own.connection.driver_connection

    def hand_out(self) -> Any:
        """Return the connection in its schema, for the handler; after a loss, another one in its schema."""
        if self.is_over:
            raise SchemaError("the connection of a tenant was lent until the end of its block; connect anew")
        if self._is_lost():
            self._own.rollback()
        elif self._is_handed_out:
            raise SchemaError(
                "the engine of a tenant's connection has this one connection, which is in use; for another one in the "
                "tenant's schema, use connect(engine) with the engine that you gave to asyncjobs"
            )
        try:
            if self._is_local and is_in_transaction(self._driver):
                # Begun by a listener of the pool; in it, what follows would not be committed as a whole.
                self._end(commit=False)
            self._begin()
        except BaseException as error:
            self._undo()
            if self._is_handed_out and isinstance(error, TenantError):
                # Asked for in the middle of a statement.
                raise SchemaError(str(error)) from error
            raise
        self._is_handed_out = True
        return self._own.connection

    def begin(self) -> None:
        """Begin a transaction if there must be one, and there is none."""
        if self.is_over or not self._is_local or self._is_begun:
            return
        self._check_open()
        try:
            if is_in_transaction(self._driver):
                raise SchemaError(
                    "a cursor of a transaction that has ended was used again, outside the tenant's schema; what it "
                    "wrote is rolled back"
                )
            self._begin()
        except BaseException:
            self._undo()
            if self.lent is not None and self._is_lost():
                self.lent.invalidate()
            raise

    def expose(self) -> None:
        """Let a handler get at the driver, which may be used for as long as the connection is lent."""
        if not self._is_begun and self._is_local and not self.is_over:
            if not in_greenlet():
                raise SchemaError(
                    "a raw connection that was got before a commit or a rollback is in no schema; get it anew by "
                    "`await connection.get_raw_connection()`"
                )
            self.begin()
        self.check_transaction()
        self._is_exposed = True

    def check_transaction(self) -> None:
        """Raise if a statement has ended the transaction, and the schema with it."""
        if self.is_over:
            raise SchemaError("the connection of a tenant is used after the end of its block; connect anew")
        self._check_open()
        if self._is_local and self._is_begun and not is_in_transaction(self._driver):
            raise SchemaError(
                "a statement has ended the transaction in which the tenant's schema was set; use commit() and "
                "rollback() of the connection or the session, not COMMIT and ROLLBACK as text"
            )

    def _check_open(self) -> None:
        if self._is_lost():
            if self.lent is not None:
                self.lent.invalidate()
            raise SchemaError(
                "the connection of a tenant was closed or invalidated past SQLAlchemy: what was written is lost; leave "
                "the raw connection open"
            )

    def commit(self) -> None:
        """Commit, unless the schema is another one by now."""
        self._commit()
        self._begin_next()

    def rollback(self) -> None:
        """Roll back."""
        if not self._is_lost():
            self._end(commit=False)
            self._begin_next()

    def commit_last(self) -> None:
        """Commit what the handler has left, be it through SQLAlchemy or through the driver itself."""
        assert self.lent is not None
        if self.lent.closed or (self._is_lost() and not self.lent.invalidated):
            # SQLAlchemy would have nothing to commit, and say nothing.
            raise ResourceClosedError("the connection is closed: what was written is lost")
        self.lent.commit()
        self._own.rollback()
        self.is_over = True
        self.lent.close()

    def roll_back_last(self) -> None:
        """Roll back after an error, which says more than what a broken connection then raises."""
        assert self.lent is not None
        self._undo()
        self.is_over = True
        with contextlib.suppress(SQLAlchemyError, self._own.dialect.loaded_dbapi.Error):
            self.lent.close()

    def _undo(self) -> None:
        with contextlib.suppress(SQLAlchemyError, self._own.dialect.loaded_dbapi.Error):
            if not self._is_lost():
                self._end(commit=False)
            self._own.rollback()

    def change(self, setter: Callable[..., Any], *arguments: Any) -> None:
        """Change how transactions begin, for which none may be open."""
        if not self._is_local:
            setter(*arguments)
            return
        self._commit()
        try:
            setter(*arguments)
            self._begin()
        except BaseException:
            self._lose()
            raise

    def _commit(self) -> None:
        self._check_open()
        if self.has_transaction:
            try:
                self._verify(self._own)
            except BaseException:
                self.rollback()
                raise
        self._end(commit=True)

    def _begin(self) -> None:
        if self._is_local:
            if self._own.connection.dbapi_connection.autocommit:  # type: ignore[union-attr]
                raise ConfigurationError(
                    "the engine or the handler has each statement committed by itself (AUTOCOMMIT), so a schema can't "
                    "be set for a transaction; use mode='session', or another isolation level"
                )
            if self._own.dialect.driver.startswith("psycopg"):
                self._begin_block()
        self._prepare(self._own)
        self._is_begun = True

    def _begin_block(self) -> None:
        dbapi: Any = self._own.dialect.loaded_dbapi
        block = dbapi.AsyncTransaction(self._driver)
        try:
            await_only(block.__aenter__())
        except dbapi.Error:
            # Tells SQLAlchemy of a lost connection, so that its pool makes others; it raises an error of its own.
            self._own.exec_driver_sql("SELECT 1")
            raise
        self._block = block

    def _begin_next(self) -> None:
        if self.is_ending or not (self._is_exposed and self._is_local):
            return
        try:
            self._begin()
        except BaseException as error:
            # The transaction before has ended as it should. The next use is that of another connection, or an error.
            self._lose()
            if not isinstance(error, Exception):
                raise

    def _lose(self) -> None:
        """Close the driver's connection, in the place of which SQLAlchemy asks for another at its next use."""
        self._own.invalidate()
        if self.lent is not None:
            self.lent.invalidate()

    def _end(self, *, commit: bool) -> None:
        self._is_begun = False
        block, self._block = self._block, None
        if block is None:
            connection: Any = self._own.connection
            connection.commit() if commit else connection.rollback()
            return
        block.force_rollback = not commit
        await_only(block.__aexit__(None, None, None))
        if commit and block.connection.closed:
            # The driver would leave the block in silence, as if it had committed.
            raise self._own.dialect.loaded_dbapi.OperationalError("the connection is closed: what was written is lost")


def is_in_transaction(driver: Any) -> bool:
    """Return whether a connection of asyncpg or psycopg is in a transaction; a lost one counts as being in one."""
    if hasattr(driver, "is_in_transaction"):
        return bool(driver.is_closed() or driver.is_in_transaction())
    # IDLE is 0.
    return bool(driver.info.transaction_status)
