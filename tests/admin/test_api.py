"""The admin API as its callers see it, on both brokers."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import quote

import pytest
from fastapi import FastAPI
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.routing import Mount

from asyncjobs import App, ConfigurationError, JobDefinition, JobState, RetryPolicy, Worker, tenant_scope
from asyncjobs.admin import ROLES, Access, admin_api, basic_auth
from asyncjobs.admin.api.app import ROUTES
from asyncjobs.app.verbs import tenants as verbs_of_tenants
from tests.apps import broker_of
from tests.waiting import SOON
from tests.web import Reply, fetch

pytestmark = pytest.mark.anyio

ODD_IDS = ["a/b", "50%", "what?", "#1", "ünï", "a/retry", "stats", "failed", "{id}", "x+y", "<b>"]


@pytest.fixture
def fail(app: App) -> JobDefinition[..., Any]:
    @app.job(retry=RetryPolicy(max_retries=0))
    async def fail(card: str = "4111") -> None:
        raise LookupError(f"no {card}")

    return fail


@pytest.fixture
def repaired() -> list[bool]:
    """Holds something once ``sometimes`` completes."""
    return []


@pytest.fixture
def sometimes(app: App, repaired: list[bool]) -> JobDefinition[..., Any]:
    @app.job(queue="second", retry=RetryPolicy(max_retries=0))
    async def sometimes() -> str:
        if not repaired:
            raise LookupError("not yet")
        return "done"

    return sometimes


def role_of(request: Request) -> Access | None:
    """Take the caller's word for its role, and for what it may see."""
    role: Any = request.headers.get("x-role")
    queues, tenants = (request.headers.get(f"x-{what}") for what in ("queues", "tenants"))
    if role is None:
        return None
    return Access("ada", role, queues=None if queues is None else queues.split(), tenants=tenants and tenants.split())


@pytest.fixture
def web(app: App) -> Any:
    return admin_api(app, authorize=role_of)


async def ask(web: Any, target: str, method: str = "GET", role: str = "admin", **headers: str) -> Reply:
    named = {f"x-{name}": value for name, value in headers.items()}
    return await fetch(web, target, method, {"x-role": role, **named})


async def run_all(app: App) -> None:
    await Worker(app, queues=["default", "second"]).run_until_empty()


# -- the three routes, and what stands beside them


async def test_a_dead_job_is_listed_and_retried_to_its_end(
    app: App, web: Any, sometimes: Any, repaired: list[bool]
) -> None:
    async with app:
        handle = await sometimes.delay()
        await run_all(app)
        [dead] = (await ask(web, "/jobs/failed?limit=10")).json["jobs"]
        assert (dead["id"], dead["queue"], dead["state"]) == (handle.id, "second", "failed")
        assert dead["errors"][0]["message"] == "not yet"
        assert (await ask(web, "/jobs/stats")).json["total_failed"] == 1
        repaired.append(True)
        reply = await ask(web, f"/jobs/{handle.id}/retry", "POST")
        assert (reply.status, reply.json) == (200, {"id": handle.id, "queue": "second", "retried": True})
        again = await ask(web, f"/jobs/{handle.id}/retry", "POST")
        assert again.status == 409
        assert "pending" in again.json["detail"]
        await run_all(app)
        assert await handle.result(SOON) == "done"
        assert (await ask(web, "/jobs/failed")).json == {"jobs": [], "next": None}
        assert (await ask(web, f"/jobs/{handle.id}")).json["state"] == "completed"


@pytest.mark.parametrize("job_id", ODD_IDS)
@pytest.mark.parametrize("queue", [None, "default"])
async def test_a_job_of_any_id_is_shown_retried_cancelled_and_deleted(
    app: App, web: Any, fail: Any, job_id: str, queue: str | None
) -> None:
    at, where = f"/jobs/{quote(job_id, safe='')}", "" if queue is None else f"?queue={queue}"
    async with app:
        await fail.with_options(job_id=job_id).delay()
        await run_all(app)
        if job_id not in ("stats", "failed"):
            assert (await ask(web, f"{at}{where}")).json["id"] == job_id
        assert (await ask(web, f"{at}/retry{where}", "POST")).json["id"] == job_id
        assert (await ask(web, f"{at}/delete{where}", "POST")).status == 409
        assert (await ask(web, f"{at}/cancel{where}", "POST")).json["cancelled"] is True
        assert (await ask(web, f"{at}/cancel{where}", "POST")).status == 409
        assert (await ask(web, f"{at}/delete{where}", "POST")).json["deleted"] is True
        assert (await ask(web, f"{at}/retry{where}", "POST")).status == 404


