"""Jobs sent by FastAPI's background tasks, which call a function once the response is sent."""

from __future__ import annotations

import asyncio
import functools
import threading
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from fastapi import BackgroundTasks

from asyncjobs import App, AppNotOpen, ArgumentsError
from tests.waiting import SOON, Notes

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize(
    "sender",
    [
        lambda app, work: (work.delay, 5),
        lambda app, work: (functools.partial(work.delay, 5),),
        lambda app, work: (work.with_options(priority="high").delay, 5),
        lambda app, work: (work.schedule_in, 0, 5),
        lambda app, work: (work.schedule_at, datetime.now(UTC), 5),
        lambda app, work: (work.delay_sync, 5),
        lambda app, work: (work.schedule_in_sync, 0, 5),
        lambda app, work: (app.enqueue_many, [work.request(5)]),
        lambda app, work: (app.sync.enqueue_many, [work.request(5)]),
    ],
)
async def test_a_background_task_sends_the_job(app: App, sender: Callable[[App, Any], tuple[Any, ...]]) -> None:
    ran: Notes[int] = Notes()

    @app.job
    async def work(number: int) -> None:
        ran.append(number)

    async with app, app.worker():
        tasks = BackgroundTasks()
        tasks.add_task(*sender(app, work))
        await asyncio.wait_for(tasks(), SOON)
        await ran.reach(1)
    assert ran == [5]


async def test_a_job_that_is_called_itself_runs_as_the_function_that_it_is(app: App) -> None:
    ran: list[tuple[str, bool]] = []

    @app.job
    async def work(text: str) -> None:
        ran.append((text, threading.current_thread() is threading.main_thread()))

    @app.job
    def plain_work(text: str) -> None:
        ran.append((text, threading.current_thread() is threading.main_thread()))

    tasks = BackgroundTasks()
    tasks.add_task(work, "async")
    tasks.add_task(plain_work, "plain")
    await tasks()
    assert ran == [("async", True), ("plain", False)]


async def test_the_app_without_a_loop_refuses_what_is_not_sent_yet(app: App) -> None:
    @app.job
    async def work(number: int) -> None: ...

    async with app:
        with pytest.raises(AppNotOpen, match="await"):
            app.sync.enqueue_many([work.request(5)])
        unsent: Any = work.delay(5)
        for verb, given in (
            (app.sync.result, unsent),
            (app.sync.enqueue_many, [unsent]),
            (app.sync.enqueue_many, unsent),
        ):
            with pytest.raises(ArgumentsError, match="expected"):
                await asyncio.to_thread(verb, given)
        unsent.close()
        assert (await app.queue_stats("default")).size == 0
