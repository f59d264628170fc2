"""Calls that are right: no checker may complain."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import assert_type

from asyncjobs import App, JobHandle, JobRequest, JobState, RetryPolicy, Worker, current_job, job

app = App("memory://")


@dataclass
class Order:
    number: int


@app.job
async def plain(to: str, count: int = 1) -> str:
    return to * count


@app.job(queue="emails", priority="high", retry=RetryPolicy(max_retries=5), timeout=timedelta(seconds=3))
async def with_options(order: Order) -> int:
    return order.number


@job
def thumbnail(path: str, *, size: int) -> bytes:
    return path.encode() * size


@job(name="other", expires=60)
def clashing(delay: int, when: str) -> None:
    """Its parameters have the names of what the verbs take."""


async def main() -> None:
    assert_type(await plain.delay("a"), JobHandle[str])
    assert_type(await plain.delay("a", count=2), JobHandle[str])
    assert_type(await (await plain.delay("a")).result(timeout=1), str)
    assert_type(await (await with_options.delay(Order(1))).result(), int)
    assert_type(await (await thumbnail.delay("a", size=1)).result(), bytes)
    assert_type(await clashing.schedule_at(datetime.now(UTC), 1, when="x"), JobHandle[None])
    assert_type(await clashing.schedule_in(timedelta(seconds=1), delay=1, when="x"), JobHandle[None])
    assert_type(await plain.with_options(priority="low", max_retries=0).delay("a"), JobHandle[str])
    assert_type(plain.request("a"), JobRequest[str])
    assert_type(await app.enqueue_many([plain.request("a"), plain.request("b")]), list[JobHandle[str]])
    assert_type(await (await plain.delay("a")).status(), JobState)
    assert_type(await plain("a"), str)
    assert_type(thumbnail("a", size=1), bytes)
    async with app.worker() as worker:
        assert_type(worker, Worker)
    assert_type(current_job().attempt, int)


def without_a_loop() -> None:
    handle = plain.delay_sync("a")
    assert_type(handle, JobHandle[str])
    assert_type(app.sync.result(handle), str)
    assert_type(app.sync.run(app.delete_job, "id"), bool)
    some: JobHandle[object] = handle
    assert some
