"""The onion: order, both sides, what errors in it mean."""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import Any

import anyio
import pytest

from asyncjobs import (
    App,
    BrokerUnavailable,
    ConfigurationError,
    Discard,
    JobContext,
    JobFailed,
    JobRequest,
    JobState,
    Middleware,
    Retry,
    RetryPolicy,
    Worker,
    current_job,
)
from asyncjobs.middleware import CallNext, DefaultTimeout, Logging, Send, Translate
from tests.waiting import SOON, Notes, until
from tests.worker.layers import NO_RETRY, Noting

pytestmark = pytest.mark.anyio


async def test_the_first_layer_is_the_outermost_on_both_sides(make_app: Callable[..., App]) -> None:
    seen: list[str] = []
    app = make_app(middleware=[Noting("outer", seen), Noting("inner", seen)])

    @app.job
    async def work() -> dict[str, str]:
        seen.append("handler")
        return dict(current_job().headers)

    async with app, app.worker():
        handle = await work.delay()
        assert await app.handle(handle.id).result(SOON) == "{'outer': '0', 'inner': '1'} by inner by outer"
    sending = ["outer sends 1", "inner sends 1", "inner sent", "outer sent"]
    running = ["outer before", "inner before", "handler", "inner after", "outer after"]
    assert [one for one in seen if one in sending] == sending
    assert [one for one in seen if one in running] == running


async def test_a_bulk_send_passes_the_chain_once_and_keeps_its_order(make_app: Callable[..., App]) -> None:
    seen: list[str] = []
    app = make_app(middleware=[Noting("only", seen)])

    @app.job
    async def work(number: int) -> int:
        return number

    async with app:
        handles = await app.enqueue_many([work.request(number) for number in range(2_500)])
        assert seen == ["only sends 2500", "only sent"]
        jobs = await asyncio.gather(*(handle.refresh() for handle in (handles[0], handles[1_234], handles[-1])))
        assert [job.arguments for job in jobs] == [[0], [1_234], [2_499]]


async def test_sync_sends_and_the_jobs_of_schedules_pass_the_chain(
    make_app: Callable[..., App],
) -> None:
    app = make_app(middleware=[Noting("only", [])])
    found: Notes[tuple[str, dict[str, str]]] = Notes()

    @app.job
    async def work(how: str) -> None:
        found.append((how, {name: value for name, value in current_job().headers.items() if name == "only"}))

    @app.job(every=1)
    async def tick(how: str = "code") -> None:
        found.append((how, {name: value for name, value in current_job().headers.items() if name == "only"}))

    async with app:
        await app.add_schedule("added", work.request("added"), every=1)
        await app.trigger_schedule("added")
        await asyncio.to_thread(work.delay_sync, "sync")
        await asyncio.to_thread(app.sync.enqueue_many, [work.request("sync bulk")])
        async with app.worker():
            await found.until(lambda: len(dict(found)) >= 4, "a job sent in each of four ways")
    # What a schedule has made has two headers already.
    plain, scheduled = {"only": "0"}, {"only": "2"}
    assert dict(found) == {"sync": plain, "sync bulk": plain, "added": scheduled, "code": scheduled}


async def test_what_a_handler_is_given_can_be_seen_and_changed_by_a_layer(make_app: Callable[..., App]) -> None:
    class Shout(Middleware):
        async def process(self, job: JobContext, call_next: CallNext) -> Any:
            job.args = tuple(value.upper() for value in job.args)
            return await call_next(job)

    app = make_app(middleware=[Shout()])

    @app.job
    def echo(text: str) -> str:
        return text

    async with app, app.worker():
        assert await (await echo.delay("hello")).result(SOON) == "HELLO"


class Broken(Middleware):
    """Raises before the handler or after it."""

    def __init__(self, when: str) -> None:
        self.when = when

    async def process(self, job: JobContext, call_next: CallNext) -> Any:
        if self.when == "before":
            raise LookupError("no such tenant")
        value = await call_next(job)
        _check(value)
        return value


def _check(value: Any) -> None:
    raise LookupError("no such tenant")


@pytest.mark.parametrize("when", ["before", "after"])
async def test_an_error_of_a_layer_is_the_jobs_failure_and_names_the_layer(
    make_app: Callable[..., App], when: str
) -> None:
    app = make_app(middleware=[Noting("outer", []), Broken(when), Noting("inner", [])], retry=NO_RETRY)

    @app.job
    async def work() -> int:
        return 1

    async with app, app.worker():
        with pytest.raises(JobFailed, match="in the middleware Broken: no such tenant") as caught:
            await (await work.delay()).result(SOON)
    assert caught.value.error_type == "LookupError"


async def test_an_error_of_the_handler_names_no_layer(make_app: Callable[..., App]) -> None:
    app = make_app(middleware=[Noting("outer", []), Broken("after")], retry=NO_RETRY)

    @app.job
    async def work() -> int:
        raise LookupError("no such order")

    async with app, app.worker():
        with pytest.raises(JobFailed) as caught:
            await (await work.delay()).result(SOON)
    assert caught.value.error_message == "no such order"


async def test_a_layer_that_sends_again_after_an_error_sends_one_job(make_app: Callable[..., App]) -> None:
    class Again(Middleware):
        async def enqueue(self, requests: Sequence[JobRequest[Any]], send: Send) -> Any:
            first = await send(requests)
            assert [handle.id for handle in first] == [request.id for request in requests]
            return await send(requests)

    app = make_app(middleware=[Again()])

    @app.job
    async def work() -> None: ...

    async with app:
        await work.delay()
        await app.enqueue_many([work.request(), work.request()])
        assert (await app.queue_stats("default")).pending == 3