async def test_the_dead_are_paged_over_all_queues_latest_first(app: App, web: Any, fail: Any, sometimes: Any) -> None:
    async with app:
        for _ in range(4):
            await app.enqueue_many([fail.request(), sometimes.request(), fail.request()])
            await run_all(app)
        expected = [job.id for job in await app.failed_jobs(100)]
        for limit in (1, 2, 5, 12, 500):
            seen: list[str] = []
            after: str | None = ""
            while after is not None:
                reply = (await ask(web, f"/jobs/failed?limit={limit}&before={quote(after)}")).json
                assert len(reply["jobs"]) <= limit
                seen += [job["id"] for job in reply["jobs"]]
                after = reply["next"]
            assert seen == expected


async def test_a_page_goes_on_where_the_last_one_ended_whatever_dies_or_leaves_meanwhile(
    app: App, web: Any, fail: Any
) -> None:
    async with app:
        await app.enqueue_many([fail.request() for _ in range(5)])
        await run_all(app)
        expected = [job.id for job in await app.failed_jobs()]
        first = (await ask(web, "/jobs/failed?limit=2")).json
        await app.delete_job(expected[1])
        await app.delete_job(expected[2])
        await fail.delay()
        await run_all(app)
        second = (await ask(web, f"/jobs/failed?before={quote(first['next'])}")).json
        assert [job["id"] for job in second["jobs"]] == expected[3:]


async def test_the_dead_are_filtered(app: App, web: Any, fail: Any, sometimes: Any) -> None:
    async with app:
        await fail.with_options(tenant="acme").delay()
        await sometimes.delay()
        await run_all(app)
        now = datetime.now(UTC)
        for query, count in {
            "": 2,
            "queue=second": 1,
            f"name={fail.name}": 1,
            "error=LookupError": 2,
            "error=OSError": 0,
            "tenant=acme": 1,
            f"since={quote((now - timedelta(hours=1)).isoformat())}": 2,
            f"until={quote((now - timedelta(hours=1)).isoformat())}": 0,
            f"since={quote((now + timedelta(hours=1)).isoformat())}": 0,
        }.items():
            assert len((await ask(web, f"/jobs/failed?{query}")).json["jobs"]) == count, query


async def test_jobs_that_have_not_ended_are_listed_by_state(app: App, web: Any, fail: Any, sometimes: Any) -> None:
    async with app:
        ready = [(await fail.with_options(tenant="acme", metadata={"a": 1}).delay()).id for _ in range(3)]
        later = [(await fail.schedule_in(60)).id, (await sometimes.schedule_in(60)).id]

        async def ids(query: str, **narrow: str) -> list[str]:
            return [job["id"] for job in (await ask(web, f"/jobs?{query}", **narrow)).json["jobs"]]

        assert await ids("") == ready
        assert await ids("state=ready&limit=2") == ready[:2]
        assert await ids("state=scheduled") == later
        assert await ids("state=scheduled&queue=second") == later[1:]
        assert await ids("state=scheduled", queues="third second") == later[1:]
        assert await ids("state=scheduled&limit=1", queues="default second") == later[:1]
        assert await ids("state=ready&tenant=globex") == []
        assert await ids("state=ready", tenants="acme") == ready
        assert await ids("state=ready", tenants="globex") == []
        assert await ids("state=ready&tenant=acme", tenants="globex") == []
        assert await ids("state=running") == []
        assert (await ask(web, "/jobs", role="viewer")).json["jobs"][0]["metadata"] == {}
        assert (await ask(web, "/jobs?state=dead")).status == 400


async def test_it_is_told_why_a_job_does_not_run(app: App, web: Any, fail: Any) -> None:
    async with app:
        waits = await fail.with_options(tenant="acme").delay()
        await app.pause("default", why="migration")
        told = (await ask(web, f"/jobs/{quote(waits.id)}/why")).json
        assert [one["kind"] for one in told["reasons"]] == ["queue paused", "no worker"]
        assert "migration" in told["sentence"]
        assert told["reasons"][1]["sentence"] == "No worker serves the queue default."
        # Why whole queues stand still is not for who may see one tenant.
        narrow = (await ask(web, f"/jobs/{quote(waits.id)}/why", tenants="acme")).json
        assert narrow["reasons"][0]["kind"] == "queue paused"
        assert "migration" not in narrow["sentence"]
        assert (await ask(web, f"/jobs/{quote(waits.id)}/why", tenants="globex")).status == 404


