"""Resources: opened when they are needed, closed exactly once in any case, replaced in tests."""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any, TypedDict

import pytest

from asyncjobs import (
    App,
    ArgumentsError,
    DefinitionError,
    Inject,
    JobCancelled,
    JobFailed,
    JobState,
    RetryPolicy,
    Worker,
    resource,
)
from tests.apps import broker_of
from tests.waiting import SOON, until
from tests.worker.providers import Session, events, session, transaction

pytestmark = pytest.mark.anyio

NO_RETRY = RetryPolicy(max_retries=0)


@pytest.fixture(autouse=True)
def _no_events() -> None:
    events.clear()


async def test_resources_are_opened_in_order_shared_within_a_job_and_closed_in_reverse(app: App) -> None:
    @app.job
    async def work(text: str, db: Session = Inject(session), tx: str = Inject(transaction)) -> list[str]:
        events.append("handler")
        return [text, db.name, tx]

    async with app:
        handles = [await work.delay("a"), await work.delay("b")]
        await Worker(app, concurrency=1).run_until_empty()
        assert await handles[0].result(SOON) == ["a", "session of pool", "transaction 1 in session of pool"]
    job = ["session open", "transaction open", "handler", "transaction closed", "session closed"]
    assert events == ["pool open", *job, *job, "pool closed"]


async def test_plain_functions_coroutines_and_context_managers_provide_too(app: App) -> None:
    @contextlib.asynccontextmanager
    async def managed() -> AsyncIterator[int]:
        yield 3
        events.append("managed closed")

    async def awaited() -> int:
        return 2

    @app.job
    def work(a: int = Inject(lambda: 1), b: int = Inject(awaited), c: int = Inject(managed)) -> int:
        events.append("handler")
        return a + b + c

    async with app, app.worker():
        assert await (await work.delay()).result(SOON) == 6
    assert events == ["handler", "managed closed"]


async def test_what_is_injected_is_no_argument_of_the_job(app: App) -> None:
    @app.job
    async def work(text: str, db: Session = Inject(session)) -> None: ...

    with pytest.raises(ArgumentsError, match="has no parameter 'db'"):
        work.request("a", db=Session())
    with pytest.raises(ArgumentsError, match="takes 1 positional"):
        work.request("a", Session())


@pytest.mark.parametrize("way", ["success", "failure", "timeout", "cancellation", "lost lease", "shutdown"])
async def test_a_jobs_resource_is_closed_exactly_once(make_app: Callable[..., App], way: str) -> None:
    app = make_app(lease=1, shutdown_timeout=0.05)
    started = asyncio.Event()

    @app.job(retry=NO_RETRY, timeout=0.1 if way == "timeout" else None)
    async def work(db: Session = Inject(session)) -> None:
        started.set()
        if way == "failure":
            raise ValueError("no")
        if way != "success":
            await asyncio.sleep(3600)

    async with app:
        handle = await work.delay()
        async with app.worker():
            await until(started, "the handler has started")
            if way == "success":
                await handle.result(SOON)
            elif way in ("failure", "timeout"):
                with pytest.raises(JobFailed):
                    await handle.result(SOON)
            elif way == "cancellation":
                await handle.cancel()
                with pytest.raises(JobCancelled):
                    await handle.result(SOON)
            elif way == "lost lease":
                await _take_over(app, handle.id)
                await events.until(lambda: "session closed" in events, "the session is closed")
        if way == "shutdown":
            assert await handle.status() is JobState.PENDING
    counted = Counter(events)
    assert (counted["session open"], counted["session closed"]) == (1, 1)
    assert counted["session sees ValueError"] == (way == "failure")
    assert counted["session sees CancelledError"] == (way not in ("success", "failure"))
    assert events[-1] == "pool closed"


async def _take_over(app: App, job_id: str) -> None:
    """Make the lease lapse as it does for a worker that is cut off, so that another one may take the job."""
    job = await app.find_job(job_id)
    assert job is not None
    from asyncjobs.core.settlement import Settlement, Verdict

    released = Settlement(job.queue, job.id, job.name, job.priority, job.fence, Verdict.SNOOZE, delay_ms=3_600_000)
    assert await broker_of(app).settle([released]) == [True]


async def test_closing_is_not_broken_off_by_a_cancellation_that_comes_meanwhile(make_app: Callable[..., App]) -> None:
    app = make_app(lease=1)
    closing = asyncio.Event()

    async def slow_to_close() -> AsyncIterator[int]:
        yield 1
        closing.set()
        await asyncio.sleep(0.6)
        events.append("closed")

    @app.job(timeout=0.2)
    async def work(number: int = Inject(slow_to_close)) -> int:
        return number

    async with app, app.worker():
        handle = await work.delay()
        await until(closing, "the resource is being closed")
        await handle.cancel()
        # The handler has done its work by then.
        assert await handle.result(SOON) == 1
    assert events == ["closed"]