async def test_an_error_on_the_way_out_reaches_who_sends_and_nothing_is_sent(make_app: Callable[..., App]) -> None:
    class Refuse(Middleware):
        async def enqueue(self, requests: Sequence[JobRequest[Any]], send: Send) -> Any:
            raise BrokerUnavailable("not today")

    class Swallow(Middleware):
        async def enqueue(self, requests: Sequence[JobRequest[Any]], send: Send) -> Any:
            return []

    for layer, error in ((Refuse(), BrokerUnavailable), (Swallow(), ConfigurationError)):
        app = make_app(middleware=[layer])

        @app.job
        async def work() -> None: ...

        async with app:
            with pytest.raises(error):
                await work.delay()
            assert (await app.queue_stats("default")).pending == 0


def test_what_is_no_middleware_is_refused(make_app: Callable[..., App]) -> None:
    with pytest.raises(ConfigurationError, match="Make an object of it"):
        make_app(middleware=[Logging])
    with pytest.raises(ConfigurationError, match="a list of Middleware"):
        make_app(middleware=Logging())


async def test_the_default_timeout_holds_for_jobs_that_set_none(make_app: Callable[..., App]) -> None:
    app = make_app(middleware=[DefaultTimeout(0.05)], retry=NO_RETRY)

    @app.job
    async def hang() -> None:
        await asyncio.sleep(3600)

    @app.job(timeout=5)
    async def take_a_while() -> str:
        await asyncio.sleep(0.1)
        return "done"

    async with app, app.worker():
        with pytest.raises(JobFailed, match=r"default timeout of 0\.05 s"):
            await (await hang.delay()).result(SOON)
        assert await (await take_a_while.delay()).result(SOON) == "done"


class OwnTimeout(Middleware):
    """A limit as programs write it themselves."""

    async def process(self, job: JobContext, call_next: CallNext) -> Any:
        async with asyncio.timeout(0.05):
            return await call_next(job)


class ScopedTimeout(Middleware):
    """The same with anyio, which cancels again and again."""

    async def process(self, job: JobContext, call_next: CallNext) -> Any:
        with anyio.fail_after(0.05):
            return await call_next(job)


@pytest.mark.parametrize("layer", [DefaultTimeout(0.05), OwnTimeout(), ScopedTimeout()])
async def test_a_timeout_of_a_layer_starts_no_second_run_while_a_plain_function_runs(
    make_app: Callable[..., App], layer: Middleware
) -> None:
    app = make_app(middleware=[layer], retry=RetryPolicy(max_retries=5, initial=0.01, jitter=False), poll_interval=0.05)
    release = threading.Event()
    runs: list[int] = []

    @app.job
    def block() -> str:
        runs.append(current_job().attempt)
        assert release.wait(SOON)
        return "done"

    @app.job
    async def follow() -> None: ...

    async with app, Worker(app, concurrency=1).running():
        handle = await block.delay()
        await until(lambda: runs, "the handler has started")
        following = await follow.delay()
        await asyncio.sleep(0.5)
        # The slot stays taken too, as by a job that has a timeout itself.
        assert (runs, await following.status()) == ([1], JobState.PENDING)
        release.set()
        await following.result(SOON)
        if isinstance(layer, DefaultTimeout):
            assert await handle.result(SOON) == "done"


async def test_a_job_without_a_timeout_has_the_deadline_of_the_default_one(make_app: Callable[..., App]) -> None:
    app = make_app(middleware=[DefaultTimeout(60), DefaultTimeout(timedelta(minutes=2))])

    @app.job
    async def left() -> float:
        deadline = current_job().deadline
        assert deadline is not None
        return deadline.timestamp() - time.time()

    async with app, app.worker():
        assert 50 < await (await left.delay()).result(SOON) < 61


async def test_a_table_says_what_errors_mean_for_all_jobs(make_app: Callable[..., App]) -> None:
    table = Translate({ConnectionError: lambda error: Retry(after=3600), LookupError: lambda error: Discard("gone")})
    app = make_app(middleware=[table])

    @app.job
    async def work(how: str) -> None:
        raise {"reset": ConnectionResetError, "key": KeyError, "value": ValueError}[how]

    async with app:
        handles = [await work.delay(how) for how in ("reset", "key", "value")]
        await Worker(app).run_until_empty()
        states = [(await handle.refresh()).state for handle in handles]
        assert states == [JobState.RETRYING, JobState.FAILED, JobState.RETRYING]
        due_ms = (await handles[0].refresh()).due_at_ms
        assert due_ms is not None
        assert due_ms > 3_000_000 + (await handles[2].refresh()).created_at_ms


async def test_the_log_tells_start_and_end_with_the_jobs_fields(
    make_app: Callable[..., App], caplog: pytest.LogCaptureFixture
) -> None:
    app = make_app(middleware=[Logging()], retry=NO_RETRY)

    @app.job
    async def work(fails: bool) -> None:
        current_job().log.info("half way")
        if fails:
            raise ValueError("no")

    with caplog.at_level(logging.INFO, logger="asyncjobs.job"):
        async with app, app.worker():
            handle = await work.with_options(tenant="acme").delay(False)
            await handle.result(SOON)
            with pytest.raises(JobFailed):
                await (await work.delay(True)).result(SOON)
    records = [record for record in caplog.records if record.name == "asyncjobs.job"]
    assert [record.getMessage().split(",")[0] for record in records[:3]] == [
        "work started",
        "half way",
        "work succeeded",
    ]
    told: Any = records[2]
    assert (told.job_id, told.job_name, told.queue, told.attempt, told.tenant) == (
        handle.id,
        "work",
        "default",
        1,
        "acme",
    )
    assert told.duration_ms >= 0
    assert "failed: ValueError('no')" in records[-1].getMessage()
