"""The kit runs jobs when the test says so, and by a clock that jumps."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextvars import ContextVar
from datetime import datetime, timedelta
from typing import Any

import pytest

from asyncjobs import (
    Inject,
    JobCancelled,
    JobFailed,
    JobState,
    Limit,
    RateLimited,
    ResultExpired,
    ResultTimeout,
    RetryPolicy,
    Snooze,
    current_job,
    current_tenant,
    resource,
    tenant_scope,
)
from asyncjobs.testing import Kit
from tests.kit.shop import MONDAY, Shop, outcomes

pytestmark = pytest.mark.anyio


async def test_a_run_runs_everything_with_what_it_sends_retries_and_jobs_of_later(shop: Shop, kit: Kit) -> None:
    began = kit.now
    await shop.parent.delay(1)
    await shop.send.schedule_in(timedelta(days=1), "late")
    await shop.fail.delay(7)

    attempts = await kit.run(check=False)

    assert outcomes(attempts) == [
        ("parent", 1, "completed"),
        ("fail", 1, "retrying"),
        ("send", 1, "completed"),
        ("fail", 2, "retrying"),
        ("fail", 3, "failed"),
        ("send", 1, "completed"),
    ]
    assert [(one.at - began).total_seconds() for one in attempts] == [0, 0, 0, 1, 3, 86_400]
    assert kit.now - began == timedelta(days=1)
    assert shop.done == [1, 1, "child 1", 2, 3, "late"]


async def test_what_a_job_died_of_is_raised_at_the_end_of_the_run(shop: Shop, kit: Kit) -> None:
    await shop.fail.delay(7)
    await shop.send.schedule_in(60, "ada")

    with pytest.raises(ValueError, match="7") as raised:
        await kit.run()

    assert shop.done == [1, 2, 3, "ada"]
    assert "(fail) at attempt 3" in raised.value.__notes__[0]


async def test_several_dead_jobs_are_raised_as_a_group(shop: Shop, kit: Kit) -> None:
    await shop.fail.delay(1)
    await shop.fail.delay(2)

    with pytest.raises(ExceptionGroup, match="2 jobs failed") as raised:
        await kit.run()

    assert [str(one) for one in raised.value.exceptions] == ["1", "2"]


@pytest.mark.parametrize(
    ("how", "expected"),
    [
        ("retry", [("decide", 1, "retrying"), ("decide", 2, "completed")]),
        ("snooze", [("decide", 1, "snoozed"), ("decide", 1, "completed")]),
        ("refused", [("decide", 1, "snoozed"), ("decide", 1, "completed")]),
        ("cancel", [("decide", 1, "cancelled")]),
        ("discard", [("decide", 1, "failed")]),
    ],
)
async def test_what_a_handler_decides_itself_is_no_error_of_the_test(
    shop: Shop, kit: Kit, how: str, expected: list[Any]
) -> None:
    await shop.decide.delay(how)

    assert outcomes(await kit.run()) == expected


async def test_a_time_passes_in_which_only_what_is_due_runs(shop: Shop, kit: Kit) -> None:
    began = kit.now
    await shop.send.schedule_in(60, "minute")
    await shop.send.schedule_in(3600, "hour")

    await kit.run_for(59)
    assert shop.done == []
    await kit.run_for(1)
    assert shop.done == ["minute"]
    assert kit.now - began == timedelta(seconds=60)
    await kit.run_for(timedelta(hours=1))
    assert shop.done == ["minute", "hour"]


async def test_the_clock_moves_without_running_anything(shop: Shop, kit: Kit) -> None:
    handle = await shop.send.with_options(expires=30).delay("too late")

    kit.advance(31)
    assert shop.done == []
    await kit.run()

    assert shop.done == []
    with pytest.raises(JobCancelled, match="expired"):
        await handle.result()


async def test_results_lapse_when_the_test_moves_the_clock_and_not_by_a_run(shop: Shop, kit: Kit) -> None:
    first = await shop.send.delay("ada")
    await shop.send.schedule_in(timedelta(days=7), "bob")
    await kit.run()

    assert await first.result() == "to ada"
    assert await first.status() is JobState.COMPLETED
    kit.advance(1)
    with pytest.raises(ResultExpired):
        await first.result()


async def test_a_result_that_is_removed_when_it_is_read_is_gone(shop: Shop, kit: Kit) -> None:
    handle = await shop.send.delay("ada")
    await kit.run()
    assert await handle.result(forget=True) == "to ada"
    with pytest.raises(ResultExpired):
        await handle.result()


async def test_a_job_that_is_sent_later_expires_later(shop: Shop, kit: Kit) -> None:
    kit.advance(timedelta(days=2))
    await shop.send.with_options(expires=30).delay("in time")

    await kit.run()

    assert shop.done == ["in time"]


async def test_schedules_fire_at_their_times(shop: Shop) -> None:
    @shop.app.job(cron="0 8 * * 1-5", timezone="UTC")
    async def report() -> None:
        shop.done.append(current_job().tick)

    with shop.app.testing(now=MONDAY) as kit:
        attempts = await kit.run_for(timedelta(days=7))

        assert [one.at for one in attempts] == [MONDAY + timedelta(days=day, hours=1) for day in range(5)]
        assert shop.done == [one.at for one in attempts]
        assert len(kit.sent(report)) == 5


async def test_schedules_fire_only_while_a_time_passes(shop: Shop, kit: Kit) -> None:
    await shop.send.schedule_in(2 * 3600, "bob")
    await kit.run()
    assert shop.done == ["bob"]

    await shop.app.add_schedule("hourly", shop.send.request("ada"), every=3600)
    await kit.run_for(2 * 3600)

    assert shop.done == ["bob", "ada", "ada"]


async def test_a_job_that_never_ends_is_told(shop: Shop, kit: Kit, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("asyncjobs.testing.running._MAX_ATTEMPTS", 20)

    @shop.app.job
    async def poll() -> None:
        raise Snooze(60)

    await poll.delay()

    with pytest.raises(RuntimeError, match=r"20 attempts have run.*poll.*kit\.run_for"):
        await kit.run()
    assert len(await kit.run_for(600)) == 10


async def test_a_run_that_needs_too_many_attempts_says_how_to_make_it_shorter(
    shop: Shop, kit: Kit, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("asyncjobs.testing.running._MAX_ATTEMPTS", 20)
    await shop.app.add_schedule("often", shop.send.request("ada"), every=5)

    with pytest.raises(RuntimeError, match=r"20 attempts have run.*send.*shorter time"):
        await kit.run_for(3600)


async def test_jobs_with_limits_run_at_the_times_that_those_allow(shop: Shop, kit: Kit) -> None:
    ran: list[tuple[int, datetime]] = []

    @shop.app.job(limits=[Limit("one", running=1), Limit("account", rate="10/s").by("account")])
    async def book(account: int) -> None:
        ran.append((account, kit.now))
        if len(ran) == 1:
            raise RateLimited("account", after=5)

    await shop.app.enqueue_many([book.request(account) for account in (1, 1, 2, 2)])
    began = kit.now
    await kit.run()

    assert [(account, (at - began) / timedelta(milliseconds=100)) for account, at in ran] == [
        (1, 0),
        (2, 0),
        (2, 1),
        (1, 50),
        (1, 51),
    ]


async def test_jobs_of_a_queue_with_a_rate_run_at_the_times_that_it_allows(shop: Shop, kit: Kit) -> None:
    @shop.app.job(queue="bank")
    async def charge(order: int) -> None:
        shop.done.append(order)

    shop.app.queue("bank", rate="10/s")
    for order in range(5):
        await charge.delay(order)

    some = await kit.run_for(0.2)
    rest = await kit.run()

    assert shop.done == [0, 1, 2, 3, 4]
    assert [(one.at - some[0].at).total_seconds() for one in [*some, *rest]] == [0.0, 0.1, 0.2, 0.3, 0.4]


async def test_jobs_run_one_after_the_other_in_the_order_of_production(shop: Shop, kit: Kit) -> None:
    at_once = [0, 0]

    @shop.app.job
    async def slow(number: int) -> None:
        at_once[0] += 1
        at_once[1] = max(at_once)
        await asyncio.sleep(0)
        at_once[0] -= 1
        shop.done.append(number)

    for number in range(5):
        await slow.delay(number)
    await slow.with_options(priority="high").delay(9)
    await kit.run()

    assert shop.done == [9, 0, 1, 2, 3, 4]
    assert at_once[1] == 1


async def test_jobs_that_wait_for_each_other_need_slots(shop: Shop) -> None:
    @shop.app.job(retry=RetryPolicy(max_retries=0))
    async def waiting() -> str:
        return await (await shop.send.delay("child")).result(timeout=10)

    with shop.app.testing() as kit:
        await waiting.delay()
        with pytest.raises(ResultTimeout, match=r"concurrency=2"):
            await kit.run()
    with shop.app.testing(concurrency=2) as kit:
        handle = await waiting.delay()
        await kit.run()
        assert await handle.result() == "to child"


async def test_a_wait_for_a_job_that_nothing_runs_is_refused_at_once(shop: Shop, kit: Kit) -> None:
    handle = await shop.send.delay("ada")

    with pytest.raises(ResultTimeout, match=r"await kit\.run\(\)"):
        await handle.result()
    with pytest.raises(ResultTimeout, match=r"await kit\.run\(\)"):
        async for _ in handle.events():
            pass


async def test_timeouts_and_results_that_cannot_be_kept_fail_as_in_production(shop: Shop, kit: Kit) -> None:
    @shop.app.job(timeout=0.05, retry=RetryPolicy(max_retries=0))
    async def hang() -> None:
        await asyncio.Event().wait()

    await hang.delay()

    with pytest.raises(JobFailed, match="TimeoutError"):
        await kit.run()


async def test_the_middleware_is_passed(shop: Shop, kit: Kit) -> None:
    await shop.send.delay("ada")
    assert shop.layer.passed == ["enqueue", "sent"]

    await kit.run()

    assert shop.layer.passed == ["enqueue", "sent", "process noting"]


async def test_resources_are_opened_and_closed_and_can_be_replaced(shop: Shop, kit: Kit) -> None:
    @resource(scope="worker")
    async def pool() -> AsyncIterator[str]:
        shop.done.append("opened")
        yield "pool"
        shop.done.append("closed")

    @shop.app.job
    async def use(pool: str = Inject(pool)) -> None:
        shop.done.append(pool)

    await use.delay()
    await kit.run()
    assert shop.done == ["opened", "pool", "closed"]

    await use.delay()
    with shop.app.override(pool, lambda: "fake"):
        await kit.run()
    assert shop.done == ["opened", "pool", "closed", "fake"]


async def test_the_tenant_goes_along(shop: Shop, kit: Kit) -> None:
    @shop.app.job
    async def tell_tenant() -> None:
        tenant = current_tenant()
        shop.done.append(tenant and tenant.tenant_id)

    with tenant_scope("acme"):
        await tell_tenant.delay()
        await kit.run()
    await tell_tenant.delay()
    await kit.run()

    assert shop.done == ["acme", None]


async def test_handlers_do_not_see_what_holds_where_a_job_is_sent(shop: Shop, eager: Kit) -> None:
    request: ContextVar[str] = ContextVar("request", default="none")

    @shop.app.job
    async def look() -> str:
        return request.get()

    request.set("of the web")

    assert await (await look.delay()).result() == "none"


async def test_a_running_job_can_be_cancelled(shop: Shop) -> None:
    begun = asyncio.Event()

    @shop.app.job
    async def hang() -> None:
        begun.set()
        await asyncio.Event().wait()

    with shop.app.testing() as kit:
        handle = await hang.delay()
        running = asyncio.create_task(kit.run())
        async with asyncio.timeout(10):
            await begun.wait()
            await handle.cancel()
            assert outcomes(await running) == [("hang", 1, "cancelled")]
