"""What a handler may count on while it runs, and what becomes of a job when it ends."""

from __future__ import annotations

import asyncio
import contextvars
import threading
import time
from collections.abc import Callable
from typing import Any

import msgspec
import pydantic
import pytest

from asyncjobs import App, JobState, Worker, current_job
from asyncjobs.core.priority import Priority
from asyncjobs.worker.execution import verdict
from tests.apps import broker_of, prepared, wait_ended
from tests.waiting import SOON, Notes, until


class Order(pydantic.BaseModel):
    number: int
    items: list[str]


pytestmark = pytest.mark.anyio


async def test_the_result_of_an_async_and_of_a_sync_handler_comes_back(app: App) -> None:
    @app.job
    async def double(number: int) -> int:
        return 2 * number

    @app.job
    def halve(number: int) -> float:
        return number / 2

    async with app, app.worker():
        twice = await double.delay(21)
        half = await halve.delay(21)
        assert await twice.result(SOON) == 42
        assert await half.result(SOON) == 10.5


async def test_no_more_handlers_run_at_once_than_there_are_slots(app: App) -> None:
    now = most = 0

    @app.job
    async def count() -> None:
        nonlocal now, most
        now += 1
        most = max(most, now)
        await asyncio.sleep(0)
        now -= 1

    async with app:
        await app.enqueue_many([count.request() for _ in range(200)])
        ended = await Worker(app, concurrency=7).run_until_empty()
    assert (ended, most) == (200, 7)


async def test_what_a_handler_puts_into_a_context_variable_does_not_reach_the_next_job(app: App) -> None:
    variable = contextvars.ContextVar("variable", default="clean")
    seen = []

    @app.job
    async def leak() -> None:
        seen.append(variable.get())
        variable.set("dirty")

    async with app:
        await app.enqueue_many([leak.request() for _ in range(20)])
        await Worker(app, concurrency=1).run_until_empty()
    assert seen == ["clean"] * 20


async def test_nor_does_it_where_jobs_are_claimed_ahead_and_follow_one_another_at_once(app: App) -> None:
    variable = contextvars.ContextVar("variable", default="clean")
    seen: Notes[str] = Notes()

    @app.job
    async def leak() -> None:
        seen.append(variable.get())
        variable.set("dirty")

    async with app:
        await app.enqueue_many([leak.request() for _ in range(3_000)])
        async with app.worker(concurrency=2):
            await seen.reach(3_000)
        assert (await app.queue_stats("default")).succeeded_total == 3_000
    assert seen == ["clean"] * 3_000


async def test_current_job_tells_id_attempt_and_metadata_in_a_loop_and_in_a_thread(app: App) -> None:
    @app.job(queue="emails", priority="high", timeout=60)
    async def in_loop() -> list[object]:
        job = current_job()
        return [job.id, job.name, job.attempt, job.queue, job.priority, job.metadata, job.tenant, job.deadline is None]

    @app.job
    def in_thread() -> tuple[str, bool]:
        return current_job().id, threading.current_thread() is threading.main_thread()

    async with app, app.worker():
        one = await in_loop.with_options(metadata={"order": 7}, tenant="acme").delay()
        other = await in_thread.delay()
        assert await one.result(SOON) == [one.id, "in_loop", 1, "emails", "high", {"order": 7}, "acme", False]
        assert await other.result(SOON) == (other.id, False)


async def test_a_job_that_expired_before_it_could_start_is_cancelled(app: App) -> None:
    ran = []

    @app.job(expires=0.001)
    async def late() -> None:
        ran.append(1)

    async with app:
        handle = await late.delay()
        await asyncio.sleep(0.01)
        await Worker(app).run_until_empty()
        job = await handle.refresh()
    assert (job.state, ran) == (JobState.CANCELLED, [])
    assert "expired" in job.reason


async def test_run_once_runs_one_job_and_says_whether_there_was_one(app: App) -> None:
    ran = []

    @app.job
    async def note(number: int) -> None:
        ran.append(number)

    async with app:
        await app.enqueue_many([note.request(1), note.request(2)])
        worker = Worker(app)
        assert await worker.run_once()
        assert ran == [1]
        assert await worker.run_once()
        assert not await worker.run_once()
    assert ran == [1, 2]


async def test_a_scheduled_job_starts_when_it_is_due_and_not_before(app: App) -> None:
    @app.job
    async def when() -> float:
        return time.time()

    async with app, app.worker():
        # The worker is idle and waits for the bell when the job is sent.
        await (await when.delay()).result(SOON)
        due = time.time() + 0.3
        handle = await when.schedule_in(0.3)
        assert await handle.status() is JobState.PENDING
        started = await handle.result(SOON)
    assert -0.005 <= started - due < 0.5


async def test_priorities_are_served_in_their_order(app: App) -> None:
    order = []

    @app.job
    async def note(label: str) -> None:
        order.append(label)

    async with app:
        names = ("low", "normal", "high", "critical")
        for label in names:
            await note.with_options(priority=label).delay(label)  # type: ignore[arg-type]
        await Worker(app, concurrency=1, ageing=0).run_until_empty()
    assert order == [name.label for name in Priority]


async def test_an_ageing_share_serves_low_priority_before_the_flood_ends(app: App) -> None:
    order = []

    @app.job
    async def note(label: str) -> None:
        order.append(label)
        await asyncio.sleep(0.001)

    async with app:
        await app.enqueue_many([note.with_options(priority="low").request("low")])
        await app.enqueue_many([note.with_options(priority="high").request("high") for _ in range(200)])
        await Worker(app, concurrency=1, ageing=0.2).run_until_empty()
    assert order.index("low") < 100


