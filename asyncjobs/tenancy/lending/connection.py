"""What the lending of a connection needs of its driver: the port that psycopg and SQLAlchemy are adapted to."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import Protocol, TypeVar

from asyncjobs import TenantContext
from asyncjobs.tenancy.lending.search_path import Flow

__all__ = ["LentConnection"]

T = TypeVar("T")
C_co = TypeVar("C_co", covariant=True)


class LentConnection(Protocol[C_co]):
    """A connection that is lent, as its driver knows it; a handler is given a ``C_co`` of it."""

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

    def reported(self, setting: str) -> str | None:
        """Return a setting as the server reported it last; asked of open connections only.

        PostgreSQL 18 reports each change of ``search_path`` before it is ready for the next statement, and every
        version each change of ``session_authorization``. ``None`` from older servers, and from drivers that don't keep
        reports. Whether they come through a proxy shows after the switch, which is such a change.
        """
        ...

    def quote(self, name: str) -> str:
        """Return ``name`` as an identifier."""
        ...

    def plain(self) -> AbstractAsyncContextManager[C_co]:
        """Return the block of a connection as the pool has it, which ends as that of ``transactions`` does."""
        ...

    def transactions(
        self, begin: Callable[[], Flow[None]], verify: Callable[[], Flow[None]]
    ) -> AbstractAsyncContextManager[C_co]:
        """Return the block of transaction mode, whose transactions each run ``begin()`` first and ``verify()`` last.

        ``verify()`` raises where a commit would be one of another schema. At the end of the block an open transaction
        is committed, or rolled back if the block raises. A handler gets at the driver in a transaction alone.
        """
        ...

    def session(
        self, check: Callable[[], Flow[None]], verify: Callable[[], Flow[None]]
    ) -> AbstractAsyncContextManager[C_co]:
        """Return the block of session mode, which ends as that of ``transactions`` does.

        ``check()`` is run where the driver goes on with another connection after a loss, ``verify()`` before the
        commits that the driver shows.
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
