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
import redis.asyncio as redis

from asyncjobs import App, JobFailed, JobState, RetryPolicy, Worker, current_job
from asyncjobs.brokers.redis.keys import QueueKeys
from asyncjobs.core.priority import Priority
from asyncjobs.core.record.header import encode_header
from asyncjobs.jobs.registry import Registry
from asyncjobs.ports import NewJob
from asyncjobs.worker.execution import verdict
from tests.apps import broker_of, prepared, wait_ended
from tests.waiting import SOON, Notes, until


class Order(pydantic.BaseModel):
    number: int
    items: list[str]


pytestmark = pytest.mark.anyio

FAST = RetryPolicy(max_retries=2, initial=0.01, jitter=False)


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


async def test_a_failed_job_is_retried_until_its_retries_are_used_up_with_every_error_kept(app: App) -> None:
    attempts = []

    @app.job(retry=FAST)
    async def fail() -> None:
        attempts.append(current_job().attempt)
        raise ValueError(f"attempt {current_job().attempt}")

    async with app, app.worker():
        handle = await fail.delay()
        with pytest.raises(JobFailed, match="ValueError: attempt 3") as caught:
            await handle.result(SOON)
        job = await handle.refresh()
    assert attempts == [1, 2, 3]
    assert (job.state, job.failures, job.attempt) == (JobState.FAILED, 3, 3)
    assert [(error.message, error.attempt) for error in job.errors] == [(f"attempt {n}", n) for n in (1, 2, 3)]
    assert "raise ValueError" in caught.value.traceback


async def test_a_job_that_fails_once_completes_at_its_second_attempt(app: App) -> None:
    @app.job(retry=FAST)
    async def flaky() -> int:
        if current_job().attempt == 1:
            raise ConnectionError("not yet")
        return current_job().attempt

    async with app, app.worker():
        handle = await flaky.delay()
        assert await handle.result(SOON) == 2
        assert (await app.queue_stats("default")).retried_total == 1


async def test_an_error_that_the_policy_gives_up_on_is_not_retried(app: App) -> None:
    attempts = []

    @app.job(retry=RetryPolicy(initial=0, give_up_on=(KeyError,)))
    async def fail() -> None:
        attempts.append(1)
        raise KeyError("gone")

    async with app, app.worker():
        with pytest.raises(JobFailed):
            await (await fail.delay()).result(SOON)
    assert attempts == [1]


async def test_a_call_may_allow_other_retries_than_its_definition(app: App) -> None:
    attempts = []

    @app.job(retry=FAST)
    async def fail() -> None:
        attempts.append(1)
        raise ValueError

    async with app, app.worker():
        with pytest.raises(JobFailed):
            await (await fail.with_options(max_retries=0).delay()).result(SOON)
    assert attempts == [1]


async def test_a_timeout_cancels_the_handler_and_fails_the_attempt(app: App) -> None:
    cancelled = asyncio.Event()

    @app.job(timeout=0.05, retry=RetryPolicy(max_retries=0))
    async def hang() -> None:
        try:
            await asyncio.sleep(60)
        finally:
            cancelled.set()

    async with app, app.worker():
        with pytest.raises(JobFailed, match="TimeoutError"):
            await (await hang.delay()).result(SOON)
    assert cancelled.is_set()


async def test_a_handler_that_swallows_its_cancellation_is_cancelled_again(app: App) -> None:
    times = []

    @app.job(timeout=0.05, retry=RetryPolicy(max_retries=0))
    async def stubborn() -> None:
        while len(times) < 2:
            try:
                await asyncio.sleep(60)
            except asyncio.CancelledError:
                times.append(1)
        await asyncio.sleep(60)

    async with app, app.worker():
        with pytest.raises(JobFailed, match="TimeoutError"):
            await (await stubborn.delay()).result(SOON)
    assert len(times) == 2


async def test_a_handler_that_cancels_its_own_task_ends_that_job_alone(app: App) -> None:
    @app.job(retry=RetryPolicy(max_retries=0))
    async def suicide() -> None:
        task = asyncio.current_task()
        assert task is not None
        task.cancel()
        await asyncio.sleep(60)

    @app.job
    async def neighbour() -> str:
        await asyncio.sleep(0.01)
        return "alive"

    async with app, app.worker():
        dead = await suicide.delay()
        alive = await neighbour.delay()
        with pytest.raises(JobFailed, match="CancelledError"):
            await dead.result(SOON)
        assert await alive.result(SOON) == "alive"


async def test_sys_exit_in_a_handler_fails_that_job_and_leaves_the_worker_alive(app: App) -> None:
    @app.job(retry=RetryPolicy(max_retries=0))
    async def leave() -> None:
        raise SystemExit(3)

    @app.job
    async def stay() -> int:
        return 1

    async with app, app.worker():
        with pytest.raises(JobFailed, match="SystemExit"):
            await (await leave.delay()).result(SOON)
        assert await (await stay.delay()).result(SOON) == 1


@pytest.mark.parametrize("in_thread", [False, True])
async def test_an_exception_outside_exception_fails_that_job_and_frees_its_slot(app: App, in_thread: bool) -> None:
    class Stop(BaseException):
        """As some frameworks use to break out of their own code."""

    def stop() -> None:
        raise Stop("here")

    async def stop_on_loop() -> None:
        stop()

    app.job(name="stop", retry=RetryPolicy(max_retries=0))(stop if in_thread else stop_on_loop)
    async with app, app.worker(concurrency=1):
        for _ in range(2):
            with pytest.raises(JobFailed, match="Stop: here"):
                await (await app.registry.get("stop").delay()).result(SOON)


