"""The tenant of a web request, and of the jobs that it sends."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import msgspec
import pytest

from asyncjobs import App, ConfigurationError, current_job, current_tenant, job
from asyncjobs.tenancy import StaticTenants, TenantMiddleware, Tenants, from_header, from_subdomain
from tests.apps import find_or_none
from tests.waiting import SOON

pytestmark = pytest.mark.anyio

TENANTS = StaticTenants({"acme": "tenant_acme", "late": "tenant_late"}, suspended=["late"])


@job(name="grandchild_of_a_request")
async def grandchild() -> str | None:
    return current_job().tenant


@job(name="child_of_a_request")
async def child() -> list[str | None]:
    """Tell for whom it and its own child run."""
    below = await (await grandchild.delay()).result(SOON)
    tenant = current_tenant()
    return [tenant and tenant.tenant_schema, below]


async def web(scope: Any, receive: Any, send: Any) -> None:
    """Answer with the tenant, and with the id of a job for it."""
    tenant = current_tenant()
    handle = await child.delay()
    body = msgspec.json.encode({"tenant": tenant and tenant.tenant_id, "job": handle.id})
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": body})


async def ask(app: Any, headers: Iterable[tuple[bytes, bytes]], kind: str = "http") -> list[Any]:
    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message)

    async def receive() -> Any:
        return {"type": "http.request", "body": b"", "more_body": False}

    await app({"type": kind, "path": "/", "headers": list(headers)}, receive, send)
    return sent


def answer(sent: list[Any]) -> tuple[int, Any]:
    return sent[0]["status"], msgspec.json.decode(sent[1]["body"])


async def test_a_request_its_job_and_that_jobs_child_are_for_one_tenant(make_app: Any) -> None:
    app: App = make_app(middleware=[Tenants(TENANTS)])
    guarded = TenantMiddleware(web, from_header("X-Tenant"), TENANTS)

    async with app, app.worker():
        status, body = answer(await ask(guarded, [(b"x-tenant", b"acme")]))
        of_tenant = await app.handle(body["job"]).result(SOON)
        _, nobody = answer(await ask(guarded, []))
        of_nobody = await app.handle(nobody["job"]).result(SOON)

    assert (status, body["tenant"], of_tenant) == (200, "acme", ["tenant_acme", "acme"])
    assert (nobody["tenant"], of_nobody) == (None, [None, None])
    assert current_tenant() is None


async def test_a_request_finds_the_jobs_of_its_tenant_alone(make_app: Any) -> None:
    app: App = make_app()

    @app.job
    async def work() -> None: ...

    async def once(scope: Any, receive: Any, send: Any) -> None:
        before = await find_or_none(app, "order-7")
        handle = await work.with_options(job_id="order-7").delay()
        await send({"type": "http.response.start", "status": 200, "headers": []})
        found = [before and before.id, handle.is_new, len(await app.jobs("ready"))]
        await send({"type": "http.response.body", "body": msgspec.json.encode(found)})

    guarded = TenantMiddleware(once, from_header("x-tenant"))
    async with app:
        told = [answer(await ask(guarded, [(b"x-tenant", one)]))[1] for one in (b"acme", b"globex", b"acme")]
    assert told == [[None, True, 1], [None, True, 1], ["@acme:order-7", False, 1]]


@pytest.mark.parametrize(
    ("given", "status", "detail"),
    [(b"nobody", 404, "no tenant"), (b"late", 403, "suspended"), (b"\x01", 400, "expected an id")],
)
async def test_a_request_for_no_tenant_of_ours_is_refused_before_the_app(
    given: bytes, status: int, detail: str
) -> None:
    refused = TenantMiddleware(web, from_header("x-tenant"), TENANTS if status != 400 else None)

    got, body = answer(await ask(refused, [(b"x-tenant", given)]))

    assert got == status
    assert detail in body["detail"]


async def test_a_resolver_that_returns_nothing_lets_no_request_through_as_nobodys() -> None:
    class Forgetful:
        async def resolve(self, tenant_id: str) -> Any:
            return None

    with pytest.raises(ConfigurationError, match="returned None; expected a TenantContext"):
        await ask(TenantMiddleware(web, from_header("x-tenant"), Forgetful()), [(b"x-tenant", b"acme")])


async def test_a_request_that_names_two_tenants_is_for_neither() -> None:
    guarded = TenantMiddleware(web, from_header("x-tenant"), TENANTS)

    status, body = answer(await ask(guarded, [(b"x-tenant", b"globex"), (b"X-Tenant", b"acme")]))

    assert status == 400
    assert "the header 'x-tenant' is there 2 times" in body["detail"]


async def test_a_websocket_for_no_tenant_of_ours_is_closed_before_it_is_accepted() -> None:
    refused = TenantMiddleware(web, from_header("x-tenant"), TENANTS)

    [closed] = await ask(refused, [(b"x-tenant", b"nobody")], kind="websocket")

    assert (closed["type"], closed["code"]) == ("websocket.close", 1008)


async def test_the_tenant_may_be_told_by_a_coroutine_or_not_at_all() -> None:
    async def by_token(scope: Any) -> str | None:
        return "acme" if dict(scope["headers"]).get(b"authorization") == b"Bearer good" else None

    seen: list[str | None] = []

    async def inner(scope: Any, receive: Any, send: Any) -> None:
        tenant = current_tenant()
        seen.append(tenant and tenant.tenant_id)

    guarded = TenantMiddleware(inner, by_token)
    await ask(guarded, [(b"authorization", b"Bearer good")])
    await ask(guarded, [(b"authorization", b"Bearer bad")])
    await ask(guarded, [], kind="lifespan")

    assert seen == ["acme", None, None]


@pytest.mark.parametrize(
    ("host", "tenant"),
    [
        ("acme.example.com", "acme"),
        ("ACME.Example.com:8000", "acme"),
        ("acme.example.com.:8000", "acme"),
        ("example.com", None),
        ("acme.example.com.evil.org", None),
        ("evilexample.com", None),
        ("", None),
        ("a.b.example.com", "a.b"),
    ],
)
def test_a_subdomain_is_a_tenant_of_its_domain_alone(host: str, tenant: str | None) -> None:
    assert from_subdomain("example.com")({"headers": [(b"host", host.encode())]}) == tenant
