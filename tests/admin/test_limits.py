"""Limits of queues on the page of a queue, and over HTTP."""

from __future__ import annotations

import re
from typing import Any

import msgspec
import pytest

from asyncjobs import App, Limit, Rate
from asyncjobs.admin import admin_api, dashboard
from tests.admin.test_api import role_of
from tests.admin.test_dashboard import press, read, see
from tests.waiting import SOON
from tests.web import Reply, fetch

pytestmark = pytest.mark.anyio


@pytest.fixture
def web(app: App) -> Any:
    @app.job(queue="mail")
    async def work() -> None: ...

    return dashboard(app, authorize=role_of)


async def limit_of(app: App) -> str:
    return str((await app.queue_stats("mail")).limit)


async def test_a_limit_is_set_on_the_page_of_its_queue_and_taken_back(app: App, web: Any) -> None:
    app.queue("mail", running=9)
    async with app, app.worker():
        assert "Limit: 9 at once." in read(await see(web, "/queues/mail")).text
        reply = await press(web, "/queues/mail/limit", {"running": "3", "rate": "50/s"})
        shown = read(await see(web, reply.headers["location"])).text
        assert "The limit is 3 at once, 50/s now." in shown
        assert re.search(r"Limit: 3 at once, 50/s, 5 at the same moment; set by \S+, declared: 9 at once\.", shown)
        await press(web, "/queues/mail/limit", {"running": "", "rate": "10/m"})
        assert await limit_of(app) == "10/m"
        reply = await press(web, "/queues/mail/limit/reset")
        assert "Limit: 9 at once." in read(await see(web, reply.headers["location"])).text
        assert "Limit as declared" not in read(await see(web, "/queues/mail")).text


async def test_what_is_no_limit_is_refused_in_words_and_changes_nothing(app: App, web: Any) -> None:
    async with app:
        for fields in ({"running": "many"}, {"running": "0"}, {"running": "3", "rate": "fast"}):
            reply = await press(web, "/queues/mail/limit", fields)
            assert reply.status == 400
            assert "expected" in read(reply).text
        assert await limit_of(app) == "None"


async def test_who_may_only_look_neither_sees_the_form_nor_may_send_it(app: App, web: Any) -> None:
    async with app:
        await app.set_limit("mail", running=2)
        shown = await see(web, "/queues/mail", role="viewer")
        assert "Limit: 2 at once" in read(shown).text
        assert b'name="rate"' not in shown.body
        assert (await press(web, "/queues/mail/limit", {"running": "9"}, role="viewer")).status == 403
        assert await limit_of(app) == "2 at once"


async def test_a_queue_says_that_its_limit_holds_jobs_back(app: App, web: Any) -> None:
    async with app:
        await app.set_limit("mail", rate=Rate(1, per=3_600))
        first = await app.send("work")
        await app.send("work")
        async with app.worker():
            await first.result(timeout=SOON)
        assert "The rate is used up; the next jobs start at" in read(await see(web, "/queues/mail")).text


async def post(app: App, target: str, body: object, **access: str) -> Reply:
    headers = {"x-role": "operator", "content-type": "application/json"}
    headers |= {f"x-{name}": value for name, value in access.items()}
    return await fetch(admin_api(app, authorize=role_of), target, "POST", headers, msgspec.json.encode(body))


async def test_over_http_a_queue_or_a_limit_that_there_is_not_is_refused(app: App, web: Any) -> None:
    async with app:
        for verb in ("limit", "limit/reset"):
            body = {"running": 3} if verb == "limit" else {}
            assert (await post(app, f"/queues/mial/{verb}", body)).status == 404
            reply = await post(app, f"/queues/mail/{verb}", {**body, "gate": "stirpe=42"})
            assert reply.status == 400
            assert "has no limit 'stirpe': its workers and jobs have none by name" in reply.body.decode()
        assert [one.queue_name for one in (await app.stats()).queues] == []
        reply = await press(web, "/queues/mail/limit", {"running": "3", "gate": "stirpe"})
        assert "has no limit 'stirpe'" in read(reply).text
        for what in ("gates", "turns"):
            headers = {"x-role": "operator"}
            replies = [
                await fetch(admin_api(app, authorize=role_of), f"/queues/{one}/{what}", headers=headers)
                for one in ("mial", "mail")
            ]
            assert [one.status for one in replies] == [404, 200]


async def test_the_limits_of_queues_that_a_caller_may_not_see_are_not_told(app: App, web: Any) -> None:
    @app.job(queue="payments", limits=Limit("secret-deal", running=2))
    async def pay() -> None: ...

    async with app, app.worker(queues=["mail", "payments"]):
        reply = await post(app, "/queues/mail/limit", {"running": 3, "gate": "secret-dael"}, queues="mail")
        assert (reply.status, "secret-deal" in reply.body.decode()) == (400, False)
        assert (await post(app, "/queues/mail/limit", {"running": 3, "gate": "secret-deal"})).status == 400


async def test_over_http_what_is_not_given_stays_and_null_is_no_limit(app: App, web: Any) -> None:
    async with app:
        reply = await post(app, "/queues/mail/limit", {"running": 5, "rate": "10/s"})
        assert msgspec.json.decode(reply.body)["limit"]["rate"] == "10/s"
        await post(app, "/queues/mail/limit", {"running": None})
        assert await limit_of(app) == "10/s"
        assert (await post(app, "/queues/mail/limit", {})).status == 400
        assert (await post(app, "/queues/mail/limit", {"runing": 3})).status == 400
        assert (await post(app, "/queues/mail/limit/reset", {})).status == 200
        assert await limit_of(app) == "None"
