"""The routes that tell who works and what stands still, and that hold jobs back, with a reason and a trace."""

from __future__ import annotations

import json
from typing import Any

import pytest
from starlette.requests import Request

from asyncjobs import App
from asyncjobs.admin import Access, admin_api
from tests.web import Reply, fetch

pytestmark = pytest.mark.anyio


def caller(request: Request) -> Access | None:
    """Take the caller's word for its role, and for what it may see."""
    role: Any = request.headers.get("x-role")
    queues, tenants = (request.headers.get(f"x-{what}") for what in ("queues", "tenants"))
    if role is None:
        return None
    return Access("ada@example.com", role, queues=queues and queues.split(), tenants=tenants and tenants.split())


@pytest.fixture
def web(app: App) -> Any:
    return admin_api(app, authorize=caller)


async def ask(web: Any, target: str, method: str = "GET", body: Any = None, role: str = "admin", **see: str) -> Reply:
    headers = {"x-role": role, **{f"x-{name}": value for name, value in see.items()}}
    if body is None:
        return await fetch(web, target, method, headers)
    sent = body if isinstance(body, bytes) else json.dumps(body).encode()
    return await fetch(web, target, method, {**headers, "content-type": "application/json"}, sent)


async def test_a_queue_is_paused_with_a_reason_that_its_figures_and_the_audit_show(app: App, web: Any) -> None:
    async with app:
        await ask(web, "/queues/mail/pause", "POST", {"why": "smtp migration"})
        [queue] = (await ask(web, "/queues")).json["queues"]
        assert queue["paused"]
        [hold] = queue["holds"]
        assert (hold["by"], hold["why"]) == ("ada@example.com", "smtp migration")
        await ask(web, "/queues/mail/resume", "POST")
        resume, pause = (await ask(web, "/audit")).json["entries"]
        assert (pause["by"], pause["via"], pause["verb"], pause["subject"], pause["note"]) == (
            "ada@example.com",
            "api",
            "pause",
            "mail",
            "smtp migration",
        )
        assert resume["verb"] == "resume"


@pytest.mark.parametrize(
    ("body", "problem"),
    [
        ({"reason": "smtp"}, "unknown field `reason`; expected a JSON object with why"),
        ({"why": 7}, "Expected `str`, got `int`"),
        (b'{"why": ', "the body: "),
        (b"[]", "Expected `object`, got `array`"),
        ({"why": "x" * 501}, "why has 501 characters; expected at most 500"),
        ({"why": "x" * 300_000}, "a body of more than 262,144 bytes"),
    ],
)
async def test_a_body_that_says_something_else_is_refused(app: App, web: Any, body: Any, problem: str) -> None:
    async with app:
        reply = await ask(web, "/queues/mail/pause", "POST", body)
        assert reply.status in (400, 413)
        assert problem in reply.json["detail"]
        assert not (await app.queue_stats("mail")).paused


@pytest.mark.parametrize("kind", ["names", "tenants"])
async def test_names_and_tenants_are_suspended_and_resumed(app: App, web: Any, kind: str) -> None:
    async with app:
        await app.pause("mail")
        reply = await ask(web, f"/{kind}/acme/suspend?queue=mail", "POST", {"why": "unpaid"})
        assert reply.json == {"which": "acme", "suspended": True}
        holds = (await app.queue_stats("mail")).holds
        assert [(one.kind, one.which, one.why) for one in holds if one.kind != "queue"] == [
            (kind.removesuffix("s"), "acme", "unpaid")
        ]
        reply = await ask(web, f"/{kind}/acme/resume", "POST")
        assert reply.json == {"which": "acme", "suspended": False}
        assert len((await app.queue_stats("mail")).holds) == 1
        assert (await ask(web, f"/{kind}/acme/suspend", "POST", role="viewer")).status == 403


async def test_who_may_see_some_queues_holds_back_in_these_alone(app: App, web: Any) -> None:
    async with app:
        for queue in ("mail", "payments"):
            await app.pause(queue)
        await ask(web, "/names/charge/suspend", "POST", queues="payments")
        assert await app.suspended_names() == {"payments": ["charge"]}
        assert (await ask(web, "/names/charge/suspend?queue=mail", "POST", queues="payments")).status == 404
        assert [one["queue"] for one in (await ask(web, "/audit", queues="mail")).json["entries"]] == ["mail"]
        assert [one["queue_name"] for one in (await ask(web, "/queues", queues="mail")).json["queues"]] == ["mail"]


async def test_who_may_see_some_tenants_suspends_these_alone(app: App, web: Any) -> None:
    async with app:
        await app.pause("mail")
        assert (await ask(web, "/tenants/acme/suspend", "POST", tenants="acme")).status == 200
        assert (await app.suspended_tenants())["mail"] == ["acme"]
        assert (await ask(web, "/tenants/globex/suspend", "POST", tenants="acme")).status == 404
        for target in ("/names/charge/suspend", "/queues/mail/pause"):
            assert (await ask(web, target, "POST", tenants="acme")).status == 403
        for target in ("/audit", "/server", "/queues", "/workers"):
            assert (await ask(web, target, tenants="acme")).status == 403


async def test_workers_are_shown_with_what_they_run(app: App, web: Any) -> None:
    async with app, app.worker(queues=["mail", "payments"]):
        [worker] = (await ask(web, "/workers")).json["workers"]
        assert (worker["queues"], worker["jobs"]) == (["mail", "payments"], [])
        assert worker["version"]
        assert worker["beat_at"]
        [narrowed] = (await ask(web, "/workers", queues="mail")).json["workers"]
        assert narrowed["queues"] == ["mail"]


async def test_the_server_is_shown(app: App, web: Any) -> None:
    async with app:
        reply = (await ask(web, "/server")).json
        assert reply["kind"] in ("memory", "redis")
        assert reply["nodes"][0]["policy"] == "noeviction"
        assert reply["as_of"]


async def test_the_audit_is_read_in_pages_and_its_numbers_have_bounds(app: App, web: Any) -> None:
    async with app:
        for number in range(5):
            await app.pause(f"queue-{number}")
        page = (await ask(web, "/audit?limit=3")).json
        rest = (await ask(web, f"/audit?limit=3&before={page['next']}")).json
        assert [one["subject"] for one in page["entries"] + rest["entries"]] == [
            f"queue-{number}" for number in (4, 3, 2, 1, 0)
        ]
        assert rest["next"] is None
        for wrong in ("limit=501", "limit=0", "before=yesterday"):
            assert (await ask(web, f"/audit?{wrong}")).status == 400


async def test_the_document_tells_the_bodies(app: App, web: Any) -> None:
    async with app:
        document = (await ask(web, "/openapi.json")).json
    body = document["paths"]["/queues/{name}/pause"]["post"]["requestBody"]["content"]["application/json"]["schema"]
    assert body == {"$ref": "#/components/schemas/Why"}
    assert "why" in document["components"]["schemas"]["Why"]["properties"]
