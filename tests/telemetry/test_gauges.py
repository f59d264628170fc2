"""The gauges of the queues tell what the broker counts, and nothing when it can't be asked."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from asyncjobs import (
    App,
    ArgumentsError,
    BrokerUnavailable,
    Discard,
    GateStats,
    JobFailed,
    Limit,
    RetryPolicy,
    Stats,
    Worker,
    current_job,
)
from asyncjobs.telemetry import QueueGauges
from tests.telemetry.conftest import Measured
from tests.waiting import SOON, Notes, until

pytestmark = pytest.mark.anyio

AT_ONCE = RetryPolicy(max_retries=1, initial=0.0)


def depths(measured: Measured, queue: str) -> dict[str, int]:
    return {
        point.attributes["asyncjobs.state"]: point.value
        for point in measured.points("asyncjobs.queue.depth", queue=queue)
    }


async def test_the_depth_of_each_queue_is_told_by_state(make_app: Callable[..., App], measured: Measured) -> None:
    app, gauges = make_app(), QueueGauges(measured.provider)

    @app.job(queue="mails")
    async def mail() -> None: ...

    @app.job(queue="broken")
    async def broken() -> None:
        raise Discard("no use")

    async with app:
        await broken.delay()
        await Worker(app, queues=["broken"]).run_until_empty()
        for _ in range(3):
            await mail.delay()
        await mail.schedule_in(3600)
        await asyncio.sleep(0.05)
        await gauges.refresh(app)

        assert depths(measured, "mails") == {"pending": 3, "scheduled": 1, "parked": 0, "running": 0, "failed": 0}
        assert depths(measured, "broken") == {"pending": 0, "scheduled": 0, "parked": 0, "running": 0, "failed": 1}
        [wait] = measured.points("asyncjobs.queue.oldest_wait", queue="mails")
        assert 0.04 < wait.value < 5


async def test_retries_and_deaths_are_counted_by_the_broker(make_app: Callable[..., App], measured: Measured) -> None:
    app, gauges = make_app(retry=AT_ONCE), QueueGauges(measured.provider)

    @app.job
    async def work() -> None:
        raise ValueError(f"attempt {current_job().attempt}")

    @app.job(retry=RetryPolicy(max_retries=1, initial=3600))
    async def slow() -> None:
        raise ValueError("later")

    async with app:
        await slow.delay()
        handle = await work.delay()
        async with app.worker():
            with pytest.raises(JobFailed):
                await handle.result(SOON)
        await gauges.refresh(app)

        told = {
            name: measured.points(name, queue="default")[0].value
            for name in ("asyncjobs.retries", "asyncjobs.deaths", "asyncjobs.recoveries", "asyncjobs.queue.retrying")
        }
    assert told == {
        "asyncjobs.retries": 2,
        "asyncjobs.deaths": 1,
        "asyncjobs.recoveries": 0,
        "asyncjobs.queue.retrying": 1,
    }


async def test_limits_are_told_by_their_names_and_not_by_their_values(
    make_app: Callable[..., App], measured: Measured
) -> None:
    app, gauges = make_app(), QueueGauges(measured.provider)
    began: Notes[int] = Notes()
    may_end = asyncio.Event()

    @app.job(queue="mails", limits=[Limit("customer", running=1).by("customer"), Limit("free", rate="1000/s")])
    async def mail(customer: int) -> None:
        began.append(customer)
        await may_end.wait()

    def told(name: str) -> dict[str, int]:
        points = measured.points(f"asyncjobs.limit.{name}", queue="mails")
        return {point.attributes["asyncjobs.limit.name"]: point.value for point in points}

    async with app:
        await app.enqueue_many([mail.request(one) for one in (1, 1, 2)])
        async with app.worker(queues=["mails"]):
            await began.reach(2)

            async def waits() -> bool:
                return (await app.queue_stats("mails")).closed_lines == 1

            await until(waits, "the second job of a customer waits")
            await gauges.refresh(app)
            may_end.set()
    assert told("in_use") == {"customer": 2, "free": 2}
    assert told("slots") == {"customer": 1}
    assert told("waiting") == {"customer": 1, "free": 0}
    assert told("waiting_lines") == {"customer": 1, "free": 0}
    assert [point.value for point in measured.points("asyncjobs.limit.repairs", queue="mails")] == [0]


async def test_before_the_first_refresh_there_are_no_figures(measured: Measured) -> None:
    QueueGauges(measured.provider)
    assert measured.points("asyncjobs.queue.depth") == []


async def test_the_exporters_thread_reads_what_the_loop_has_fetched(
    make_app: Callable[..., App], measured: Measured
) -> None:
    app, gauges = make_app(), QueueGauges(measured.provider)

    @app.job
    async def work() -> None: ...

    async with app:
        await work.delay()
        await gauges.refresh(app)
        assert (await asyncio.to_thread(depths, measured, "default"))["pending"] == 1


class Away:
    """An app whose broker is away at first, and again after the second call; it notes what was told before each."""

    def __init__(self, app: App, measured: Measured) -> None:
        self._app = app
        self._measured = measured
        self.seen: Notes[bool] = Notes()

    async def stats(self) -> Stats:
        self.seen.append(bool(depths(self._measured, "default")))
        if len(self.seen) != 2:
            raise BrokerUnavailable("not today")
        return await self._app.stats()

    async def gates(self, queue: str, *, limit: int = 100) -> list[GateStats]:
        return await self._app.gates(queue, limit=limit)


async def test_figures_are_kept_fresh_and_dropped_when_they_no_longer_hold(
    make_app: Callable[..., App], measured: Measured
) -> None:
    app, gauges = make_app(), QueueGauges(measured.provider)
    away = Away(app, measured)

    @app.job
    async def work() -> None: ...

    async with app:
        await work.delay()
        task = asyncio.create_task(gauges.keep_refreshed(away, every=0.05))
        await away.seen.reach(4)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    # Before the first call, and after each.
    assert away.seen[:4] == [False, False, True, False]


async def test_a_wrong_interval_is_refused(app: App) -> None:
    with pytest.raises(ArgumentsError, match="every=0"):
        await QueueGauges().keep_refreshed(app, every=0)
