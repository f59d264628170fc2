"""The end of a job, as middleware is told of it: once, by the worker that ended it, when the broker has accepted it."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any

import pytest

from asyncjobs import (
    App,
    BrokerUnavailable,
    Cancel,
    ConfigurationError,
    DefinitionError,
    Discard,
    Inject,
    Job,
    JobState,
    Middleware,
    Retry,
    RetryPolicy,
    Snooze,
    Worker,
    current_job,
    resource,
)
from asyncjobs.core.settlement import Settlement
from tests.apps import broker_of
from tests.waiting import SOON, Notes, until

pytestmark = pytest.mark.anyio


class Ends(Middleware):
    """Notes each end that it is told of."""

    def __init__(self) -> None:
        self.seen: Notes[Job] = Notes()

    async def ended(self, job: Job) -> None:
        self.seen.append(job)


async def test_each_way_to_end_is_told_once_and_a_try_that_is_repeated_is_none(make_app: Callable[..., App]) -> None:
    ends = Ends()
    app = make_app(middleware=[ends], retry=RetryPolicy(max_retries=1, initial=0.01))

    @app.job
    async def work(how: str) -> str:
        if how == "retried" and current_job().attempt == 1:
            raise Retry(after=0)
        if how == "failed":
            raise ValueError("by design")
        if how == "discarded":
            raise Discard("no use")
        if how == "cancelled":
            raise Cancel("not wanted")
        return how.upper()

    @app.job(expires=0.001)
    async def late() -> None: ...

    async with app:
        ways = {how: await work.delay(how) for how in ("completed", "retried", "failed", "discarded", "cancelled")}
        ways["expired"] = await late.delay()
        await asyncio.sleep(0.01)
        async with app.worker():
            await ends.seen.reach(6)
        found = {handle.id: how for how, handle in ways.items()}
        seen = {found[job.id]: job for job in ends.seen}
        assert len(ends.seen) == len(seen) == 6
        kept = {how: await handle.refresh() for how, handle in ways.items()}
    states = {how: job.state for how, job in seen.items()}
    assert states == {how: job.state for how, job in kept.items()}
    assert states == {
        "completed": JobState.COMPLETED,
        "retried": JobState.COMPLETED,
        "failed": JobState.FAILED,
        "discarded": JobState.FAILED,
        "cancelled": JobState.CANCELLED,
        "expired": JobState.CANCELLED,
    }
    assert (seen["completed"].result, seen["retried"].result, seen["retried"].attempt) == ("COMPLETED", "RETRIED", 2)
    assert seen["cancelled"].reason == "not wanted"
    for how in ("failed", "discarded"):
        job = seen[how]
        assert job.errors == kept[how].errors
        assert (job.failures, job.attempt) == (kept[how].failures, kept[how].attempt)
        assert abs((job.finished_at_ms or 0) - (kept[how].finished_at_ms or 0)) < 1_000
        assert job.arguments == [how]
    for job in seen.values():
        assert job.duration_ms is not None
        assert job.duration_ms >= 0
        assert job.queue == "default"


async def test_what_a_worker_gives_back_is_no_end(make_app: Callable[..., App]) -> None:
    ends = Ends()
    app = make_app(middleware=[ends], shutdown_timeout=0)
    started = asyncio.Event()

    @app.job
    async def snoozed() -> None:
        raise Snooze(3600)

    @app.job(priority="low")
    async def hang() -> None:
        started.set()
        await asyncio.sleep(600)

    async with app:
        await snoozed.delay()
        await hang.delay()
        async with app.worker():
            await until(started, "the handler has started")
    assert ends.seen == []


async def test_a_job_that_can_not_be_run_is_told_too(make_app: Callable[..., App]) -> None:
    ends = Ends()
    app, sender = make_app(middleware=[ends]), make_app()

    @app.job(name="work")
    async def number(value: int) -> None: ...

    @sender.job(name="work")
    async def text(value: str) -> None: ...

    async with app, sender:
        handle = await text.delay("no number")
        await Worker(app).run_until_empty(signals=False)
    [job] = ends.seen
    assert (job.id, job.state, job.errors[0].type) == (handle.id, JobState.FAILED, "ArgumentsError")


async def test_a_settlement_that_is_refused_tells_nothing(
    make_app: Callable[..., App], monkeypatch: pytest.MonkeyPatch
) -> None:
    ends = Ends()
    app = make_app(middleware=[ends])

    @app.job
    async def work() -> None: ...

    async def refuse(settlements: Sequence[Settlement]) -> list[bool]:
        return [False] * len(settlements)

    async with app:
        await work.delay()
        monkeypatch.setattr(broker_of(app), "settle", refuse)
        await Worker(app).run_once(signals=False)
    assert ends.seen == []


@pytest.mark.parametrize("how", ["completed", "cancelled", "failed"])
@pytest.mark.parametrize("arrives", [True, False])
async def test_a_settlement_whose_reply_is_lost_is_told_once(
    make_app: Callable[..., App], monkeypatch: pytest.MonkeyPatch, how: str, arrives: bool
) -> None:
    ends = Ends()
    app = make_app(middleware=[ends], retry=RetryPolicy(max_retries=0))

    @app.job
    async def work() -> None:
        if how == "cancelled":
            raise Cancel("not wanted")
        if how == "failed":
            raise ValueError("by design")

    async with app:
        handle = await work.delay()
        settle, calls = broker_of(app).settle, 0

        async def lose(settlements: Sequence[Settlement]) -> Any:
            nonlocal calls
            calls += 1
            if calls == 1:
                if arrives:
                    await settle(settlements)
                raise BrokerUnavailable("the reply is lost")
            return await settle(settlements)

        monkeypatch.setattr(broker_of(app), "settle", lose)
        await Worker(app).run_once(signals=False)
    assert calls == 2
    assert [(job.id, job.state.value) for job in ends.seen] == [(handle.id, how)]


async def test_after_a_lost_reply_the_end_by_another_worker_is_not_told(
    make_app: Callable[..., App], monkeypatch: pytest.MonkeyPatch
) -> None:
    ends, other = Ends(), Ends()
    app, second = make_app(middleware=[ends], lease=1), make_app(middleware=[other])
    lost = asyncio.Event()

    for one in (app, second):

        @one.job(name="work")
        async def work() -> None: ...

    async with app, second:
        [definition] = [one for one in app.registry if one.name == "work"]
        handle = await definition.delay()
        settle = broker_of(app).settle
        fences: list[int] = []

        async def lose(settlements: Sequence[Settlement]) -> Any:
            # On memory, the two workers share the broker.
            if not fences:
                fences.append(settlements[0].fence)
                lost.set()
                raise BrokerUnavailable("the call is lost")
            if settlements[0].fence == fences[0]:
                await until(lambda: other.seen, "the other worker has ended the job")
            return await settle(settlements)

        # The first worker's lease lapses: its heartbeat is silent.
        monkeypatch.setattr("asyncjobs.worker.liveness.heartbeat.Heartbeat.start", _nothing)
        monkeypatch.setattr("asyncjobs.worker.liveness.heartbeat.Heartbeat.stop", _nothing)
        monkeypatch.setattr(broker_of(app), "settle", lose)
        first = asyncio.create_task(Worker(app).run_once(signals=False))
        await until(lost, "the first settlement is lost")
        async with second.worker():
            await asyncio.wait_for(first, SOON)
    assert ends.seen == []
    assert [job.id for job in other.seen] == [handle.id]


async def _nothing(self: object) -> None: ...


@pytest.mark.parametrize("error", [ValueError("by design"), asyncio.CancelledError("of what it awaits")])
async def test_the_innermost_layer_is_told_first_and_an_error_keeps_none_from_it(
    make_app: Callable[..., App], caplog: pytest.LogCaptureFixture, error: BaseException
) -> None:
    order: list[str] = []

    class Outer(Middleware):
        async def ended(self, job: Job) -> None:
            order.append("outer")

    class Inner(Middleware):
        async def ended(self, job: Job) -> None:
            order.append("inner")
            raise error

    app = make_app(middleware=[Outer(), Inner()])

    @app.job
    async def work() -> None: ...

    async with app:
        handle = await work.delay()
        with caplog.at_level(logging.ERROR):
            await Worker(app).run_once(signals=False)
        assert await handle.status() is JobState.COMPLETED
    assert order == ["inner", "outer"]
    assert f"Inner.ended failed over the end of job {handle.id} (work)" in caplog.text


async def test_a_layer_that_takes_long_holds_up_claims_but_loses_nothing(make_app: Callable[..., App]) -> None:
    released = asyncio.Event()
    told: list[str] = []

    class Slow(Middleware):
        async def ended(self, job: Job) -> None:
            await released.wait()
            told.append(job.id)

    app = make_app(middleware=[Slow()], poll_interval=0.1, scheduler_interval=0.1)
    ran: Notes[str] = Notes()

    @app.job
    async def work() -> None:
        ran.append(current_job().id)

    async with app:
        await app.enqueue_many([work.request() for _ in range(400)])
        running = asyncio.create_task(Worker(app, concurrency=5).run_until_empty(signals=False))
        await ran.reach(105)
        await asyncio.sleep(0.5)
        assert len(ran) < 200
        released.set()
        assert await asyncio.wait_for(running, SOON) == 400
    assert sorted(told) == sorted(ran)
    assert len(ran) == 400


async def test_a_worker_claims_as_soon_as_a_layer_that_took_long_was_told(make_app: Callable[..., App]) -> None:
    released = asyncio.Event()

    class Slow(Middleware):
        async def ended(self, job: Job) -> None:
            await released.wait()

    app = make_app(middleware=[Slow()], poll_interval=60, scheduler_interval=60)
    ran: Notes[None] = Notes()

    @app.job
    async def work() -> None:
        ran.append(None)

    async with app:
        await app.enqueue_many([work.request() for _ in range(200)])
        async with Worker(app, concurrency=5).running():
            await ran.reach(105)
            await asyncio.sleep(0.3)
            assert len(ran) < 200
            released.set()
            await ran.reach(200)


async def test_a_layer_is_given_the_workers_resources(make_app: Callable[..., App]) -> None:
    notes: list[str] = []

    @resource(scope="worker")
    async def pool() -> AsyncIterator[str]:
        yield "pool"
        notes.append("pool closes")

    class Audit(Middleware):
        async def ended(self, job: Job, source: str = Inject(pool)) -> None:
            await asyncio.sleep(0.1)
            notes.append(f"{job.name} ended with {source}")

    app = make_app(middleware=[Audit()])

    @app.job
    async def work() -> None: ...

    async with app, app.worker():
        await (await work.delay()).result(SOON)
    assert notes == ["work ended with pool", "pool closes"]


def session() -> str:
    return "session"


async def test_a_layer_can_not_have_a_resource_of_a_job_that_has_ended(app: App, make_app: Callable[..., App]) -> None:
    class Audit(Middleware):
        async def ended(self, job: Job, db: str = Inject(session)) -> None: ...

    async with make_app(middleware=[Audit()]) as app:
        with pytest.raises(DefinitionError, match=r"Audit.ended takes session, which lives as long as a job"):
            await Worker(app).run_once(signals=False)


def test_a_plain_function_is_refused() -> None:
    class Audit(Middleware):
        def ended(self, job: Job) -> None:  # type: ignore[override]
            ...

    with pytest.raises(ConfigurationError, match=r"Audit.ended is a plain function: expected an async def"):
        App("memory://", middleware=[Audit()])


async def test_a_layer_is_told_the_names_of_arguments_and_which_are_secret(make_app: Callable[..., App]) -> None:
    ends = Ends()
    app = make_app(middleware=[ends])

    @app.job(secret=["card"])
    async def charge(order: int, card: str) -> None: ...

    async with app:
        handle = await charge.delay(7, card="4111")
        await Worker(app).run_once(signals=False)
        kept = await app.find_job(handle.id)
    [told] = ends.seen
    assert told.named_arguments == kept.named_arguments == {"order": 7, "card": "4111"}
    assert told.secret == kept.secret == ("card",)


async def test_the_end_of_a_job_whose_handler_goes_on_is_told(make_app: Callable[..., App]) -> None:
    ends = Ends()
    app = make_app(middleware=[ends], lease=1)
    release = threading.Event()

    @app.job(timeout=0.1, retry=RetryPolicy(max_retries=0))
    def hang() -> None:
        release.wait(SOON)

    async with app, app.worker():
        handle = await hang.delay()
        try:
            await ends.seen.reach(1)
        finally:
            release.set()
    assert [(job.id, job.state) for job in ends.seen] == [(handle.id, JobState.FAILED)]