async def test_a_queue_is_paused_and_resumed(app: App, web: Any) -> None:
    async with app:
        assert (await ask(web, "/queues/default/pause", "POST")).json == {"queue": "default", "paused": True}
        assert (await ask(web, "/queues/default")).json["paused"] is True
        assert (await ask(web, "/queues/default/resume", "POST")).json == {"queue": "default", "paused": False}
        assert (await app.queue_stats("default")).paused is False


async def test_a_schedule_is_paused_resumed_and_run_now(app: App, web: Any, fail: Any) -> None:
    async with app:
        await app.add_schedule("nightly/1", fail.request("secret"), every=3600)
        [listed] = (await ask(web, "/schedules")).json["schedules"]
        assert (listed["id"], listed["arguments"]) == ("nightly/1", ["secret"])
        assert (await ask(web, "/schedules", role="viewer")).json["schedules"][0]["arguments"] == []
        assert (await ask(web, "/schedules/nightly%2F1/pause", "POST")).json["paused"] is True
        assert (await ask(web, "/schedules/nightly%2F1/resume", "POST")).json["paused"] is False
        sent = (await ask(web, "/schedules/nightly%2F1/trigger", "POST")).json
        assert (await app.find_job(sent["job"], queue=sent["queue"])).name == "fail"
        assert (await ask(web, "/schedules/daily/trigger", "POST")).status == 404


async def test_what_a_middleware_around_says_of_the_tenant_hides_nothing_from_an_operator(
    app: App, web: Any, fail: Any
) -> None:
    async with app:
        handle = await fail.delay()
        with tenant_scope("acme"):
            assert (await ask(web, f"/jobs/{handle.id}")).status == 200


# -- who may do what


@pytest.mark.parametrize("mount", ["", "/x", "/x/y"])
async def test_each_route_is_for_those_who_have_its_permission(app: App, mount: str) -> None:
    api = admin_api(app, authorize=role_of)
    web = Starlette(routes=[Mount(mount, api)]) if mount else api
    async with app:
        for route in ROUTES:
            target = mount + route.path.replace("{id:path}", "nothing").replace("{name:path}", "nothing")
            refused = await fetch(web, target, route.method)
            assert (refused.status, refused.headers["content-type"]) == (401, "application/problem+json"), target
            for role, permissions in ROLES.items():
                reply = await ask(web, target, route.method, role)
                assert (reply.status == 403) == (route.needs not in permissions), (target, role)
                assert reply.status in (200, 400, 403, 404), (target, role, reply.body)
        assert (await fetch(web, f"{mount}/openapi.json")).status == 401
        assert (await fetch(web, f"{mount}/healthz")).json == {"status": "ok"}


async def test_values_are_for_those_who_may_see_them(app: App, web: Any, fail: Any) -> None:
    async with app:
        handle = await fail.with_options(metadata={"user": 7}).delay("4222")
        await run_all(app)
        for target in (f"/jobs/{handle.id}", "/jobs/failed"):
            for role, expected in (("viewer", (None, {})), ("operator", ({"card": "4222"}, {"user": 7}))):
                found = (await ask(web, target, role=role)).json
                job = found["jobs"][0] if "jobs" in found else found
                assert (job["arguments"], job["metadata"]) == expected


