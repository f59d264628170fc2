"""The purge of a tenant, over HTTP and on its page: how many, by whom, in portions, and of nobody else."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import quote

import pytest

from asyncjobs import App, JobState, RetryPolicy, Worker
from asyncjobs.admin import admin_api, dashboard
from asyncjobs.admin.api import purging
from asyncjobs.app import counting
from tests.admin.crawl import Document
from tests.admin.sowing import HOSTILE
from tests.admin.test_api import role_of
from tests.admin.test_dashboard import press, read, see
from tests.waiting import until
from tests.web import Reply, fetch

pytestmark = pytest.mark.anyio

# 255 bytes, which are 765 in an address, and more than that in a cursor.
LONG = "漢" * 85


@pytest.fixture
def api(app: App) -> Any:
    return admin_api(app, authorize=role_of)


@pytest.fixture
def web(app: App) -> Any:
    return dashboard(app, authorize=role_of)


@pytest.fixture
def work(app: App) -> Any:
    @app.job
    async def work(number: int = 0) -> None: ...

    return work


@pytest.fixture
def fail(app: App) -> Any:
    @app.job(queue="second", retry=RetryPolicy(max_retries=0))
    async def fail() -> None:
        raise LookupError("no")

    return fail


async def ask(api: Any, target: str, body: Any = None, role: str = "admin", **see: str) -> Reply:
    headers = {
        "x-role": role,
        "content-type": "application/json",
        **{f"x-{name}": value for name, value in see.items()},
    }
    return await fetch(api, target, "POST", headers, json.dumps(body or {}).encode())


async def sow(app: App, work: Any, fail: Any, *tenants: str | None) -> None:
    """Of each tenant, let one job be dead, and leave one scheduled and two ready, of them one in another queue."""
    for tenant in tenants:
        await fail.with_options(tenant=tenant).delay()
    await Worker(app, queues=["second"]).run_until_empty()
    for tenant in tenants:
        await work.with_options(tenant=tenant).delay()
        await work.with_options(tenant=tenant, queue="second").delay()
        await work.with_options(tenant=tenant).schedule_in(3600)


async def left(app: App) -> list[str]:
    """Return whose jobs are left, empty for nobody's."""
    found = [*await app.jobs("ready"), *await app.jobs("scheduled"), *await app.failed_jobs()]
    return [job.tenant for job in found]


async def test_it_counts_first_and_then_ends_the_jobs_of_one_tenant_alone(
    app: App, api: Any, work: Any, fail: Any
) -> None:
    async with app:
        await sow(app, work, fail, "acme", "globex", None)
        counted = (await ask(api, "/tenants/acme/purge", {"dry_run": True})).json
        assert counted == {"matched": 4, "matched_all": True, "done": 0, "next": None, "deletion": None}
        assert len(await left(app)) == 12
        done = (await ask(api, "/tenants/acme/purge", {"why": "gone <for> good"})).json
        assert done == {"matched": 4, "matched_all": True, "done": 4, "next": None, "deletion": None}
        assert sorted(await left(app)) == [""] * 4 + ["globex"] * 4
        assert (await ask(api, "/tenants/acme/purge")).json["done"] == 0
        [entry] = await app.audit()
        assert (entry.by, entry.via, entry.verb, entry.subject, entry.count, entry.note) == (
            "ada",
            "api",
            "purge_tenant",
            "acme",
            4,
            "gone <for> good",
        )


