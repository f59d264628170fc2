"""What a worker tells of itself and of the jobs that it runs, every few seconds."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import msgspec
import pytest
import redis.asyncio

import asyncjobs
from asyncjobs import App, Progress, WorkerStats, current_job
from asyncjobs.ports import WorkerInfo
from tests.apps import broker_of
from tests.servers import Server
from tests.waiting import SOON, Notes, until

pytestmark = pytest.mark.anyio


@pytest.fixture(autouse=True)
def _announces_often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("asyncjobs.worker.presence._ANNOUNCE_EVERY_S", 0.05)


async def worker_where(app: App, enough: Callable[[WorkerStats], object]) -> WorkerStats:
    """Return the worker of ``app`` once ``enough`` is true of what it announces."""
    async with asyncio.timeout(SOON):
        while True:
            [worker] = (await app.stats()).workers
            if enough(worker):
                return worker
            await asyncio.sleep(0.02)


async def test_a_worker_tells_what_it_runs_since_when_and_how_far_it_is(make_app: Callable[..., App]) -> None:
    app = make_app()
    begun: Notes[str] = Notes()
    may_end = asyncio.Event()

    @app.job(queue="reports")
    async def export(rows: int) -> None:
        current_job().progress(3, rows, "x" * 300)
        begun.append(current_job().id)
        await may_end.wait()

    async with app, app.worker(queues=["reports"]):
        handle = await export.with_options(tenant="acme").delay(12)
        await begun.reach(1)
        worker = await worker_where(app, lambda worker: worker.jobs)
        [job] = worker.jobs
        assert (job.id, job.queue, job.name, job.tenant) == (handle.id, "reports", export.name, "acme")
        assert (job.attempt, job.progress) == (1, Progress(3, 12, "x" * 200))
        record = await app.find_job(handle.id, queue="reports")
        assert record.started_at_ms is not None
        assert abs(job.started_at.timestamp() * 1000 - record.started_at_ms) < 1_000
        assert worker.running == (handle.id,)
        may_end.set()
        await handle.result(SOON)
        assert not (await worker_where(app, lambda worker: not worker.jobs)).running


async def test_a_worker_tells_its_versions_its_memory_and_when_it_was_there_last(make_app: Callable[..., App]) -> None:
    app = make_app(deploy="9f3c1e7")
    async with app, app.worker(queues=["reports"]):
        worker = await worker_where(app, lambda worker: worker.beat_at)
        assert (worker.version, worker.deploy) == (asyncjobs.__version__, "9f3c1e7")
        assert 10 << 20 < worker.rss < 10 << 30
        assert worker.beat_at is not None
        first = worker.beat_at
        await worker_where(app, lambda worker: worker.beat_at is not None and worker.beat_at > first)


async def test_a_blocked_loop_is_told_as_its_lag(make_app: Callable[..., App]) -> None:
    app = make_app()

    @app.job
    async def block() -> None:
        time.sleep(0.7)

    async with app, app.worker():
        await (await block.delay()).result(SOON)
        worker = await worker_where(app, lambda worker: worker.lag_ms >= 300)
        assert worker.lag_ms % 50 == 0


async def test_what_earlier_and_later_versions_announce_can_be_read(redis_server: Server) -> None:
    earlier = {
        "id": "earlier",
        "host": "web-1",
        "pid": 7,
        "started_at_ms": 5,
        "queues": ["default"],
        "concurrency": 10,
        "status": "running",
        "running": ["one"],
    }
    later = {**earlier, "id": "later", "deploy": "2", "battery": 0.4, "jobs": [{**job_record(), "mood": "good"}]}
    async with App(redis_server.url, prefix="versions") as app:
        broker = broker_of(app)
        for record in (earlier, later):
            await broker.announce(msgspec.convert(record, WorkerInfo), 20_000)
            client = redis_server.client()
            client.set(f"versions:{{}}:worker:{record['id']}", msgspec.msgpack.encode(record), px=20_000)
            client.close()
        first, second = (await app.stats()).workers
        assert (first.id, first.running, first.jobs, first.deploy) == ("earlier", ("one",), (), "")
        assert (second.id, second.deploy, [job.id for job in second.jobs]) == ("later", "2", ["one"])


def job_record() -> dict[str, object]:
    return {"id": "one", "queue": "default", "name": "shop.charge", "attempt": 1, "started_at_ms": 6}


async def test_an_idle_worker_announces_the_same_each_time(redis_server: Server) -> None:
    app = App(redis_server.url, prefix="idle")
    async with app, app.worker(queues=["reports"]):
        client = redis_server.client()
        [key] = await asyncio.to_thread(lambda: client.keys("idle:{}:worker:*"))
        records = set()
        last = None
        for _ in range(10):
            worker = await worker_where(app, lambda worker, last=last: worker.beat_at != last)
            last = worker.beat_at
            fields = msgspec.msgpack.decode(await asyncio.to_thread(client.get, key))
            # A busy machine may be late.
            fields.pop("lag_ms")
            records.add(msgspec.msgpack.encode(fields))
        assert len(records) == 1
        client.close()


async def test_a_deploy_is_known_when_its_workers_have_gone(make_app: Callable[..., App]) -> None:
    app = make_app(deploy="9f3c1e7")
    async with app:
        before = datetime.now(UTC)
        async with app.worker():
            pass
        async with app.worker():
            pass
        [deploy] = await app.deploys()
        assert deploy.name == "9f3c1e7"
        assert abs(deploy.began_at - before) < timedelta(seconds=5)


async def test_a_server_that_has_lost_its_data_is_told_again_how_jobs_are_defined(redis_url: str) -> None:
    app, operator = App(redis_url, deploy="9f3c1e7"), App(redis_url)

    @app.job(name="shop.charge", secret=["card"])
    async def charge(order: int, card: str) -> None: ...

    async with app, operator, app.worker():
        client = redis.asyncio.Redis.from_url(redis_url)
        assert "shop.charge" in await broker_of(operator).catalogue()
        await client.flushall()
        await until(broker_of(operator).catalogue, "the catalogue is back")
        assert (await broker_of(operator).catalogue())["shop.charge"].secret == ("card",)
        await until(operator.deploys, "the deploy is known")
        await client.aclose()