class Unspeakable(Exception):
    """An error that can't even be shown."""

    def __str__(self) -> str:
        raise LookupError("no words")


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (FileNotFoundError("no file \udcff"), r"no file \\udcff"),
        (Unspeakable(), "its text can't be had: LookupError"),
    ],
)
async def test_an_error_whose_text_is_no_text_is_the_jobs_failure_too(app: App, error: Exception, message: str) -> None:
    @app.job(retry=RetryPolicy(max_retries=0))
    async def work() -> None:
        raise error

    async with app, app.worker():
        with pytest.raises(JobFailed, match=message):
            await (await work.delay()).result(SOON)


async def test_a_result_that_cannot_be_encoded_is_an_error_that_is_not_retried(app: App) -> None:
    calls = []

    @app.job(retry=FAST)
    async def unencodable():  # type: ignore[no-untyped-def]
        calls.append(1)
        return object()

    async with app, app.worker():
        with pytest.raises(JobFailed, match="result of type object can't be encoded"):
            await (await unencodable.delay()).result(SOON)
    assert calls == [1]


async def test_a_sync_handler_keeps_its_slot_past_its_timeout_until_it_returns(app: App) -> None:
    release = threading.Event()
    started = threading.Event()
    order = []

    @app.job(timeout=0.05)
    def block() -> str:
        started.set()
        assert release.wait(SOON)
        order.append("blocked")
        return "done"

    @app.job
    async def follow() -> None:
        order.append("followed")

    async with app, Worker(app, concurrency=1).running():
        first = await block.delay()
        assert await asyncio.to_thread(started.wait, SOON)
        second = await follow.delay()
        await asyncio.sleep(0.2)
        assert order == []
        release.set()
        assert await first.result(SOON) == "done"
        await second.result(SOON)
    assert order == ["blocked", "followed"]


JUNK = [b"", b"\x00", b"garbage that is long enough", b"1-2\xff\xff\xff\xff", encode_header("well", 2) + b"\xc1"]


async def _all_are_dead_and_others_run(app: App, ids: list[str]) -> None:
    @app.job
    async def well() -> str:
        return "well"

    handle = await well.delay()
    async with app.worker():
        assert await handle.result(SOON) == "well"
        for job_id in ids:
            await wait_ended(app, job_id, timeout=SOON)
    dead = await app.failed_jobs()
    assert sorted(job.id for job in dead) == ids
    assert {job.errors[-1].type for job in dead} == {"EnvelopeError"}


async def test_a_body_that_is_no_envelope_goes_to_the_dead_letter_queue_and_harms_nobody(app: App) -> None:
    async with app:
        junk = [NewJob("default", f"junk-{n}", "well", body) for n, body in enumerate(JUNK)]
        await broker_of(app).enqueue(junk)
        await _all_are_dead_and_others_run(app, [job.id for job in junk])


async def test_bytes_in_redis_that_are_no_record_go_to_the_dead_letter_queue_and_harm_nobody(redis_url: str) -> None:
    async with App(redis_url) as app, redis.from_url(redis_url) as client:
        junk = [NewJob("default", f"junk-{n}", "well", b"") for n in range(len(JUNK))]
        await broker_of(app).enqueue(junk)
        keys = QueueKeys("asyncjobs", "default")
        for job, record in zip(junk, JUNK, strict=True):
            assert await client.set(keys.of("job", job.id), record, xx=True)
        await _all_are_dead_and_others_run(app, [job.id for job in junk])


async def test_arguments_that_no_longer_fit_the_handler_go_to_the_dead_letter_queue(
    make_app: Callable[..., App],
) -> None:
    app = make_app()

    @app.job(name="resize")
    async def sender(path: str) -> None: ...

    request = sender.request("/a.png")
    later = make_app()

    @later.job(name="resize")
    async def resize(path: str, size: int) -> None: ...

    async with app, later:
        [handle] = await app.enqueue_many([request])
        await Worker(later).run_until_empty()
        job = await handle.refresh()
    assert job.state is JobState.FAILED
    assert "is missing 'size'" in job.errors[-1].message


async def test_a_job_of_an_unknown_name_waits_for_a_worker_that_knows_it(make_app: Callable[..., App]) -> None:
    app = make_app()

    @app.job(name="newer")
    async def sender() -> str: ...

    request = sender.request()
    older = make_app()

    @older.job(name="older")
    async def known() -> str: ...

    async with app:
        [handle] = await app.enqueue_many([request])
        assert await Worker(older).run_until_empty() == 0
        assert (await app.queue_stats("default")).parked == 1
        assert await handle.status() is JobState.PENDING
        await Worker(app).run_until_empty()
        assert await handle.status() is JobState.COMPLETED


async def test_a_worker_whose_app_knows_no_job_buries_none(make_app: Callable[..., App]) -> None:
    app, empty = make_app(), make_app()
    empty.registry = Registry()

    @app.job
    async def known() -> int:
        return 1

    async with app:
        handle = await known.delay()
        assert await Worker(empty).run_until_empty() == 0
        assert (await app.queue_stats("default")).parked == 1
        await Worker(app).run_until_empty()
        assert await handle.result(SOON) == 1


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
