"""Limits by name and by value: on the page of limits, over HTTP, as metrics, and as the reason why a job waits."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import quote

import msgspec
import pytest

from asyncjobs import TENANT, App, Limit, Worker
from asyncjobs.admin import admin_api, dashboard
from tests.admin.sowing import HOSTILE
from tests.admin.test_api import role_of
from tests.admin.test_dashboard import press, read, see
from tests.waiting import Notes, until
from tests.web import Reply, fetch

pytestmark = pytest.mark.anyio

CUSTOMER = Limit("customer", running=1)
STRIPE = Limit("stripe", running=20)
FAX = Limit("fax", running=2, rate="10/s")

IN_MEMORY = pytest.mark.parametrize("make_app", ["memory"], indirect=True)


class Shop:
    """An app with a job that needs two gates, and one that nobody sends; ``may_end`` lets those that run end."""

    def __init__(self, app: App) -> None:
        self.app = app
        self.began: Notes[str] = Notes()
        self.may_end = asyncio.Event()

        @app.job(queue="mail", limits=[CUSTOMER.by("customer"), STRIPE])
        async def charge(customer: str) -> None:
            self.began.append(customer)
            await self.may_end.wait()

        @app.job(queue="mail", limits=FAX)
        async def fax() -> None: ...

        self.charge = charge

    @asynccontextmanager
    async def busy(self, *customers: str) -> AsyncIterator[list[str]]:
        """Run an app in which the first job of each customer runs, and the second one waits; yield the ids of all."""
        async with self.app:
            jobs = [self.charge.request(one) for one in customers for _ in range(2)]
            ids = [handle.id for handle in await self.app.enqueue_many(jobs)]
            async with self.app.worker(queues=["mail"], concurrency=50):
                await self.began.reach(len(customers))

                async def all_wait() -> bool:
                    return (await self.app.queue_stats("mail")).closed_lines == len(customers)

                await until(all_wait, "the second jobs wait for their customer")
                try:
                    yield ids
                finally:
                    self.may_end.set()


@pytest.fixture
def shop(app: App) -> Shop:
    return Shop(app)


@pytest.fixture
def web(app: App) -> Any:
    return dashboard(app, authorize=role_of)


@pytest.fixture
def api(app: App) -> Any:
    return admin_api(app, authorize=role_of)


async def ask(api: Any, target: str, body: object = None, role: str = "admin", **headers: str) -> Reply:
    given = {"x-role": role, "content-type": "application/json", **{f"x-{name}": one for name, one in headers.items()}}
    if body is None:
        return await fetch(api, target, headers=given)
    return await fetch(api, target, "POST", given, msgspec.json.encode(body))


# -- the page


async def test_the_page_shows_what_is_in_use_what_waits_and_who_holds_it(shop: Shop, web: Any) -> None:
    async with shop.busy("42") as [first, _]:
        page = read(await see(web, "/limits"))
        text = " ".join(page.text.split())
        assert "customer=42 1 1 any ▲ full 1" in text
        assert first in text
        assert "stripe 1 20 any ▶ open" in text
        assert "Declared, and not in use mail: fax (2 at once, 10/s)" in text


async def test_the_page_of_a_queue_and_the_api_tell_whose_turn_is_next(app: App, web: Any, api: Any) -> None:
    app.queue("imports", fair_by="shop")

    @app.job(queue="imports")
    async def load(shop: str | None) -> None: ...

    @app.job(queue="mail", limits=FAX)
    async def fax() -> None: ...

    async with app:
        await fax.delay()
        assert "Whose turn is next" not in read(await see(web, "/queues/mail")).text
        assert "Whose turn is next" not in read(await see(web, "/queues/imports")).text
        await app.enqueue_many([load.request(one) for one in ("tin", "gold", "tin", *["<img src=x>"] * 2, None)])
        # The one without a group has its turn, and then the group that comes first by its name.
        await Worker(app, queues=["imports"]).run_once()
        await Worker(app, queues=["imports"]).run_once()
        await load.delay(None)
        page = await see(web, "/queues/imports")
        text = " ".join(read(page).text.split())
        turns = "gold 1 1 normal tin 2 1 normal <img src=x> 1 1 normal 1 job without a group takes turns with them."
        assert f"Whose turn is next groupwaitingweightpriority {turns}" in text
        assert b"<img src=x>" not in page.body
        told = (await ask(api, "/queues/imports/turns?limit=2")).json["turns"]
        assert told == [
            {"group": one, "priority": "normal", "weight": 1.0, "waiting": count}
            for one, count in (("gold", 1), ("tin", 2))
        ]
        assert (await ask(api, "/queues/imports/turns?limit=501")).status == 400
        assert (await ask(api, "/queues/imports/turns", tenants="acme")).status == 403
        assert (await ask(api, "/queues/imports/turns", queues="mail")).status == 404
        for number in range(30):
            await load.delay(f"shop-{number}")
        assert "There are others behind these" in read(await see(web, "/queues/imports")).text


@pytest.mark.parametrize("tenant", ["acme", "5f0c8e21-a9d3-4b77-8c11-0d2f6b1f9a3e"])
async def test_a_tenant_in_turn_is_told_by_its_id_however_long_that_is(app: App, web: Any, tenant: str) -> None:
    app.queue("imports", fair_by=TENANT)

    @app.job(queue="imports")
    async def load() -> None: ...

    async with app:
        await load.with_options(tenant=tenant).delay()
        page = read(await see(web, "/queues/imports"))
        assert f"Whose turn is next groupwaitingweightpriority {tenant} 1 1 normal" in " ".join(page.text.split())
        assert "~" not in page.text
        assert "turn of" not in read(await see(web, "/jobs")).text


async def test_a_long_group_that_is_no_tenant_is_told_as_a_digest_and_what_that_is(app: App, web: Any) -> None:
    app.queue("imports", fair_by="shop")

    @app.job(queue="imports")
    async def load(shop: str) -> None: ...

    async with app:
        await load.with_options(tenant="acme").delay("a shop with a name of more than 24 bytes")
        page = read(await see(web, "/queues/imports"))
        assert "A group ~… is a name of more than 24 bytes" in page.text
        [turn] = await app.turns("imports")
        assert turn.group in page.text
        assert f"turn of {turn.group}" in read(await see(web, "/jobs")).text


async def test_one_value_is_given_another_limit_and_it_holds_at_once(shop: Shop, web: Any) -> None:
    async with shop.busy("42", "7"):
        asked = read(await see(web, "/queues/mail/limit?gate=customer%3D42"))
        assert "It is 1 at once now" in asked.text
        assert asked.forms["/queues/mail/limit"]["gate"] == "customer=42"
        reply = await press(web, "/queues/mail/limit", {"gate": "customer=42", "running": "2", "rate": ""})
        # The second job of this customer starts, and not that of the other.
        await shop.began.reach(3)
        assert sorted(shop.began) == ["42", "42", "7"]
        page = read(await see(web, reply.headers["location"]))
        assert "The limit customer=42 is 2 at once now." in page.text
        assert "set by ada" in " ".join(page.text.split())
        reply = await press(web, "/queues/mail/limit/reset", {"gate": "customer=42"})
        assert "The limit customer=42 is 1 at once now." in read(await see(web, reply.headers["location"])).text


async def test_a_value_that_has_no_jobs_can_be_limited_too(shop: Shop, web: Any) -> None:
    async with shop.busy("42"):
        assert "/queues/mail/limit" in read(await see(web, "/limits?queue=mail")).forms
        await press(web, "/queues/mail/limit", {"gate": "customer=new", "running": "5", "rate": "1/s"})
        assert "customer=new" in read(await see(web, "/limits")).text


async def test_what_is_no_limit_is_refused_in_words(shop: Shop, web: Any) -> None:
    async with shop.busy("42"):
        for fields in ({"gate": "customer=42", "running": "0"}, {"gate": "a b", "running": "1"}, {"gate": "x"}):
            reply = await press(web, "/queues/mail/limit", {"running": "", "rate": "fast", **fields})
            assert reply.status == 400, fields
            assert "expected" in read(reply).text


async def test_without_a_limit_the_page_says_how_to_get_one(app: App, web: Any) -> None:
    async with app:
        await app.send("work", queue="mail")
        assert "There is no limit." in read(await see(web, "/limits")).text
        assert "There is no limit." in read(await see(web, "/limits?queue=mail")).text


@IN_MEMORY
async def test_of_a_thousand_values_a_page_shows_a_few(shop: Shop, web: Any) -> None:
    async with shop.busy("42"):
        for one in range(1_000):
            await shop.app.set_limit("mail", f"customer=v{one}", running=9, rate=None)
        for target, shown in (("/limits", 10), ("/limits?queue=mail", 50)):
            reply = await see(web, target)
            assert len(reply.body) < 60_000
            assert reply.body.count(b">customer=") == shown
            assert f"There are more of customer: these are the {shown}" in read(reply).text
        # Of one that is far down, it is told what it is now.
        reply = await press(web, "/queues/mail/limit", {"gate": "customer=v999", "running": "5", "rate": ""})
        assert "The limit customer=v999 is 5 at once now." in read(await see(web, reply.headers["location"])).text
        found = await shop.app.gates("mail", limit=2_000)
        assert len([one for one in found if one.rule == "customer"]) > 1_000


@IN_MEMORY
async def test_values_that_harm_a_page_are_shown_as_they_are_or_as_digests(shop: Shop, web: Any) -> None:
    async with shop.busy(*HOSTILE):
        page = read(await see(web, "/limits?queue=mail"))
        assert not page.tags & {"img", "marquee", "svg", "script-inline"} - {"img"}
        assert "onerror" not in page.attributes
        gates = [one.gate for one in await shop.app.gates("mail") if one.rule == "customer" and one.gate != "customer"]
        assert len(gates) == len(HOSTILE)
        for gate in gates:
            assert gate in page.text
            reply = await press(web, "/queues/mail/limit", {"gate": gate, "running": "7", "rate": ""})
            assert "is 7 at once now" in read(await see(web, reply.headers["location"])).text
        assert {one.running for one in await shop.app.gates("mail") if one.gate in gates} == {7}


async def test_jobs_tell_their_limits_in_lists_and_on_their_pages(shop: Shop, web: Any) -> None:
    async with shop.busy("42") as [_, second]:
        assert "customer=42, stripe" in read(await see(web, "/jobs?state=ready&queue=mail")).text
        page = " ".join(read(await see(web, f"/jobs/{second}?queue=mail")).text.split())
        assert "limitscustomer=42, stripe" in page
        assert "It waits for customer=42: its only slot is taken" in page
        assert "1 of the jobs in line have a group or such limits, and 1 line waits at one" in " ".join(
            read(await see(web, "/queues/mail")).text.split()
        )


# -- callers


async def test_a_viewer_sees_limits_and_changes_none(shop: Shop, web: Any) -> None:
    async with shop.busy("42"):
        page = read(await see(web, "/limits", role="viewer"))
        assert "customer=42" in page.text
        assert not [one for one in page.forms if "limit" in one]
        assert "Change" not in page.text
        assert (await see(web, "/queues/mail/limit?gate=customer%3D42", role="viewer")).status == 403
        assert (await press(web, "/queues/mail/limit", {"gate": "stripe", "running": "1"}, role="viewer")).status == 403


async def test_a_caller_sees_the_limits_of_its_queues_alone(shop: Shop, web: Any, api: Any) -> None:
    async with shop.busy("42"):
        narrow = {"x-queues": "other"}
        assert "customer" not in read(await see(web, "/limits", **narrow)).text
        for target in ("/limits?queue=mail", "/queues/mail/limit?gate=stripe"):
            assert (await see(web, target, **narrow)).status == 404
        assert (await ask(api, "/limits", queues="other")).json == {"queues": []}
        assert (await ask(api, "/queues/mail/gates", queues="other")).status == 404
        assert (await ask(api, "/queues/mail/limit", {"gate": "stripe", "running": 1}, queues="other")).status == 404


async def test_a_caller_of_one_tenant_sees_no_value_and_no_job_of_another(shop: Shop, web: Any, api: Any) -> None:
    async with shop.app:
        theirs, own = await shop.app.enqueue_many(
            [shop.charge.with_options(tenant=tenant).request("42") for tenant in ("acme", "globex")]
        )
        async with shop.app.worker(queues=["mail"]):
            await shop.began.reach(1)

            async def waits() -> bool:
                return (await shop.app.queue_stats("mail")).closed_lines == 1

            await until(waits, "the second job waits")
            assert theirs.id in str(await shop.app.why(own.id))
            reply = await ask(api, f"/jobs/{quote(own.id)}/why", tenants="globex")
            assert "It waits for customer=42: all its slots are taken." in reply.json["sentence"]
            assert theirs.id not in reply.body.decode()
            assert (await ask(api, "/limits", tenants="globex")).status == 403
            assert (await ask(api, "/queues/mail/gates", tenants="globex")).status == 403
            assert (await see(web, "/limits", **{"x-tenants": "globex"})).status == 403
            shop.may_end.set()


# -- HTTP and metrics


async def test_gates_are_told_changed_and_reset_over_http(shop: Shop, api: Any) -> None:
    async with shop.busy("42") as [first, _]:
        found = (await ask(api, "/queues/mail/gates")).json
        [all_found] = (await ask(api, "/limits")).json["queues"]
        assert [one["gate"] for one in all_found["gates"]] == [one["gate"] for one in found["gates"]]
        one = {gate["gate"]: gate for gate in found["gates"]}["customer=42"]
        assert (one["in_use"], one["running"], one["waiting"], one["waiting_lines"]) == (1, 1, 1, 1)
        assert one["holders"] == [first]
        reply = await ask(api, "/queues/mail/limit", {"gate": "customer=42", "rate": "9/s"})
        assert (reply.json["gate"]["running"], reply.json["gate"]["rate"]) == (1, "9/s")
        reply = await ask(api, "/queues/mail/limit/reset", {"gate": "customer=42"})
        assert (reply.json["gate"]["running"], reply.json["gate"]["rate"]) == (1, None)
        assert (await ask(api, "/queues/mail/limit", {"gate": "=", "running": 1})).status == 400
        assert (await ask(api, "/queues/mail/gates?limit=0")).status == 400


async def test_metrics_go_by_the_name_of_a_limit_and_not_by_its_values(shop: Shop, api: Any) -> None:
    async with shop.busy("42", "7"):
        lines = (await ask(api, "/metrics?queue=mail")).body.decode().splitlines()
    labels = '{asyncjobs_limit_name="customer",messaging_destination_name="mail"}'
    assert f"asyncjobs_limit_in_use{labels} 2.0" in lines
    assert f"asyncjobs_limit_slots{labels} 1.0" in lines
    assert f"asyncjobs_limit_waiting{labels} 2.0" in lines
    assert f"asyncjobs_limit_waiting_lines{labels} 2.0" in lines
    assert 'asyncjobs_limit_repairs_total{messaging_destination_name="mail"} 0.0' in lines
    assert not [one for one in lines if "42" in one.partition("}")[0]]
