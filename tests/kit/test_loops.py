"""The kit in place of the app's own broker: with loops that come and go, and without one."""

from __future__ import annotations

import asyncio
import threading
from datetime import datetime
from typing import Any

import pytest

from asyncjobs import App, AppNotOpen, ArgumentsError, ResultTimeout, tenant_scope
from asyncjobs.testing import Kit
from tests.kit.shop import Shop, job_of_no_app, outcomes

pytestmark = pytest.mark.anyio


async def test_the_app_is_the_own_one_again_afterwards(shop: Shop) -> None:
    with shop.app.testing() as kit:
        await shop.send.delay("ada")
        await job_of_no_app.delay(1)

    with pytest.raises(AppNotOpen):
        await shop.send.delay("bob")
    with pytest.raises(AppNotOpen):
        await job_of_no_app.delay(1)
    assert len(kit.sent()) == 2


async def test_each_kit_has_its_own_jobs_and_clear_forgets_them(shop: Shop) -> None:
    with shop.app.testing() as kit:
        await shop.send.delay("ada")
        kit.clear()
        assert kit.sent() == []
        assert await kit.run() == []
    with shop.app.testing() as kit:
        assert await kit.run() == []


async def test_a_kit_is_entered_once(shop: Shop) -> None:
    with shop.app.testing() as kit:
        pass
    with pytest.raises(RuntimeError, match=r"app\.testing\(\)"), kit:
        pass


async def test_an_app_that_is_open_elsewhere_is_swapped_and_comes_back() -> None:
    app = App("memory://")

    @app.job
    async def add(number: int) -> int:
        return number + 1

    async with app, app.worker():
        with app.testing() as kit:
            await add.delay(1)
            await job_of_no_app.delay(1)
            assert len(kit.sent()) == 2
            assert len(await kit.run()) == 2
        async with asyncio.timeout(10):
            assert await (await add.delay(1)).result() == 2
            assert await (await job_of_no_app.delay(1)).result() == 2


async def test_a_kit_that_is_not_opened_finds_a_forgotten_lifespan(shop: Shop) -> None:
    with shop.app.testing(opened=False) as kit:
        with pytest.raises(AppNotOpen, match="lifespan"):
            await shop.send.delay("ada")
        async with shop.app:
            await shop.send.delay("ada")
        with pytest.raises(AppNotOpen):
            await shop.send.delay("bob")
        assert len(kit.sent()) == 1


def test_loops_may_come_and_go(shop: Shop, kit: Kit) -> None:
    async def send() -> None:
        await shop.send.delay("ada")

    for _ in range(2):
        asyncio.run(send())
    asyncio.run(kit.run())

    assert shop.done == ["ada", "ada"]


def test_code_without_a_loop_sends_and_runs_sync_handlers_in_its_own_thread(shop: Shop, kit: Kit) -> None:
    handle = shop.threaded.delay_sync(3)
    shop.app.sync.enqueue_many([shop.send.request("ada")])

    assert outcomes(kit.run_sync()) == [("threaded", 1, "completed"), ("send", 1, "completed")]
    assert shop.done == [threading.current_thread().name, "ada"]
    assert shop.app.sync.result(handle) == 6
    shop.done.clear()
    shop.app.sync.enqueue_many([shop.threaded.request(number) for number in range(20)])
    kit.run_sync()
    assert set(shop.done) == {threading.current_thread().name}


def test_code_without_a_loop_sends_for_its_tenant(shop: Shop, kit: Kit) -> None:
    request = shop.send.request("ada")

    with tenant_scope("acme"):
        shop.app.sync.enqueue_many([request])

    assert [one.tenant for one in kit.sent()] == ["acme"]


def test_a_sync_handler_that_waits_for_a_job_behind_it_is_told(shop: Shop, kit: Kit) -> None:
    @shop.app.job
    def wait() -> str:
        return shop.app.sync.result(shop.send.delay_sync("ada"))

    wait.delay_sync()

    with pytest.raises(ResultTimeout, match=r"testing\(concurrency=2\)"):
        kit.run_sync()


def test_eager_jobs_of_code_without_a_loop_raise_there(shop: Shop, eager: Kit) -> None:
    @shop.app.job
    def outer() -> None:
        shop.threaded.delay_sync(4)
        raise LookupError("gone")

    with pytest.raises(LookupError, match="gone"):
        outer.delay_sync()

    assert shop.done == [threading.current_thread().name]
    assert eager.run_for_sync(0) == []


async def test_a_synchronous_call_inside_a_loop_names_the_other_one(shop: Shop, kit: Kit) -> None:
    with pytest.raises(AppNotOpen, match=r"await kit\.run\(\)"):
        kit.run_sync()


@pytest.mark.parametrize(
    ("options", "problem"),
    [({"now": datetime(2026, 1, 1)}, "aware"), ({"now": 5}, "aware"), ({"concurrency": 0}, "concurrency=0")],  # noqa: DTZ001
)
def test_a_wrong_option_is_refused(shop: Shop, options: Any, problem: str) -> None:
    with pytest.raises(ArgumentsError, match=problem):
        shop.app.testing(**options)
