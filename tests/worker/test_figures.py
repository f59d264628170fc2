"""What a worker adds to the figures over time."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta

import msgspec
import pytest

from asyncjobs import App, RetryPolicy, Worker
from asyncjobs.brokers.memory import MemoryBroker
from asyncjobs.core.histogram import percentile_ms
from asyncjobs.errors import BrokerUnavailable
from asyncjobs.ports import Gauges, PeriodFigures, QueueFigures, RunCounts
from asyncjobs.worker.execution import run_counter
from asyncjobs.worker.execution.run_counter import RunCounter
from asyncjobs.worker.figures import Figures
from tests.apps import broker_of
from tests.waiting import until

pytestmark = pytest.mark.anyio


async def names(app: App, queue: str = "default") -> dict[str, RunCounts]:
    hours = (await broker_of(app).runs(queue, 2)).hours
    return {one.name: one for hour in hours for one in hour.names}


async def minutes(app: App, queue: str = "default") -> list[PeriodFigures]:
    periods: list[PeriodFigures] = (await broker_of(app).series(queue, "minute", 3)).periods
    return periods


async def test_what_runs_came_to_is_told_by_name_once_the_worker_has_ended(app: App) -> None:
    @app.job(name="work", retry=RetryPolicy(max_retries=1, initial=0.001, jitter=False))
    async def work(fails: bool) -> None:
        await asyncio.sleep(0.02)
        if fails:
            raise ValueError

    @app.job(name="never", expires=0.001)
    async def never() -> None: ...

    async with app:
        await app.enqueue_many([work.request(fails=False), work.request(fails=False), work.request(fails=True)])
        await never.delay()
        await asyncio.sleep(0.01)
        await Worker(app).run_until_empty()
        await until(lambda: is_dead(app), "the job died")
        found = await names(app)
        assert set(found) == {"work"}
        one = found["work"]
        assert (one.succeeded, one.retried, one.failed, one.cancelled) == (2, 1, 1, 0)
        assert sum(one.runs.values()) == 4
        assert sum(one.waits.values()) == 3
        assert one.run_us >= 4 * 20_000
        assert (percentile_ms(one.runs, 0) or 0) > 18
        periods = await minutes(app)
        assert sum(sum(period.runs.values()) for period in periods) == 4


async def is_dead(app: App) -> bool:
    await Worker(app).run_until_empty()
    return (await app.queue_stats("default")).failed == 1


async def test_a_wait_is_since_the_job_could_start(app: App) -> None:
    @app.job(name="later")
    async def later() -> None: ...

    @app.job(name="own_id")
    async def own_id() -> None: ...

    async with app:
        await later.schedule_at(datetime.now(UTC) + timedelta(seconds=0.6))
        await own_id.with_options(job_id="mine").delay()
        await asyncio.sleep(0.4)
        async with app.worker():
            await until(lambda: has_ended(app, 2), "both have run")
        found = await names(app)
        assert (percentile_ms(found["later"].waits, 1) or 0) < 390
        assert (percentile_ms(found["own_id"].waits, 1) or 0) > 380


async def has_ended(app: App, count: int) -> bool:
    return (await app.queue_stats("default")).succeeded_total == count


async def test_of_many_runs_between_two_calls_some_stand_for_the_others(
    app: App, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run_counter, "_ALL_UP_TO", 10)

    @app.job(name="work")
    async def work() -> None: ...

    async with app:
        await app.enqueue_many([work.request() for _ in range(80)])
        await Worker(app).run_until_empty()
        one = (await names(app))["work"]
        assert one.succeeded == 80
        assert sum(one.runs.values()) == sum(one.waits.values()) == 80


async def test_a_worker_samples_the_gauges_of_its_queues(app: App) -> None:
    @app.job(name="work", queue="other")
    async def work() -> None: ...

    async with app:
        await work.delay()
        await work.with_options(priority="low").delay()
        await work.schedule_in(60)
        async with app.worker(queues=["default"], concurrency=5):
            figures = Figures(
                broker_of(app), RunCounter(), queues=["default", "other"], monotonic=asyncio.get_running_loop().time
            )
            await figures.sample()
            [minute] = await minutes(app)
            assert minute.gauges == Gauges(slots=5, workers=1)
            [minute] = await minutes(app, "other")
            assert minute.gauges is not None
            assert minute.gauges.oldest_wait_ms > 0
            assert msgspec.structs.replace(minute.gauges, oldest_wait_ms=0) == Gauges(normal=1, low=1, scheduled=1)


async def test_figures_that_cannot_be_sent_are_left_out(
    make_app: Callable[..., App], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    app = make_app()

    @app.job(name="work")
    async def work() -> None: ...

    async def away(counts: object) -> None:
        raise BrokerUnavailable("away")

    async with app:
        await work.delay()
        with monkeypatch.context() as patch:
            patch.setattr(broker_of(app), "count_runs", away)
            await Worker(app).run_until_empty()
        assert await has_ended(app, 1)
        assert await names(app) == {}
        await work.delay()
        await Worker(app).run_until_empty()
        assert (await names(app))["work"].succeeded == 1
    assert [one for one in caplog.records if one.levelno >= logging.ERROR] == []


class Repairing(MemoryBroker):
    """Has set right some counts of a queue."""

    repaired = 3

    async def begin_gauges(self, queues: Sequence[str]) -> list[str]:
        return list(queues)

    async def overview(self, queues: Sequence[str]) -> list[QueueFigures]:
        return [msgspec.structs.replace(one, repaired=self.repaired) for one in await super().overview(queues)]


async def test_what_was_counted_wrongly_and_set_right_is_an_error_in_the_log(
    caplog: pytest.LogCaptureFixture,
) -> None:
    broker = Repairing()
    await broker.open()
    figures = Figures(broker, RunCounter(), queues=["mail"], monotonic=lambda: 0.0)
    with caplog.at_level(logging.ERROR, "asyncjobs.worker"):
        # What was there before this worker is told by others.
        await figures.sample()
        await figures.sample()
        assert not caplog.records
        broker.repaired = 5
        await figures.sample()
        await figures.sample()
    assert [one.getMessage() for one in caplog.records] == [
        "2 slots of limits of the queue mail were counted wrongly, and set right; please report it"
    ]