async def test_a_resource_can_not_swallow_the_failure_of_a_handler(app: App) -> None:
    async def swallowing() -> AsyncIterator[int]:
        with contextlib.suppress(ValueError):
            yield 1

    @app.job(retry=NO_RETRY)
    async def work(number: int = Inject(swallowing)) -> int:
        raise ValueError("no")

    async with app, app.worker():
        with pytest.raises(JobFailed, match="ValueError: no"):
            await (await work.delay()).result(SOON)


async def test_a_resource_that_can_not_be_opened_or_closed_fails_the_job_and_the_others_are_closed(app: App) -> None:
    async def broken(db: Session = Inject(session)) -> AsyncIterator[int]:
        raise ConnectionError("no database")
        yield 1

    def closes_badly(db: Session = Inject(session)) -> Iterator[int]:
        yield 1
        raise ConnectionError("the commit failed")

    @app.job(retry=NO_RETRY)
    async def opens(number: int = Inject(broken)) -> None: ...

    @app.job(retry=NO_RETRY)
    async def closes(number: int = Inject(closes_badly)) -> None: ...

    async with app, app.worker():
        with pytest.raises(JobFailed, match="no database"):
            await (await opens.delay()).result(SOON)
        assert Counter(events)["session closed"] == 1
        with pytest.raises(JobFailed, match="the commit failed"):
            await (await closes.delay()).result(SOON)
        assert Counter(events)["session closed"] == 2


async def test_tests_put_something_else_in_place_of_a_provider(app: App) -> None:
    @app.job
    async def work(db: Session = Inject(session)) -> str:
        return db.name

    async with app:
        with app.override(session, lambda: Session("fake")):
            async with app.worker():
                assert await (await work.delay()).result(SOON) == "fake"
        async with app.worker():
            assert await (await work.delay()).result(SOON) == "session of pool"
    assert Counter(events)["session open"] == 1


def first(b: int = Inject(lambda: 0)) -> int:
    return b


def second(a: int = Inject(first)) -> int:
    return a


first.__defaults__ = (Inject(second),)


def needs_more(name: str) -> Session:
    return Session(name)


@resource(scope="worker")
def too_long(db: Session = Inject(session)) -> int:
    return 1


async def gives_text() -> AsyncIterator[str]:
    yield "text"


@pytest.mark.parametrize(
    ("kind", "provider", "message"),
    [
        (int, first, "circle: first → second → first"),
        (Session, needs_more, "nobody says what needs_more gets as 'name'"),
        (int, too_long, "lives as long as the worker, but needs session"),
        (int, gives_text, "is annotated with int, but gives_text provides str"),
    ],
)
async def test_what_can_not_be_resolved_is_an_error_at_start_that_names_handler_and_parameter(
    app: App, kind: type, provider: Any, message: str
) -> None:
    async def work(thing: Any = Inject(provider)) -> None: ...

    work.__annotations__["thing"] = kind
    app.job(work)
    async with app:
        with pytest.raises(DefinitionError, match=message) as caught:
            await Worker(app).run_until_empty()
    assert "job 'work': parameter 'thing'" in str(caught.value)


class Options(TypedDict):
    """Settings as a mapping."""

    size: int


def options() -> Options:
    return {"size": 3}


def seconds() -> int:
    return 3


def perhaps() -> int | None:
    return 3


@pytest.mark.parametrize(
    ("kind", "provider"),
    [
        (Options, options),
        (dict[str, int], options),
        (float, seconds),
        (object, seconds),
        (int | None, seconds),
        (int, perhaps),
    ],
)
async def test_what_a_type_checker_lets_pass_is_injected(app: App, kind: Any, provider: Any) -> None:
    async def work(thing: Any = Inject(provider)) -> Any:
        return thing

    work.__annotations__["thing"] = kind
    async with app:
        handle = await app.job(work).delay()
        await Worker(app).run_until_empty()
        assert await handle.result(SOON) == provider()


def test_what_is_injected_stands_last_and_is_callable(app: App) -> None:
    with pytest.raises(DefinitionError, match="put what is injected last"):

        @app.job
        async def work(db: Session = Inject(session), number: int = 1) -> None: ...

    with pytest.raises(DefinitionError, match="expected a function"):
        Inject("session")  # type: ignore[arg-type]
