"""Many jobs over the admin API: groups, portions by filter, spread, undo, and what a caller may not."""

from __future__ import annotations

import asyncio
import itertools
import time
from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.routing import Mount

from asyncjobs import App, RetryPolicy, Worker
from asyncjobs.admin import Access, admin_api
from asyncjobs.admin.api import bulk, undoing
from asyncjobs.app import counting
from asyncjobs.app.verbs import latest, search
from tests import waiting
from tests.web import Reply, fetch

pytestmark = pytest.mark.anyio


def role_of(request: Request) -> Access:
    queues, tenants = (request.headers.get(f"x-{what}") for what in ("queues", "tenants"))
    return Access(
        "ada",
        request.headers.get("x-role", "admin"),  # type: ignore[arg-type]
        queues=queues.split(",") if queues else None,
        tenants=tenants.split(",") if tenants else None,
    )


@pytest.fixture
def web(app: App) -> Starlette:
    return Starlette(routes=[Mount("/api", admin_api(app, authorize=role_of))])


@pytest.fixture
def shop(app: App) -> Any:
    @app.job(retry=RetryPolicy(max_retries=0))
    async def charge(order: int) -> None:
        raise ConnectionError(f"order {order} is lost")

    return charge


async def ask(web: Starlette, target: str, body: Any = None, *, method: str = "POST", **headers: str) -> Reply:
    given = {f"x-{name}": value for name, value in headers.items()}
    if body is not None:
        given["content-type"] = "application/json"
    return await fetch(
        web, f"/api{target}", method, headers=given, body=b"" if body is None else msgspec.json.encode(body)
    )


async def bury(app: App, charge: Any, *orders: int, **options: Any) -> list[str]:
    sent = await app.enqueue_many([charge.with_options(**options).request(order) for order in orders])
    await Worker(app, queues=["default", "second"]).run_until_empty()
    return [one.id for one in sent]


async def dead(app: App) -> set[str]:
    return {job.id for job in await app.failed_jobs(10_000)}


async def test_groups_are_listed_and_marked(app: App, web: Starlette, shop: Any) -> None:
    async with app:
        sent = await bury(app, shop, 1001, 1002)
        [group] = (await ask(web, "/dead/groups", method="GET")).json["groups"]
        assert (group["count"], group["message"], group["state"]) == (2, "order <n> is lost", "new")
        assert group["sample_id"] in sent
        assert group["last_at"].endswith("Z")
        reply = await ask(web, f"/dead/groups/{group['id']}/seen", {"note": "the bank moves"})
        assert reply.json == {"id": group["id"], "queue": "default", "state": "seen"}
        [group] = (await ask(web, "/dead/groups?queue=default", method="GET")).json["groups"]
        assert (group["state"], group["note"]) == ("seen", "the bank moves")
        found = await ask(web, f"/jobs/failed?group={group['id']}", method="GET")
        assert {job["id"] for job in found.json["jobs"]} == set(sent)
        assert (await ask(web, "/jobs/failed?group=-", method="GET")).json["jobs"] == []
        assert (await ask(web, "/dead/groups/nobody/seen")).status == 404
        assert (await ask(web, f"/dead/groups/{group['id']}/seen", queues="second")).status == 404
        assert (await ask(web, f"/dead/groups/{group['id']}/seen", role="viewer")).status == 403
        assert (await ask(web, "/dead/groups", method="GET", tenants="acme")).status == 403


