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

from asyncjobs import TenantContext
from asyncjobs.errors import ConfigurationError, TenantError
from asyncjobs.tenancy.lending.connection import LentConnection
from asyncjobs.tenancy.lending.search_path import Flow, drop_temporary, restore_path, show_path, switch_path
from asyncjobs.tenancy.schemas import WantedSchema

__all__ = ["in_schema"]

_log = logging.getLogger("asyncjobs.tenancy")


def in_schema(lent: LentConnection, wanted: WantedSchema | None) -> AbstractAsyncContextManager[None]:
    """Return a block in which ``lent`` is in the schema that is ``wanted``; for ``None`` it is as the pool has it."""
    if wanted is None:
        return _without_tenant(lent)
    within = _in_transactions if wanted.mode == "transaction" else _in_session
    return within(lent, wanted.tenant, wanted.path(lent.quote))


@contextlib.asynccontextmanager
async def _without_tenant(lent: LentConnection) -> AsyncIterator[None]:
    if lent.may_hold_temporary:
        await lent.run_before(drop_temporary())
        lent.may_hold_temporary = False
    yield


@contextlib.asynccontextmanager
async def _in_transactions(lent: LentConnection, tenant: TenantContext, path: str) -> AsyncIterator[None]:
    before: str | None = None
    is_reported = is_clean = False

    def begin() -> Flow[None]:
        nonlocal before, is_reported
        found = yield from switch_path(tenant, path, lent.pid, local=True)
        lent.lent_to = tenant
        # A later transaction may find what a SET of the handler's own has left.
        before = found if before is None else before
        is_reported = lent.reported_path == path

    try:
        try:
            async with lent.transactions(begin):
                yield
        finally:
            # The end of the transaction has undone a SET LOCAL, but not a SET of the handler's own.
            if lent.is_idle:
                if is_reported and lent.reported_path == before:
                    is_clean = True
                    lent.may_hold_temporary = True
                else:
                    is_clean = before is None or await _ask_path(lent, show_path()) == before
    finally:
        await _end(lent, tenant, is_clean)


@contextlib.asynccontextmanager
async def _in_session(lent: LentConnection, tenant: TenantContext, path: str) -> AsyncIterator[None]:
    is_clean = False

    def check() -> None:
        if lent.lent_to is None:
            raise TenantError(
                f"the connection in the schema {tenant.tenant_schema!r} of the tenant {tenant.tenant_id!r} was lost; "
                "let the error out, so that the job is tried again"
            )

    lent.lent_to = tenant
    try:
        try:
            before = await lent.run_before(switch_path(tenant, path, lent.pid, local=False))
        except (ConfigurationError, TenantError):
            # Raised by the flow: the server has answered, and has not switched.
            is_clean = True
            raise
        try:
            async with lent.session(check):
                yield
        finally:
            if lent.is_idle:
                is_clean = await _ask_path(lent, restore_path(before)) == before
    finally:
        await _end(lent, tenant, is_clean)


async def _ask_path(lent: LentConnection, flow: Flow[str]) -> str | None:
    """Run what returns the search path and drops temporary tables; return ``None`` where that fails."""
    try:
        path = await lent.run_after(flow)
    except lent.error:
        return None
    lent.may_hold_temporary = False
    return path


async def _end(lent: LentConnection, tenant: TenantContext, is_clean: bool) -> None:
    if not lent.is_open:
        return
    if is_clean:
        lent.lent_to = None
        return
    _log.error(
        "a connection of the tenant %r is closed: its search path could not be verified, or is not as it was before",
        tenant.tenant_id,
    )
    await lent.close()