async def test_queues_are_served_strictly_in_the_order_given(app: App) -> None:
    order = []

    @app.job
    async def note(label: str) -> None:
        order.append(label)

    async with app:
        for queue in ("third", "second", "first"):
            await app.enqueue_many([note.with_options(queue=queue).request(queue) for _ in range(3)])
        await Worker(app, queues=["first", "second", "third"], concurrency=1).run_until_empty()
    assert order == ["first"] * 3 + ["second"] * 3 + ["third"] * 3


async def test_weighted_queues_all_get_their_turn(app: App) -> None:
    order = []

    @app.job
    async def note(label: str) -> None:
        order.append(label)
        await asyncio.sleep(0.001)

    async with app:
        for queue in ("heavy", "light"):
            await app.enqueue_many([note.with_options(queue=queue).request(queue) for _ in range(60)])
        await Worker(app, queues={"heavy": 5, "light": 1}, concurrency=1).run_until_empty()
    first_half = order[:60]
    assert first_half.count("heavy") > first_half.count("light") > 0


async def test_a_paused_queue_is_left_alone_until_it_is_resumed(app: App) -> None:
    @app.job
    async def note() -> None: ...

    async with app, app.worker():
        await app.pause("default")
        handle = await note.delay()
        with pytest.raises(TimeoutError):
            await handle.result(0.2)
        await app.resume("default")
        await handle.result(SOON)


async def test_a_running_job_that_is_cancelled_has_its_handler_cancelled(app: App) -> None:
    started = asyncio.Event()
    ended = asyncio.Event()

    @app.job
    async def hang() -> None:
        started.set()
        try:
            await asyncio.sleep(60)
        finally:
            ended.set()

    async with app, app.worker():
        handle = await hang.delay()
        await until(started, "the handler has started")
        assert await handle.cancel("not wanted")
        await until(ended, "the handler has been cancelled")
        await wait_ended(app, handle.id, queue=handle.queue, timeout=SOON)
        job = await handle.refresh()
    assert (job.state, job.reason) == (JobState.CANCELLED, "not wanted")


async def test_a_waiting_job_that_is_cancelled_never_runs(app: App) -> None:
    ran = []

    @app.job
    async def note() -> None:
        ran.append(1)

    async with app:
        handle = await note.delay()
        later = await note.schedule_in(60)
        assert await handle.cancel()
        assert await later.cancel()
        assert await Worker(app).run_until_empty() == 0
        assert await handle.status() is await later.status() is JobState.CANCELLED
        assert not await handle.cancel()
    assert ran == []


async def test_a_job_with_an_id_of_its_own_that_is_sent_twice_runs_once(app: App) -> None:
    ran = []

    @app.job
    async def note() -> None:
        ran.append(1)

    async with app:
        sends = [await note.with_options(job_id="order:7").delay() for _ in range(3)]
        await Worker(app).run_until_empty()
        again = await note.with_options(job_id="order:7").delay()
        await Worker(app).run_until_empty()
    assert [handle.is_new for handle in (*sends, again)] == [True, False, False, False]
    assert ran == [1]


async def test_jobs_of_pydantic_models_arrive_as_models(app: App) -> None:
    @app.job
    async def total(order: Order) -> int:
        assert isinstance(order, Order)
        return order.number + len(order.items)

    async with app, app.worker():
        assert await (await total.delay(Order(number=40, items=["a", "b"]))).result(SOON) == 42


async def test_a_handler_sends_a_librarys_job_with_the_app_of_its_worker(app: App, library_job: object) -> None:
    @app.job
    async def parent() -> str:
        child = await library_job.delay("x")  # type: ignore[attr-defined]
        return str(child.id)

    async with app, App("memory://"), app.worker():
        child_id = await (await parent.delay()).result(SOON)
        child = await wait_ended(app, child_id, queue="default", timeout=SOON)
    assert child is not None
    assert child.result == "xx"


async def test_a_fault_of_our_own_costs_no_slot_and_no_job(
    make_app: Callable[..., App], monkeypatch: pytest.MonkeyPatch
) -> None:
    app = make_app(lease=1)
    real, faults = verdict.settle, iter([True, False])

    def faulty(*args: Any, **given: Any) -> Any:
        if next(faults, False):
            raise RuntimeError("a fault of ours")
        return real(*args, **given)

    @app.job
    async def work() -> str:
        return "done"

    monkeypatch.setattr(verdict, "settle", faulty)
    async with app, Worker(app, concurrency=1).running():
        handle = await work.delay()
        assert await (await work.delay()).result(SOON) == "done"
        assert await handle.result(SOON) == "done"
        assert (await handle.refresh()).deaths == 1


async def test_many_jobs_that_are_due_at_one_moment_start_without_a_wait_for_the_next_poll(
    make_app: Callable[..., App],
) -> None:
    app = make_app(poll_interval=60)
    started: list[float] = []
    all_started = asyncio.Event()

    @app.job
    async def note() -> None:
        started.append(time.monotonic())
        if len(started) == 2_501:
            all_started.set()

    async with app, app.worker(concurrency=10):
        # It has claimed, and waits.
        await (await note.delay()).result(SOON)
        due_at_ms = time.time_ns() // 1_000_000 + 1_000
        jobs = [msgspec.structs.replace(prepared(app, note.request()), due_at_ms=due_at_ms) for _ in range(2_500)]
        await broker_of(app).enqueue(jobs)
        await until(all_started, "all jobs have started")
