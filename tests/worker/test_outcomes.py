"""However a handler ends, its slot is free afterwards, its lease is let go, and its job has an end."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import AsyncIterator, Callable
from typing import Any

import anyio
import pytest

from asyncjobs import App, Cancel, Discard, Inject, JobFailed, JobState, Retry, RetryPolicy, Snooze, Worker, current_job
from tests.apps import wait_ended
from tests.waiting import SOON, until
from tests.worker.eager import eager_task_factory

pytestmark = pytest.mark.anyio

NO_RETRY = RetryPolicy(max_retries=0)

SEEDS = range(6)


class Stop(BaseException):
    """As some frameworks use to break out of their own code."""


class Unspeakable(Exception):
    """An error whose text raises what no one expects."""

    def __str__(self) -> str:
        raise Stop("no words")


RAISED: dict[str, Callable[[], BaseException]] = {
    "an error": lambda: ValueError("here"),
    "a base exception": lambda: Stop("here"),
    "its own interruption": lambda: KeyboardInterrupt("here"),
    "an exit": lambda: SystemExit(3),
    "the end of a generator": lambda: GeneratorExit("here"),
    "the end of an iterator": lambda: StopIteration("here"),
    "a cancellation": lambda: asyncio.CancelledError("here"),
    "an error without a text": Unspeakable,
    "a group": lambda: BaseExceptionGroup("several", [Stop("here"), ValueError("there")]),
    "a retry": lambda: Retry(after=0.01),
    "a snooze": lambda: Snooze(0.01),
    "a discard": lambda: Discard("here"),
    "a cancel": lambda: Cancel("here"),
}


def cancel_own_task() -> None:
    task = asyncio.current_task()
    assert task is not None
    task.cancel("by its own handler")


async def _end_on_loop(how: str, with_event: bool, chance: random.Random) -> Any:
    if with_event:
        current_job().progress(1)
    if chance.random() < 0.5:
        await asyncio.sleep(chance.random() * 0.01)
    match how:
        case "a value":
            return how
        case "no value that can be kept":
            return object()
        case "its task cancelled, and a value":
            cancel_own_task()
            return how
        case "its task cancelled":
            cancel_own_task()
            await asyncio.sleep(SOON)
        case "its task cancelled again and again":
            for _ in range(3):
                cancel_own_task()
                try:
                    await asyncio.sleep(SOON)
                except asyncio.CancelledError:
                    current_job().progress(2)
            cancel_own_task()
            return how
    error = RAISED[how]()
    raise error


def _end_in_thread(how: str, with_event: bool, chance: random.Random) -> Any:
    if with_event:
        current_job().progress(1)
    time.sleep(chance.random() * 0.005)
    if how in RAISED:
        error = RAISED[how]()
        raise error
    return object() if how == "no value that can be kept" else how


ON_LOOP = [
    *RAISED,
    "a value",
    "no value that can be kept",
    "its task cancelled, and a value",
    "its task cancelled",
    "its task cancelled again and again",
]
IN_THREAD = [*RAISED, "a value", "no value that can be kept"]


async def _nothing_is_held(app: App) -> None:
    async def is_free() -> bool:
        stats = await app.queue_stats("default")
        return not (stats.running or stats.pending or stats.scheduled or stats.retrying)

    await until(is_free, "no job runs, and none waits")


@pytest.mark.parametrize("with_event", [False, True])
@pytest.mark.parametrize("way", ["loop", "thread"])
async def test_each_way_to_end_costs_no_slot(app: App, way: str, with_event: bool) -> None:
    chance = random.Random(0)

    @app.job(retry=NO_RETRY)
    async def on_loop(how: str) -> Any:
        return await _end_on_loop(how, with_event, chance)

    @app.job(retry=NO_RETRY)
    def in_thread(how: str) -> Any:
        return _end_in_thread(how, with_event, chance)

    @app.job
    async def neighbour() -> str:
        return "alive"

    async with app, Worker(app, concurrency=1).running():
        for how in ON_LOOP if way == "loop" else IN_THREAD:
            if how == "a snooze":  # It would come back for ever.
                continue
            handle = await (on_loop if way == "loop" else in_thread).delay(how)
            alive = await neighbour.delay()
            assert await alive.result(SOON) == "alive", how
            assert (await wait_ended(app, handle.id)).deaths == 0, how
        await _nothing_is_held(app)


@pytest.mark.parametrize("seed", SEEDS)
async def test_however_handlers_end_nothing_is_held_afterwards(app: App, seed: int) -> None:
    chance = random.Random(seed)
    policy = RetryPolicy(max_retries=1, initial=0.01, jitter=False)
    snoozed: set[str] = set()

    def once(how: str) -> str:
        # A snooze counts nothing, so it would go on for ever.
        if how == "a snooze" and current_job().id in snoozed:
            return "a value"
        snoozed.add(current_job().id)
        return how

    @app.job(retry=policy)
    async def on_loop(how: str, with_event: bool) -> Any:
        return await _end_on_loop(once(how), with_event, chance)

    @app.job(retry=policy)
    def in_thread(how: str, with_event: bool) -> Any:
        return _end_in_thread(once(how), with_event, chance)

    requests = []
    for _ in range(120):
        job, ways = chance.choice([(on_loop, ON_LOOP), (in_thread, IN_THREAD)])
        requests.append(job.request(chance.choice(ways), chance.random() < 0.5))
    async with app, Worker(app, concurrency=3).running():
        handles = await app.enqueue_many(requests)
        await _nothing_is_held(app)
        jobs = [await handle.refresh() for handle in handles]
    assert {job.state for job in jobs} <= {JobState.COMPLETED, JobState.FAILED, JobState.CANCELLED}
    # None had to be recovered.
    assert [job.deaths for job in jobs] == [0] * len(jobs)


async def test_a_value_that_is_returned_after_a_cancellation_of_the_own_task_is_the_result(app: App) -> None:
    @app.job(retry=NO_RETRY)
    async def work() -> str:
        current_job().progress(1, 2)
        cancel_own_task()
        return "done"

    async with app, Worker(app, concurrency=1).running():
        handle = await work.delay()
        assert await handle.result(SOON) == "done"
        assert [event.kind async for event in handle.events()] == ["progress"]


@pytest.mark.parametrize("how", ["a value", "an error"])
async def test_a_cancellation_that_a_handler_leaves_behind_does_not_interrupt_its_resources(app: App, how: str) -> None:
    closed: list[str] = []

    async def session() -> AsyncIterator[int]:
        try:
            yield 1
        finally:
            await asyncio.sleep(0.01)
            closed.append("closed")

    @app.job(retry=NO_RETRY)
    async def work(session: int = Inject(session)) -> str:
        cancel_own_task()
        if how == "an error":
            raise LookupError("here")
        return "done"

    async with app, Worker(app, concurrency=1).running():
        handle = await work.delay()
        if how == "an error":
            with pytest.raises(JobFailed, match="LookupError: here"):
                await handle.result(SOON)
        else:
            assert await handle.result(SOON) == "done"
    assert closed == ["closed"]


async def test_a_loop_that_begins_tasks_at_once_holds_no_slot(app: App) -> None:
    loop = asyncio.get_running_loop()

    @app.job(retry=NO_RETRY)
    async def work(number: int) -> int:
        current_job().progress(number)
        return number

    loop.set_task_factory(eager_task_factory)
    try:
        with anyio.fail_after(SOON):
            async with app, Worker(app, concurrency=2).running():
                handles = await app.enqueue_many([work.request(number) for number in range(600)])
                assert [await handle.result(SOON) for handle in handles] == list(range(600))
                alone = await work.delay(-1)
                assert await alone.result(SOON) == -1
                assert [event.kind async for event in alone.events()] == ["progress"]
                await _nothing_is_held(app)
    finally:
        loop.set_task_factory(None)


async def test_a_loop_that_begins_tasks_at_once_sends_jobs_and_events_of_several_queues(app: App) -> None:
    loop = asyncio.get_running_loop()

    @app.job(retry=NO_RETRY)
    async def work(number: int) -> int:
        current_job().progress(number)
        return number

    loop.set_task_factory(eager_task_factory)
    try:
        with anyio.fail_after(SOON):
            async with app, Worker(app, queues=["a", "b"], concurrency=2).running():
                for _ in range(2):
                    sends = (work.with_options(queue="ab"[number % 2]).delay(number) for number in range(20))
                    handles = await asyncio.gather(*sends)
                    assert [await handle.result(SOON) for handle in handles] == list(range(20))
                    for handle in handles[-2:]:
                        assert [event.kind async for event in handle.events()] == ["progress"]
    finally:
        loop.set_task_factory(None)


async def test_what_a_validator_raises_while_arguments_are_decoded_is_the_jobs_failure(app: App) -> None:
    pydantic = pytest.importorskip("pydantic")
    is_gone: list[bool] = []

    def check(number: int) -> int:
        if is_gone:
            raise LookupError("no such order")
        return number

    checked = pydantic.field_validator("number")(check)
    order = pydantic.create_model("Order", number=(int, ...), __validators__={"check": checked})

    async def work(order: object) -> None: ...

    work.__annotations__["order"] = order
    job = app.job(work)
    async with app:
        handle = await job.delay(order(number=1))
        is_gone.append(True)
        async with Worker(app, concurrency=1).running():
            with pytest.raises(JobFailed, match="no such order"):
                await handle.result(SOON)
        assert (await handle.refresh()).deaths == 0
