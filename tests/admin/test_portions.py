"""What is done to many jobs in portions: how many it says there are, what a portion costs, and what is noted of it."""

from __future__ import annotations

from functools import partial
from typing import Any

import pytest

from asyncjobs import App, JobCancelled, RetryPolicy, Worker
from asyncjobs.admin import admin_api, dashboard
from asyncjobs.admin.api import bulk
from asyncjobs.app import counting
from asyncjobs.app.verbs import search
from asyncjobs.app.verbs.paging import matching_pages
from tests.admin.test_api import role_of
from tests.admin.test_dashboard import press, read, see
from tests.admin.test_purging import ask
from tests.apps import broker_of
from tests.web import fetch

pytestmark = pytest.mark.anyio


@pytest.fixture
def api(app: App) -> Any:
    return admin_api(app, authorize=role_of)


@pytest.fixture
def web(app: App) -> Any:
    return dashboard(app, authorize=role_of)


@pytest.fixture
def work(app: App) -> Any:
    @app.job(name="work")
    async def work(number: int = 0) -> None: ...

    return work


@pytest.fixture
def fail(app: App) -> Any:
    @app.job(name="fail", retry=RetryPolicy(max_retries=0))
    async def fail(number: int = 0) -> None:
        raise LookupError("no")

    return fail


