"""A handler may give its parameters any names, those too that the methods which send it have for their own."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest

from asyncjobs import App
from tests.waiting import SOON
from tests.worker import process_handlers

pytestmark = pytest.mark.anyio


NAMES = ("self", "cls", "when", "delay", "job", "request", "function", "call", "args", "kwargs", "app", "verb")


@pytest.mark.parametrize("handler", ["async", "thread", "process"])
async def test_a_keyword_may_have_any_name(make_app: Callable[..., App], handler: str) -> None:
    app = make_app()
    given = {name: number for number, name in enumerate(NAMES)}

    async def on_the_loop(**named: int) -> dict[str, int]:
        return named

    def in_a_thread(**named: int) -> dict[str, int]:
        return named

    functions = {"async": on_the_loop, "thread": in_a_thread, "process": process_handlers.named}
    options: Any = {"executor": "process"} if handler == "process" else {}
    work: Any = app.job(**options)(functions[handler])
    async with app, app.worker():
        handles = [
            await work.delay(**given),
            await work.schedule_in(0, **given),
            await work.schedule_at(datetime.now(UTC), **given),
            await work.with_options(priority="low").delay(**given),
            *await app.enqueue_many([work.request(**given)]),
            await asyncio.to_thread(work.delay_sync, **given),
            await asyncio.to_thread(work.schedule_in_sync, 0, **given),
            await asyncio.to_thread(work.schedule_at_sync, datetime.now(UTC), **given),
        ]
        assert [await handle.result(SOON) for handle in handles] == [given] * len(handles)


async def test_a_job_may_have_a_parameter_called_self(app: App) -> None:
    @app.job
    async def work(self: int) -> int:
        return self

    assert await work(self=1) == 1
    async with app, app.worker():
        assert await (await work.delay(self=1)).result(SOON) == 1
