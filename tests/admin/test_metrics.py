"""``GET /metrics``, as Prometheus reads it."""

from __future__ import annotations

import sys
from typing import Any

import prometheus_client
import pytest
from prometheus_client.parser import text_string_to_metric_families
from starlette.requests import Request

from asyncjobs import App, RetryPolicy, Worker
from asyncjobs.admin import Access, admin_api
from asyncjobs.telemetry import names
from tests.waiting import until
from tests.web import Reply, fetch

pytestmark = pytest.mark.anyio

QUEUE, STATE = (name.replace(".", "_") for name in (names.DESTINATION, names.STATE))
ODD = "q:odd.name_-"


def who(request: Request) -> Access | None:
    queues = request.headers.get("x-queues")
    return Access("prometheus", queues=queues.split() if queues else None) if "x-known" in request.headers else None


@pytest.fixture
def web(app: App) -> Any:
    return admin_api(app, authorize=who)


async def scrape(web: Any, target: str = "/metrics", **headers: str) -> Reply:
    return await fetch(web, target, headers={"x-known": "1"} | {f"x-{name}": value for name, value in headers.items()})


def samples(reply: Reply) -> dict[tuple[str, ...], float]:
    assert reply.status == 200
    return {
        (one.name, one.labels[QUEUE], *([one.labels[STATE]] if STATE in one.labels else [])): one.value
        for family in text_string_to_metric_families(reply.body.decode())
        for one in family.samples
    }


async def test_prometheus_reads_what_the_broker_counts(app: App, web: Any) -> None:
    @app.job(retry=RetryPolicy(max_retries=1, initial=0.001, jitter=False))
    async def work(fails: bool) -> None:
        if fails:
            raise ValueError

    async def has_waited() -> bool:
        return samples(await scrape(web))["asyncjobs_queue_oldest_wait_seconds", ODD] > 0

    async with app:
        await app.enqueue_many([work.request(fails=False), work.request(fails=True)])
        async with app.worker(queues=["default"], concurrency=7):
            while (await app.queue_stats("default")).failed < 1:
                await Worker(app).run_until_empty()
            await work.with_options(queue=ODD).delay(fails=False)
            await app.pause(ODD)
            # In memory, all of this may take less than a millisecond.
            await until(has_waited, "a job has waited")
            found = samples(await scrape(web))
        assert found["asyncjobs_queue_depth", "default", "failed"] == 1
        assert found["asyncjobs_queue_depth", ODD, "pending"] == 1
        assert found["asyncjobs_completions_total", "default"] == 1
        assert found["asyncjobs_deaths_total", "default"] == 1
        assert found["asyncjobs_retries_total", "default"] == 1
        assert found["asyncjobs_queue_paused", ODD] == 1
        assert (found["asyncjobs_workers", "default"], found["asyncjobs_slots", "default"]) == (1, 7)
        assert found["asyncjobs_workers", ODD] == 0


async def test_the_reply_is_text_and_nothing_else(app: App, web: Any) -> None:
    async with app:
        reply = await scrape(web)
        assert reply.headers["content-type"].startswith("text/plain")
        assert reply.headers["x-content-type-options"] == "nosniff"
        assert reply.headers["cache-control"] == "private, no-store"
        assert (await fetch(web, "/metrics")).status == 401
        # Nothing of this process, nor of the program around.
        assert not [name for name, *_ in samples(reply) if not name.startswith("asyncjobs_")]
        assert not [one for one in prometheus_client.REGISTRY._names_to_collectors if "asyncjobs" in one]


async def test_a_caller_sees_its_own_queues(app: App, web: Any) -> None:
    @app.job
    async def work() -> None: ...

    async with app:
        await work.delay()
        await work.with_options(queue="other").delay()
        assert {queue for name, queue, *_ in samples(await scrape(web, queues="other"))} == {"other"}
        assert {queue for name, queue, *_ in samples(await scrape(web, "/metrics?queue=default"))} == {"default"}


async def test_names_are_those_of_telemetry(app: App, web: Any) -> None:
    @app.job
    async def work() -> None: ...

    async with app:
        await work.delay()
        reply = await scrape(web)
        found = {one[0] for one in samples(reply)}
        units = {names.OLDEST_WAIT: "_seconds", names.RETRIES: "_total", names.DEATHS: "_total"}
        units |= {names.RECOVERIES: "_total"}
        for name in (names.DEPTH, names.RETRYING, names.OLDEST_WAIT, names.RETRIES, names.DEATHS, names.RECOVERIES):
            assert name.replace(".", "_") + units.get(name, "") in found
        for label in (names.DESTINATION, names.STATE):
            assert f'{label.replace(".", "_")}="' in reply.body.decode()


async def test_without_the_package_the_reply_says_what_to_install(
    app: App, web: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "prometheus_client", None)
    async with app:
        reply = await scrape(web)
        assert reply.status == 501
        assert "pip install 'asyncjobs-redis[metrics]'" in reply.json["detail"]
