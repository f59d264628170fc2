"""What is measured of sending and running, and what never is: ids and tenants."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import Any

import pytest

from asyncjobs import (
    App,
    BrokerUnavailable,
    JobFailed,
    JobRequest,
    Middleware,
    PartlySent,
    Retry,
    RetryPolicy,
    Snooze,
    Worker,
    current_job,
)
from asyncjobs.middleware.base import Send
from asyncjobs.telemetry import Metrics, Tracing
from tests.telemetry.conftest import Measured, Spans
from tests.waiting import SOON, Notes, until

pytestmark = pytest.mark.anyio

AT_ONCE = RetryPolicy(max_retries=1, initial=0.001, jitter=False)


async def test_jobs_that_were_sent_are_counted_by_queue_and_name(
    make_app: Callable[..., App], measured: Measured
) -> None:
    app = make_app(middleware=[Metrics(measured.provider)])

    @app.job(queue="mails")
    async def mail() -> None: ...

    @app.job(queue="images")
    async def image() -> None: ...

    async with app:
        await mail.delay()
        await app.enqueue_many([mail.request(), mail.request(), image.request()])

    [mails] = measured.points("messaging.client.sent.messages", queue="mails")
    [images] = measured.points("messaging.client.sent.messages", queue="images")
    assert (mails.value, images.value) == (3, 1)
    assert dict(mails.attributes) == {
        "messaging.system": "asyncjobs",
        "messaging.operation.name": "send",
        "messaging.destination.name": "mails",
        "asyncjobs.job.name": "mail",
    }


class Break(Middleware):
    """Fails a send: whole, or after the first job."""

    def __init__(self, *, partly: bool) -> None:
        self._partly = partly

    async def enqueue(self, requests: Sequence[JobRequest[Any]], send: Send) -> Any:
        error = BrokerUnavailable("not today")
        if self._partly:
            raise PartlySent(await send(requests[:1]), list(requests[1:]), error) from error
        raise error


async def test_jobs_that_could_not_be_sent_are_counted_with_the_error(
    make_app: Callable[..., App], measured: Measured
) -> None:
    for partly, error in ((False, BrokerUnavailable), (True, PartlySent)):
        app = make_app(middleware=[Metrics(measured.provider), Break(partly=partly)])

        @app.job
        async def work() -> None: ...

        async with app:
            with pytest.raises(error):
                await app.enqueue_many([work.request() for _ in range(3)])

    points = measured.points("messaging.client.sent.messages")
    assert sorted((point.attributes.get("error.type", ""), point.value) for point in points) == [
        ("", 1),
        ("asyncjobs.errors.BrokerUnavailable", 5),
    ]


async def test_attempts_are_measured_by_how_they_ended(make_app: Callable[..., App], measured: Measured) -> None:
    app = make_app(middleware=[Metrics(measured.provider)], retry=AT_ONCE)

    @app.job
    async def work() -> None:
        if current_job().attempt == 1:
            raise LookupError("no such order")
        await asyncio.sleep(0.02)

    @app.job
    async def wait() -> None:
        raise Retry(after=3600)

    async with app:
        await wait.delay()
        handle = await work.delay()
        async with app.worker():
            await handle.result(SOON)

    [failed] = measured.points("messaging.process.duration", job="work", error_type="LookupError")
    [completed] = measured.points("messaging.process.duration", job="work", outcome="completed")
    [waiting] = measured.points("messaging.process.duration", job="wait")
    assert (failed.count, completed.count, waiting.count) == (1, 1, 1)
    assert failed.attributes["asyncjobs.outcome"] == "failed"
    assert 0.015 < completed.sum < 1
    assert completed.explicit_bounds[0] == 0.005
    assert "error.type" not in completed.attributes
    assert waiting.attributes["asyncjobs.outcome"] == "retry"
    assert "error.type" not in waiting.attributes


async def test_the_lateness_of_scheduled_jobs_is_measured_and_of_no_others(
    make_app: Callable[..., App], measured: Measured
) -> None:
    app = make_app(middleware=[Metrics(measured.provider)], retry=AT_ONCE)

    @app.job
    async def later() -> None:
        if current_job().attempt == 1:
            raise ValueError("once more")

    @app.job
    async def now() -> None: ...

    async with app:
        handle = await later.schedule_in(0.01)
        await now.delay()
        await asyncio.sleep(0.1)
        async with app.worker():
            await handle.result(SOON)

    [point] = measured.points("asyncjobs.schedule.lateness")
    assert point.attributes["asyncjobs.job.name"] == "later"
    assert point.count == 1
    assert 0.08 < point.sum < 2


async def test_the_lateness_of_a_schedules_job_is_that_to_its_tick(
    make_app: Callable[..., App], measured: Measured
) -> None:
    app = make_app(middleware=[Metrics(measured.provider)])
    ran = asyncio.Event()

    @app.job(every=timedelta(seconds=1))
    async def work() -> None:
        ran.set()

    async with app, app.worker():
        await until(ran, "the job of a tick has run")

    [point] = measured.points("asyncjobs.schedule.lateness")
    assert point.sum < 1


async def test_a_job_revived_from_the_dead_is_not_late_once_more(
    make_app: Callable[..., App], measured: Measured
) -> None:
    app = make_app(middleware=[Metrics(measured.provider)], retry=RetryPolicy(max_retries=0))
    failing = [True]

    @app.job
    async def work() -> None:
        if failing.pop():
            raise ValueError("the first time")

    async with app, app.worker():
        handle = await work.schedule_in(0.01)
        with pytest.raises(JobFailed):
            await handle.result(SOON)
        failing.append(False)
        await app.retry_job(handle.id)
        await handle.result(SOON)

    assert [point.count for point in measured.points("asyncjobs.schedule.lateness")] == [1]
    assert sum(point.count for point in measured.points("messaging.process.duration")) == 2


async def test_slots_in_use_are_counted_while_handlers_run(make_app: Callable[..., App], measured: Measured) -> None:
    app = make_app(middleware=[Metrics(measured.provider)])
    go = asyncio.Event()
    running: Notes[bool] = Notes()

    @app.job
    async def work(fails: bool) -> None:
        running.append(fails)
        await go.wait()
        if fails:
            raise Snooze(3600)

    async with app, app.worker():
        for fails in (True, False, False):
            await work.delay(fails)
        await running.reach(3)
        [during] = measured.points("asyncjobs.slots.used", queue="default")
        go.set()
    [after] = measured.points("asyncjobs.slots.used", queue="default")
    assert (during.value, after.value) == (3, 0)


async def test_no_attribute_holds_an_id_or_a_tenant(make_app: Callable[..., App], measured: Measured) -> None:
    app = make_app(middleware=[Metrics(measured.provider)], retry=RetryPolicy(max_retries=0))

    @app.job
    async def work(fails: bool) -> None:
        if fails:
            raise ValueError("no")

    async with app, app.worker():
        told = ["acme", "order-7"]
        for fails in (False, True):
            handle = await work.with_options(tenant="acme").delay(fails)
            told.append(handle.id)
            if fails:
                with pytest.raises(JobFailed):
                    await handle.result(SOON)
            else:
                await handle.result(SOON)
        await (await work.with_options(tenant="acme", job_id="order-7").schedule_in(0.01, False)).result(SOON)

    found = measured.all()
    assert set(found) == {
        "messaging.client.sent.messages",
        "messaging.process.duration",
        "asyncjobs.schedule.lateness",
        "asyncjobs.slots.used",
    }
    values = {value for points in found.values() for point in points for value in point.attributes.values()}
    assert values.isdisjoint(told)


async def test_tenants_are_an_attribute_for_who_asks_for_it(make_app: Callable[..., App], measured: Measured) -> None:
    app = make_app(middleware=[Metrics(measured.provider, tenant_attribute=True)])

    @app.job
    async def work() -> None: ...

    async with app, app.worker():
        await (await work.with_options(tenant="acme").delay()).result(SOON)
        await (await work.delay()).result(SOON)

    for metric in ("messaging.client.sent.messages", "messaging.process.duration"):
        assert len(measured.points(metric)) == 2
        assert len(measured.points(metric, tenant="acme")) == 1


async def test_both_layers_together_name_one_time_at_which_a_job_is_due(
    make_app: Callable[..., App], measured: Measured, spans: Spans
) -> None:
    for layers in (
        [Tracing(spans.provider), Metrics(measured.provider)],
        [Metrics(measured.provider), Tracing(spans.provider)],
    ):
        app = make_app(middleware=layers)

        @app.job
        async def work() -> dict[str, str]:
            return dict(current_job().headers)

        async with app, app.worker():
            headers = await (await work.schedule_in(0.01)).result(SOON)
            created = int((await (await work.delay()).refresh()).created_at_ms)
        assert set(headers) == {"traceparent", "due"}
        assert abs(int(headers["due"]) - created) < 2_000


async def test_without_an_sdk_jobs_have_no_headers(make_app: Callable[..., App]) -> None:
    app = make_app(middleware=[Metrics()])

    @app.job
    async def work() -> dict[str, str]:
        return dict(current_job().headers)

    async with app:
        handle = await work.schedule_in(0.01)
        await asyncio.sleep(0.05)
        await Worker(app).run_until_empty()
        assert await handle.result(SOON) == {}
