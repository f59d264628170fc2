"""What is passed on without an SDK, unsampled or damaged, and who sees it beside the handler."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from typing import Any

import pytest
from opentelemetry.context import attach, detach
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF
from opentelemetry.trace import (
    NonRecordingSpan,
    NoOpTracerProvider,
    SpanContext,
    TraceFlags,
    get_current_span,
    set_span_in_context,
)

from asyncjobs import App, JobContext, JobRequest, Middleware, current_job
from asyncjobs.middleware.base import CallNext, Send
from asyncjobs.middleware.logging import Logging
from asyncjobs.telemetry import Tracing
from tests.telemetry.conftest import Spans
from tests.telemetry.reading import attributes_of, parent_of, trace_of
from tests.waiting import SOON

pytestmark = pytest.mark.anyio

REMOTE = SpanContext(trace_id=0xABC, span_id=0xDEF, is_remote=True)


class Seeing(Middleware):
    """Sees the headers of what passes it."""

    def __init__(self) -> None:
        self.headers: list[dict[str, str]] = []

    async def enqueue(self, requests: Sequence[JobRequest[Any]], send: Send) -> Any:
        self.headers += [dict(request.headers) for request in requests]
        return await send(requests)


@pytest.mark.parametrize("provider", [None, NoOpTracerProvider()], ids=["api alone", "no-op"])
async def test_without_an_sdk_jobs_have_no_headers(make_app: Callable[..., App], provider: Any) -> None:
    seeing = Seeing()
    app = make_app(middleware=[Tracing(provider), seeing])

    @app.job
    async def work() -> bool:
        return get_current_span().get_span_context().is_valid

    async with app, app.worker():
        assert await (await work.delay()).result(SOON) is False
        await work.schedule_in(60)
        await app.enqueue_many([work.request(), work.request()])
    assert seeing.headers == [{}] * 4


async def test_without_an_sdk_a_context_is_passed_on_to_the_handler_and_its_child(make_app: Callable[..., App]) -> None:
    app = make_app(middleware=[Tracing()])

    @app.job
    async def child() -> str:
        return f"{get_current_span().get_span_context().trace_id:x}"

    @app.job
    async def parent() -> str:
        return (await child.delay()).id

    async with app, app.worker():
        token = attach(set_span_in_context(NonRecordingSpan(REMOTE)))
        handle = await parent.delay()
        detach(token)
        assert await app.handle(await handle.result(SOON)).result(SOON) == "abc"


async def test_a_trace_that_is_not_sampled_stays_so_over_its_jobs(make_app: Callable[..., App], spans: Spans) -> None:
    unsampled = TracerProvider(sampler=ALWAYS_OFF)
    sender = make_app(middleware=[Tracing(unsampled)])
    worker = make_app(middleware=[Tracing(spans.provider)])

    for app in (sender, worker):

        @app.job(name="work")
        async def work() -> dict[str, str]:
            return dict(current_job().headers)

        if app is sender:
            async with sender:
                handle_id = (await work.delay()).id
    async with worker, worker.worker():
        headers = await worker.handle(handle_id).result(SOON)
    flags = int(headers["traceparent"].rpartition("-")[2], 16)
    assert not flags & TraceFlags.SAMPLED
    assert spans.all() == []


async def test_a_context_that_is_damaged_does_not_cost_the_job(make_app: Callable[..., App], spans: Spans) -> None:
    class Damage(Middleware):
        async def enqueue(self, requests: Sequence[JobRequest[Any]], send: Send) -> Any:
            wrong = {"traceparent": "00-zz-01", "baggage": "=;,%%"}
            return await send([request.with_headers(wrong) for request in requests])

    app = make_app(middleware=[Tracing(spans.provider), Damage()])

    @app.job
    async def work() -> int:
        return 1

    async with app, app.worker():
        assert await (await work.delay()).result(SOON) == 1
    assert parent_of(spans.one("process default")) is None


async def test_log_records_of_a_traced_job_have_its_trace_id(
    make_app: Callable[..., App], spans: Spans, caplog: pytest.LogCaptureFixture
) -> None:
    app = make_app(middleware=[Tracing(spans.provider), Logging()])

    @app.job
    async def work() -> None:
        current_job().log.info("half way")

    with caplog.at_level(logging.INFO, logger="asyncjobs.job"):
        async with app, app.worker():
            await (await work.delay()).result(SOON)
    found: list[Any] = [record for record in caplog.records if record.name == "asyncjobs.job"]
    assert [record.trace_id for record in found] == [f"{trace_of(spans.one('process default')):032x}"] * 3


async def test_the_handlers_of_one_worker_do_not_see_each_others_spans(
    make_app: Callable[..., App], spans: Spans
) -> None:
    app = make_app(middleware=[Tracing(spans.provider)])

    @app.job
    async def work() -> str:
        before = get_current_span().get_span_context().span_id
        await asyncio.sleep(0.02)
        assert get_current_span().get_span_context().span_id == before
        return f"{before:x}"

    async with app, app.worker(concurrency=10):
        handles = await app.enqueue_many([work.request() for _ in range(10)])
        found = [await handle.result(SOON) for handle in handles]
    assert len(set(found)) == 10


async def test_a_layer_further_in_sees_the_span(make_app: Callable[..., App], spans: Spans) -> None:
    class Naming(Middleware):
        async def process(self, job: JobContext, call_next: CallNext) -> Any:
            get_current_span().set_attribute("mine", job.name)
            return await call_next(job)

    app = make_app(middleware=[Tracing(spans.provider), Naming()])

    @app.job
    async def work() -> None: ...

    async with app, app.worker():
        await (await work.delay()).result(SOON)
    assert attributes_of(spans.one("process default"))["mine"] == "work"
