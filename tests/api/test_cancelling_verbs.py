"""A verb that is cancelled raises ``CancelledError``, whenever that happens."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from asyncjobs import App, AppNotOpen

pytestmark = pytest.mark.anyio


async def _work() -> None: ...


async def _send(app: App) -> None:
    await app.registry.get("work").delay()


async def _read(app: App) -> None:
    async for _ in app.handle("unknown").events():
        raise AssertionError("an unknown job has an event")


VERBS: dict[str, Callable[[App], Coroutine[Any, Any, Any]]] = {
    "stats": lambda app: app.stats(),
    "queue_stats": lambda app: app.queue_stats("default"),
    "find_job": lambda app: app.find_job("unknown"),
    "find_job in a queue": lambda app: app.find_job("unknown", queue="default"),
    "failed_jobs": lambda app: app.failed_jobs(),
    "cancel_job": lambda app: app.cancel_job("unknown", queue="default"),
    "delay": lambda app: _send(app),
    "enqueue_many": lambda app: app.enqueue_many([app.registry.get("work").request() for _ in range(2)]),
    "events": lambda app: _read(app),
    "schedules": lambda app: app.schedules(),
    "result": lambda app: app.handle("unknown").result(0.01),
}

#: How many turns of the loop a verb may have had before it is cancelled.
MAX_TURNS = 25


@pytest.mark.parametrize("verb", VERBS)
@pytest.mark.parametrize("is_connected", [False, True])
async def test_a_cancelled_verb_is_cancelled(make_app: Callable[..., App], verb: str, is_connected: bool) -> None:
    for turns in range(MAX_TURNS):
        app = make_app()
        app.job(name="work")(_work)
        async with app:
            if is_connected:
                await app.stats()
            task = asyncio.create_task(VERBS[verb](app))
            for _ in range(turns):
                await asyncio.sleep(0)
            # False: it had ended before.
            was_cancelled = task.cancel()
            await asyncio.wait([task])
            assert task.cancelled() == was_cancelled, f"cancelled after {turns} turns of the loop"


async def test_an_app_whose_opening_is_cancelled_is_closed(make_app: Callable[..., App]) -> None:
    for turns in range(MAX_TURNS):
        app = make_app()
        task = asyncio.create_task(app.__aenter__())
        for _ in range(turns):
            await asyncio.sleep(0)
        was_cancelled = task.cancel()
        await asyncio.wait([task])
        assert task.cancelled() == was_cancelled
        if was_cancelled:
            with pytest.raises(AppNotOpen):
                await app.stats()
        else:
            await app.__aexit__(None, None, None)
