"""Whose a job is: from the code that sends it, over the job, to what its handler sends and sees."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import pytest

from asyncjobs import (
    App,
    ArgumentsError,
    JobFailed,
    RetryPolicy,
    TenantContext,
    TenantSuspended,
    UnknownTenant,
    current_job,
    current_tenant,
    job,
    tenant_scope,
)
from asyncjobs.jobs.steering import Snooze
from asyncjobs.middleware.translate import Translate
from asyncjobs.tenancy import CachedTenants, StaticTenants, Tenants
from tests.tenancy import cpu_jobs
from tests.waiting import SOON, until

pytestmark = pytest.mark.anyio

NO_RETRY = RetryPolicy(max_retries=0)


def tenant_id() -> str | None:
    tenant = current_tenant()
    return None if tenant is None else tenant.tenant_id


@job(name="whose")
async def whose() -> tuple[str | None, str | None]:
    """Tell whose the job is, and whom the code runs for."""
    return current_job().tenant, tenant_id()


@job(name="whose_in_a_thread")
def whose_in_a_thread() -> tuple[str | None, str | None]:
    return current_job().tenant, tenant_id()


async def test_what_is_sent_inside_a_scope_is_for_its_tenant_by_every_verb(app: App) -> None:
    async with app, app.worker():
        send = whose.with_options(app=app)
        with tenant_scope("acme"):
            handles = [
                await send.delay(),
                await send.schedule_in(0),
                await app.enqueue_for_tenant("globex", whose.request()),
                await send.with_options(tenant="initech").delay(),
                await send.with_options(tenant=None).delay(),
                *await app.enqueue_many([whose.request()]),
            ]
            request = whose.request()
            with tenant_scope(None):
                handles.append(await send.delay())
        handles += [*await app.enqueue_many([request]), await send.delay()]
        made_outside = [whose.request(), whose.with_options(tenant=None).request()]
        with tenant_scope("acme"):
            handles += await app.enqueue_many([*made_outside, request])
        results = [await handle.result(SOON) for handle in handles]

    expected = ["acme", "acme", "globex", "initech", None, "acme", None, "acme", None, "acme", None, "acme"]
    assert results == [(one, one) for one in expected]


async def test_a_thread_without_a_loop_sends_for_its_own_scope(app: App) -> None:
    def send() -> list[Any]:
        with tenant_scope("acme"):
            return [whose.with_options(app=app).delay_sync(), app.sync.enqueue_for_tenant("globex", whose.request())]

    async with app, app.worker():
        handles = await asyncio.to_thread(send)
        assert [await handle.result(SOON) for handle in handles] == [("acme", "acme"), ("globex", "globex")]


async def test_what_a_handler_sends_is_for_the_tenant_of_its_job(app: App) -> None:
    @app.job
    async def parent(depth: int) -> list[str | None]:
        if depth:
            below = await (await parent.delay(depth - 1)).result(SOON)
            return [tenant_id(), *below]
        with tenant_scope("globex"):
            inner = await whose.delay()
        return [tenant_id(), (await inner.result(SOON))[0]]

    async with app, app.worker():
        with tenant_scope("acme"):
            handle = await parent.delay(2)
        assert await handle.result(SOON) == ["acme", "acme", "acme", "globex"]


async def test_concurrent_tasks_and_threads_keep_their_tenants_apart(app: App) -> None:
    together = asyncio.Barrier(20)
    in_threads = threading.Barrier(20)

    @app.job
    async def on_the_loop() -> str | None:
        await together.wait()
        return await asyncio.create_task(asyncio.to_thread(tenant_id))

    @app.job
    def in_a_thread() -> str | None:
        in_threads.wait(SOON)
        return tenant_id()

    async def send(tenant: str) -> tuple[str, Any, Any]:
        with tenant_scope(tenant):
            await asyncio.sleep(0)
            return tenant, await on_the_loop.delay(), await in_a_thread.delay()

    async with app, app.worker(concurrency=40):
        sent = await asyncio.gather(*(send(f"tenant-{n}") for n in range(20)))
        for tenant, *handles in sent:
            assert [await handle.result(SOON) for handle in handles] == [tenant, tenant]


async def test_a_handler_in_a_process_knows_its_tenant_with_its_schema_and_forgets_it(make_app: Any) -> None:
    resolver = StaticTenants({"acme": "tenant_acme", "globex": "tenant_globex"})
    app = make_app(middleware=[Tenants(resolver)], handler_processes=1)
    async with app, app.worker(queues=["cpu"]):
        handles = []
        for tenant in ("acme", None, "globex"):
            with tenant_scope(tenant):
                handles.append(await cpu_jobs.schema.with_options(app=app).delay())
        assert [await handle.result(SOON) for handle in handles] == ["tenant_acme", None, "tenant_globex"]


async def test_a_worker_that_is_started_inside_a_scope_does_not_lend_it_to_jobs(app: App) -> None:
    async with app:
        handle = await whose.with_options(app=app).delay()
        with tenant_scope("acme"):
            async with app.worker():
                assert await handle.result(SOON) == (None, None)


async def test_the_layer_of_tenants_tells_handlers_the_schema_and_asks_nobody_without_a_tenant(make_app: Any) -> None:
    asked: list[str] = []

    class Counting:
        async def resolve(self, tenant_id: str) -> TenantContext:
            asked.append(tenant_id)
            return TenantContext(tenant_id, "acme-inc", "tenant_acme")

    app = make_app(middleware=[Tenants(Counting())])

    @app.job
    async def read() -> list[str] | None:
        tenant = current_tenant()
        return None if tenant is None else [tenant.tenant_id, tenant.tenant_slug, tenant.tenant_schema]

    async with app, app.worker():
        assert await (await read.delay()).result(SOON) is None
        assert asked == []
        assert await (await read.with_options(tenant="acme").delay()).result(SOON) == [
            "acme",
            "acme-inc",
            "tenant_acme",
        ]


async def test_an_unknown_tenant_fails_the_job_before_its_handler_by_the_policy_for_that(make_app: Any) -> None:
    app = make_app(middleware=[Tenants(StaticTenants({"acme": "tenant_acme"}))])
    ran: list[str] = []

    @app.job(retry=RetryPolicy(max_retries=5, initial=0.01, rules={UnknownTenant: NO_RETRY}))
    async def work() -> None:
        ran.append("handler")

    async with app, app.worker():
        handle = await work.with_options(tenant="nobody").delay()
        with pytest.raises(JobFailed, match="there is no tenant 'nobody'"):
            await handle.result(SOON)
        await handle.refresh()
        [dead] = await app.failed_jobs(tenant="nobody")
        assert (dead.failures, ran) == (1, [])


async def test_a_resolver_that_returns_nothing_fails_the_job_which_is_nobodys_in_no_case(make_app: Any) -> None:
    class Forgetful:
        async def resolve(self, tenant_id: str) -> Any:
            return None

    app = make_app(middleware=[Tenants(CachedTenants(Forgetful()))])
    ran: list[str] = []

    @app.job(retry=NO_RETRY)
    async def work() -> None:
        ran.append("handler")

    async with app, app.worker():
        handle = await work.with_options(tenant="acme").delay()
        with pytest.raises(JobFailed, match=r"resolve\('acme'\) returned None; expected a TenantContext"):
            await handle.result(SOON)
    assert ran == []


async def test_the_jobs_of_a_suspended_tenant_may_wait_until_it_is_back(make_app: Any) -> None:
    suspended = {"acme"}

    class Books:
        async def resolve(self, tenant_id: str) -> TenantContext:
            if tenant_id in suspended:
                seen.set()
                raise TenantSuspended("the tenant 'acme' has not paid")
            return TenantContext(tenant_id, tenant_id, "tenant_acme")

    seen = asyncio.Event()
    app = make_app(middleware=[Translate({TenantSuspended: lambda error: Snooze(0.05)}), Tenants(Books())])

    @app.job
    async def work() -> int:
        return current_job().attempt

    async with app, app.worker():
        handle = await work.with_options(tenant="acme").delay()
        await until(seen, "the tenant has been asked for")
        suspended.clear()
        assert await handle.result(SOON) == 1


@pytest.mark.parametrize("wrong", ["", "a" * 256, "a\nb", "nul\0", "half\ud800", b"acme", 7])
def test_what_cannot_be_a_tenants_id_is_refused_where_it_is_said(wrong: Any) -> None:
    with pytest.raises(ArgumentsError, match=r"tenant=.*expected an id"), tenant_scope(wrong):
        pass
    with pytest.raises(ArgumentsError, match=r"tenant=.*expected an id"):
        whose.with_options(tenant=wrong)
    assert current_tenant() is None


async def test_a_job_for_a_tenant_needs_one_and_nobody_is_none(app: App) -> None:
    nobody: Any = None
    async with app:
        with pytest.raises(ArgumentsError, match="tenant=None: expected an id"):
            await app.enqueue_for_tenant(nobody, whose.request())
