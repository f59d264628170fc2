"""Layers that have resources."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any

import pytest

from asyncjobs import App, ConfigurationError, Inject, JobContext, JobFailed, JobRequest, Middleware, resource
from asyncjobs.middleware import CallNext, Send
from tests.waiting import SOON
from tests.worker.layers import NO_RETRY, Noting

pytestmark = pytest.mark.anyio


async def test_a_layer_has_resources_which_its_handlers_share(make_app: Callable[..., App]) -> None:
    notes: list[str] = []

    @resource(scope="worker")
    def pool() -> str:
        notes.append("pool opens")
        return "pool"

    async def session(job: JobContext, source: str = Inject(pool)) -> AsyncIterator[list[str]]:
        notes.append("session opens")
        try:
            yield [source, job.name]
        except LookupError:
            notes.append("session sees the error")
            raise
        notes.append("session closes")

    class Transaction(Middleware):
        async def process(
            self, job: JobContext, call_next: CallNext, *, db: list[str] = Inject(session), source: str = Inject(pool)
        ) -> Any:
            db.append(source)
            value = await call_next(job)
            notes.append("layer")
            return value

    app = make_app(middleware=[Noting("outer", notes), Transaction(), Noting("inner", notes)])

    @app.job(retry=NO_RETRY)
    async def work(fail: bool, db: list[str] = Inject(session)) -> list[str]:
        if fail:
            raise LookupError("by design")
        return db

    @app.job
    async def other() -> str:
        return "none"

    async with app:
        requests = [work.request(False), work.request(True), other.request()]
        handles = await app.enqueue_many(requests)
        notes.clear()
        async with app.worker(concurrency=1):
            assert await app.handle(handles[0].id).result(SOON) == "['pool', 'work', 'pool'] by inner by outer"
            with pytest.raises(JobFailed, match=r"^(?!.*in the middleware).*by design"):
                await handles[1].result(SOON)
            assert await app.handle(handles[2].id).result(SOON) == "none by inner by outer"
    one = ["outer before", "session opens", "inner before"]
    good = [*one, "inner after", "layer", "session closes", "outer after"]
    assert notes == ["pool opens", *good, *one, "session sees the error", *good]


async def test_a_resource_of_a_layer_that_can_not_be_opened_fails_the_job_and_blames_no_layer(
    make_app: Callable[..., App],
) -> None:
    async def session() -> str:
        raise ConnectionError("no database")

    class Outer(Middleware):
        async def process(self, job: JobContext, call_next: CallNext) -> Any:
            return await call_next(job)

    class Transaction(Middleware):
        async def process(self, job: JobContext, call_next: CallNext, db: str = Inject(session)) -> Any:
            return await call_next(job)

    app = make_app(middleware=[Outer(), Transaction()], retry=NO_RETRY)

    @app.job
    async def work() -> None: ...

    async with app, app.worker():
        with pytest.raises(JobFailed) as failed:
            await (await work.delay()).result(SOON)
    assert "no database" in str(failed.value)
    assert "in the middleware" not in str(failed.value)


def test_a_layer_of_sending_can_not_have_resources() -> None:
    def session() -> str:
        return ""

    class Stamp(Middleware):
        async def enqueue(self, requests: Sequence[JobRequest[Any]], send: Send, db: str = Inject(session)) -> Any:
            return await send(requests)

    with pytest.raises(ConfigurationError, match=r"Stamp.enqueue has a parameter with Inject, but jobs are sent"):
        App("memory://", middleware=[Stamp()])
