"""A running job that is cancelled ends at once, however long its worker's leases are."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

import pytest

from asyncjobs import App, JobState, Worker
from tests.apps import wait_ended
from tests.waiting import Notes

pytestmark = pytest.mark.anyio

#: What the page on cancelling promises, in seconds.
WITHIN_S = 1.0


async def test_a_handler_is_cancelled_within_a_second(make_app: Callable[..., App]) -> None:
    app = make_app(lease=600.0)
    started: Notes[str] = Notes()

    @app.job(queue="slow")
    async def stay() -> None:
        started.append("stay")
        await asyncio.sleep(60)

    async with app, Worker(app, queues=["other", "slow"]).running():
        for count in range(1, 4):
            handle = await stay.delay()
            await started.reach(count)
            asked = time.monotonic()
            await handle.cancel()
            job = await wait_ended(app, handle.id, queue="slow")
            assert job is not None
            assert job.state is JobState.CANCELLED
            assert time.monotonic() - asked < WITHIN_S


async def test_a_handler_that_cleans_up_is_not_disturbed_by_the_cancellations_of_others(
    make_app: Callable[..., App],
) -> None:
    app = make_app(lease=600.0)
    started: Notes[str] = Notes()
    cleaning: Notes[str] = Notes()
    cleaned: list[str] = []

    @app.job
    async def careful() -> None:
        started.append("careful")
        try:
            await asyncio.sleep(60)
        finally:
            cleaning.append("careful")
            await asyncio.sleep(0.3)
            cleaned.append("careful")

    @app.job
    async def plain() -> None:
        started.append("plain")
        await asyncio.sleep(60)

    async with app, Worker(app, concurrency=20).running():
        handle = await careful.delay()
        others = [await plain.delay() for _ in range(5)]
        await started.reach(6)
        await handle.cancel()
        await cleaning.reach(1)
        for other in others:
            await other.cancel()
            await wait_ended(app, other.id)
        await wait_ended(app, handle.id)
    assert cleaned == ["careful"]
