"""What the lending of a connection needs of its driver: the port that psycopg and SQLAlchemy are adapted to."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import Protocol, TypeVar

from asyncjobs import TenantContext
from asyncjobs.tenancy.lending.search_path import Flow

__all__ = ["LentConnection"]

T = TypeVar("T")


class LentConnection(Protocol):
    """A connection that is lent, as its driver knows it."""

    lent_to: TenantContext | None
    """The tenant whose schema may still be set, ``None`` for none.

    Kept with the driver's connection: another one that takes its place after a loss has ``None``. A pool must not take
    a connection back while it has a tenant.
    """

    may_hold_temporary: bool
    """Whether it came back from a tenant without having been asked for temporary tables, which it may still hold.

    Kept with the driver's connection, also when it goes back to the pool.
    """

    @property
    def error(self) -> type[Exception]:
        """The root of what the driver raises."""
        ...

    @property
    def pid(self) -> int:
        """The number of the server's process, as the driver read it when it connected."""
        ...

    @property
    def is_open(self) -> bool:
        """Whether there is a connection to give back or to close."""
        ...

    @property
    def is_idle(self) -> bool:
        """Whether it is open, whole and outside a transaction."""
        ...

    @property
    def reported_path(self) -> str | None:
        """The search path as the server reported it last; asked of open connections only.

        PostgreSQL 18 reports each change before it is ready for the next statement. ``None`` from older servers, and
        from drivers that don't keep reports. Whether they come through a proxy shows after the switch, which is such a
        change.
        """
        ...

    def quote(self, name: str) -> str:
        """Return ``name`` as an identifier."""
        ...

    def transactions(self, begin: Callable[[], Flow[None]]) -> AbstractAsyncContextManager[None]:
        """Return the block of transaction mode, whose transactions each run ``begin()`` first.

        At the end of the block an open transaction is committed, or rolled back if the block raises.
        """
        ...

    def session(self, check: Callable[[], None]) -> AbstractAsyncContextManager[None]:
        """Return the block of session mode, which ends as that of ``transactions`` does.

        ``check()`` is called at the begin of each transaction, where the driver goes on with another connection after a
        loss.
        """
        ...

    async def run_before(self, flow: Flow[T]) -> T:
        """Run ``flow`` before the block, so that no rollback of the block's takes it back."""
        ...

    async def run_after(self, flow: Flow[T]) -> T:
        """Run ``flow`` outside a transaction, as the last thing before the connection goes back."""
        ...

    async def close(self) -> None:
        """Close it, so that the pool makes another."""
        ...
