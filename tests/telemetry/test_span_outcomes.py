"""A span says how an attempt, or a send, has ended."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Any

import pytest
from opentelemetry.trace import StatusCode

from asyncjobs import (
    App,
    BrokerUnavailable,
    Cancel,
    Discard,
    JobFailed,
    JobRequest,
    Middleware,
    Retry,
    RetryPolicy,
    Snooze,
    Worker,
)
from asyncjobs.middleware.base import Send
from asyncjobs.middleware.translate import Translate
from asyncjobs.telemetry import Tracing
from tests.telemetry.conftest import Spans
from tests.telemetry.reading import attributes_of
from tests.waiting import SOON

pytestmark = pytest.mark.anyio

NO_RETRY = RetryPolicy(max_retries=0)


async def test_a_failed_attempt_has_the_exception_and_the_status(make_app: Callable[..., App], spans: Spans) -> None:
    app = make_app(middleware=[Tracing(spans.provider)], retry=NO_RETRY)

    @app.job
    async def work() -> None:
        raise LookupError("no such order")

    async with app, app.worker():
        with pytest.raises(JobFailed):
            await (await work.delay()).result(SOON)

    processed = spans.one("process default")
    assert processed.status.status_code is StatusCode.ERROR
    assert processed.status.description == "LookupError: no such order"
    assert [event.name for event in processed.events] == ["exception"]
    assert attributes_of(processed)["error.type"] == "LookupError"
    assert attributes_of(processed)["asyncjobs.outcome"] == "failed"


@pytest.mark.parametrize(
    ("control", "outcome"),
    [(Retry(after=60), "retry"), (Snooze(60), "snooze"), (Discard("no use"), "discard"), (Cancel("stop"), "cancel")],
)
async def test_what_a_handler_asks_for_is_an_outcome_and_no_error(
    make_app: Callable[..., App], spans: Spans, control: Exception, outcome: str
) -> None:
    app = make_app(middleware=[Tracing(spans.provider)])

    @app.job
    async def work() -> None:
        raise control

    async with app:
        await work.delay()
        await Worker(app).run_until_empty()

    processed = spans.one("process default")
    assert processed.status.status_code is StatusCode.UNSET
    assert attributes_of(processed)["asyncjobs.outcome"] == outcome
    assert attributes_of(processed)["asyncjobs.outcome.reason"] == str(control)
    assert "error.type" not in attributes_of(processed)
    assert processed.events == ()


async def test_the_error_behind_a_translated_one_is_kept(make_app: Callable[..., App], spans: Spans) -> None:
    table = Translate({ConnectionError: lambda error: Retry(after=60)})
    app = make_app(middleware=[Tracing(spans.provider), table])

    @app.job
    async def work() -> None:
        raise ConnectionResetError("reset")

    async with app:
        await work.delay()
        await Worker(app).run_until_empty()

    [event] = spans.one("process default").events
    assert (event.attributes or {})["exception.type"] == "ConnectionResetError"
    assert spans.one("process default").status.status_code is StatusCode.UNSET


async def test_an_attempt_that_times_out_is_an_interrupted_one_with_an_error(
    make_app: Callable[..., App], spans: Spans
) -> None:
    app = make_app(middleware=[Tracing(spans.provider)], retry=NO_RETRY)

    @app.job(timeout=0.05)
    async def hang() -> None:
        await asyncio.sleep(3600)

    async with app, app.worker():
        with pytest.raises(JobFailed):
            await (await hang.delay()).result(SOON)

    processed = spans.one("process default")
    assert processed.status.status_code is StatusCode.ERROR
    assert attributes_of(processed)["asyncjobs.outcome"] == "interrupted"


async def test_a_send_that_fails_has_the_error_on_its_span(make_app: Callable[..., App], spans: Spans) -> None:
    class Refuse(Middleware):
        async def enqueue(self, requests: Sequence[JobRequest[Any]], send: Send) -> Any:
            raise BrokerUnavailable("not today")

    app = make_app(middleware=[Tracing(spans.provider), Refuse()])

    @app.job
    async def work() -> None: ...

    async with app:
        with pytest.raises(BrokerUnavailable):
            await work.delay()

    sent = spans.one("send default")
    assert sent.status.status_code is StatusCode.ERROR
    assert attributes_of(sent)["error.type"] == "asyncjobs.errors.BrokerUnavailable"
