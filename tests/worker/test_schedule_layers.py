"""Ticks pass the middleware of the worker that fires them."""

from __future__ import annotations

import contextlib
import itertools
from collections import Counter
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import Any

import pytest

from asyncjobs import App, JobHandle, JobRequest, Middleware, current_job
from asyncjobs.middleware import Send
from tests.waiting import Notes

pytestmark = pytest.mark.anyio


class Stamp(Middleware):
    """Notes what passes, and raises where it is told to."""

    def __init__(self) -> None:
        self.seen: list[JobRequest[Any]] = []
        self.broken: set[str] = set()
        self.fails_afterwards = False

    async def enqueue(self, requests: Sequence[JobRequest[Any]], send: Send) -> list[JobHandle[Any]]:
        self.seen += requests
        if requests[0].headers.get("schedule") in self.broken:
            raise LookupError("not now")
        handles = await send([one.with_headers({"stamp": str(len(self.seen))}) for one in requests])
        if self.fails_afterwards:
            raise LookupError("too late")
        return handles


async def test_the_job_of_each_tick_passes_the_middleware_of_the_worker_that_fires_it(
    make_app: Callable[..., App],
) -> None:
    stamp = Stamp()
    app = make_app(middleware=[stamp])
    ran: Notes[tuple[str | None, str, str]] = Notes()

    async def work() -> None:
        job = current_job()
        ran.append((job.schedule, job.id, job.headers["stamp"]))

    app.job(every=1, name="of_the_code")(work)
    added = app.job(name="added")(work)
    async with app:
        await app.add_schedule("one", added.request(), every=1)
        assert stamp.seen == []
        async with app.worker():
            await ran.until(lambda: len({name for name, _, _ in ran}) == 2 and len(ran) >= 4, "four jobs, of both")
        assert all(stamp.seen[int(number) - 1].id == job_id for _, job_id, number in ran)
        assert {request.headers["schedule"] for request in stamp.seen} == {"of_the_code", "one"}
        before = len(stamp.seen)
        handle = await app.trigger_schedule("one")
        assert [request.id for request in stamp.seen[before:]] == [handle.id]
        assert (await handle.refresh()).envelope.headers["stamp"] == str(before + 1)


async def test_many_workers_fire_each_tick_once_through_middleware(make_app: Callable[..., App]) -> None:
    stamps = [Stamp() for _ in range(5)]
    apps = [make_app(middleware=[stamp]) for stamp in stamps]
    ran: Notes[datetime | None] = Notes()

    async def work() -> None:
        ran.append(current_job().tick)

    for app in apps:
        app.job(every=1, name="work")(work)
    async with contextlib.AsyncExitStack() as stack:
        for app in apps:
            await stack.enter_async_context(app)
            await stack.enter_async_context(app.worker())
        await ran.until(lambda: len(set(ran)) >= 3, "three ticks")
    assert set(Counter(ran).values()) == {1}
    # At the first tick all of them try; then those who came second ask before they do.
    assert sum(len(stamp.seen) for stamp in stamps) < 5 * len(ran)


async def test_a_layer_that_raises_keeps_no_tick_for_ever_and_no_other_schedule_from_firing(
    make_app: Callable[..., App], caplog: pytest.LogCaptureFixture
) -> None:
    stamp = Stamp()
    app = make_app(middleware=[stamp], scheduler_interval=1)
    ticks: dict[str | None, Notes[datetime | None]] = {"first": Notes(), "second": Notes()}

    @app.job
    async def work() -> None:
        ticks[current_job().schedule].append(current_job().tick)

    async with app:
        for name in ticks:
            await app.add_schedule(name, work.request(), every=1, missed="all")
        due = (await app.find_schedule("first")).next_at
        stamp.broken = {"first"}
        async with app.worker():
            await ticks["second"].reach(3)
            assert ticks["first"] == []
            assert "failed for a tick of schedule first in queue default: LookupError: not now" in caplog.text
            # No more often than the worker looks.
            tried = [one for one in stamp.seen if one.headers["schedule"] == "first"]
            assert len(tried) <= len(ticks["second"]) + 3
            stamp.broken = set()
            await ticks["first"].reach(5)
    in_order = sorted(tick for tick in ticks["first"] if tick is not None)
    assert in_order[0] == due
    assert all(after - before == timedelta(seconds=1) for before, after in itertools.pairwise(in_order))


async def test_a_tick_whose_layer_raises_after_it_has_sent_is_not_fired_again(
    make_app: Callable[..., App], caplog: pytest.LogCaptureFixture
) -> None:
    stamp = Stamp()
    stamp.fails_afterwards = True
    app = make_app(middleware=[stamp])
    ticks: Notes[datetime | None] = Notes()

    @app.job(every=1)
    async def work() -> None:
        ticks.append(current_job().tick)

    async with app, app.worker():
        await ticks.reach(2)
    [first, second] = ticks[:2]
    assert first is not None
    # Right at the next tick: this one is not tried again first.
    assert second == first + timedelta(seconds=1)
    assert "LookupError: too late" in caplog.text


async def test_a_layer_can_not_send_a_tick_to_another_queue_or_twice(make_app: Callable[..., App]) -> None:
    class Elsewhere(Middleware):
        async def enqueue(self, requests: Sequence[JobRequest[Any]], send: Send) -> list[JobHandle[Any]]:
            moved = [one.with_options(queue="elsewhere", priority="high") for one in requests]
            [first], [second] = await send(moved), await send(moved)
            sent.add((first.is_new, second.is_new))
            return [first]

    sent: set[tuple[bool, bool]] = set()
    app = make_app(middleware=[Elsewhere()])
    ran: Notes[tuple[str, str, datetime | None]] = Notes()

    @app.job(every=1)
    async def work() -> None:
        ran.append((current_job().queue, current_job().priority, current_job().tick))

    async with app, app.worker():
        await ran.reach(2)
    assert {(queue, priority) for queue, priority, _ in ran} == {("default", "high")}
    assert len({tick for _, _, tick in ran}) == len(ran)
    assert (True, False) in sent
