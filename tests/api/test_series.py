"""Figures over time, by queue and by job name, and the load of queues."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import pytest

from asyncjobs import App, ArgumentsError, Worker
from asyncjobs.brokers.memory import MemoryBroker
from asyncjobs.core.histogram import bucket_of
from asyncjobs.ports import GaugeReading, Gauges, RunCounts
from asyncjobs.testing import ManualClock
from tests.apps import broker_of

pytestmark = pytest.mark.anyio

MINUTE_MS = 60_000
HOUR_MS = 60 * MINUTE_MS


class Shop:
    """An app whose time is moved by hand, with a worker that is told what it has seen."""

    def __init__(self) -> None:
        self.clock = ManualClock()
        self.app = App("memory://", broker=MemoryBroker(self.clock))

        @self.app.job(name="work")
        async def work() -> None: ...

        self.work = work

    def begin(self, period_ms: int) -> int:
        """Let a period begin; return its time in Unix seconds."""
        self.clock.advance(period_ms - self.clock.now_ms() % period_ms)
        return self.clock.now_ms() // 1000

    async def run(self, count: int) -> None:
        """Send jobs and run them."""
        await self.app.enqueue_many([self.work.request() for _ in range(count)])
        await Worker(self.app).run_until_empty()

    async def sample(self, arrived: int, *, ready: int = 0, slots: int = 4) -> None:
        broker = broker_of(self.app)
        await broker.begin_gauges(["default"])
        gauges = Gauges(normal=ready, slots=slots, workers=1)
        await broker.keep_gauges([GaugeReading("default", gauges, arrived)])


@pytest.fixture
def shop() -> Shop:
    return Shop()


async def test_a_series_has_a_value_for_each_minute(shop: Shop) -> None:
    async with shop.app:
        start = shop.begin(MINUTE_MS)
        await shop.sample(10, ready=3)
        await shop.run(2)
        shop.begin(MINUTE_MS)
        shop.begin(MINUTE_MS)
        await shop.sample(17, ready=1)
        await shop.run(1)
        series = await shop.app.queue_series("default", timedelta(minutes=4))
        assert series.step_s == 60
        assert series.at == [start - 60, start, start + 60, start + 120]
        assert series.succeeded == [0, 2, 0, 1]
        assert series.arrived == [0, 0, 0, 7]
        assert series.pending == [None, 3, None, 1]
        assert series.pending_by_priority["normal"] == series.pending
        assert series.slots == [None, 4, None, 4]
        assert [one is None for one in series.p95_run_ms] == [True, False, True, False]
        earlier = await shop.app.queue_series("default", timedelta(minutes=2), before=60)
        assert (earlier.at, earlier.succeeded) == ([start, start + 60], [2, 0])
        coarse = await shop.app.queue_series("default", timedelta(minutes=20), step=timedelta(minutes=10))
        assert len(coarse.at) == 2
        assert sum(coarse.succeeded) == 3
        assert coarse.pending[-1] in (1, 3)


async def test_beyond_six_hours_a_series_goes_by_hours(shop: Shop) -> None:
    async with shop.app:
        start = shop.begin(HOUR_MS)
        await shop.run(2)
        shop.begin(HOUR_MS)
        await shop.run(3)
        shop.clock.advance(MINUTE_MS)
        await shop.sample(5)
        series = await shop.app.queue_series("default", timedelta(hours=24))
        assert series.step_s == 3600
        assert series.at[-2:] == [start, start + 3600]
        assert series.succeeded == [0] * 22 + [2, 3]
        days = await shop.app.queue_series("default", timedelta(days=30), step=timedelta(days=1))
        assert len(days.at) == 30
        assert sum(days.succeeded) == 5
        yesterday = await shop.app.queue_series("default", timedelta(hours=2), before=timedelta(hours=24))
        assert yesterday.succeeded == [0, 0]
        assert yesterday.at == [start - 86_400, start + 3600 - 86_400]


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"since": 59}, "since=59: expected at least 60 s"),
        ({"since": timedelta(days=91)}, "figures are kept for 90 days"),
        ({"since": 60, "before": timedelta(days=90)}, "figures are kept for 90 days"),
        ({"since": 600, "step": 90}, "step=90: expected a multiple of 60 s, since figures are kept by minute"),
        ({"since": 86_400, "step": 90}, "step=90: expected a multiple of 3,600 s, since beyond six hours"),
        ({"since": "1h"}, "since='1h': expected seconds or a timedelta"),
    ],
)
async def test_a_series_that_is_not_kept_is_refused(shop: Shop, given: dict[str, object], message: str) -> None:
    async with shop.app:
        with pytest.raises(ArgumentsError) as error:
            await shop.app.queue_series("default", **given)  # type: ignore[arg-type]
        assert message in str(error.value)


async def test_names_are_told_with_their_share_of_the_time(make_app: Callable[..., App]) -> None:
    async with make_app() as app:
        broker = broker_of(app)

        @app.job(name="plain", queue="bulk")
        async def plain() -> None: ...

        assert await app.names() == []
        await plain.delay()
        await app.pause("default")
        second = bucket_of(1_000_000)
        report = RunCounts(name="report", succeeded=2, retried=1, run_us=3_000_000, runs={second: 3}, waits={second: 1})
        mail = RunCounts(name="mail", succeeded=1, failed=1, run_us=1_000_000, runs={second: 2})
        await broker.count_runs({"default": [report, mail], "bulk": [mail]})
        found = await app.names()
        assert [(one.name, one.queues, one.calls) for one in found] == [
            ("report", ("default",), 3),
            ("mail", ("bulk", "default"), 4),
        ]
        assert [one.share for one in found] == [0.6, 0.4]
        assert found[0].p95_run_ms == pytest.approx(1_000, rel=0.06)
        assert found[0].p95_wait_ms == pytest.approx(1_000, rel=0.06)
        assert (found[1].failed, found[1].p95_wait_ms) == (2, None)
        assert [one.calls for one in await app.names(["bulk"])] == [2]
        assert await app.names(before=timedelta(days=2)) == []
        series = await app.name_series("mail", timedelta(hours=3))
        assert len(series.at) == 3
        assert (sum(series.succeeded), sum(series.failed), sum(series.run_ms)) == (2, 2, 2_000)
        assert sum((await app.name_series("mail", timedelta(hours=3), queues=["bulk"])).succeeded) == 1
        assert sum((await app.name_series("unknown")).succeeded) == 0
        with pytest.raises(ArgumentsError, match="14 days"):
            await app.names(since=timedelta(days=15))


async def minutes_of(shop: Shop, *, ready: int, arrive: int, end: int) -> None:
    """Let six minutes pass, in each of which so many jobs come in and end, each of which runs for 2 s."""
    shop.begin(MINUTE_MS)
    await shop.app.enqueue_many([shop.work.request() for _ in range(ready)])
    broker = broker_of(shop.app)
    ever = 1_000
    for _ in range(6):
        await shop.sample(ever, ready=ready)
        ever += arrive
        jobs = [shop.work.with_options(priority="critical").request() for _ in range(end)]
        await shop.app.enqueue_many(jobs)
        for _ in range(end):
            await Worker(shop.app).run_once()
        runs = {bucket_of(2_000_000): end}
        await broker.count_runs({"default": [RunCounts(name="work", succeeded=end, runs=runs)]})
        shop.begin(MINUTE_MS)


async def test_the_load_tells_when_a_backlog_is_gone(shop: Shop) -> None:
    async with shop.app:
        await minutes_of(shop, ready=30, arrive=6, end=12)
        [load] = await shop.app.queue_loads(["default"])
        assert (load.queue, load.backlog, load.running, load.slots) == ("default", 30, 0, 0)
        assert load.arrival_rate == pytest.approx(0.1)
        assert load.service_rate == pytest.approx(0.2)
        assert load.ended_per_minute == pytest.approx(12)
        assert load.ended[-6:] == [12] * 6
        assert load.drain_s is None
        async with shop.app.worker(queues=["default"], concurrency=3) as worker:
            worker.stop()
            await shop.app.pause("default")
            assert (await shop.app.load()).drain_s is None
            await shop.app.resume("default")


async def test_an_unused_app_has_no_load(make_app: Callable[..., App]) -> None:
    async with make_app() as app:
        assert await app.queue_loads() == []
        load = await app.load()
        assert (load.backlog, load.drain_s, load.wanted_slots, load.mean_run_s) == (0, 0.0, 0, None)
        [load] = await app.queue_loads(["unused"])
        assert (load.backlog, load.drain_s, load.wanted_slots) == (0, 0.0, 0)
        with pytest.raises(ArgumentsError, match="expected several names"):
            await app.load("default")