async def test_a_caller_sees_and_changes_its_own_queues_alone(app: App, web: Any, fail: Any, sometimes: Any) -> None:
    async with app:
        other, own = await fail.delay(), await sometimes.delay()
        await run_all(app)
        narrow: Mapping[str, str] = {"queues": "second third"}
        stats = (await ask(web, "/jobs/stats", **narrow)).json
        assert ([one["queue_name"] for one in stats["queues"]], stats["total_failed"]) == (["second"], 1)
        assert [job["id"] for job in (await ask(web, "/jobs/failed", **narrow)).json["jobs"]] == [own.id]
        assert (await ask(web, "/jobs/failed?queue=default", **narrow)).json["jobs"] == []
        assert (await ask(web, "/jobs/failed", queues="")).json["jobs"] == []
        for target in (f"/jobs/{other.id}", "/queues/default", "/jobs/stats?queue=default"):
            assert (await ask(web, target, **narrow)).status == 404, target
        # Of a tenant, it sees what happens in these queues.
        for definition in (fail, sometimes):
            await definition.with_options(tenant="acme").delay()
        await run_all(app)
        tenant = (await ask(web, "/tenants/acme", **narrow)).json
        assert (tenant["failed"], [one["queue_name"] for one in tenant["queues"]]) == (1, ["second"])
        for target in (f"/jobs/{other.id}/retry", f"/jobs/{other.id}/delete", "/queues/default/pause"):
            assert (await ask(web, target, "POST", **narrow)).status == 404, target
        assert (await ask(web, f"/jobs/{own.id}/retry", "POST", **narrow)).status == 200
        assert (await app.find_job(other.id)).state is JobState.FAILED
        assert (await app.queue_stats("default")).paused is False


@pytest.mark.parametrize("is_sampled", [False, True])
async def test_the_tenants_of_a_callers_queues_are_paged_without_those_of_others(
    app: App, web: Any, fail: Any, sometimes: Any, monkeypatch: pytest.MonkeyPatch, is_sampled: bool
) -> None:
    if is_sampled:
        monkeypatch.setattr(verbs_of_tenants, "_SAMPLED", 1)
    async with app:
        for tenant in ("acme", "globex", "initech"):
            await fail.with_options(tenant=tenant).delay()
            await sometimes.with_options(tenant=f"other-{tenant}").delay()
        await run_all(app)
        for tenant in ("globex", "hooli"):
            await fail.with_options(tenant=tenant).delay()
            await sometimes.with_options(tenant=f"other-{tenant}").delay()
        listed: list[str] = []
        after: str | None = ""
        while after is not None:
            reply = (await ask(web, f"/tenants?limit=1&after={quote(after)}", queues="default")).json
            listed += [one["tenant"] for one in reply["tenants"]]
            after = reply["next"]
        assert reply["is_exact"] is not is_sampled
    if is_sampled:
        # The first page is by what waits, those behind it by the last end.
        assert listed == ["globex", "initech", "acme", "hooli"]
    else:
        assert listed == ["globex", "hooli", "initech", "acme"]


async def test_a_caller_sees_and_changes_its_own_tenants_alone(app: App, web: Any, fail: Any) -> None:
    async with app:
        own, other, nobodys = [await fail.with_options(tenant=tenant).delay() for tenant in ("acme", "globex", None)]
        await run_all(app)
        narrow: Mapping[str, str] = {"tenants": "acme"}
        assert [job["id"] for job in (await ask(web, "/jobs/failed", **narrow)).json["jobs"]] == [own.id]
        assert (await ask(web, "/jobs/failed?tenant=globex", **narrow)).json["jobs"] == []
        assert (await ask(web, "/jobs/failed", tenants="acme globex")).status == 400
        assert (await ask(web, "/tenants/acme", **narrow)).json["failed"] == 1
        assert (await ask(web, "/tenants/globex", **narrow)).status == 404
        assert (await ask(web, "/tenants", **narrow)).status == 403
        listed = (await ask(web, "/tenants?limit=5")).json
        assert {one["tenant"]: one["failed"] for one in listed["tenants"]} == {"acme": 1, "globex": 1}
        first = (await ask(web, "/tenants?limit=1")).json
        rest = (await ask(web, f"/tenants?limit=1&after={quote(first['next'])}")).json
        assert ([one["tenant"] for one in first["tenants"] + rest["tenants"]], rest["next"]) == (
            ["globex", "acme"],
            None,
        )
        assert (await ask(web, "/tenants?after=acme")).status == 400
        assert (await ask(web, "/tenants?queue=second", queues="default")).status == 404
        assert (await ask(web, "/tenants", queues="second")).json["tenants"] == []
        assert (await ask(web, "/tenants?limit=501")).status == 400
        for target, method in (("/jobs/stats", "GET"), ("/queues/default", "GET"), ("/queues/default/pause", "POST")):
            assert (await ask(web, target, method, **narrow)).status == 403
        for one in (other, nobodys):
            assert (await ask(web, f"/jobs/{quote(one.id)}", **narrow)).status == 404
            assert (await ask(web, f"/jobs/{quote(one.id)}/retry", "POST", **narrow)).status == 404
        assert (await ask(web, f"/jobs/{quote(own.id)}/retry", "POST", **narrow)).status == 200


