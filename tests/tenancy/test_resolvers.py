"""From a tenant's id to its schema: in the program, remembered, and asked for once."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from asyncjobs import ArgumentsError, ConfigurationError, TenantContext, TenantError, TenantSuspended, UnknownTenant
from asyncjobs.tenancy import CachedTenants, StaticTenants, TenantMiddleware, Tenants
from tests.waiting import SOON

pytestmark = pytest.mark.anyio


class Directory:
    """A resolver that counts, waits until it is let go, and knows what it is told."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.free = asyncio.Event()
        self.free.set()
        self.is_asked = asyncio.Event()
        self.errors: dict[str, Exception] = {}
        self.schema = "one"

    async def resolve(self, tenant_id: str) -> TenantContext:
        self.asked.append(tenant_id)
        schema = self.schema
        self.is_asked.set()
        await self.free.wait()
        if tenant_id in self.errors:
            raise self.errors[tenant_id]
        return TenantContext(tenant_id, tenant_id, schema)


class Ticks:
    """Seconds that the test moves."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


async def test_the_tenants_of_the_program_are_known_and_no_others() -> None:
    tenants = StaticTenants(
        {"a": "schema_a", "b": TenantContext("b", "bee", "schema_b"), "c": "schema_c"}, suspended=["c"]
    )

    assert await tenants.resolve("a") == TenantContext("a", "a", "schema_a")
    assert await tenants.resolve("b") == TenantContext("b", "bee", "schema_b")
    with pytest.raises(TenantSuspended, match="'c' is suspended"):
        await tenants.resolve("c")
    with pytest.raises(UnknownTenant, match="no tenant 'd'"):
        await tenants.resolve("d")


def test_a_schema_that_cannot_be_a_tenants_is_an_error_of_the_program_at_once() -> None:
    with pytest.raises(TenantError, match="'public' can't be a tenant's"):
        StaticTenants({"a": "public"})


async def test_many_jobs_of_one_tenant_ask_once_and_again_after_the_ttl() -> None:
    directory, clock = Directory(), Ticks()
    cached = CachedTenants(directory, ttl=60, clock=clock)

    first = await asyncio.gather(*(cached.resolve("acme") for _ in range(50)))
    clock.now += 59
    directory.schema = "two"
    still = await cached.resolve("acme")
    clock.now += 1
    later = await cached.resolve("acme")

    assert {one.tenant_schema for one in first} == {"one"}
    assert (still.tenant_schema, later.tenant_schema) == ("one", "two")
    assert directory.asked == ["acme", "acme"]


async def test_a_refusal_is_remembered_for_its_own_ttl_and_a_failure_is_not() -> None:
    directory, clock = Directory(), Ticks()
    cached = CachedTenants(directory, ttl=60, failure_ttl=5, clock=clock)
    directory.errors = {"gone": UnknownTenant("there is no tenant 'gone'"), "broken": ConnectionError("no database")}

    for _ in range(3):
        with pytest.raises(UnknownTenant, match="no tenant 'gone'"):
            await cached.resolve("gone")
    clock.now += 5
    with pytest.raises(UnknownTenant):
        await cached.resolve("gone")
    for _ in range(2):
        with pytest.raises(ConnectionError):
            await cached.resolve("broken")

    assert directory.asked == ["gone", "gone", "broken", "broken"]


async def test_a_caller_that_is_cancelled_does_not_take_the_answer_from_the_others() -> None:
    directory = Directory()
    directory.free.clear()
    cached = CachedTenants(directory)
    first, second = (asyncio.create_task(cached.resolve("acme")) for _ in range(2))
    await directory.is_asked.wait()

    first.cancel()
    with pytest.raises(asyncio.CancelledError):
        await first
    directory.free.set()

    assert (await second).tenant_schema == "one"
    assert directory.asked == ["acme"]


async def test_an_answer_that_was_on_its_way_when_it_was_invalidated_is_not_remembered() -> None:
    directory = Directory()
    directory.free.clear()
    cached = CachedTenants(directory)
    stale = asyncio.create_task(cached.resolve("acme"))
    await directory.is_asked.wait()

    cached.invalidate("acme")
    directory.schema = "two"
    directory.free.set()

    assert (await stale).tenant_schema == "one"
    assert (await cached.resolve("acme")).tenant_schema == "two"
    cached.invalidate()
    assert (await cached.resolve("acme")).tenant_schema == "two"
    assert directory.asked == ["acme"] * 3


async def test_only_so_many_tenants_are_remembered_those_asked_for_last() -> None:
    directory = Directory()
    cached = CachedTenants(directory, most=2)

    for tenant in ("a", "b", "a", "c", "a", "b"):
        await cached.resolve(tenant)

    assert directory.asked == ["a", "b", "c", "b"]


@pytest.mark.parametrize("swallows", [False, True])
async def test_a_resolver_that_hangs_once_blocks_its_tenant_only_for_the_timeout(swallows: bool) -> None:
    directory, never = Directory(), asyncio.Event()

    class HangsOnce:
        async def resolve(self, tenant_id: str) -> TenantContext:
            is_first = not directory.asked
            found = await directory.resolve(tenant_id)
            while is_first and not never.is_set():
                try:
                    await never.wait()
                except asyncio.CancelledError:
                    if not swallows:
                        raise
            return found

    cached = CachedTenants(HangsOnce(), timeout=0.05)
    failed = await asyncio.wait_for(
        asyncio.gather(*(cached.resolve("acme") for _ in range(3)), return_exceptions=True), SOON
    )
    for error in failed:
        assert isinstance(error, TenantError), error
        assert "'acme' can't be served: " in str(error)
        assert "has not answered within 0.05 s" in str(error)

    assert (await asyncio.wait_for(cached.resolve("acme"), SOON)).tenant_schema == "one"
    assert (await cached.resolve("acme")).tenant_schema == "one"
    assert directory.asked == ["acme", "acme"]
    never.set()


def test_a_cache_outlives_the_loop_in_which_it_was_asked() -> None:
    directory = Directory()
    cached = CachedTenants(directory)

    async def leave() -> None:
        directory.free.clear()
        task = asyncio.create_task(cached.resolve("acme"))
        await directory.is_asked.wait()
        task.cancel()

    asyncio.run(leave())
    directory.free = asyncio.Event()
    directory.free.set()

    assert asyncio.run(cached.resolve("acme")).tenant_schema == "one"


@pytest.mark.parametrize("layer", [Tenants, CachedTenants, lambda resolver: TenantMiddleware(web, str, resolver)])
@pytest.mark.parametrize("wrong", [{"acme": "tenant_acme"}, {}, StaticTenants, lambda tenant_id: tenant_id])
def test_what_is_no_resolver_is_refused_where_it_is_given(layer: Any, wrong: Any) -> None:
    with pytest.raises(ConfigurationError, match=r"was given .*; expected a resolver"):
        layer(wrong)


async def web(scope: Any, receive: Any, send: Any) -> None: ...


@pytest.mark.parametrize("wrong", [{"most": 0}, {"most": True}, {"ttl": -1}, {"failure_ttl": "soon"}, {"timeout": 0}])
def test_wrong_values_of_the_cache_are_named(wrong: dict[str, Any]) -> None:
    with pytest.raises(ArgumentsError, match=next(iter(wrong))):
        CachedTenants(Directory(), **wrong)
