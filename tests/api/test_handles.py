"""Handles of jobs that were sent before: ``job.handle(id)`` knows the queue, the tenant and the type of the result."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import pydantic
import pytest

from asyncjobs import (
    App,
    AppNotOpen,
    ArgumentsError,
    BrokerUnavailable,
    JobFailed,
    ResultError,
    ResultExpired,
    RetryPolicy,
    UnknownJob,
    Worker,
    job,
    tenant_scope,
)
from tests.apps import broker_of
from tests.waiting import SOON
from tests.worker import cpu_jobs

pytestmark = pytest.mark.anyio


@dataclass
class Order:
    number: int


class Priced(pydantic.BaseModel):
    price: int


@job
async def numbered_order(number: int) -> Order:
    return Order(number)


@pytest.fixture
def order(app: App) -> Any:
    @app.job(queue="orders")
    async def order(number: int) -> Order:
        return Order(number)

    return order


async def test_a_handle_made_by_the_job_returns_the_handlers_type_from_the_jobs_queue(app: App, order: Any) -> None:
    async with app:
        sent = await order.delay(7)
        await Worker(app).run_until_empty()
        handle = order.handle(sent.id)
        assert (handle.id, handle.queue) == (sent.id, "orders")
        assert await handle.result(SOON) == Order(7)
        assert await app.handle(sent.id, queue="orders").result(SOON) == {"number": 7}


async def test_options_name_another_queue_and_another_tenant(app: App, order: Any) -> None:
    async with app:
        elsewhere = order.with_options(queue="others", tenant="acme", job_id="x")
        await elsewhere.delay(7)
        await order.with_options(tenant="globex", job_id="x").delay(8)
        await Worker(app, queues=["orders", "others"]).run_until_empty()
        assert await elsewhere.handle("x").result(SOON) == Order(7)
        assert await order.with_options(queue="others", tenant="acme").handle("@acme:x").result(SOON) == Order(7)
        with tenant_scope("globex"):
            assert await order.handle("x").result(SOON) == Order(8)
            with pytest.raises(UnknownJob):
                await order.with_options(queue="others").handle("@acme:x").refresh()
            assert (await order.with_options(queue="others", tenant=None).handle("@acme:x").refresh()).tenant == "acme"
        # An operator names a tenant's job by its whole id.
        assert (await order.handle("@globex:x").refresh()).tenant == "globex"


async def test_a_job_of_a_library_is_found_in_the_app_that_is_open(make_app: Callable[..., App]) -> None:
    with pytest.raises(AppNotOpen, match="no app is open"):
        numbered_order.handle("x")
    first, second = make_app(), make_app()
    async with first:
        sent = await numbered_order.delay(7)
        await Worker(first).run_until_empty()
        assert await numbered_order.handle(sent.id).result(SOON) == Order(7)
        async with second:
            with pytest.raises(AppNotOpen, match="2 apps are open"):
                numbered_order.handle(sent.id)
            assert await numbered_order.with_options(app=second).handle(sent.id).result(SOON) == Order(7)


def test_without_a_loop_a_handle_made_by_the_job_is_awaited_by_the_app(app: App, order: Any) -> None:
    sent = order.delay_sync(7)
    handle = order.handle(sent.id)
    with pytest.raises(TimeoutError):
        app.sync.result(handle, timeout=0.01)
    assert handle.queue == "orders"


@pytest.mark.parametrize("wrong", [None, 7, b"x", "\ud800"])
async def test_what_is_no_id_is_refused(order: Any, wrong: Any) -> None:
    with pytest.raises(ArgumentsError, match="is no id"):
        order.handle(wrong)


async def test_the_record_of_a_job_has_its_result_as_plain_values(app: App, order: Any) -> None:
    @app.job
    def in_a_thread(which: str) -> Any:
        return {"text": "x", "none": None, "time": datetime(2026, 1, 2, tzinfo=UTC), "model": Priced(price=5)}[which]

    async with app:
        kept = [await in_a_thread.delay(which) for which in ("text", "none", "time", "model")]
        ordered = await order.delay(7)
        unkept = await order.with_options(result_ttl=0).delay(7)
        waiting = await order.schedule_in(3600, 7)
        assert (await kept[0].refresh()).result is None
        await Worker(app, queues=["default", "orders"]).run_until_empty()
        found = [(await handle.refresh()).result for handle in (*kept, ordered, unkept, waiting)]
        assert found == ["x", None, datetime(2026, 1, 2, tzinfo=UTC), {"price": 5}, {"number": 7}, None, None]
        assert (await kept[1].refresh()).encoded_result
        assert not (await unkept.refresh()).encoded_result


async def test_a_result_can_be_removed_when_it_is_read(app: App, order: Any) -> None:
    @app.job(retry=RetryPolicy(max_retries=0))
    async def fail() -> None:
        raise ValueError("no")

    async with app:
        sent = await order.with_options(result_ttl=math.inf, job_id="once").delay(7)
        dead = await fail.delay()
        await Worker(app, queues=["default", "orders"]).run_until_empty()
        assert await sent.result(SOON, forget=True) == Order(7)
        with pytest.raises(ResultExpired):
            await sent.result(SOON)
        with pytest.raises(UnknownJob):
            await order.handle(sent.id).refresh()
        assert await app.undelete_jobs([sent.id], queue="orders") == [False]
        assert await app.audit() == []
        assert (await order.with_options(job_id="once").delay(8)).is_new
        # What isn't returned stays.
        with pytest.raises(JobFailed):
            await dead.result(SOON, forget=True)
        assert [job.id for job in await app.failed_jobs()] == [dead.id]


async def test_a_result_that_does_not_fit_is_not_removed(app: App, order: Any) -> None:
    @app.job(name="other", queue="orders")
    async def other(number: int) -> int:
        return number

    async with app:
        sent = await order.delay(7)
        await Worker(app, queues=["orders"]).run_until_empty()
        with pytest.raises(ResultError):
            await other.handle(sent.id).result(SOON, forget=True)
        assert await sent.result(SOON) == Order(7)


@pytest.mark.parametrize("error", [BrokerUnavailable("away"), AppNotOpen("closed meanwhile")])
async def test_a_result_is_returned_though_it_can_not_be_removed(
    app: App, order: Any, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, error: Exception
) -> None:
    async def forget(*_: Any) -> bool:
        raise error

    async with app:
        sent = await order.delay(7)
        await Worker(app, queues=["orders"]).run_until_empty()
        monkeypatch.setattr(broker_of(app), "forget", forget)
        assert await sent.result(SOON, forget=True) == Order(7)
        assert (
            f"job {sent.id}, whose result was read, may be kept until its result_ttl has passed: {error}" in caplog.text
        )
        assert await sent.result(SOON) == Order(7)


async def test_a_result_is_returned_in_time_though_its_removal_hangs(
    app: App, order: Any, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def forget(*_: Any) -> bool:
        await asyncio.Event().wait()
        return True

    async with app:
        sent = await order.delay(7)
        await Worker(app, queues=["orders"]).run_until_empty()
        monkeypatch.setattr(broker_of(app), "forget", forget)
        async with asyncio.timeout(SOON):
            assert await sent.result(0, forget=True) == Order(7)
        assert f"job {sent.id}, whose result was read, may be kept" in caplog.text
        assert "the broker has not answered in time" in caplog.text
        assert await sent.result(SOON) == Order(7)


async def test_a_result_of_a_process_is_in_the_record_too(app: App) -> None:
    async with app:
        handle = await cpu_jobs.square.with_options(app=app).delay(7)
        async with app.worker():
            returned = await handle.result(SOON)
        job = await app.find_job(handle.id)
        assert job is not None
        assert job.result == returned
