"""The dashboard without a browser: what its pages show and its buttons do."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from importlib import resources
from typing import Any
from urllib.parse import parse_qs, quote, urlencode, urlsplit

import pytest
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.routing import Mount

from asyncjobs import App, JobState, RetryPolicy, UnknownJob, Worker, acting
from asyncjobs.admin import dashboard
from asyncjobs.admin.api import undoing
from asyncjobs.admin.dashboard import tenants as tenant_pages
from asyncjobs.app.verbs import tenants as verbs_of_tenants
from asyncjobs.ports import RunCounts
from tests.admin.crawl import Document
from tests.admin.test_api import role_of
from tests.apps import broker_of
from tests.waiting import SOON, until
from tests.web import Reply, fetch

pytestmark = pytest.mark.anyio


async def see(web: Any, target: str, role: str = "admin", **headers: str) -> Reply:
    return await fetch(web, target, headers={"x-role": role, **headers})


def read(reply: Reply) -> Document:
    return Document(reply.body.decode())


async def press(
    web: Any, target: str, fields: Mapping[str, str] | None = None, role: str = "admin", **more: str
) -> Reply:
    form = {"content-type": "application/x-www-form-urlencoded", "origin": "http://jobs.example.com"}
    headers = {"x-role": role, **form, **more}
    return await fetch(web, target, "POST", headers, urlencode(fields or {}).encode())


@pytest.fixture
def web(app: App) -> Any:
    return dashboard(app, authorize=role_of, title="shop", environment="test")


@pytest.fixture
def repaired() -> list[bool]:
    return []


@pytest.fixture
def work(app: App, repaired: list[bool]) -> Any:
    @app.job(retry=RetryPolicy(max_retries=0))
    async def work(note: str = "") -> str:
        if not repaired:
            raise LookupError(note)
        return "done"

    return work


async def run_all(app: App, *queues: str) -> None:
    await Worker(app, queues=queues or ["default"]).run_until_empty()


async def seed(app: App, work: Any) -> None:
    """Leave something on each page."""
    for number in range(60):
        await work.with_options(tenant="acme" if number % 2 else None).delay(f"order {number}")
    await run_all(app)
    await work.with_options(job_id="waits/here?").delay("hi")
    await work.schedule_in(3600, "later")
    await work.with_options(queue="strange:name.x").delay("x")
    await app.add_schedule("nightly/1", work.request("n"), every=3600)
    await app.pause("default")


# -- pages and links


async def test_a_login_page_is_where_authorize_sends_a_stranger(app: App) -> None:
    def to_login(request: Request) -> None:
        raise HTTPException(303, headers={"location": "/login"})

    reply = await fetch(dashboard(app, authorize=to_login), "/")
    assert (reply.status, reply.headers["location"]) == (303, "/login")


async def test_an_empty_field_of_a_filter_filters_nothing(app: App, web: Any, work: Any) -> None:
    async with app:
        await seed(app, work)
        for target in ("/dead?queue=&name=&error=&tenant=acme", "/jobs?state=scheduled&queue=&tenant="):
            assert read(await see(web, target)).tags >= {"table"}


async def test_the_search_finds_an_id_a_queue_a_name_and_else_a_text(app: App, web: Any, work: Any) -> None:
    async with app:
        handle = await work.delay("4711")
        await broker_of(app).count_runs({"default": [RunCounts(name="work", succeeded=1)]})
        for wanted, place in (
            (handle.id, f"/jobs/{handle.id}?queue=default"),
            ("default", "/queues/default"),
            ("work", "/names/work"),
            (" 4711 ", "/jobs?state=any&text=4711&missing=4711"),
            ("", "/jobs"),
        ):
            assert (await see(web, f"/search?q={quote(wanted)}")).headers["location"] == place
        assert handle.id in read(await see(web, "/jobs?state=any&text=4711&missing=4711")).text
        assert (await see(web, "/search?q=4711", "viewer")).headers["location"] == "/jobs?missing=4711"


async def test_the_search_of_a_caller_of_several_tenants_looks_through_the_jobs_of_one(
    app: App, web: Any, work: Any
) -> None:
    async with app:
        sent = await work.with_options(tenant="acme").delay("hello 4711")
        await work.with_options(tenant="other").delay("hello 4711")
        several = {"x-tenants": "b acme"}
        first = await see(web, "/search?q=hello+4711", **several)
        second = await see(web, first.headers["location"], **several)
        page = read(await see(web, second.headers["location"], **several))
        assert "of the tenant acme that have not ended are searched" in page.text
        assert f"/jobs/{quote(sent.id, safe='')}?queue=default" in page.links
        assert not [link for link in page.links if "other" in link]
        # Who may not see values could find them out one by one.
        assert (await see(web, "/search?q=hello", "viewer", **several)).headers["location"] == "/jobs?missing=hello"


async def test_a_caller_who_may_see_no_tenant_is_told_so_on_each_tab(app: App, web: Any, work: Any) -> None:
    async with app:
        await seed(app, work)
        none = {"x-tenants": " "}
        for target in ("/", "/jobs", "/jobs?state=any", "/jobs?missing=hello", "/dead", "/tenants"):
            page = await see(web, target, **none)
            assert (page.status, "There is no tenant that you may see." in read(page).text) == (200, True), target
        assert (await see(web, "/search?q=hello", **none)).headers["location"] == "/jobs?missing=hello"
        for target in (
            "/schedules",
            "/jobs?state=ended",
            "/cancel",
            "/act?verb=retry",
            "/jobs?tenant=acme",
            "/dead?tenant=acme",
        ):
            page = await see(web, target, **none)
            assert page.status == 200, target
            assert not [link for link in read(page).links if link.startswith("/jobs/")], target
        for target in ("/cancel", "/act"):
            await press(web, target, {"verb": "delete"}, **none)
        assert (await app.queue_stats("default")).failed == 60


@pytest.mark.parametrize("make_app", ["memory"], indirect=True)
@pytest.mark.parametrize(("place", "verb"), [("act", "retry"), ("act", "delete"), ("cancel", "cancel")])
async def test_from_as_many_jobs_on_the_number_is_typed_whatever_is_done(
    app: App, web: Any, work: Any, place: str, verb: str
) -> None:
    async with app:
        for count, typed, is_done in ((499, "", True), (500, "", False), (500, "50", False), (1_500, "1,500", True)):
            fields = {"verb": verb} if place == "act" else {}
            reply = await press(web, f"/{place}", {**fields, "count": str(count), "typed": typed})
            assert ("mistyped" not in reply.headers["location"]) == is_done, (count, typed)


async def test_an_error_page_has_the_bar_for_whoever_may_see_the_dashboard(app: App, web: Any, work: Any) -> None:
    async with app:
        await work.delay("x")
        await run_all(app)
        problems = [
            (404, await see(web, "/nothing")),
            (400, await see(web, "/tenants?after=x")),
            (400, await press(web, "/queues/default/limit", {"gate": "", "running": "many", "rate": ""})),
            (403, await see(web, "/queues/default/limit?gate=x", "viewer")),
            (403, await press(web, "/queues/default/pause", role="viewer")),
            (405, await press(web, "/names")),
        ]
        for status, reply in problems:
            page = read(reply)
            assert reply.status == status, page.text
            assert {"/queues", "/search", "/settings"} <= {*page.links}
            # As on each page, it says how many jobs are dead.
            assert re.search(r"Dead\s+(▲ )?1\b", page.text)
        # Who isn't known, and a form of another site, see no page at all.
        other = await fetch(web, "/names", "POST", {"x-role": "admin", "origin": "https://evil.example"})
        for reply in (await fetch(web, "/nothing"), other):
            assert "/queues" not in read(reply).links
    away = await see(web, "/")
    assert (away.status, "/queues" in read(away).links) == (503, True)


async def test_the_theme_button_of_an_error_page_leads_to_a_page_that_is_there(app: App, web: Any) -> None:
    async with app:
        for reply, place in ((await press(web, "/jobs/none/retry"), "/"), (await see(web, "/jobs/none"), "/jobs/none")):
            assert reply.status == 404
            [fields] = [one for action, one in read(reply).forms.items() if action == "/settings"]
            changed = await press(web, "/settings", {"theme": "dark", "at": fields["at"]})
            assert (changed.status, changed.headers["location"]) == (303, place)


@pytest.mark.parametrize("make_app", ["memory"], indirect=True)
@pytest.mark.parametrize(
    "job_id", ["Z" * 26, "0" * 25 + "1", "0RDER0RDER0RDER0RDER0RDER1", "01BX5ZZKBKACTAV9WEVGEMMVS0"]
)
async def test_an_id_that_only_looks_like_ours_tells_no_time(app: App, web: Any, job_id: str) -> None:
    async with app:
        for target in (f"/jobs/{job_id}", f"/jobs?missing={job_id}"):
            reply = await see(web, target, cookie="asyncjobs_zone=Asia%2FTokyo")
            assert "is no record of" in read(reply).text
            assert "y its id" not in read(reply).text
        assert "By its id, it was sent" in read(await see(web, "/jobs?missing=01M8G1VNAYN82702T4NS3R0001")).text


async def test_problems_are_pages(app: App, web: Any) -> None:
    async with app:
        for target, status in (("/nothing", 404), ("/jobs/none", 404), ("/jobs?limit=0", 400), ("/act?verb=burn", 400)):
            reply = await see(web, target)
            assert (reply.status, reply.headers["content-type"]) == (status, "text/html; charset=utf-8"), target
        gone = read(await see(web, "/jobs/none"))
        # From there, another job can be looked for.
        assert {"/queues", "/dead", "/jobs?state=ended"} <= {*gone.links}
        assert "ended longer ago than results are kept" in gone.text
        assert "by its id" not in gone.text
        old = read(await see(web, "/jobs/@acme:01M8G1VNAYN82702T4NS3R0001"))
        assert "or it is none that ada may see; by its id it was sent at 2026-11-28 03:0" in old.text
        assert "/queues" in read(await see(web, "/jobs?limit=0")).links
        # Nobody learns from a refusal which pages there are.
        assert "/queues" not in read(await fetch(web, "/jobs/none")).links
        assert "/queues" in read(await press(web, "/jobs/none/retry")).links
    away = await see(web, "/")
    assert (away.status, "The broker can’t be used" in away.body.decode()) == (503, True)


# -- what the buttons do


async def test_a_dead_job_is_found_and_retried_to_its_end(app: App, web: Any, work: Any, repaired: list[bool]) -> None:
    async with app:
        handle = await work.delay("card 7")
        await run_all(app)
        found = await see(web, f"/search?q={handle.id}")
        assert found.status == 303
        page = read(await see(web, found.headers["location"]))
        assert "card 7" in page.text
        [action] = [one for one in page.forms if one.endswith("/retry")]
        repaired.append(True)
        reply = await press(web, action, page.forms[action])
        assert reply.status == 303
        assert "in line again" in read(await see(web, reply.headers["location"])).text
        await run_all(app)
        assert await handle.result(SOON) == "done"
        again = await press(web, action, page.forms[action])
        assert (again.status, "completed" in again.body.decode()) == (409, True)


@pytest.mark.parametrize("verb", ["retry", "delete"])
async def test_all_that_match_are_changed_but_not_what_dies_after_the_page_was_shown(
    app: App, web: Any, work: Any, verb: str
) -> None:
    async with app:
        for tenant in ("acme", None, "acme"):
            await work.with_options(tenant=tenant).delay()
        await run_all(app)
        confirm = read(await see(web, f"/act?verb={verb}&tenant=acme"))
        assert "2 dead jobs" in confirm.text
        late = await work.with_options(tenant="acme").delay()
        await run_all(app)
        reply = await press(web, "/act", confirm.forms["/act"])
        assert parse_qs(urlsplit(reply.headers["location"]).query)["n"] == ["2"]
        assert "2 jobs" in read(await see(web, reply.headers["location"])).text
        assert late.id in [job.id for job in await app.failed_jobs(tenant="acme")]
        assert len(await app.failed_jobs()) == 2
        assert (await app.queue_stats("default")).pending == (2 if verb == "retry" else 0)


async def test_a_deletion_that_takes_long_to_undo_is_undone_press_by_press(
    app: App, web: Any, work: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(undoing, "PORTION_S", 0.0)
    async with app:
        for queue in ("default", "second"):
            await work.with_options(queue=queue).delay()
        await run_all(app, "default", "second")
        confirm = read(await see(web, "/act?verb=delete"))
        page = read(await see(web, (await press(web, "/act", confirm.forms["/act"])).headers["location"]))
        assert await app.failed_jobs() == []
        page = read(await see(web, (await press(web, "/undo", page.forms["/undo"])).headers["location"]))
        assert "1 job was brought back, and there are more" in page.text
        while "/undo" in page.forms:
            page = read(await see(web, (await press(web, "/undo", page.forms["/undo"])).headers["location"]))
        assert "2 jobs were brought back." in page.text
        assert len(await app.failed_jobs()) == 2


async def test_the_whole_filter_goes_along_from_the_list_to_the_button_and_back(app: App, web: Any, work: Any) -> None:
    async with app:
        await work.with_options(tenant="acme").delay()
        await run_all(app)
        [first] = await app.failed_jobs()
        await until(lambda: time.time_ns() // 1_000_000 > (first.finished_at_ms or 0), "the next millisecond")
        late = await work.with_options(tenant="acme").delay()
        await run_all(app)
        since = datetime.fromtimestamp(((first.finished_at_ms or 0) + 1) / 1000, UTC).isoformat()
        which = urlencode({"tenant": "acme", "since": since, "until": "2100-01-01T00:00:00+00:00"})
        page = read(await see(web, f"/dead?{which}"))
        [link] = [one for one in page.links if "verb=delete" in one]
        confirm = read(await see(web, link))
        assert "1 dead job?" in confirm.text
        reply = await press(web, "/act", confirm.forms["/act"])
        back = parse_qs(urlsplit(reply.headers["location"]).query)
        assert (back["tenant"], back["since"], back["n"]) == (["acme"], [since], ["1"])
        assert [job.id for job in await app.failed_jobs()] == [first.id]
        with pytest.raises(UnknownJob):
            await app.find_job(late.id)


async def test_a_job_is_cancelled_and_its_record_deleted(app: App, web: Any, work: Any) -> None:
    async with app:
        job_id = (await work.with_options(job_id="a/b?").delay()).id
        at = f"/jobs/{quote(job_id, safe='')}"
        await press(web, f"{at}/cancel", {"queue": "default"})
        assert (await app.find_job(job_id)).state is JobState.CANCELLED
        assert "cancelled" in read(await see(web, at)).text
        assert (await press(web, f"{at}/delete")).status == 303
        with pytest.raises(UnknownJob):
            await app.find_job(job_id)
        missed = await see(web, f"/search?q={quote('a/b?')}")
        assert "no record" in read(await see(web, missed.headers["location"])).text
        waits = await work.delay("needle in a haystack")
        found = await see(web, "/search?q=needle")
        assert waits.id in read(await see(web, found.headers["location"])).text


async def test_a_queue_and_a_schedule_are_paused_resumed_and_run(app: App, web: Any, work: Any) -> None:
    async with app:
        await app.add_schedule("nightly/1", work.request("n"), every=3600)
        for target, text in (("/queues/default/pause", "is paused"), ("/queues/default/resume", "open again")):
            reply = await press(web, target)
            assert text in read(await see(web, reply.headers["location"])).text
            assert (await app.queue_stats("default")).paused is (text == "is paused")
        for verb, text in (("pause", "is paused"), ("resume", "fires again"), ("trigger", "Sent: job")):
            reply = await press(web, f"/schedules/nightly%2F1/{verb}", {"queue": "default"})
            assert text in read(await see(web, reply.headers["location"])).text
        assert (await app.queue_stats("default")).pending == 1


async def test_what_a_viewer_chooses_is_kept_for_the_dashboard_alone(app: App) -> None:
    web = Starlette(routes=[Mount("/x", dashboard(app, authorize=role_of))])
    async with app:
        reply = await press(web, "/x/settings", {"theme": "dark", "at": "/dead?name=a%20b"})
        assert reply.headers["location"] == "/x/dead?name=a+b"
        cookie = reply.headers["set-cookie"]
        assert "path=/x;" in cookie.lower()
        assert "samesite=strict" in cookie.lower()
        assert b'data-theme="dark"' in (await see(web, "/x/", cookie=cookie.partition(";")[0])).body
        assert b'data-theme="auto"' in (await see(web, "/x/", cookie='asyncjobs_theme="><b>')).body
        reply = await press(web, "/x/settings", {"zone": "Asia/Kolkata"})
        assert b"IST" in (await see(web, "/x/", cookie=reply.headers["set-cookie"].partition(";")[0])).body
        for name, value in (("theme", "pink"), ("zone", "../etc/passwd"), ("keys", "x"), ("other", "x")):
            assert (await press(web, "/x/settings", {name: value})).status == 400


@pytest.mark.parametrize(
    "at",
    [
        "//evil.example/x",
        "https://evil.example/",
        "\\\\evil.example",
        "/\\evil.example",
        "//[",
        "/../..//evil.example",
        "",
    ],
)
async def test_choosing_leads_back_to_the_dashboard_alone(app: App, at: str) -> None:
    async with app:
        for mount in ("", "/x"):
            pages = dashboard(app, authorize=role_of)
            web = Starlette(routes=[Mount(mount, pages)]) if mount else pages
            to = (await press(web, f"{mount}/settings", {"theme": "dark", "at": at})).headers["location"]
            assert re.match(rf"^{mount}/(?![/\\])", to + "x"), to


async def test_a_form_of_another_site_or_of_great_size_changes_nothing(app: App, web: Any) -> None:
    async with app:
        for origin in ("https://evil.example", "null"):
            reply = await fetch(web, "/queues/default/pause", "POST", {"x-role": "admin", "origin": origin})
            assert (reply.status, b"trusted_origins" in reply.body) == (403, True)
        assert (await press(web, "/queues/default/pause", {"x": "y" * 70_000})).status == 413
        assert (await press(web, "/queues/default/pause", {"x": "y"})).status == 400
        assert (await app.queue_stats("default")).paused is False


async def test_a_job_of_a_megabyte_has_a_page_of_bounded_size(app: App, web: Any, work: Any) -> None:
    async with app:
        handle = await work.delay("x" * 900_000)
        assert len((await see(web, f"/jobs/{handle.id}")).body) < 100_000
        await run_all(app)
        assert len((await see(web, "/dead")).body) < 100_000


# -- what is sent


async def test_pages_load_nothing_from_elsewhere_and_run_nothing_inline(app: App, web: Any) -> None:
    folder = resources.files("asyncjobs.admin.dashboard")
    for one in (folder / "templates").iterdir():
        text = one.read_text()
        assert not re.search(r"\|\s*safe|Markup|style=|<script>|\son\w+=|https?://", text), one.name
    for kind in ("js", "css"):
        own = [one for one in (folder / "static").iterdir() if one.name.endswith(f".{kind}")]
        loaded = [len(one.read_bytes()) for one in own if not one.name.startswith("charts")]
        assert sum(loaded) <= 15_000, kind
    async with app:
        reply = await see(web, "/")
        policy = reply.headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy
        for link in read(reply).links:
            if "/static/" in link:
                kept = await fetch(web, link)
                assert "immutable" in kept.headers["cache-control"]
                assert (await fetch(web, link.replace("/static/", "/static/0"))).headers["cache-control"] == "no-store"
        assert (await fetch(web, "/static/x/..%2Fapp.py")).status == 404


async def test_names_and_tenants_are_resumed_on_the_pages_that_show_them(app: App, web: Any, work: Any) -> None:
    async with app:
        await work.delay("x")
        with acting("bob"):
            await app.suspend_name("charge", queue="default", why="the bank is down")
        shown = read(await see(web, "/queues/default")).text
        assert "suspended by bob" in shown
        assert "the bank is down" in shown
        reply = await press(web, "/names/charge/resume", {"queue": "default"})
        assert "no longer suspended" in read(await see(web, reply.headers["location"])).text
        assert await app.suspended_names() == {}
        reply = await press(web, "/names/charge/suspend", {"why": "the bank is down"})
        shown = read(await see(web, reply.headers["location"])).text
        assert "It is suspended" in shown
        assert "the bank is down" in shown
        await press(web, "/names/charge/resume")
        assert await app.suspended_names() == {}
        reply = await press(web, "/tenants/acme/suspend", {"why": "unpaid"})
        assert "It is suspended" in read(await see(web, reply.headers["location"])).text
        assert (await app.suspended_tenants())["default"] == ["acme"]


async def test_the_page_of_tenants_lists_them_and_a_caller_with_tenants_its_own(
    app: App, web: Any, work: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with app:
        assert "No job has a tenant" in read(await see(web, "/tenants")).text
        monkeypatch.setattr(tenant_pages, "TENANTS_S", 0)
        await work.with_options(tenant="acme/1").delay()
        await app.suspend_tenant("globex")
        page = read(await see(web, "/tenants"))
        assert "suspended" in page.text
        assert {"/tenants/acme%2F1", "/tenants/globex"} <= {*page.links}
        for number in range(110):
            await work.with_options(tenant=f"tenant-{number:03}").delay()
        first = read(await see(web, "/tenants"))
        [more] = [one for one in first.links if "after=" in one]
        rest = read(await see(web, more))
        names = {f"/tenants/tenant-{number:03}" for number in range(110)} | {"/tenants/acme%2F1", "/tenants/globex"}
        assert (len(names & {*first.links}), len(names & {*rest.links})) == (100, 12)
        assert names <= {*first.links, *rest.links}
        # The link that reads the page again stays, and there is no further one.
        assert [one for one in rest.links if "after=" in one] == [more]
        assert "no more tenants" in read(await see(web, "/tenants?after=0 - a")).text
        own = read(await see(web, "/tenants", **{"x-tenants": "acme/1"}))
        assert "/tenants/acme%2F1" in own.links
        assert "globex" not in own.text


async def test_jobs_that_are_set_aside_or_overdue_are_told_on_the_page_of_their_queue(
    app: App, web: Any, work: Any
) -> None:
    async with app:
        await app.suspend_tenant("acme", queue="default")
        await work.with_options(tenant="acme").delay("x")
        await work.schedule_in(0.01, "y")
        await Worker(app).run_once()
        await work.schedule_in(0.01, "z")
        await asyncio.sleep(0.05)
        text = read(await see(web, "/queues/default")).text
        assert "the tenant is suspended" in text
        assert "dies" not in text
        assert re.search(r"\d scheduled jobs? (is|are) overdue", text)
        await app.send("nobody", queue="default")
        await Worker(app).run_once()
        text = " ".join(read(await see(web, "/queues/default")).text.split())
        assert re.search(r"nobody1no worker knows this name; began \S+ m?s ago; it dies in 60 min", text)


async def test_a_schedule_has_a_page_with_its_next_ticks_and_its_last_runs(app: App, web: Any) -> None:
    @app.job(name="tidy", queue="nights")
    async def tidy(shelf: str) -> None: ...

    async with app:
        await app.add_schedule("tidy/7", tidy.request("top"), every=1)
        await app.add_schedule(
            "nightly", tidy.request("all"), cron="30 3 * * *", timezone="Europe/Berlin", overlap=False
        )
        assert "At 03:30 every day" in read(await see(web, "/schedules")).text
        async with app.worker(queues=["nights"]):

            async def has_run() -> bool:
                return "completed" in read(await see(web, "/schedules/tidy%2F7?queue=nights")).text

            await until(has_run, "a run is shown")
        text = read(await see(web, "/schedules/tidy%2F7?queue=nights")).text
        assert "every 1 s" in text
        assert "No job of it has ended lately" not in text
        assert "skipped ticks" not in text
        night = read(await see(web, "/schedules/nightly?queue=nights")).text
        assert re.search(r"skipped ticks\s*0", night)
        assert "No job of it has ended lately" in night
        assert "02:30:00 UTC" in night or "01:30:00 UTC" in night


async def test_the_page_of_a_queue_leads_to_its_workers_and_to_what_its_jobs_came_to_by_name(
    app: App, web: Any, work: Any
) -> None:
    async with app:
        await work.delay()
        assert "0 workers serve it. What" in read(await see(web, "/queues/default")).text
        await broker_of(app).count_runs({"default": [RunCounts(name="work", succeeded=7, runs={100: 7})]})
        async with app.worker(queues=["default"]), app.worker(queues=["other"]):

            async def is_served() -> bool:
                return "1 worker serves it: " in read(await see(web, "/queues/default")).text

            await until(is_served, "the worker is shown")
            page = read(await see(web, "/queues/default"))
            [worker] = [one for one in page.links if one.startswith("/workers/")]
            assert "default" in read(await see(web, worker)).text
        [names] = [one for one in page.links if one.startswith("/names?")]
        named = read(await see(web, names))
        assert "Job names in the queue default" in named.text
        assert any(one.startswith("/names/work?") and "queue=default" in one for one in named.links)
        assert "No job" in read(await see(web, "/names?queue=other")).text


async def test_a_running_job_leads_to_its_worker(app: App, web: Any) -> None:
    started, ends = asyncio.Event(), asyncio.Event()

    @app.job
    async def run() -> None:
        started.set()
        await ends.wait()

    async with app, app.worker(queues=["default"]) as worker:
        handle = await run.with_options(tenant="acme").delay()
        await until(started, "it runs")
        expected = f"/workers/{quote(worker.id, safe='')}"
        for target in ("/jobs?state=running", f"/jobs/{quote(handle.id, safe='')}"):
            assert expected in read(await see(web, target)).links, target
            # A worker has jobs of all tenants.
            own = read(await see(web, f"{target}{'&' if '?' in target else '?'}", **{"x-tenants": "acme"}))
            assert handle.id in own.text
            assert expected not in own.links, target
        ends.set()


async def test_an_entry_of_the_audit_leads_to_what_it_is_about(app: App, web: Any, work: Any) -> None:
    async with app:
        sent = [await work.with_options(tenant="acme").delay(f"order {number}") for number in range(3)]
        await run_all(app)
        since = datetime.now(UTC) - timedelta(hours=1)
        with acting("ada"):
            await app.retry_job(sent[0].id)
            await app.retry_failed(name="work", tenant="acme", since=since)
            await run_all(app)
            await app.add_schedule("nightly/1", work.request("n"), every=3600)
            await app.suspend_name("work", queue="default")
            await app.suspend_tenant("acme", queue="default")
            waiting = await work.with_options(tenant="acme").delay()
            await app.cancel_jobs("ready", tenant="acme", queue="default")
            await app.retry_failed(queue="default")
        links = {*read(await see(web, "/audit")).links}
        expected = {
            f"/jobs/{quote(sent[0].id, safe='')}?queue=default",
            f"/dead?name=work&tenant=acme&since={quote(str(since), safe='').replace('%20', '+')}",
            "/schedules/nightly%2F1?queue=default",
            "/names/work",
            "/tenants/acme",
            "/jobs?state=ready&tenant=acme&queue=default",
            "/dead?queue=default",
        }
        assert expected <= links
        for target in expected:
            assert (await see(web, target)).status == 200, target
        assert await waiting.status() is JobState.CANCELLED


async def test_an_entry_of_the_audit_leads_nowhere_where_its_text_is_cut(app: App, web: Any, work: Any) -> None:
    tenant = "漢" * 80
    async with app:
        whole = await work.with_options(job_id="x" * 200).delay()
        long = await work.with_options(tenant=tenant).delay()
        assert len(long.id) > 300
        with acting("ada"):
            for handle in (whole, long):
                await app.edit_job(handle.id, priority="high")
            await app.cancel_jobs(tenant=tenant, name="n" * 400)
            await app.cancel_jobs(tenant=tenant)
        page = read(await see(web, "/audit"))
        links = [link for link in page.links if link.startswith(("/jobs?", "/jobs/"))]
        assert links == [f"/jobs?state=any&tenant={quote(tenant)}", f"/jobs/{'x' * 200}?queue=default"]
        assert long.id[:300] in page.text
        for link in links:
            assert (await see(web, link)).status == 200


async def test_the_dead_of_the_last_hours_are_shown_and_what_is_done_is_done_with_these(
    app: App, web: Any, work: Any
) -> None:
    async with app:
        await work.with_options(tenant="acme").delay("order")
        await run_all(app)
        first = read(await see(web, "/dead"))
        assert "Each queue keeps its latest 100,000 dead jobs, each of them for 180 d." in first.text
        now = datetime.now(UTC)
        reply = await see(web, "/dead?queue=default&within=24h")
        place, asked = reply.headers["location"].split("?")
        query = parse_qs(asked)
        assert (place, query["queue"], {*query}) == ("/dead", ["default"], {"queue", "since"})
        since = datetime.fromisoformat(query["since"][0])
        assert 86_390 < (now - since).total_seconds() < 86_410
        page = read(await see(web, reply.headers["location"]))
        assert f"They died since {since:%Y-%m-%d %H:%M:%S} UTC." in page.text
        assert "LookupError" in page.text
        [act] = [one for one in page.links if one.startswith("/act?verb=retry")]
        assert parse_qs(urlsplit(act).query)["since"] == query["since"]
        # It stays with another filter, until any time is chosen.
        again, *_ = [one for one in page.links if one.startswith("/dead?") and "since=" in one]
        assert (await see(web, f"{again}&within=any")).headers["location"] == "/dead?queue=default"
        late = quote((datetime.now(UTC) + timedelta(hours=1)).isoformat())
        assert "No dead job matches" in read(await see(web, f"/dead?since={late}")).text


async def test_a_caller_of_several_tenants_sees_the_jobs_of_one_at_a_time(app: App, web: Any, work: Any) -> None:
    async with app:
        for tenant in ("acme", "globex", "initech"):
            await work.with_options(tenant=tenant).delay(f"dead of {tenant}")
        await run_all(app)
        for tenant in ("acme", "globex", "initech"):
            await work.with_options(tenant=tenant).delay(f"job of {tenant}")
        narrow = {"x-tenants": "acme globex"}
        for place, what in (("jobs", "job of"), ("dead", "dead of")):
            reply = await see(web, f"/{place}?queue=default", **narrow)
            assert (reply.status, reply.headers["location"]) == (303, f"/{place}?queue=default&tenant=acme")
            for tenant, other in (("acme", "globex"), ("globex", "acme")):
                page = read(await see(web, f"/{place}?tenant={tenant}", **narrow))
                assert f"{what} {tenant}" in page.text
                assert f"{what} {other}" not in page.text
            # One with another tenant is asked for by its filter.
            assert "initech" not in page.text
            assert "acme" in page.text


async def test_the_figures_of_a_tenant_are_those_of_the_queues_of_the_caller(app: App, web: Any, work: Any) -> None:
    async with app:
        for queue in ("default", "second", "second"):
            await work.with_options(tenant="acme", queue=queue).delay()
        await run_all(app, "default", "second")
        for narrow, dead in (({}, 3), ({"x-queues": "second"}, 2), ({"x-queues": "default", "x-tenants": "acme"}, 1)):
            text = " ".join(read(await see(web, "/tenants/acme", **narrow)).text.split())
            assert f"dead now {dead} " in text.replace("dead now", "dead now ")
        own = read(await see(web, "/", **{"x-queues": "default", "x-tenants": "acme"})).text
        assert "acme: 0 completed, 1 dead" in own


async def test_of_a_sample_the_page_of_tenants_says_in_which_order_the_next_ones_are(
    app: App, web: Any, work: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(verbs_of_tenants, "_SAMPLED", 200)
    async with app:
        tenants = [f"tenant-{number:03}" for number in range(120)]
        for times in (1, 3):
            await app.enqueue_many([work.with_options(tenant=one).request() for one in tenants * times])
            if times == 1:
                await Worker(app).run_until_empty()
        first = read(await see(web, "/tenants"))
        assert "The next pages list all others, those of whom a job ended last first." in first.text
        [more] = [one for one in first.links if "after=" in one]
        rest = read(await see(web, more))
        assert "Behind the first page, all others are listed, those of whom a job ended last first." in rest.text
        listed = [one for page in (first, rest) for one in page.links if one.startswith("/tenants/")]
        assert sorted(listed) == [f"/tenants/{one}" for one in tenants]