async def test_names_and_passwords(app: App) -> None:
    web = admin_api(app, authorize=basic_auth({"ops": "s:cret", "ü": "pässword"}, "viewer"))

    async def status(header: str | None) -> int:
        reply = await fetch(web, "/jobs/stats", headers={} if header is None else {"authorization": header})
        assert reply.status == 200 or reply.headers["www-authenticate"].startswith("Basic ")
        return reply.status

    async with app:
        assert await status("Basic b3BzOnM6Y3JldA==") == 200
        assert await status("basic w7w6cMOkc3N3b3Jk") == 200
        for wrong in (None, "Basic b3BzOg==", "Basic Og==", "Basic !", "Bearer b3BzOnM6Y3JldA==", "Basic /w==", ""):
            assert await status(wrong) == 401, wrong
    for passwords in ({}, {"ops": ""}):
        with pytest.raises(ConfigurationError, match="password"):
            basic_auth(passwords)


@pytest.mark.parametrize("is_async", [False, True])
async def test_authorize_may_refuse_in_its_framework_s_way(app: App, is_async: bool) -> None:
    def refuse(request: Request) -> Access | None:
        raise HTTPException(402, "pay first", headers={"x-price": "1"})

    async def refuse_later(request: Request) -> Access | None:
        return refuse(request)

    reply = await fetch(admin_api(app, authorize=refuse_later if is_async else refuse), "/jobs/stats")
    assert (reply.status, reply.json["detail"], reply.headers["x-price"]) == (402, "pay first", "1")


# -- what goes wrong


@pytest.mark.parametrize(
    ("target", "named"),
    [
        ("/jobs/failed?limit=0", "limit='0'"),
        ("/jobs/failed?limit=501", "limit='501'"),
        ("/jobs/failed?limit=many", "limit='many'"),
        ("/jobs/failed?limit=" + "9" * 5000, "limit="),
        ("/jobs/failed?since=yesterday", "since='yesterday'"),
        ("/jobs/failed?since=2026-01-31T08:00:00", "since='2026-01-31T08:00:00'"),
        ("/jobs/failed?before=x", "after='x'"),
        ("/jobs/failed?before=" + "9" * 100 + "%20x", "after="),
        ("/jobs/failed?quue=default", "quue"),
        ("/jobs/failed?queue=" + "q" * 300, "q"),
        ("/jobs/failed?tenant=%00", "tenant"),
        ("/jobs/x?page=1", "page"),
    ],
)
async def test_a_wrong_parameter_is_named(app: App, web: Any, target: str, named: str) -> None:
    async with app:
        reply = await ask(web, target)
    assert (reply.status, reply.headers["content-type"]) == (400, "application/problem+json")
    assert named in reply.json["detail"]
    assert len(reply.json["detail"]) < 400


async def test_a_form_of_another_site_changes_nothing(app: App, web: Any) -> None:
    async with app:
        for headers, status in (
            ({"origin": "https://evil.example"}, 403),
            ({"content-type": "application/x-www-form-urlencoded"}, 415),
            ({"content-type": "text/plain; charset=utf-8"}, 415),
            ({"content-type": "application/json; charset=utf-8"}, 200),
        ):
            reply = await fetch(web, "/queues/default/pause", "POST", {"x-role": "admin", **headers})
            assert reply.status == status
            assert (await app.queue_stats("default")).paused is (status == 200)
            assert "access-control-allow-origin" not in reply.headers


async def test_what_there_is_not_is_answered_as_a_problem(web: Any) -> None:
    for target, method, status in (("/nothing", "GET", 404), ("/jobs/stats", "DELETE", 405), ("/queues", "POST", 405)):
        reply = await ask(web, target, method)
        assert (reply.status, reply.headers["content-type"]) == (status, "application/problem+json")
        assert "openapi.json" in reply.json["detail"]


async def test_each_reply_is_kept_by_nobody_and_sniffed_by_nobody(app: App, web: Any) -> None:
    async with app:
        for reply in (await ask(web, "/jobs/stats"), await ask(web, "/jobs/none"), await fetch(web, "/jobs/stats")):
            assert reply.headers["cache-control"] == "private, no-store"
            assert reply.headers["x-content-type-options"] == "nosniff"