async def test_what_would_be_done_is_counted_exactly_by_queue_tenant_group_and_time(
    app: App, web: Starlette, shop: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(counting, "_MAX_COUNT", 2)

    async def counted(until: str | None = None, **which: str) -> tuple[int, bool]:
        body = {"filter": which, "dry_run": True, **({"until": until} if until else {})}
        reply = (await ask(web, "/jobs/retry", body)).json
        return reply["matched"], reply["matched_all"]

    async with app:
        await bury(app, shop, 1001, 1002, 1003)
        await bury(app, shop, 1004, queue="second", tenant="acme")
        # So that the other ones die later than that.
        between = max(job.finished_at_ms or 0 for job in await app.failed_jobs()) + 1
        await waiting.until(lambda: time.time_ns() // 1_000_000 > between, "the next millisecond but one")
        await bury(app, shop, 1005, 1006, 1007, queue="second", tenant="acme")
        noon = datetime.fromtimestamp(between / 1000, UTC).isoformat()
        first, second = sorted(
            (await ask(web, "/dead/groups", method="GET")).json["groups"], key=lambda one: one["count"]
        )
        assert await counted() == (7, True)
        assert await counted(queue="default") == (3, True)
        assert await counted(group=first["id"], queue="default") == (3, True)
        assert await counted(tenant="acme") == (4, True)
        assert await counted(tenant="acme", since=noon) == (3, True)
        assert await counted(tenant="acme", until=noon) == (1, True)
        assert await counted(until=noon) == (4, True)
        assert await counted(group=second["id"], queue="second", since=noon) == (3, True)
        assert await counted(since=first["first_at"], until=noon, queue="second") == (1, True)
        # For these, jobs are looked at.
        assert await counted(name=shop.name) == (2, False)
        assert await counted(group=second["id"], tenant="acme") == (2, False)


async def test_a_filter_is_retried_in_portions_and_what_dies_meanwhile_is_left(
    app: App, web: Starlette, shop: Any
) -> None:
    async with app:
        await bury(app, shop, *range(1000, 1012))
        [group] = (await ask(web, "/dead/groups", method="GET")).json["groups"]
        which = {"filter": {"group": group["id"]}}
        counted = (await ask(web, "/jobs/retry", {**which, "dry_run": True})).json
        assert (counted["matched"], counted["done"], counted["next"]) == (12, 0, None)
        portions, cursor = [], ""
        while cursor is not None:
            reply = (await ask(web, "/jobs/retry", {**which, "limit": 5, "cursor": cursor})).json
            portions.append((reply["matched"], reply["done"]))
            cursor = reply["next"]
            assert reply["matched_all"] is (cursor is None)
            # They die again at once, and are not retried twice.
            await Worker(app).run_until_empty()
        assert portions == [(5, 5), (5, 5), (2, 2)]
        assert len(await dead(app)) == 12
        entries = await app.audit()
        assert {(one.by, one.via, one.verb, one.filter["group"]) for one in entries} == {
            ("ada", "api", "retry_failed", group["id"])
        }
        assert [one.count for one in entries] == [2, 5, 5]


async def test_a_retry_is_spread_over_all_portions(app: App, web: Starlette, shop: Any) -> None:
    async with app:
        sent = await bury(app, shop, *range(8))
        cursor = ""
        while cursor is not None:
            body = {"filter": {"name": shop.name}, "spread": 80, "limit": 3, "cursor": cursor}
            cursor = (await ask(web, "/jobs/retry", body)).json["next"]
        waiting = [*await app.jobs("ready"), *await app.jobs("scheduled")]
        assert {job.id for job in waiting} == set(sent)
        dues = sorted(job.due_at_ms for job in waiting if job.due_at_ms)
        assert len(dues) == 7
        assert all(8_000 < later - one < 12_000 for one, later in itertools.pairwise(dues))


async def test_a_portion_ends_where_few_of_the_dead_pass_the_filter_and_the_next_goes_on(
    app: App, web: Starlette, shop: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bulk, "PORTION_S", 0.0)
    monkeypatch.setattr(latest, "ENTRIES_A_PAGE", 2)

    @app.job(name="other", retry=RetryPolicy(max_retries=0))
    async def other() -> None:
        raise LookupError("other")

    async with app:
        sent: list[str] = []
        for number, queue in enumerate(("default", "second", "default")):
            sent += await bury(app, shop, number, queue=queue)
            await app.enqueue_many([other.with_options(queue=queue).request() for _ in range(5)])
            await Worker(app, queues=[queue]).run_until_empty()
        cursor, portions, done = "", 0, 0
        while cursor is not None:
            reply = (await ask(web, "/jobs/retry", {"filter": {"name": shop.name}, "cursor": cursor})).json
            cursor, portions, done = reply["next"], portions + 1, done + reply["done"]
        assert done == 3
        assert portions > 3
        assert {job.id for job in await app.jobs("ready")} == set(sent)
        assert len(await dead(app)) == 15


@pytest.mark.parametrize("verb", ["retry", "delete"])
async def test_dead_jobs_are_not_gone_through_from_where_others_were(
    app: App, web: Starlette, shop: Any, verb: str
) -> None:
    async with app:
        await bury(app, shop, *range(5))
        cursor = (await ask(web, f"/jobs/{verb}", {"filter": {}, "limit": 3})).json["next"]
        for which in ({"name": shop.name}, {"queue": "default"}, {"since": "2026-01-01T00:00:00Z"}):
            reply = await ask(web, f"/jobs/{verb}", {"filter": which, "cursor": cursor})
            assert (reply.status, "to the same question" in reply.json["detail"]) == (400, True), which
        other = "delete" if verb == "retry" else "retry"
        assert (await ask(web, f"/jobs/{other}", {"filter": {}, "cursor": cursor})).status == 400
        assert len(await dead(app)) == 2
        assert (await ask(web, f"/jobs/{verb}", {"filter": {}, "cursor": cursor})).json["done"] == 2


async def test_a_deletion_in_portions_is_undone_as_one(app: App, web: Starlette, shop: Any) -> None:
    async with app:
        sent = await bury(app, shop, *range(5))
        first = (await ask(web, "/jobs/delete", {"filter": {}, "limit": 3})).json
        second = (await ask(web, "/jobs/delete", {"filter": {}, "limit": 3, "cursor": first["next"]})).json
        assert (first["done"], second["done"], second["next"]) == (3, 2, None)
        assert first["deletion"] == second["deletion"]
        assert await dead(app) == set()
        assert (await ask(web, "/jobs/undo", {"deletion": first["deletion"]})).json == {"done": 5, "next": None}
        assert await dead(app) == set(sent)
        await ask(web, "/jobs/delete", {"ids": sent[:2]})
        assert (await ask(web, "/jobs/undo", {"ids": sent[:1]})).json["done"] == 1
        assert (await ask(web, "/jobs/undo")).json["done"] == 1
        assert (await ask(web, "/jobs/undo", role="operator")).status == 403


async def test_ids_are_retried_and_cancelled_and_others_left(app: App, web: Starlette, shop: Any) -> None:
    async with app:
        one, other = await bury(app, shop, 1, 2)
        waiting = (await shop.delay(3)).id
        reply = (await ask(web, "/jobs/retry", {"ids": [one, one, "nobody", waiting]})).json
        assert (reply["matched"], reply["done"], reply["next"]) == (1, 1, None)
        assert await dead(app) == {other}
        reply = (await ask(web, "/jobs/cancel", {"ids": [waiting, other, "nobody"], "why": "by mistake"})).json
        assert (reply["matched"], reply["done"]) == (1, 1)
        assert (await app.find_job(waiting)).reason == "by mistake"


async def test_waiting_jobs_are_cancelled_by_a_filter(app: App, web: Starlette, shop: Any) -> None:
    async with app:
        await app.enqueue_many([shop.request(number) for number in range(12)])
        # All of them are counted, and not those of one portion.
        which = {"filter": {"name": shop.name}, "limit": 5, "dry_run": True}
        counted = (await ask(web, "/jobs/cancel", which)).json
        assert (counted["matched"], counted["matched_all"], counted["done"]) == (12, True, 0)
        cursor, done = "", 0
        while cursor is not None:
            reply = (await ask(web, "/jobs/cancel", {"filter": {}, "limit": 5, "cursor": cursor, "why": "spam"})).json
            done, cursor = done + reply["done"], reply["next"]
        assert done == 12
        assert await app.jobs("ready") == []
        # The audit has an entry of each portion, and not of each job.
        told = [(one.verb, one.queue, one.count, one.note) for one in await app.audit()]
        assert told == [("cancel_jobs", "default", count, "spam") for count in (2, 5, 5)]


@pytest.mark.parametrize("dry_run", [False, True])
async def test_a_portion_of_cancelled_jobs_ends_when_its_time_is_over(
    app: App, web: Starlette, shop: Any, monkeypatch: pytest.MonkeyPatch, dry_run: bool
) -> None:
    monkeypatch.setattr(search, "MAX_LOOKED_AT", 3)
    monkeypatch.setattr(search, "JOBS_A_SCAN", 3)
    async with app:
        await app.enqueue_many([shop.request(number) for number in range(8)])
        body: dict[str, Any] = {"filter": {"name": shop.name}, "dry_run": dry_run}
        monkeypatch.setattr(bulk, "PORTION_S", 0.0)
        first = (await ask(web, "/jobs/cancel", body)).json
        assert (first["matched"], first["matched_all"], first["next"] is None) == (3, False, False)
        monkeypatch.undo()
        rest = (await ask(web, "/jobs/cancel", {**body, "cursor": first["next"]})).json
        assert (rest["matched"], rest["matched_all"], rest["next"]) == (5, True, None)
        assert first["done"] + rest["done"] == (0 if dry_run else 8)
        assert len(await app.jobs("ready")) == (8 if dry_run else 0)


async def test_jobs_that_were_sent_in_a_time_are_cancelled(app: App, web: Starlette, shop: Any) -> None:
    async with app:
        sent, times = [], []
        for number in range(3):
            sent.append((await shop.delay(number)).id)
            # Times are told to the millisecond.
            await asyncio.sleep(0.005)
            times.append(datetime.now(UTC).isoformat())
            await asyncio.sleep(0.005)
        which = {"filter": {"since": times[0]}, "until": times[1]}
        for body, count in ((which, 1), ({"filter": {"since": times[2]}}, 0), ({"filter": {}, "until": times[1]}, 2)):
            assert (await ask(web, "/jobs/cancel", {**body, "dry_run": True})).json["matched"] == count, body
        assert (await ask(web, "/jobs/cancel", which)).json["done"] == 1
        assert [job.id for job in await app.jobs("ready")] == [sent[0], sent[2]]
        [entry] = await app.audit()
        assert {"since", "until"} <= entry.filter.keys()
        for wrong in ({"filter": {"since": "2026-11-01T01:00:00"}}, {"filter": {}, "until": "yesterday"}):
            assert (await ask(web, "/jobs/cancel", wrong)).status == 400
        assert len(await app.jobs("ready")) == 2


async def test_a_cancellation_does_not_go_on_where_one_of_other_jobs_was(app: App, web: Starlette, shop: Any) -> None:
    async with app:
        await app.enqueue_many([shop.request(number) for number in range(8)])
        cursor = (await ask(web, "/jobs/cancel", {"filter": {}, "limit": 5})).json["next"]
        for which in ({"state": "scheduled"}, {"queue": "zz"}, {"queue": "default"}, {"name": "x"}, {"tenant": "x"}):
            reply = await ask(web, "/jobs/cancel", {"filter": which, "cursor": cursor})
            assert (reply.status, "to the same question" in reply.json["detail"]) == (400, True), which
        assert len(await app.jobs("ready")) == 3


async def test_a_deletion_is_undone_in_portions_that_end_when_their_time_is_over(
    app: App, web: Starlette, shop: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(undoing, "PORTION_S", 0.0)
    async with app:
        sent = await bury(app, shop, *range(3))
        sent += await bury(app, shop, *range(3), queue="second")
        deletion = (await ask(web, "/jobs/delete", {"filter": {}})).json["deletion"]
        again, done = deletion, 0
        for _ in range(3):
            reply = (await ask(web, "/jobs/undo", {"deletion": again})).json
            done += reply["done"]
            assert reply["next"] in (deletion, None)
            if reply["next"] is None:
                break
        assert (reply["next"], done) == (None, 6)
        assert await dead(app) == set(sent)


async def test_a_caller_acts_on_its_own_alone(app: App, web: Starlette, shop: Any) -> None:
    async with app:
        [own] = await bury(app, shop, 1, tenant="acme")
        [other] = await bury(app, shop, 2, tenant="globex", queue="second")
        narrow = {"tenants": "acme"}
        assert (await ask(web, "/jobs/retry", {"ids": [other]}, **narrow)).json["done"] == 0
        assert (await ask(web, "/jobs/delete", {"filter": {}}, **narrow)).json["done"] == 1
        assert (await ask(web, "/jobs/delete", {"filter": {}}, queues="second")).json["done"] == 1
        assert (await ask(web, "/jobs/undo", {"ids": [own, other]}, tenants="globex")).json["done"] == 1
        assert (await ask(web, "/jobs/undo", queues="second")).json["done"] == 0
        assert (await ask(web, "/jobs/undo", **narrow)).json["done"] == 1
        assert await dead(app) == {own, other}
        assert (await ask(web, "/jobs/undo", {"queue": "second"}, queues="default")).status == 404


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"ids": [], "filter": {}},
        {"ids": ["x"] * 501},
        {"filter": {"nane": "x"}},
        {"filter": {}, "limit": 501},
        {"filter": {}, "limit": 0},
        {"filter": {}, "why": "x" * 501},
        {"filter": {}, "spread": -1},
        {"filter": {}, "cursor": "junk"},
        {"filter": {}, "cursor": "[1]"},
        {"filter": {}, "until": "2026-01-01T00:00:00"},
        [],
    ],
    ids=lambda body: str(body)[:40],
)
async def test_a_request_that_means_nothing_is_refused(app: App, web: Starlette, body: Any) -> None:
    async with app:
        reply = await ask(web, "/jobs/retry", body)
        assert (reply.status, "body" in reply.json["detail"] or "cursor" in reply.json["detail"]) == (400, True)


async def test_a_waiting_job_is_changed(app: App, web: Starlette, shop: Any) -> None:
    async with app:
        [dead_one] = await bury(app, shop, 1)
        waiting = (await shop.delay(3)).id
        reply = await ask(web, f"/jobs/{waiting}", {"priority": "high", "delay": 60}, method="PATCH")
        assert reply.json == {"id": waiting, "queue": "default", "edited": True}
        job = await app.find_job(waiting)
        assert (job.priority.name.lower(), job.due_at_ms is not None) == ("high", True)
        moved = await ask(web, f"/jobs/{waiting}", {"to_queue": "second"}, method="PATCH")
        assert moved.json["queue"] == "second"
        assert (await ask(web, f"/jobs/{dead_one}", {"priority": "low"}, method="PATCH")).status == 409
        assert (await ask(web, f"/jobs/{waiting}?queue=second", {}, method="PATCH")).status == 400
        assert (await ask(web, f"/jobs/{waiting}", {"priority": "now"}, method="PATCH")).status == 400
        assert (await ask(web, f"/jobs/{waiting}", {"delay": 1}, method="PATCH", role="viewer")).status == 403
        assert (await ask(web, "/jobs/nobody", {"delay": 1}, method="PATCH")).status == 404
