"""The block in which a connection is in a tenant's schema: switch before, verify after, whatever happens between.

In transaction mode each transaction begins with a switch that ends with it. In session mode a switch holds for the
block, and a restore follows. In both, a connection goes back to its pool only if its path is known to be as before; on
any doubt it is closed, be it another path, a failed statement, or a cancellation while the path was read.
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager
from typing import TypeVar

from asyncjobs import TenantContext
from asyncjobs.errors import ConfigurationError, TenantError
from asyncjobs.tenancy.lending.connection import LentConnection
from asyncjobs.tenancy.lending.search_path import (
    Flow,
    Settings,
    drop_temporary,
    read_path,
    restore_path,
    show_settings,
    switch_path,
)
from asyncjobs.tenancy.schemas import WantedSchema

__all__ = ["in_schema"]

C = TypeVar("C")
T = TypeVar("T")

_log = logging.getLogger("asyncjobs.tenancy")


def in_schema(lent: LentConnection[C], wanted: WantedSchema | None) -> AbstractAsyncContextManager[C]:
    """Return a block in which ``lent`` is in the schema that is ``wanted``; for ``None`` it is as the pool has it."""
    if wanted is None:
        return _without_tenant(lent)
    within = _in_transactions if wanted.mode == "transaction" else _in_session
    return within(lent, wanted.tenant, wanted.path(lent.quote))


@contextlib.asynccontextmanager
async def _without_tenant(lent: LentConnection[C]) -> AsyncIterator[C]:
    if lent.may_hold_temporary:
        await lent.run_before(drop_temporary())
        lent.may_hold_temporary = False
    async with lent.plain() as given:
        yield given


@contextlib.asynccontextmanager
async def _in_transactions(lent: LentConnection[C], tenant: TenantContext, path: str) -> AsyncIterator[C]:
    before: Settings | None = None
    user: str | None = None
    is_reported = is_clean = False

    def begin() -> Flow[None]:
        nonlocal before, user, is_reported
        found = yield from switch_path(tenant, path, lent.pid, local=True)
        lent.lent_to = tenant
        if before is None:
            # A later transaction may find what a SET of the handler's own has left.
            before, user = found, lent.reported("session_authorization")
        is_reported = lent.reported("search_path") == path

    def verify() -> Flow[None]:
        return _verify_path(lent, tenant, path, is_reported)

    try:
        try:
            async with lent.transactions(begin, verify) as given:
                yield given
        finally:
            # The end of the transaction has undone a SET LOCAL, but not a SET of the handler's own.
            if lent.is_idle:
                if before is None:
                    is_clean = True
                elif is_reported and (before.path, user) == (
                    lent.reported("search_path"),
                    lent.reported("session_authorization"),
                ):
                    is_clean = lent.may_hold_temporary = True
                else:
                    is_clean = await _ask(lent, show_settings()) == before
    finally:
        await _end(lent, tenant, is_clean)


@contextlib.asynccontextmanager
async def _in_session(lent: LentConnection[C], tenant: TenantContext, path: str) -> AsyncIterator[C]:
    is_clean = is_reported = False
    left: Settings | None = None

    def check() -> Flow[None]:
        yield from ()
        if lent.lent_to is None:
            raise TenantError(
                f"the connection in the schema {tenant.tenant_schema!r} of the tenant {tenant.tenant_id!r} was lost; "
                "let the error out, so that the job is tried again"
            )

    def verify() -> Flow[None]:
        return _verify_path(lent, tenant, path, is_reported)

    lent.lent_to = tenant
    try:
        try:
            before = await lent.run_before(switch_path(tenant, path, lent.pid, local=False))
        except (ConfigurationError, TenantError):
            # Raised by the flow: the server has answered, and has not switched.
            is_clean = True
            raise
        is_reported = lent.reported("search_path") == path
        expected = before._replace(path=path)
        try:
            async with lent.session(check, verify) as given:
                yield given
        finally:
            if lent.is_idle and (answer := await _ask(lent, restore_path(before.path))) is not None:
                left, restored = answer
                is_clean = left == expected and restored == before.path
        if left is not None and left != expected:
            raise TenantError(_changed(tenant, expected, left))
    finally:
        await _end(lent, tenant, is_clean)


def _verify_path(lent: LentConnection[C], tenant: TenantContext, path: str, is_reported: bool) -> Flow[None]:
    found = lent.reported("search_path") if is_reported else None
    if found is None:
        found = yield from read_path()
    if found != path:
        raise TenantError(_changed(tenant, path, found))


def _changed(tenant: TenantContext, expected: object, found: object) -> str:
    return (
        f"the connection of the tenant {tenant.tenant_id!r} is no longer as it was set: expected {expected!r}, got "
        f"{found!r}. A handler must not set search_path, the role or the user of its connection, reset its settings, "
        "or end a transaction by a statement"
    )


async def _ask(lent: LentConnection[C], flow: Flow[T]) -> T | None:
    """Run what returns the settings and drops temporary tables; return ``None`` where that fails."""
    try:
        found = await lent.run_after(flow)
    except lent.error:
        return None
    lent.may_hold_temporary = False
    return found


async def _end(lent: LentConnection[C], tenant: TenantContext, is_clean: bool) -> None:
    if not lent.is_open:
        return
    if is_clean:
        lent.lent_to = None
        return
    _log.error(
        "a connection of the tenant %r is closed: its settings could not be verified, or are not as they were",
        tenant.tenant_id,
    )
    await lent.close()