async def test_an_app_that_is_not_open_and_a_broker_that_is_away_are_said(app: App, web: Any) -> None:
    assert (await ask(web, "/jobs/stats")).status == 503
    assert (await fetch(web, "/healthz")).status == 503
    gone = App("redis://127.0.0.1:1/0", send_timeout=1)
    reply = await fetch(admin_api(gone, authorize=role_of), "/healthz")
    assert reply.status == 503


async def test_a_fault_of_the_server_is_told_by_its_id_alone(
    app: App, web: Any, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def burst(*given: Any) -> Any:
        raise ZeroDivisionError("password=hunter2")

    async with app:
        monkeypatch.setattr(broker_of(app), "overview", burst)
        reply = await ask(web, "/jobs/stats")
    assert reply.status == 500
    assert b"hunter2" not in reply.body
    [record] = [one for one in caplog.records if one.name == "asyncjobs.admin"]
    assert reply.json["incident"] in record.getMessage()
    assert record.exc_info is not None


async def test_who_changed_what_is_logged(app: App, web: Any, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "asyncjobs.admin")
    async with app:
        await ask(web, "/queues/default/pause", "POST")
        await ask(web, "/queues/default")
    [message] = [one.getMessage() for one in caplog.records if one.name == "asyncjobs.admin"]
    assert message == "'ada': POST '/queues/default/pause'"


@pytest.mark.parametrize("authorize", [None, "who", Access("ada")])
def test_there_is_no_api_without_a_function_that_says_who_calls(app: App, authorize: Any) -> None:
    with pytest.raises(ConfigurationError, match="authorize="):
        admin_api(app, authorize=authorize)


def test_what_an_access_takes(app: App) -> None:
    make: Callable[..., Access] = Access
    with pytest.raises(ConfigurationError, match="role='root': expected one of viewer, operator, admin"):
        make("ada", "root")
    with pytest.raises(ConfigurationError, match=r"queues='mail'.*\['mail'\]"):
        make("ada", queues="mail")


# -- the document


async def test_the_document_names_each_route_with_its_permission_and_resolves(app: App) -> None:
    web = FastAPI()
    web.mount("/api/admin", admin_api(app, authorize=role_of))
    document = (await ask(web, "/api/admin/openapi.json")).json
    assert document["servers"] == [{"url": "/api/admin"}]
    listed = {
        (method.upper(), path): one["x-permission"]
        for path, methods in document["paths"].items()
        for method, one in methods.items()
    }
    assert listed == {(one.method, one.path.replace(":path}", "}")): one.needs for one in ROUTES}
    for methods in document["paths"].values():
        for one in methods.values():
            assert one["summary"].endswith(".")

    def references(value: Any) -> list[str]:
        if isinstance(value, dict):
            own = [value["$ref"]] if "$ref" in value else []
            return own + [found for one in value.values() for found in references(one)]
        return [found for one in value for found in references(one)] if isinstance(value, list) else []

    for reference in references(document):
        assert reference.removeprefix("#/components/schemas/") in document["components"]["schemas"]


async def test_jobs_and_states_stand_under_their_documented_names(app: App, web: Any, fail: Any) -> None:
    async with app:
        handle = await fail.delay()
        shown = (await ask(web, f"/jobs/{handle.id}")).json
    document = (await ask(web, "/openapi.json")).json
    assert set(shown) <= set(document["components"]["schemas"]["JobDetails"]["properties"])
    assert shown["state"] == JobState.PENDING.value


async def test_what_is_wrong_is_told_of_the_queues_that_a_caller_may_see(app: App, web: Any, fail: Any) -> None:
    async with app:
        await fail.delay()
        await app.pause("default", why="migration")
        told = (await ask(web, "/problems", role="viewer")).json
        [paused] = [one for one in told["problems"] if one["queue"]]
        assert (told["bad"], paused["kind"], paused["level"]) == (1, "paused", "bad")
        assert "migration" in paused["sentence"]
        assert (await ask(web, "/problems", queues="second")).json["problems"] == []
        assert (await ask(web, "/problems?queue=default", queues="second")).status == 404
        assert (await ask(web, "/problems", tenants="acme")).status == 403
