"""From a tenant's id to its schema: a table in the program, and a cache before any other resolver."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import OrderedDict
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

from asyncjobs.core.duration import Duration, to_ms
from asyncjobs.core.tenancy import TenantContext, checked_schema
from asyncjobs.errors import ArgumentsError, ConfigurationError, TenantError, TenantSuspended, UnknownTenant
from asyncjobs.ports import TenantResolver
from asyncjobs.tenancy.asking import checked_resolver

__all__ = ["CachedTenants", "StaticTenants", "tenant_of_row"]


class StaticTenants:
    """Knows the tenants that the program names: ``{id: schema}``, or ``{id: TenantContext(…)}``.

    ``suspended``: ids for which nothing may be done now. Raises ``TenantError`` for a name that can't be a schema.
    """

    def __init__(self, tenants: Mapping[str, str | TenantContext], *, suspended: Collection[str] = ()) -> None:
        self._tenants = {
            tenant_id: one if isinstance(one, TenantContext) else TenantContext(tenant_id, tenant_id, one)
            for tenant_id, one in tenants.items()
        }
        self._suspended = frozenset(suspended)

    async def resolve(self, tenant_id: str) -> TenantContext:
        """Return the tenant; raise ``UnknownTenant`` or ``TenantSuspended``."""
        if tenant_id not in self._tenants:
            raise UnknownTenant(f"there is no tenant {tenant_id!r}")
        if tenant_id in self._suspended:
            raise TenantSuspended(f"the tenant {tenant_id!r} is suspended")
        return self._tenants[tenant_id]


class CachedTenants:
    """Asks another resolver once for each tenant and ``ttl`` (seconds or ``timedelta``), however many jobs wait for it.

    That a tenant is unknown or suspended is remembered for ``failure_ttl``; other errors are not. The ``most`` tenants
    asked for last are kept. ``clock``: seconds that only rise. Raises ``ArgumentsError`` for wrong values, and
    ``ConfigurationError`` for what is no resolver.
    """

    def __init__(
        self,
        resolver: TenantResolver,
        *,
        ttl: Duration = 60.0,
        failure_ttl: Duration = 5.0,
        most: int = 10_000,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        if isinstance(most, bool) or not isinstance(most, int) or most < 1:
            raise ArgumentsError(f"most={most!r}: expected a whole number of tenants, 1 or more")
        self._resolver = checked_resolver("CachedTenants(…)", resolver)
        self._ttl = to_ms("ttl", ttl) / 1000
        self._failure_ttl = to_ms("failure_ttl", failure_ttl) / 1000
        self._most = most
        self._clock = clock
        self._known: OrderedDict[str, tuple[float, TenantContext | TenantError]] = OrderedDict()
        self._asking: dict[str, asyncio.Task[TenantContext]] = {}

    async def resolve(self, tenant_id: str) -> TenantContext:
        """Return the tenant, as it is remembered or as the resolver says; raise what that raises."""
        until, found = self._known.get(tenant_id, (0.0, None))
        if found is None or until <= self._clock():
            return await self._ask(tenant_id)
        # Apps in other threads may share this, and one of them may have forgotten it by now.
        with contextlib.suppress(KeyError):
            self._known.move_to_end(tenant_id)
        if isinstance(found, TenantError):
            # A new one: an exception that is raised again grows by a traceback each time.
            raise type(found)(*found.args)
        return found

    def invalidate(self, tenant_id: str | None = None) -> None:
        """Forget one tenant, or all: what is being asked for at the moment is not remembered either."""
        if tenant_id is None:
            self._known.clear()
            self._asking.clear()
        else:
            self._known.pop(tenant_id, None)
            self._asking.pop(tenant_id, None)

    async def _ask(self, tenant_id: str) -> TenantContext:
        task = self._asking.get(tenant_id)
        # A task of another loop can't be awaited here, and one of a loop that has ended never ends.
        if task is None or task.get_loop() is not asyncio.get_running_loop():
            task = self._asking[tenant_id] = asyncio.create_task(self._resolver.resolve(tenant_id))
            task.add_done_callback(lambda done: self._remember(tenant_id, done))
        # A caller that is cancelled must not cancel it for the others.
        return await asyncio.shield(task)

    def _remember(self, tenant_id: str, task: asyncio.Task[TenantContext]) -> None:
        error = None if task.cancelled() else task.exception()
        if self._asking.get(tenant_id) is not task:
            return
        del self._asking[tenant_id]
        if task.cancelled() or not (error is None or isinstance(error, UnknownTenant | TenantSuspended)):
            return
        ttl = self._ttl if error is None else self._failure_ttl
        self._known[tenant_id] = self._clock() + ttl, error or task.result()
        self._known.move_to_end(tenant_id)
        while len(self._known) > self._most:
            self._known.popitem(last=False)


def tenant_of_row(tenant_id: str, rows: Sequence[Mapping[str, Any]]) -> TenantContext:
    """Return the tenant of the row that a query for ``tenant_id`` found, with ``schema``, ``slug`` and ``suspended``.

    Raises ``UnknownTenant`` for none, ``TenantSuspended``, ``TenantError`` for what can't be a tenant's schema, and
    ``ConfigurationError`` for what the query should not do.
    """
    if not rows:
        raise UnknownTenant(f"there is no tenant {tenant_id!r}")
    row = rows[0]
    if len(rows) > 1 or "schema" not in row:
        raise ConfigurationError(
            f"the query for tenants returned {len(rows)} rows of {', '.join(map(str, row))} for {tenant_id!r}; "
            "expected one, with a column schema and, if you like, slug and suspended"
        )
    if row.get("suspended"):
        raise TenantSuspended(f"the tenant {tenant_id!r} is suspended")
    try:
        return TenantContext(tenant_id, str(row.get("slug") or tenant_id), checked_schema(row["schema"]))
    except TenantError as error:
        raise TenantError(f"the tenant {tenant_id!r} can't be served: {error}") from None