async def test_a_count_that_ends_early_says_so(
    app: App, api: Any, work: Any, fail: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(counting, "_MAX_COUNT", 2)
    async with app:
        await sow(app, work, fail, "acme")
        counted = (await ask(api, "/tenants/acme/purge", {"dry_run": True})).json
        assert (counted["matched_all"], counted["matched"] >= 2) == (False, True)


@pytest.mark.parametrize("tenant", ["acme", LONG], ids=["short", "long"])
async def test_portion_by_portion_each_job_is_ended_and_counted_once_also_one_that_runs(
    app: App, api: Any, work: Any, fail: Any, monkeypatch: pytest.MonkeyPatch, tenant: str
) -> None:
    monkeypatch.setattr(purging, "PORTION_S", 0)
    started = []

    @app.job(queue="third")
    async def hang() -> None:
        started.append(1)
        await until(lambda: False, "it is cancelled")

    async with app:
        await sow(app, work, fail, tenant, "globex")
        await app.enqueue_many([work.with_options(tenant=one).request() for one in (tenant, "globex") * 700])
        async with app.worker(queues=["third"]):
            running = await hang.with_options(tenant=tenant).delay()
            await until(lambda: bool(started), "the handler has started")
            portions, cursor = [], ""
            while cursor is not None:
                reply = (await ask(api, f"/tenants/{quote(tenant)}/purge", {"cursor": cursor})).json
                portions.append(reply["done"])
                cursor = reply["next"]
                assert reply["matched_all"] is (cursor is None)
            await until(lambda: _is_cancelled(running), "the handler is cancelled")
        assert len(portions) > 5
        assert sum(portions) == 705
        assert {job.tenant for job in await app.jobs("ready", limit=2_000)} == {"globex"}
        assert sum(one.count for one in await app.audit()) == 705


async def _is_cancelled(handle: Any) -> bool:
    return bool(await handle.status() is JobState.CANCELLED)


async def test_it_keeps_to_the_queue_that_is_meant_and_to_those_of_the_caller(
    app: App, api: Any, work: Any, fail: Any
) -> None:
    async with app:
        await sow(app, work, fail, "acme")
        target = "/tenants/acme/purge"
        assert (await ask(api, f"{target}?queue=second", queues="default")).status == 404
        assert (await ask(api, target, queues="other")).json["done"] == 0
        assert (await ask(api, f"{target}?queue=default", {"dry_run": True})).json["matched"] == 2
        assert (await ask(api, target, {"dry_run": True}, queues="second")).json["matched"] == 2
        assert (await ask(api, target, queues="second third")).json["done"] == 2
        assert [job.queue for job in await app.jobs("ready")] == ["default"]
        # Who may see that queue sees in the audit what was done there.
        assert [(one.verb, one.queue, one.count) for one in await app.audit()] == [("purge_tenant", "second", 2)]
        assert (await ask(api, f"{target}?queue=default")).json["done"] == 2
        assert await left(app) == []


async def test_only_who_may_delete_and_sees_the_tenant_may_purge_it(app: App, api: Any, work: Any, fail: Any) -> None:
    async with app:
        await sow(app, work, fail, "acme")
        for body in ({}, {"dry_run": True}):
            for role in ("viewer", "operator"):
                assert (await ask(api, "/tenants/acme/purge", body, role=role)).status == 403
            assert (await ask(api, "/tenants/acme/purge", body, tenants="globex")).status == 404
        assert len(await left(app)) == 4
        assert (await ask(api, "/tenants/acme/purge", tenants="acme globex")).json["done"] == 4


@pytest.mark.parametrize(
    ("body", "problem"),
    [
        ({"cursor": "x"}, "expected the next of a reply to the same question"),
        ({"cursor": "[]"}, "expected the next of a reply to the same question"),
        ({"cursor": '["zzz"]'}, "expected the next of a reply to the same question"),
        ({"cursor": '["default","ready","junk"]'}, "expected the next of a reply to the same question"),
        ({"limit": 5}, "unknown field `limit`"),
        ({"why": "x" * 501}, "Expected `str` of length <= 500 - at `$.why`"),
    ],
)
async def test_a_body_that_says_something_else_is_refused(
    app: App, api: Any, work: Any, fail: Any, body: Any, problem: str
) -> None:
    async with app:
        await sow(app, work, fail, "acme")
        reply = await ask(api, "/tenants/acme/purge", body)
        assert (reply.status, problem in reply.json["detail"]) == (400, True)
        assert len(await left(app)) == 4


async def test_the_cursor_of_another_purge_is_refused(
    app: App, api: Any, work: Any, fail: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(purging, "PORTION_S", 0)
    async with app:
        await sow(app, work, fail, "acme", "globex")
        cursor = (await ask(api, "/tenants/acme/purge?queue=second")).json["next"]
        for target, queues in (
            ("/tenants/globex/purge?queue=second", None),
            ("/tenants/acme/purge?queue=default", None),
            ("/tenants/acme/purge", None),
            ("/tenants/acme/purge", "default second"),
        ):
            see = {} if queues is None else {"queues": queues}
            reply = await ask(api, target, {"cursor": cursor}, **see)
            assert (reply.status, "to the same question" in reply.json["detail"]) == (400, True), target
        # One character of it is another.
        altered = cursor[:-1] + ("A" if cursor[-1] != "A" else "B")
        assert (await ask(api, "/tenants/acme/purge?queue=second", {"cursor": altered})).status == 400
        assert len(await left(app)) == 8
        assert (await ask(api, "/tenants/acme/purge?queue=second", {"cursor": cursor})).status == 200


# -- on its page


@pytest.mark.parametrize("cursor", ["[]", '[""]', '["zzz"]'])
async def test_a_cursor_that_somebody_made_up_does_not_spare_the_typing(
    app: App, web: Any, work: Any, fail: Any, cursor: str
) -> None:
    async with app:
        await sow(app, work, fail, "acme")
        assert (await press(web, "/tenants/acme/purge", {"cursor": cursor})).status == 400
        assert len(await left(app)) == 4


async def test_the_page_says_how_many_and_does_it_once_the_id_is_typed(
    app: App, web: Any, work: Any, fail: Any
) -> None:
    async with app:
        await sow(app, work, fail, "acme", "globex")
        assert "/purge?tenant=acme" in read(await see(web, "/tenants/acme")).links
        asked = read(await see(web, "/purge?tenant=acme"))
        assert "Purge 4 jobs of the tenant acme?" in asked.text
        assert "No job can be brought back" in asked.text
        for typed in ("", "globex", "acm"):
            reply = await press(web, "/tenants/acme/purge", {"typed": typed, "why": "they left"})
            again = read(await see(web, reply.headers["location"]))
            assert "so nothing was done" in again.text
            assert again.forms["/tenants/acme/purge"]["why"] == "they left"
        assert len(await left(app)) == 8
        fields = {**again.forms["/tenants/acme/purge"], "typed": " acme "}
        reply = await press(web, "/tenants/acme/purge", fields)
        page = read(await see(web, reply.headers["location"]))
        assert "4 jobs were cancelled or deleted." in page.text
        assert await left(app) == ["globex"] * 4
        [entry] = await app.audit()
        assert (entry.verb, entry.via, entry.note) == ("purge_tenant", "dashboard", "they left")
        assert "None of its jobs waits, runs or is dead." in read(await see(web, "/purge?tenant=acme")).text


async def test_without_script_a_button_goes_on_to_the_next_portion(
    app: App, web: Any, work: Any, fail: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(purging, "PORTION_S", 0)
    async with app:
        await sow(app, work, fail, LONG)
        await app.enqueue_many([work.with_options(tenant=LONG).request() for _ in range(700)])
        target = f"/tenants/{quote(LONG)}/purge"
        fields = {**read(await see(web, f"/purge?tenant={quote(LONG)}")).forms[target], "typed": LONG}
        told: list[str] = []
        while True:
            reply = await press(web, target, fields)
            page = read(await see(web, reply.headers["location"]))
            if target not in page.forms:
                break
            told.append(page.text)
            fields = page.forms[target]
        assert "704 jobs were cancelled or deleted" in page.text
        assert any("of 704 done." in text for text in told)
        assert await left(app) == []


async def test_who_may_not_purge_has_no_link_and_no_page(app: App, web: Any, work: Any, fail: Any) -> None:
    async with app:
        await sow(app, work, fail, "acme")
        for role in ("viewer", "operator"):
            assert "/purge?tenant=acme" not in read(await see(web, "/tenants/acme", role)).links
            assert (await see(web, "/purge?tenant=acme", role)).status == 403
            assert (await press(web, "/tenants/acme/purge", {"typed": "acme"}, role)).status == 403
        narrow = {"x-tenants": "globex"}
        assert (await see(web, "/purge?tenant=acme", **narrow)).status == 404
        headers = {"x-role": "admin", "content-type": "application/x-www-form-urlencoded", **narrow}
        assert (await fetch(web, "/tenants/acme/purge", "POST", headers, b"typed=acme")).status == 404
        # A page of another site, in the browser of who may.
        headers = {**headers, "x-tenants": "acme", "sec-fetch-site": "cross-site"}
        assert (await fetch(web, "/tenants/acme/purge", "POST", headers, b"typed=acme")).status == 403
        assert len(await left(app)) == 4


@pytest.mark.parametrize("make_app", ["memory"], indirect=True)
@pytest.mark.parametrize("text", HOSTILE)
async def test_a_tenant_of_any_name_is_purged_by_what_the_page_shows_of_it(app: App, web: Any, text: str) -> None:
    tenant = "".join(one for one in text if ord(one) > 31 and ord(one) != 127)[:80]

    @app.job
    async def work() -> None: ...

    async with app:
        await work.with_options(tenant=tenant).delay()
        page = Document((await see(web, f"/purge?tenant={quote(tenant, safe='')}")).body.decode())
        assert not page.tags & {"marquee", "script-inline"}
        assert not [name for name in page.attributes if name.startswith("on")]
        # What stands between the words of the label, with what can't be seen written out.
        shown = page.text.partition("Type ")[2].partition(" to go on")[0]
        reply = await press(web, f"/tenants/{quote(tenant, safe='')}/purge", {"typed": shown})
        assert "1 job was cancelled or deleted." in read(await see(web, reply.headers["location"])).text
        assert await app.jobs("ready") == []


@pytest.mark.parametrize("tenant", ["   ", " acme", "acme/purge", "/purge"])
async def test_an_odd_id_has_its_own_page_and_must_be_typed_like_any_other(app: App, web: Any, tenant: str) -> None:
    @app.job
    async def work() -> None: ...

    async with app:
        await work.with_options(tenant=tenant).delay()
        await work.with_options(tenant="acme").delay()
        shown = await see(web, f"/tenants/{quote(tenant, safe='')}")
        page = read(shown)
        assert "Purge " not in page.text
        assert "Suspend" in page.text
        [link] = [one for one in page.links if one.startswith("/purge?")]
        [target] = [one for one in read(await see(web, link)).forms if one.endswith("/purge")]
        for typed in ("", " ", "  ", "acm"):
            reply = await press(web, target, {"typed": typed})
            assert "so nothing was done" in read(await see(web, reply.headers["location"])).text
        reply = await press(web, target, {"typed": tenant})
        assert "1 job was cancelled or deleted." in read(await see(web, reply.headers["location"])).text
        assert [job.tenant for job in await app.jobs("ready")] == ["acme"]


async def test_without_a_tenant_nothing_is_purged(app: App, web: Any, work: Any, fail: Any) -> None:
    async with app:
        await sow(app, work, fail, "acme")
        assert (await see(web, "/purge")).status == 400
        assert (await press(web, "/tenants//purge")).status == 303
        assert len(await left(app)) == 4
