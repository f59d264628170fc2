"""Hooks around a worker's life: called in order before the first job and after the last, with its resources."""

from __future__ import annotations

import asyncio
import functools
import threading
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from asyncjobs import App, DefinitionError, Inject, JobContext, JobState, Worker, current_job, resource
from tests.waiting import SOON, Notes, until

pytestmark = pytest.mark.anyio


@pytest.fixture
def notes() -> Notes[str]:
    return Notes()


async def test_hooks_run_in_order_before_the_first_job_and_in_reverse_after_the_last(
    app: App, notes: Notes[str]
) -> None:
    @resource(scope="worker")
    async def pool() -> AsyncIterator[str]:
        notes.append("pool opens")
        yield "pool"
        notes.append("pool closes")

    @app.on_worker_start
    async def warm_up(source: str = Inject(pool)) -> None:
        await asyncio.sleep(0.05)
        notes.append(f"start 1 has {source}")

    @app.on_worker_start
    def read_model() -> None:
        assert threading.current_thread() is not threading.main_thread()
        notes.append("start 2")

    @app.on_worker_stop
    async def report(source: str = Inject(pool)) -> None:
        notes.append(f"stop 1 has {source}, and the job is {await handle.status()}")

    @app.on_worker_stop
    def close_files() -> None:
        notes.append("stop 2")

    @app.job
    async def work() -> None:
        notes.append("job")

    async with app:
        handle = await work.delay()
        async with app.worker():
            await handle.result(timeout=SOON)
    assert notes == [
        "pool opens",
        "start 1 has pool",
        "start 2",
        "job",
        "stop 2",
        "stop 1 has pool, and the job is JobState.COMPLETED",
        "pool closes",
    ]


async def test_a_hook_that_does_not_show_that_it_is_async_is_awaited(app: App, notes: Notes[str]) -> None:
    async def note(what: str) -> None:
        await asyncio.sleep(0)
        notes.append(what)

    def wrapper() -> Any:
        return note("stop")

    app.on_worker_start(functools.partial(note, "start"))
    app.on_worker_stop(wrapper)
    async with app:
        await Worker(app).run_until_empty(signals=False)
    assert notes == ["start", "stop"]


async def test_a_hook_of_the_end_sees_what_the_handlers_came_to_that_the_stop_has_waited_for(
    app: App, notes: Notes[str]
) -> None:
    started = asyncio.Event()

    @app.job
    async def work() -> None:
        started.set()
        await asyncio.sleep(0.3)

    @app.on_worker_stop
    async def look() -> None:
        notes.append((await handle.status()).value)

    async with app:
        handle = await work.delay()
        async with app.worker():
            await until(started, "the handler has started")
    assert notes == [JobState.COMPLETED.value]


@pytest.mark.parametrize("run", [Worker.run, Worker.run_once, Worker.run_until_empty])
async def test_a_hook_that_fails_at_the_start_ends_the_worker_and_says_so(
    app: App, notes: Notes[str], run: Callable[..., Any]
) -> None:
    @resource(scope="worker")
    async def pool() -> AsyncIterator[str]:
        yield "pool"
        notes.append("pool closes")

    @app.on_worker_start
    async def read_model(source: str = Inject(pool)) -> None:
        raise FileNotFoundError("no model")

    @app.on_worker_stop
    async def never() -> None:
        notes.append("stop")

    @app.job
    async def work() -> None:
        notes.append("job")

    async with app:
        handle = await work.delay()
        with pytest.raises(FileNotFoundError, match="no model") as raised:
            await run(Worker(app), signals=False)
        [note] = raised.value.__notes__
        assert note.startswith("It was raised by the on_worker_start hook test_")
        assert note.endswith("read_model: the worker does not start.")
        assert await handle.status() is JobState.PENDING
    assert notes == ["pool closes"]


async def test_a_hook_that_fails_at_the_end_is_logged_and_the_others_are_called(
    app: App, notes: Notes[str], caplog: pytest.LogCaptureFixture
) -> None:
    @app.on_worker_stop
    async def first() -> None:
        notes.append("called")

    @app.on_worker_stop
    def second() -> None:
        raise StopIteration("no more")

    async with app:
        await Worker(app).run_until_empty(signals=False)
    assert notes == ["called"]
    [record] = [one for one in caplog.records if "hook" in one.getMessage()]
    assert record.getMessage().endswith("second failed")
    assert record.exc_info is not None


