"""What a handler holds of SQLAlchemy: an engine of one connection, each of whose ways to the driver has a guard."""

from __future__ import annotations

import functools
from typing import Any, NoReturn

from sqlalchemy import Connection, Engine, Pool, RootTransaction
from sqlalchemy.engine.base import OptionEngine

from asyncjobs.errors import ConfigurationError
from asyncjobs.tenancy.lending.guard import Guard, SchemaError

__all__ = ["GuardedEngine"]

#: Methods of drivers that change how the next transaction begins.
_SETTERS = frozenset({"set_autocommit", "set_deferrable", "set_isolation_level", "set_read_only"})

#: What leads to the driver, beside ``cursor()``.
_WAYS = frozenset({"_connection", "driver_connection", "execute", "run_async"})


class GuardedConnection:
    """A connection of a pool, or of a driver as SQLAlchemy adapts it, that leaves transactions to its guard."""

    __slots__ = ("_guard", "_guarded")

    def __init__(self, guarded: Any, guard: Guard) -> None:
        object.__setattr__(self, "_guarded", guarded)
        object.__setattr__(self, "_guard", guard)

    def __getattr__(self, name: str) -> Any:
        if name in ("close", "_close_special") and self._guard.is_over:
            # The pool takes it back from asyncjobs.
            return _do_nothing
        found = getattr(self._guarded, name)
        return functools.partial(self._guard.change, found) if name in _SETTERS else found

    def __setattr__(self, name: str, value: Any) -> None:
        self._guard.change(setattr, self._guarded, name, value)

    def cursor(self, *arguments: Any, **options: Any) -> Any:
        self._guard.check_transaction()
        return self._guarded.cursor(*arguments, **options)

    def commit(self) -> None:
        self._guard.commit()

    def rollback(self) -> None:
        self._guard.rollback()

    def detach(self) -> NoReturn:
        raise SchemaError("a connection of a tenant can't be detached from its pool; make one with the engine")

    def tpc_begin(self, xid: object) -> NoReturn:
        # Nothing can be executed before it, to set the schema with.
        raise ConfigurationError("a transaction of two phases can't be had in a tenant's schema; begin an ordinary one")


class _RawConnection(GuardedConnection):
    """A guarded connection that a handler has asked for."""

    __slots__ = ()

    def __getattr__(self, name: str) -> Any:
        if name in _WAYS:
            self._guard.expose()
        found = super().__getattr__(name)
        return _RawConnection(found, self._guard) if name == "dbapi_connection" and found is not None else found

    def cursor(self, *arguments: Any, **options: Any) -> Any:
        self._guard.expose()
        return super().cursor(*arguments, **options)


class GuardedEngine(OptionEngine):
    """An engine with the events and options of ``engine``, whose only connection is that of ``guard``."""

    def __init__(self, engine: Engine, guard: Guard) -> None:
        super().__init__(engine, {})
        self.guard = guard
        self._guarded_pool: Any = _GuardedPool(engine.pool, guard)

    def connect(self) -> Connection:
        return _HandlersConnection(self)

    @property
    def pool(self) -> Pool:  # type: ignore[override]
        found: Pool = self._guarded_pool
        return found


class _HandlersConnection(Connection):
    """A connection of a ``GuardedEngine``, which ends transactions also where only the driver knows of one."""

    engine: GuardedEngine

    @property
    def connection(self) -> Any:
        found = super().connection
        self.engine.guard.begin()
        return _RawConnection(found._guarded, self.engine.guard)

    def begin(self) -> RootTransaction:
        # Also called for the first statement of a transaction.
        if not self.closed and not self.invalidated:
            self.engine.guard.begin()
        return super().begin()

    def commit(self) -> None:
        self._know_of_transaction()
        super().commit()

    def rollback(self) -> None:
        self._know_of_transaction()
        super().rollback()

    def _know_of_transaction(self) -> None:
        if self.get_transaction() is None and not self.closed and self.engine.guard.has_transaction:
            self.begin()


class _GuardedPool:
    """The pool of a ``GuardedEngine``."""

    def __init__(self, pool: Pool, guard: Guard) -> None:
        self._pool = pool
        self._guard = guard

    def connect(self) -> GuardedConnection:
        return GuardedConnection(self._guard.hand_out(), self._guard)

    def __getattr__(self, name: str) -> Any:
        if name in ("dispose", "recreate"):
            raise SchemaError(
                f"{name}() of the engine of a tenant's connection would reach the pool of all tenants; use the engine "
                "that you gave to asyncjobs"
            )
        return getattr(self._pool, name)


def _do_nothing(**options: Any) -> None:
    pass
