"""Resolvers, from a tenant's id to its schema: a table in the program, and a cache in front of any other resolver."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import OrderedDict
from collections.abc import Callable, Collection, Mapping
from datetime import timedelta

from asyncjobs import TenantContext
from asyncjobs.errors import ArgumentsError, ConfigurationError, TenantError, TenantSuspended, UnknownTenant
from asyncjobs.ports import TenantResolver
from asyncjobs.settings import shown, to_ms
from asyncjobs.tenancy.checks import checked_resolver

__all__ = ["CachedTenants", "StaticTenants"]


class StaticTenants:
    """Knows the tenants that the program names.

    Args:
        tenants: ``{id: schema}``, or ``{id: TenantContext(…)}``.
        suspended: Ids of tenants for which nothing may be done now; none by default.

    Raises:
        ConfigurationError: ``tenants`` is no mapping of ids.
        TenantError: A name can't be a tenant's schema.

    Example:
        ```python
        App(middleware=[Tenants(StaticTenants({"acme": "tenant_acme", "globex": "tenant_globex"}))])
        ```
    """

    def __init__(self, tenants: Mapping[str, str | TenantContext], *, suspended: Collection[str] = ()) -> None:
        if not isinstance(tenants, Mapping) or not all(isinstance(one, str) for one in tenants):
            raise ConfigurationError(f"StaticTenants was given {shown(tenants)}: expected a mapping of ids to schemas")
        self._tenants = {
            tenant_id: one if isinstance(one, TenantContext) else TenantContext(tenant_id, tenant_id, one)
            for tenant_id, one in tenants.items()
        }
        self._suspended = frozenset(suspended)

    async def resolve(self, tenant_id: str) -> TenantContext:
        """Return the tenant of this id.

        Raises:
            UnknownTenant: The program doesn't name it.
            TenantSuspended: It is suspended.
        """
        if tenant_id not in self._tenants:
            raise UnknownTenant(f"there is no tenant {tenant_id!r}")
        if tenant_id in self._suspended:
            raise TenantSuspended(f"the tenant {tenant_id!r} is suspended")
        return self._tenants[tenant_id]


class CachedTenants:
    """Remembers what another resolver returns, and asks it once for a tenant, however many jobs wait for the answer.

    That a tenant is unknown or suspended is remembered too; other errors are not.

    Args:
        resolver: The other resolver.
        ttl: For how long a tenant is remembered, in seconds or as a ``timedelta``; 60 s by default.
        failure_ttl: The same for one that is unknown or suspended; 5 s by default.
        most: How many tenants are remembered, those asked for last; 10,000 by default.
        timeout: How long the other resolver may take, in seconds or as a ``timedelta``; 10 s by default. After that,
            the jobs that wait for the answer get a ``TenantError``, and the next one asks again.
        clock: Returns seconds that only rise; for tests.

    Raises:
        ArgumentsError: A value is wrong.
        ConfigurationError: ``resolver`` is none.

    Example:
        ```python
        tenants = CachedTenants(SqlTenants(pool, "SELECT schema FROM public.tenants WHERE id = %s"))
        app = App(middleware=[Tenants(tenants)])
        ```
    """

    def __init__(
        self,
        resolver: TenantResolver,
        *,
        ttl: float | timedelta = 60.0,
        failure_ttl: float | timedelta = 5.0,
        most: int = 10_000,
        timeout: float | timedelta = 10.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        if isinstance(most, bool) or not isinstance(most, int) or most < 1:
            raise ArgumentsError(f"most={shown(most)}: expected a whole number of tenants, 1 or more")
        self._resolver = checked_resolver("CachedTenants(…)", resolver)
        self._ttl = to_ms("ttl", ttl) / 1000
        self._failure_ttl = to_ms("failure_ttl", failure_ttl) / 1000
        self._timeout_s = to_ms("timeout", timeout, least_ms=1) / 1000
        self._most = most
        self._clock = clock
        self._known: OrderedDict[str, tuple[float, TenantContext | TenantError]] = OrderedDict()
        self._asking: dict[str, asyncio.Task[TenantContext]] = {}

    async def resolve(self, tenant_id: str) -> TenantContext:
        """Return the tenant of this id, remembered or asked for.

        Raises:
            UnknownTenant: As the other resolver raises it, now or a moment ago.
            TenantSuspended: As the other resolver raises it, now or a moment ago.
            TenantError: The other resolver has not answered in time.
        """
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
        """Forget a tenant, so that the next job asks for it; an answer that is on its way is not remembered either.

        Args:
            tenant_id: The tenant; all of them by default.
        """
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
        await asyncio.wait([task], timeout=self._timeout_s)
        if task.done() and not task.cancelled():
            return task.result()
        # A resolver that doesn't answer, for it hangs, must not keep the next job from asking.
        if self._asking.get(tenant_id) is task:
            del self._asking[tenant_id]
        task.cancel()
        raise TenantError(
            f"the tenant {tenant_id!r} can't be served: {type(self._resolver).__qualname__} has not answered within "
            f"{self._timeout_s:g} s"
        )

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