@pytest.mark.parametrize("is_async", [True, False])
async def test_a_hook_of_the_end_has_the_shutdown_timeout(
    make_app: Callable[..., App], is_async: bool, notes: Notes[str], caplog: pytest.LogCaptureFixture
) -> None:
    app, released = make_app(shutdown_timeout=0.1), threading.Event()

    @resource(scope="worker")
    async def pool() -> AsyncIterator[str]:
        yield "pool"
        notes.append("pool closes")

    @app.on_worker_start
    async def take(source: str = Inject(pool)) -> None: ...

    async def sleeping() -> None:
        await asyncio.sleep(600)

    def waiting() -> None:
        released.wait(600)

    app.on_worker_stop(sleeping if is_async else waiting)
    try:
        async with asyncio.timeout(SOON), app:
            await Worker(app).run_until_empty(signals=False)
    finally:
        released.set()
    assert notes == ["pool closes"]
    assert "the worker's hooks did not end within 0.1 s and is left" in caplog.text
    assert f"{'sleeping' if is_async else 'waiting'} took too long" in caplog.text


async def test_a_worker_that_is_stopped_while_it_starts_ends_the_hook_that_runs(app: App, notes: Notes[str]) -> None:
    started = asyncio.Event()

    @app.on_worker_start
    async def wait() -> None:
        started.set()
        try:
            await asyncio.sleep(600)
        finally:
            notes.append("cancelled")

    @app.on_worker_stop
    async def never() -> None:
        notes.append("stop")

    async with app:
        worker = Worker(app)
        running = asyncio.create_task(worker.run(signals=False))
        await until(started, "the hook has started")
        worker.stop()
        await asyncio.wait_for(running, SOON)
    assert notes == ["cancelled"]


async def test_hooks_send_jobs_and_are_no_job_themselves(app: App, notes: Notes[str]) -> None:
    @app.job
    async def work(text: str) -> None:
        notes.append(text)

    @app.on_worker_start
    async def send() -> None:
        with pytest.raises(LookupError):
            current_job()
        await work.delay("from the start")

    async with app:
        await Worker(app).run_until_empty(signals=False)
    assert notes == ["from the start"]


async def test_a_replaced_resource_is_given_to_hooks_too(app: App, notes: Notes[str]) -> None:
    @resource(scope="worker")
    def pool() -> str:
        return "real"

    @app.on_worker_start
    async def note(source: str = Inject(pool)) -> None:
        notes.append(source)

    async with app:
        with app.override(pool, lambda: "fake"):
            await Worker(app).run_until_empty(signals=False)
    assert notes == ["fake"]


def session() -> str:
    return "session"


async def of_a_job(db: str = Inject(session)) -> None: ...


async def of_the_running_job(job: JobContext) -> None: ...


@pytest.mark.parametrize(
    ("hook", "says"),
    [
        (of_a_job, r"the on_worker_start hook of_a_job takes session, which lives as long as a job; it can only"),
        (of_the_running_job, r"the on_worker_start hook of_the_running_job has the parameter 'job'; give it a default"),
    ],
)
async def test_what_no_worker_can_give_a_hook_is_an_error_at_the_start(app: App, hook: Any, says: str) -> None:
    app.on_worker_start(hook)
    async with app:
        with pytest.raises(DefinitionError, match=says):
            await Worker(app).run_until_empty(signals=False)


def test_what_can_not_be_a_hook_is_refused_where_it_is_decorated() -> None:
    async def opened() -> AsyncIterator[str]:
        yield ""

    app: Any = App("memory://")
    with pytest.raises(DefinitionError, match=r"@app\.on_worker_stop decorates a function, not 'flush'"):
        app.on_worker_stop("flush")
    with pytest.raises(DefinitionError, match="opened is a generator; to open something at the start and close it"):
        app.on_worker_start(opened)


def test_the_decorated_function_stays_what_it_is() -> None:
    def hook() -> int:
        return 1

    assert App("memory://").on_worker_start(hook) is hook
