"""One trace where jobs belong together, a link where they don't, and nothing at all without an SDK."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from opentelemetry import baggage
from opentelemetry.context import attach, detach, get_current
from opentelemetry.trace import (
    SpanKind,
)

from asyncjobs import (
    App,
    JobFailed,
    RetryPolicy,
    Worker,
    current_job,
)
from asyncjobs.telemetry import Tracing
from tests.telemetry.conftest import Spans
from tests.telemetry.reading import attributes_of, linked, parent_of, trace_of
from tests.waiting import SOON, until

pytestmark = pytest.mark.anyio

AT_ONCE = RetryPolicy(max_retries=2, initial=0.001, jitter=False)


@contextlib.contextmanager
def having_baggage(entries: dict[str, str]) -> Iterator[None]:
    """A block with this baggage."""
    context = get_current()
    for key, value in entries.items():
        context = baggage.set_baggage(key, value, context)
    token = attach(context)
    try:
        yield
    finally:
        detach(token)


async def test_one_trace_leads_from_the_request_over_the_job_to_its_child(
    make_app: Callable[..., App], spans: Spans
) -> None:
    app = make_app(middleware=[Tracing(spans.provider)])

    @app.job(queue="mails")
    async def child() -> str:
        return current_job().id

    @app.job(queue="orders")
    async def order() -> str:
        return (await child.delay()).id

    async with app, app.worker(queues=["orders", "mails"]):
        # As the instrumentation of a web framework does it.
        with spans.provider.get_tracer("web").start_as_current_span("POST /orders", kind=SpanKind.SERVER):
            handle = await order.delay()
        child_id = await handle.result(SOON)
        await app.handle(child_id, queue="mails").result(SOON)

    request, sent, processed = spans.one("POST /orders"), spans.one("send orders"), spans.one("process orders")
    child_sent, child_processed = spans.one("send mails"), spans.one("process mails")
    assert len(spans.all()) == 5
    assert {trace_of(span) for span in spans.all()} == {trace_of(request)}
    chain = [request, sent, processed, child_sent, child_processed]
    assert [parent_of(span) for span in chain[1:]] == [span.context.span_id for span in chain[:-1]]
    assert (sent.kind, processed.kind) == (SpanKind.PRODUCER, SpanKind.CONSUMER)
    assert linked(processed) == [sent.context.span_id]
    assert sent.instrumentation_scope is not None
    assert sent.instrumentation_scope.name == "asyncjobs"
    assert attributes_of(sent) == {
        "messaging.system": "asyncjobs",
        "messaging.operation.name": "send",
        "messaging.operation.type": "send",
        "messaging.destination.name": "orders",
        "messaging.message.id": handle.id,
        "asyncjobs.job.name": "order",
    }
    assert attributes_of(processed) == {
        "messaging.system": "asyncjobs",
        "messaging.operation.name": "process",
        "messaging.operation.type": "process",
        "messaging.destination.name": "orders",
        "messaging.message.id": handle.id,
        "asyncjobs.job.name": "order",
        "asyncjobs.job.attempt": 1,
        "asyncjobs.job.priority": "normal",
        "asyncjobs.outcome": "completed",
    }


async def test_a_sync_handler_sends_its_child_in_the_same_trace(make_app: Callable[..., App], spans: Spans) -> None:
    app = make_app(middleware=[Tracing(spans.provider)])

    @app.job(queue="mails")
    def child() -> None: ...

    @app.job(queue="orders")
    def order() -> str:
        return child.delay_sync().id

    async with app, app.worker(queues=["orders", "mails"]):
        child_id = await (await order.delay()).result(SOON)
        await app.handle(child_id, queue="mails").result(SOON)

    assert parent_of(spans.one("send mails")) == spans.one("process orders").context.span_id
    assert len({trace_of(span) for span in spans.all()}) == 1


@pytest.mark.parametrize("how", ["delay", "due"])
async def test_a_job_sent_for_later_begins_a_trace_linked_to_its_sender(
    make_app: Callable[..., App], spans: Spans, how: str
) -> None:
    app = make_app(middleware=[Tracing(spans.provider)])

    @app.job
    async def work() -> None: ...

    async with app, app.worker():
        with spans.provider.get_tracer("web").start_as_current_span("request"):
            if how == "delay":
                handle = await work.schedule_in(0.02)
            else:
                handle = await work.schedule_at(datetime.now(UTC) + timedelta(seconds=0.02))
        await handle.result(SOON)

    sent, processed = spans.one("send default"), spans.one("process default")
    assert parent_of(processed) is None
    assert trace_of(processed) != trace_of(sent)
    assert linked(processed) == [sent.context.span_id]


async def test_each_attempt_has_a_span_and_later_ones_begin_a_trace_linked_to_the_sender(
    make_app: Callable[..., App], spans: Spans
) -> None:
    app = make_app(middleware=[Tracing(spans.provider)], retry=AT_ONCE)

    @app.job
    async def work() -> None:
        if current_job().attempt < 3:
            raise ValueError("not yet")

    async with app, app.worker():
        await (await work.delay()).result(SOON)

    sent = spans.one("send default")
    first, second, third = spans.named("process default")
    assert parent_of(first) == sent.context.span_id
    assert [parent_of(span) for span in (second, third)] == [None, None]
    assert len({trace_of(span) for span in (sent, first, second, third)}) == 3
    assert [linked(span) for span in (first, second, third)] == [[sent.context.span_id]] * 3
    assert [attributes_of(span)["asyncjobs.job.attempt"] for span in (first, second, third)] == [1, 2, 3]


async def test_a_job_revived_from_the_dead_begins_a_trace_linked_to_its_sender(
    make_app: Callable[..., App], spans: Spans
) -> None:
    app = make_app(middleware=[Tracing(spans.provider)], retry=RetryPolicy(max_retries=0))

    @app.job
    async def work() -> None:
        if len(spans.named("process default")) == 0:
            raise ValueError("the first time")

    async with app, app.worker():
        handle = await work.delay()
        with pytest.raises(JobFailed):
            await handle.result(SOON)
        await app.retry_job(handle.id)
        await handle.result(SOON)

    sent, [first, revived] = spans.one("send default"), spans.named("process default")
    assert (parent_of(first), parent_of(revived)) == (sent.context.span_id, None)
    assert linked(revived) == [sent.context.span_id]


async def test_the_job_of_a_schedule_begins_a_trace_that_names_the_schedule(
    make_app: Callable[..., App], spans: Spans
) -> None:
    app = make_app(middleware=[Tracing(spans.provider)])
    ran = asyncio.Event()

    @app.job(every=1)
    async def work() -> None:
        ran.set()

    async with app, app.worker():
        await until(ran, "the job of a tick has run")

    # The worker that fires a tick is the sender of its job.
    sent, processed = spans.named("send default")[0], spans.named("process default")[0]
    assert (parent_of(sent), parent_of(processed)) == (None, None)
    assert linked(processed) == [sent.context.span_id]
    assert attributes_of(processed)["asyncjobs.schedule.id"]


async def test_many_jobs_sent_at_once_have_one_span_with_their_number(
    make_app: Callable[..., App], spans: Spans
) -> None:
    app = make_app(middleware=[Tracing(spans.provider)])

    @app.job(queue="mails")
    async def mail(number: int) -> None: ...

    @app.job(queue="images")
    async def image(number: int) -> None: ...

    async with app:
        await app.enqueue_many([mail.request(number) for number in range(3)])
        await app.enqueue_many([mail.request(0), image.request(0)])
        await app.enqueue_many([])
        await Worker(app, queues=["mails", "images"]).run_until_empty()

    one_queue, two_queues = spans.one("send mails"), spans.one("send")
    assert attributes_of(one_queue)["messaging.batch.message_count"] == 3
    assert "messaging.message.id" not in attributes_of(one_queue)
    assert attributes_of(two_queues)["messaging.batch.message_count"] == 2
    assert "messaging.destination.name" not in attributes_of(two_queues)
    assert "asyncjobs.job.name" not in attributes_of(two_queues)
    assert sorted(parent_of(span) or 0 for span in spans.named("process mails")) == sorted(
        [one_queue.context.span_id] * 3 + [two_queues.context.span_id]
    )


async def test_the_senders_baggage_is_around_the_handler_and_its_child(
    make_app: Callable[..., App], spans: Spans
) -> None:
    app = make_app(middleware=[Tracing(spans.provider)])

    @app.job
    async def child() -> Any:
        return dict(baggage.get_all())

    @app.job
    async def parent() -> str:
        return (await child.delay()).id

    given = {"customer": "ada, £1", "plan": "gold"}
    async with app, app.worker():
        with having_baggage(given):
            handle = await parent.delay()
        child_id = await handle.result(SOON)
        assert await app.handle(child_id).result(SOON) == given


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ({f"key{number}": "v" for number in range(9)}, [f"key{number}" for number in range(8)]),
        ({"large": "x" * 2_000, "small": "y"}, ["small"]),
        ({"a": "x" * 500, "b": "ä" * 100, "c": "y"}, ["a", "c"]),
    ],
    ids=["many", "large", "encoded"],
)
async def test_baggage_beyond_the_cap_is_left_out(
    make_app: Callable[..., App], spans: Spans, given: dict[str, str], kept: list[str]
) -> None:
    app = make_app(middleware=[Tracing(spans.provider)])

    @app.job
    async def work() -> Any:
        return [sorted(baggage.get_all()), len(current_job().headers["baggage"])]

    async with app, app.worker():
        with having_baggage(given):
            handle = await work.delay()
        found, size = await handle.result(SOON)
    assert found == kept
    assert size <= 1_024


async def test_what_the_worker_was_started_in_stays_out_of_its_jobs(make_app: Callable[..., App], spans: Spans) -> None:
    app = make_app(middleware=[Tracing(spans.provider)])

    @app.job
    async def work() -> Any:
        return dict(baggage.get_all())

    async with app:
        handle = await work.delay()
        with having_baggage({"of": "the worker"}), spans.provider.get_tracer("web").start_as_current_span("startup"):
            async with app.worker():
                assert await handle.result(SOON) == {}
    assert trace_of(spans.one("process default")) == trace_of(spans.one("send default"))


async def test_an_idle_worker_makes_no_spans(make_app: Callable[..., App], spans: Spans) -> None:
    app = make_app(middleware=[Tracing(spans.provider)])

    @app.job
    async def work() -> None: ...

    async with app, app.worker():
        await asyncio.sleep(0.3)
    assert spans.all() == []
