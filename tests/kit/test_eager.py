"""Eager jobs run before their send returns, and raise what their handlers raised."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from asyncjobs import Inject, resource
from asyncjobs.testing import Kit
from tests.kit.shop import Shop, outcomes

pytestmark = pytest.mark.anyio


async def test_an_eager_job_runs_before_its_send_returns(shop: Shop, eager: Kit) -> None:
    handle = await shop.send.delay("ada")

    assert shop.done == ["ada"]
    assert await handle.result() == "to ada"
    # Not inside of the middleware of sending, which would take an error of the handler for one of the broker.
    assert shop.layer.passed == ["enqueue", "sent", "process noting"]


async def test_an_eager_job_raises_what_its_handler_raised(shop: Shop, eager: Kit) -> None:
    with pytest.raises(ValueError, match="7"):
        await shop.fail.delay(7)

    assert shop.done == [1]
    # It is to be tried again, as in production.
    with pytest.raises(ValueError, match="7"):
        await eager.run()
    assert shop.done == [1, 2, 3]


@pytest.mark.parametrize("how", ["retry", "snooze", "cancel", "discard", "refused"])
async def test_what_an_eager_handler_decides_does_not_come_through(shop: Shop, eager: Kit, how: str) -> None:
    await shop.decide.delay(how)


async def test_eager_jobs_run_inside_of_each_other(shop: Shop, eager: Kit) -> None:
    await shop.parent.delay(1)

    assert shop.done == [1, "child 1"]
    assert outcomes(eager.attempts) == [("send", 1, "completed"), ("parent", 1, "completed")]


async def test_eager_jobs_sent_at_once_each_run_once(shop: Shop, eager: Kit) -> None:
    handles = await asyncio.gather(*(shop.send.delay(str(number)) for number in range(10)))
    await shop.app.enqueue_many([shop.send.request(str(number)) for number in range(10, 20)])

    assert sorted(map(int, shop.done)) == list(range(20))
    assert [await handle.result() for handle in handles] == [f"to {number}" for number in range(10)]


async def test_an_eager_job_of_later_waits_for_its_time(shop: Shop, eager: Kit) -> None:
    await shop.send.schedule_in(60, "later")
    assert shop.done == []

    await eager.run_for(60)

    assert shop.done == ["later"]


@pytest.mark.parametrize("is_async", [True, False])
async def test_what_a_hook_sends_is_left_to_its_worker(shop: Shop, eager: Kit, is_async: bool) -> None:
    def hook(to: str) -> Callable[[], Any]:
        async def send() -> None:
            await shop.send.delay(to)

        def send_sync() -> None:
            shop.send.delay_sync(to)

        return send if is_async else send_sync

    shop.app.on_worker_start(hook("at the start"))
    shop.app.on_worker_stop(hook("at the end"))

    await shop.send.delay("ada")

    assert shop.done == ["ada", "at the start"]
    eager.assert_sent(shop.send, "at the end")


async def test_what_a_resource_of_the_worker_sends_is_left_to_it(shop: Shop, eager: Kit) -> None:
    @resource(scope="worker")
    async def warm() -> AsyncIterator[str]:
        await shop.send.delay("warm")
        yield "warm"

    @shop.app.job
    async def use(it: str = Inject(warm)) -> None:
        shop.done.append(it)

    await use.delay()

    assert sorted(shop.done) == ["warm", "warm"]
