"""Figures over time and the load of queues, as callers of the admin API see them."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

import pytest
from starlette.requests import Request

from asyncjobs import App
from asyncjobs.admin import Access, admin_api
from asyncjobs.core.histogram import bucket_of
from asyncjobs.ports import GaugeReading, Gauges, RunCounts
from tests.apps import broker_of
from tests.web import Reply, fetch

pytestmark = pytest.mark.anyio

ODD = "a/b?c#d%<e>"


def who(request: Request) -> Access:
    queues, tenants = (request.headers.get(f"x-{what}") for what in ("queues", "tenants"))
    return Access(
        "ada", queues=None if queues is None else queues.split(), tenants=None if tenants is None else tenants.split()
    )


@pytest.fixture
def web(app: App) -> Any:
    return admin_api(app, authorize=who)


async def ask(web: Any, target: str, **headers: str) -> Reply:
    return await fetch(web, target, headers={f"x-{name}": value for name, value in headers.items()})


async def fill(app: App) -> None:
    """Leave some figures of two queues."""

    @app.job(name=ODD)
    async def work() -> None: ...

    broker = broker_of(app)
    await work.delay()
    await work.with_options(queue="other").delay()
    second = bucket_of(1_000_000)
    one = RunCounts(name=ODD, succeeded=2, failed=1, run_us=3_000_000, runs={second: 3}, waits={second: 1})
    await broker.count_runs({"default": [one], "other": [one]})
    await broker.keep_gauges([GaugeReading("default", Gauges(normal=7, slots=5), 7)])


async def test_a_series_comes_as_columns(app: App, web: Any) -> None:
    async with app:
        await fill(app)
        series = (await ask(web, "/queues/default/series?since=120")).json
        assert series["queues"] == ["default"]
        assert series["step_s"] == 60
        assert len(series["at"]) == len(series["succeeded"]) == len(series["pending_by_priority"]["normal"]) == 2
        assert 7 in series["pending"]
        assert any(one and 900 < one < 1_100 for one in series["p95_run_ms"])
        hourly = (await ask(web, f"/queues/{quote('q:x', safe='')}/series?since=86400")).json
        assert (hourly["queues"], hourly["step_s"], len(hourly["at"])) == (["q:x"], 3600, 24)


async def test_queues_together_are_added_up(app: App, web: Any) -> None:
    async with app:
        await fill(app)
        await broker_of(app).keep_gauges([GaugeReading("other", Gauges(normal=3, slots=9), 3)])
        for target in ("/series?since=120", "/series?since=120&queue=other,default"):
            series = (await ask(web, target)).json
            assert sorted(series["queues"]) == ["default", "other"]
            assert 10 in series["pending"]
            assert 9 in series["slots"]
        assert (await ask(web, "/series", queues="other")).json["queues"] == ["other"]


@pytest.mark.parametrize(
    "query", ["since=1", "since=1e9", "since=x", "step=1", "step=90", "before=-1", "before=1e99", "since=nan", "what=1"]
)
async def test_a_series_out_of_bounds_is_refused(app: App, web: Any, query: str) -> None:
    async with app:
        reply = await ask(web, f"/queues/default/series?{query}")
        assert reply.status == 400
        assert reply.headers["content-type"] == "application/problem+json"


async def test_names_and_one_name_are_told(app: App, web: Any) -> None:
    async with app:
        await fill(app)
        [one] = (await ask(web, "/names")).json["names"]
        assert (one["name"], one["queues"], one["calls"], one["share"]) == (ODD, ["default", "other"], 6, 1.0)
        [one] = (await ask(web, "/names?queue=other&since=3600")).json["names"]
        assert (one["calls"], one["failed"]) == (3, 1)
        series = (await ask(web, f"/names/{quote(ODD, safe='')}/series?since=7200")).json
        assert (series["name"], len(series["at"]), sum(series["failed"])) == (ODD, 2, 2)


async def test_the_load_is_one_number_each(app: App, web: Any) -> None:
    async with app:
        await fill(app)
        load = (await ask(web, "/scale?queue=default,other")).json
        assert load.keys() >= {
            "backlog",
            "oldest_wait_s",
            "arrival_rate",
            "service_rate",
            "slots",
            "drain_s",
            "wanted_slots",
        }
        assert (load["backlog"], load["slots"], load["drain_s"], load["wanted_slots"]) == (2, 0, None, 2)
        assert (await ask(web, "/scale")).json["backlog"] == 2
        assert (await ask(web, "/scale?queue=other&target=600")).json["backlog"] == 1
        assert (await ask(web, "/scale?target=0")).status == 400
        queues = (await ask(web, "/loads")).json["queues"]
        assert [(one["queue"], one["backlog"], len(one["ended"])) for one in queues] == [
            ("default", 1, 30),
            ("other", 1, 30),
        ]


async def test_figures_are_of_the_callers_queues_alone(app: App, web: Any) -> None:
    async with app:
        await fill(app)
        assert (await ask(web, "/scale", queues="other")).json["backlog"] == 1
        assert (await ask(web, "/scale", queues="")).json["backlog"] == 0
        [one] = (await ask(web, "/names", queues="other")).json["names"]
        assert one["queues"] == ["other"]
        assert [one["queue"] for one in (await ask(web, "/loads", queues="other")).json["queues"]] == ["other"]
        for target in ("/scale?queue=other,default", "/queues/default/series", "/names?queue=default"):
            assert (await ask(web, target, queues="other")).status == 404
        for target in ("/scale", "/loads", "/names", "/names/x/series", "/queues/default/series", "/metrics"):
            assert (await ask(web, target, tenants="acme")).status == 403