def counted(app: App, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return the calls from now on by which the broker of an open app looks at jobs."""
    broker, calls = broker_of(app), []

    def counting(name: str, call: Any) -> Any:
        async def count(*args: Any, **kwargs: Any) -> Any:
            calls.append(name)
            return await call(*args, **kwargs)

        return count

    for name in ("scan", "page", "count_dead"):
        monkeypatch.setattr(broker, name, counting(name, getattr(broker, name)))
    return calls


async def bury(app: App, fail: Any, *numbers: int, queue: str = "default") -> list[str]:
    sent = [await fail.with_options(queue=queue).delay(number) for number in numbers]
    await Worker(app, queues=[queue]).run_until_empty()
    return [one.id for one in sent]


# -- how many there are


async def test_a_purge_whose_count_has_found_none_yet_can_be_done(
    app: App, web: Any, work: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(counting, "_MAX_PAGES", 1)
    async with app:
        await work.with_options(tenant="acme").schedule_in(3600)
        target = "/tenants/acme/purge"
        page = read(await see(web, "/purge?tenant=acme"))
        assert "None of its jobs waits" not in page.text
        assert "Purge the jobs of the tenant acme?" in page.text
        assert "none of the first ones matches. Others may." in page.text
        reply = await press(web, target, {**page.forms[target], "typed": "acme"})
        assert "1 job was cancelled or deleted." in read(await see(web, reply.headers["location"])).text
        assert await app.jobs("scheduled") == []


async def test_few_jobs_of_a_tenant_are_counted_among_very_many_of_others(
    app: App, api: Any, work: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Of each of the four places one at least.
    monkeypatch.setattr(counting, "_MAX_PAGES", 6)
    async with app:
        await app.enqueue_many([work.with_options(tenant="globex").request(number) for number in range(3_000)])
        await app.enqueue_many([work.with_options(tenant="acme").request(number) for number in range(3)])
        calls = counted(app, monkeypatch)
        reply = (await ask(api, "/tenants/acme/purge", {"dry_run": True})).json
        assert (reply["matched"], reply["matched_all"]) == (3, True)
        assert (calls.count("scan"), calls.count("page")) == (5, 0)


@pytest.mark.parametrize("verb", ["retry", "delete"])
async def test_dead_jobs_of_which_the_count_has_found_none_yet_can_be_acted_on(
    app: App, web: Any, fail: Any, monkeypatch: pytest.MonkeyPatch, verb: str
) -> None:
    @app.job(name="rare", retry=RetryPolicy(max_retries=0))
    async def rare(number: int = 0) -> None:
        raise LookupError("rare")

    async with app:
        [own] = await bury(app, rare, 1)
        others = await bury(app, fail, *range(4))
        with monkeypatch.context() as patched:
            patched.setattr(counting, "matching_pages", partial(matching_pages, size=2))
            patched.setattr(counting, "_MAX_PAGES", 2)
            page = read(await see(web, f"/act?verb={verb}&name=rare"))
        assert "No dead job matches" not in page.text
        assert "none of the first ones matches. Others may." in page.text
        await press(web, "/act", page.forms["/act"])
        left = {job.id for job in await app.failed_jobs()}
        assert (own in left, left >= set(others)) == (False, True)


# -- what a portion costs


@pytest.mark.parametrize("target", ["/cancel?name=work", "/act?verb=retry&name=fail", "/purge?tenant=acme"])
async def test_the_page_between_two_portions_says_how_far_it_is_and_counts_nothing_again(
    app: App, web: Any, work: Any, fail: Any, monkeypatch: pytest.MonkeyPatch, target: str
) -> None:
    async with app:
        await work.with_options(tenant="acme").delay()
        await bury(app, fail, 1)
        calls = counted(app, monkeypatch)
        page = read(await see(web, f"{target}&cursor=x&did=500&count=600"))
        assert "500 of 600 done." in page.text
        assert "progress" in page.tags
        assert calls == []
        # There were more than the count has found, or others were sent since.
        page = read(await see(web, f"{target}&cursor=x&did=1000&count=600"))
        assert "1,000 done, and there are others." in page.text


async def test_a_dry_run_of_a_cancellation_is_exact_without_a_filter_and_else_looks_at_many_jobs_at_once(
    app: App, api: Any, work: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with app:
        await app.enqueue_many([work.request(number) for number in range(1_200)])
        await app.enqueue_many([work.with_options(queue="second").request(number) for number in range(5)])
        calls = counted(app, monkeypatch)
        # Also on a busy machine it ends by its number alone.
        monkeypatch.setattr(bulk, "PORTION_S", 60.0)
        monkeypatch.setattr(search, "MAX_SECONDS", 60.0)
        body = {"filter": {"name": "work"}, "dry_run": True}
        reply = (await ask(api, "/jobs/cancel", body)).json
        assert (reply["matched"], reply["matched_all"]) == (1_205, True)
        assert calls.count("scan") == 2
        monkeypatch.setattr(bulk, "MAX_COUNTED", 10)
        reply = (await ask(api, "/jobs/cancel", body)).json
        assert (reply["matched"], reply["matched_all"]) == (10, False)
        # This is exact, however many there are.
        for which, number in (({}, 1_205), ({"queue": "second"}, 5), ({"state": "scheduled"}, 0)):
            reply = (await ask(api, "/jobs/cancel", {"filter": which, "dry_run": True})).json
            assert (reply["matched"], reply["matched_all"], reply["done"], reply["next"]) == (number, True, 0, None)
        assert (await ask(api, "/jobs/cancel", {"filter": {}, "dry_run": True}, queues="second")).json["matched"] == 5
        assert (await ask(api, "/jobs/cancel", {"filter": {}, "dry_run": True}, tenants="acme")).json["matched"] == 0


async def test_a_dry_run_with_ids_keeps_to_their_queue_as_the_real_run_does(app: App, api: Any, fail: Any) -> None:
    async with app:
        ids = await bury(app, fail, 1, queue="second")
        for verb in ("retry", "delete"):
            for queue, found in (("default", 0), ("second", 1)):
                body = {"ids": ids, "queue": queue, "dry_run": True}
                assert (await ask(api, f"/jobs/{verb}", body)).json["matched"] == found
            assert (await ask(api, f"/jobs/{verb}", {"ids": ids, "queue": "default"})).json["matched"] == 0


# -- what is noted


async def test_a_portion_of_500_cancelled_jobs_is_noted_once_a_queue_with_its_filter(
    app: App, api: Any, work: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bulk, "PORTION_S", 60.0)
    async with app:
        await app.enqueue_many([work.with_options(tenant="acme").request(number) for number in range(600)])
        await app.enqueue_many(
            [work.with_options(tenant="acme", queue="second").request(number) for number in range(7)]
        )
        cursor, portions = "", 0
        while cursor is not None:
            body = {"filter": {"name": "work", "tenant": "acme"}, "limit": 500, "cursor": cursor, "why": "spam"}
            reply = (await ask(api, "/jobs/cancel", body)).json
            cursor, portions = reply["next"], portions + 1
            assert reply["matched_all"] is (cursor is None)
        assert portions == 2
        entries = await app.audit()
        assert [(one.queue, one.count) for one in entries[::-1]] == [
            ("default", 500),
            ("default", 100),
            ("second", 7),
        ]
        which = {"state": "ready", "name": "work", "tenant": "acme"}
        assert all(
            (one.verb, one.subject, one.filter, one.note) == ("cancel_jobs", "", which, "spam") for one in entries
        )


@pytest.mark.parametrize("verb", ["retry", "delete"])
async def test_a_portion_of_dead_jobs_is_noted_with_its_filter_and_a_list_of_ids_with_the_ids(
    app: App, api: Any, web: Any, fail: Any, verb: str
) -> None:
    async with app:
        ids = await bury(app, fail, *range(5))
        await ask(api, f"/jobs/{verb}", {"ids": ids[:2]})
        body = {"filter": {"name": "fail", "group": "-"}}
        assert (await ask(api, f"/jobs/{verb}", body)).json["done"] == 0
        body = {"filter": {"name": "fail"}, "limit": 2, "until": "2126-01-01T00:00:00Z"}
        assert (await ask(api, f"/jobs/{verb}", body)).json["done"] == 2
        by_filter, by_ids = await app.audit()
        assert (by_ids.verb, by_ids.filter, by_ids.count) == (f"{verb}_jobs", {}, 2)
        assert sorted(by_ids.subject.split(", ")) == sorted(ids[:2])
        assert (by_filter.verb, by_filter.subject, by_filter.count) == (f"{verb}_failed", "", 2)
        assert by_filter.filter == {"name": "fail", "until": "2126-01-01 00:00:00+00:00"}
        # The page of the audit leads to what is left.
        [left] = [one for one in read(await see(web, "/audit")).links if "until=2126" in one]
        page = read(await see(web, left))
        assert [one for one in ids if one in page.text] == [ids[2]]


async def test_without_a_reason_the_note_of_a_cancellation_is_empty(app: App, api: Any, work: Any) -> None:
    async with app:
        one, other, third = [await work.delay() for _ in range(3)]
        await ask(api, f"/jobs/{one.id}/cancel")
        await ask(api, "/jobs/cancel", {"ids": [other.id]})
        await ask(api, "/jobs/cancel", {"filter": {}})
        assert [(entry.by, entry.note) for entry in await app.audit()] == [("ada", "")] * 3
        # For who waits for the result, it says by whom.
        for handle in (one, other, third):
            with pytest.raises(JobCancelled, match="cancelled by ada"):
                await handle.result()


async def test_a_text_that_jobs_were_searched_for_is_shown_to_who_may_see_values(app: App, api: Any, work: Any) -> None:
    async with app:
        await work.delay(4711)
        await ask(api, "/jobs/cancel", {"filter": {"text": "4711"}})
        for role, text in (("admin", "4711"), ("viewer", "…")):
            [entry] = (await fetch(api, "/audit", headers={"x-role": role})).json["entries"]
            assert entry["filter"] == {"state": "ready", "text": text}
