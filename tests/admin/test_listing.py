"""The routes of the admin API that search jobs, and tell what a queue holds and what has ended."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

import pytest

from asyncjobs import App, RetryPolicy, Worker
from asyncjobs.admin import admin_api
from tests.admin.test_api import ask, role_of

pytestmark = pytest.mark.anyio


@pytest.fixture
def web(app: App) -> Any:
    return admin_api(app, authorize=role_of)


@pytest.fixture
def mail(app: App) -> Any:
    @app.job(name="send_email", queue="bulk", retry=RetryPolicy(max_retries=0))
    async def mail(to: str) -> None:
        if "gone" in to:
            raise LookupError(f"no mailbox {to}")

    return mail


async def _ids(web: Any, query: str, **narrow: Any) -> list[str]:
    return [job["id"] for job in (await ask(web, f"/jobs?{query}", **narrow)).json["jobs"]]


async def test_jobs_are_found_by_text_name_and_state_and_page_by_page(app: App, web: Any, mail: Any) -> None:
    async with app:
        sent = [await mail.delay(f"user{number}@example.com") for number in range(5)]
        later = await mail.schedule_in(60, "user9@example.com")
        assert await _ids(web, f"text={quote('user3@')}", role="operator") == [sent[3].id]
        assert await _ids(web, "state=any&name=send_email", role="operator") == [one.id for one in (*sent, later)]
        assert await _ids(web, "name=other", role="operator") == []
        first = (await ask(web, "/jobs?limit=2", role="viewer")).json
        assert ([one["id"] for one in first["jobs"]], first["looked_at"], first["total"]) == (
            [one.id for one in sent[:2]],
            2,
            5,
        )
        assert await _ids(web, f"limit=9&after={first['next']}") == [one.id for one in sent[2:]]
        assert (await ask(web, "/jobs?after=x")).status == 400


async def test_who_may_not_see_values_can_not_search_them(app: App, web: Any, mail: Any) -> None:
    async with app:
        await mail.delay("user3@example.com")
        assert (await ask(web, "/jobs?text=user3", role="viewer")).status == 403
        assert (await ask(web, "/jobs?text=user3", role="operator")).status == 200


async def test_a_search_is_narrowed_to_what_the_caller_may_see(app: App, web: Any, mail: Any) -> None:
    async with app:
        own = await mail.with_options(tenant="acme").delay("same@example.com")
        await mail.with_options(tenant="globex").delay("same@example.com")
        await mail.with_options(queue="other").delay("same@example.com")
        assert await _ids(web, "state=any&text=same", tenants="acme") == [own.id]
        assert len(await _ids(web, "state=any&text=same", queues="bulk")) == 2
        assert await _ids(web, "queue=other", queues="bulk") == []
        assert (await ask(web, "/queues/other/sample", queues="bulk")).status == 404
        assert (await ask(web, "/queues/bulk/sample", tenants="acme")).status == 403
        assert (await ask(web, "/jobs/ended?name=send_email&queue=other", queues="bulk")).json == {"jobs": []}


async def test_a_sample_tells_the_shares_of_names(app: App, web: Any, mail: Any) -> None:
    @app.job(name="other", queue="bulk")
    async def other() -> None: ...

    async with app:
        await app.enqueue_many([*(mail.request("x") for _ in range(3)), other.request()])
        assert (await ask(web, "/queues/bulk/sample")).json == {
            "looked_at": 4,
            "names": [
                {"name": "send_email", "count": 3, "share": 0.75},
                {"name": "other", "count": 1, "share": 0.25},
            ],
        }
        assert (await ask(web, "/queues/bulk/sample?state=failed")).json == {"looked_at": 0, "names": []}


async def test_the_last_ends_of_a_name_are_listed(app: App, web: Any, mail: Any) -> None:
    async with app:
        fine, gone = await mail.delay("a@example.com"), await mail.delay("gone@example.com")
        await Worker(app, queues=["bulk"], concurrency=1).run_until_empty()
        found = (await ask(web, "/jobs/ended?name=send_email")).json["jobs"]
        assert {one["id"]: (one["state"], one["name"], "no mailbox" in one["error"]) for one in found} == {
            gone.id: ("failed", "send_email", True),
            fine.id: ("completed", "send_email", False),
        }
        assert (await ask(web, "/jobs/ended")).status == 400
