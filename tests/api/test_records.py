"""What the record of a job tells: the names of its arguments, who runs it and since when, and a result in time."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Callable
from typing import Any

import pytest

from asyncjobs import App, Job, JobState, ResultExpired, RetryPolicy
from asyncjobs.core.bounds import MAX_DURATION_MS
from tests.apps import broker_of
from tests.waiting import SOON, until

pytestmark = pytest.mark.anyio

Command = Callable[..., Any]


@pytest.fixture
def work(app: App) -> Any:
    @app.job
    async def work(to: str, /, subject: str, *copies: str, urgent: bool = False, **headers: str) -> None: ...

    return work


async def test_arguments_have_the_names_of_the_parameters_however_they_were_given(app: App, work: Any) -> None:
    async with app:
        sent = [
            await work.delay("ada", "hello"),
            await work.delay("ada", subject="hello"),
            await work.delay("ada", "hello", "bob", "eve", urgent=True, sender="me"),
        ]
        found = [await app.find_job(handle.id) for handle in sent]
        listed = {job.id: job for job in await app.jobs("ready")}
        refreshed = [await handle.refresh() for handle in sent]
    expected: list[dict[str, Any]] = [
        {"to": "ada", "subject": "hello"},
        {"to": "ada", "subject": "hello"},
        {"to": "ada", "subject": "hello", "copies[0]": "bob", "copies[1]": "eve", "urgent": True, "sender": "me"},
    ]
    assert [job and job.named_arguments for job in found] == expected
    assert [listed[handle.id].named_arguments for handle in sent] == expected
    assert [job.named_arguments for job in refreshed] == expected


async def test_where_no_code_knows_the_job_arguments_go_by_their_position(app: App, redis_url: str) -> None:
    sender = App(redis_url)

    @sender.job
    async def work(first: int, *, second: int) -> None: ...

    # The names fit another handler of this name only where its arguments do.
    other = App(redis_url)
    other.job(name="work")(_takes_one)
    async with sender, App(redis_url) as stranger, other:
        handle = await work.delay(1, second=2)
        for one in (stranger, other):
            job = await one.find_job(handle.id)
            assert job is not None
            assert (job.arguments, job.named_arguments) == ([1, 2], {"0": 1, "second": 2})


async def _takes_one(number: int) -> None: ...


async def test_the_dead_have_named_arguments_and_tell_how_long_their_last_attempt_took(app: App) -> None:
    @app.job(retry=RetryPolicy(max_retries=1, initial=0.01))
    async def fail(text: str) -> None:
        await asyncio.sleep(0.05)
        raise LookupError(text)

    before_ms = time.time_ns() // 1_000_000
    async with app, app.worker():
        handle = await fail.delay("no")
        await until(lambda: _is_dead(handle), "the job is dead")
        [listed] = await app.failed_jobs()
        found = await handle.refresh()
    for job in (listed, found):
        assert job.named_arguments == {"text": "no"}
        assert job.started_at_ms is not None
        assert job.duration_ms is not None
        assert job.started_at_ms >= before_ms
        # A sleep may end a little early by another clock.
        assert 45 <= job.duration_ms < 1_000 * SOON
        starts = [error.started_at_ms or 0 for error in job.errors]
        assert len(starts) == 2
        assert before_ms <= starts[0] < starts[1] == job.started_at_ms


async def _is_dead(handle: Any) -> bool:
    return await handle.status() is JobState.FAILED


@pytest.mark.parametrize("kind", ["async", "thread", "process"])
async def test_a_running_job_tells_its_worker_and_when_it_began(make_app: Callable[..., App], kind: str) -> None:
    app = make_app()
    if kind == "async":
        app.job(name="hang")(_hang)
    else:
        app.job(name="hang", executor=kind)(_block)  # type: ignore[call-overload]
    before_ms = time.time_ns() // 1_000_000
    async with app, app.worker() as worker:
        handle = await app.registry.get("hang").delay(1.0)
        await until(lambda: _is_running(handle), "the job runs")
        await asyncio.sleep(0.05)
        [listed] = await app.jobs("running")
        found = await handle.refresh()
        await handle.result(SOON)
        ended = await handle.refresh()
    for job in (listed, found):
        assert (job.worker, job.finished_at_ms) == (worker.id, None)
        assert job.started_at_ms is not None
        assert job.duration_ms is not None
        assert before_ms <= job.started_at_ms <= before_ms + 1_000 * SOON
        assert 45 <= job.duration_ms < 1_000 * SOON
    assert (ended.worker, ended.state) == ("", JobState.COMPLETED)
    assert (ended.duration_ms or 0) >= 950


async def _hang(seconds: float) -> None:
    await asyncio.sleep(seconds)


def _block(seconds: float) -> None:
    time.sleep(seconds)


async def _is_running(handle: Any) -> bool:
    return await handle.status() is JobState.RUNNING


@pytest.mark.parametrize("how", ["definition", "call", "setting"])
async def test_a_result_of_half_a_second_is_gone_in_time_and_the_id_stays_known(
    make_app: Callable[..., App], how: str
) -> None:
    app = make_app(result_ttl=0.5) if how == "setting" else make_app()
    options: dict[str, Any] = {"result_ttl": 0.5}

    @app.job(**(options if how == "definition" else {}))
    async def answer() -> int:
        return 42

    call = answer.with_options(job_id="x", **(options if how == "call" else {}))
    async with app, app.worker():
        handle = await call.delay()
        assert await handle.result(SOON) == 42
        await until(lambda: _has_no_result(handle), "the result has lapsed", within=5.0)
        with pytest.raises(ResultExpired, match="or has passed"):
            await handle.result(SOON)
        with pytest.raises(ResultExpired):
            await app.handle("x").result(SOON)
        found = await app.find_job("x")
        assert found is not None
        assert (found.state, found.result) == (JobState.COMPLETED, None)
        assert not (await call.delay()).is_new


@pytest.mark.parametrize("how", ["definition", "call", "setting"])
async def test_a_result_may_be_kept_for_ever(make_app: Callable[..., App], how: str) -> None:
    app = make_app(result_ttl=math.inf) if how == "setting" else make_app()
    options: dict[str, Any] = {"result_ttl": math.inf}

    @app.job(**(options if how == "definition" else {}))
    async def answer() -> int:
        return 42

    call = answer.with_options(**(options if how == "call" else {}))
    async with app, app.worker():
        handle = await call.delay()
        assert await handle.result(SOON) == 42
        settled = Settlements(broker_of(app))
        await (await call.delay()).result(SOON)
        assert settled.ttls_ms == [MAX_DURATION_MS]
        assert await app.delete_job(handle.id)


class Settlements:
    """Notes for how long the records of ended jobs are to be kept."""

    def __init__(self, broker: Any) -> None:
        self.ttls_ms: list[int] = []
        settle = broker.settle

        async def noting(settlements: Any) -> Any:
            self.ttls_ms += [one.ttl_ms for one in settlements]
            return await settle(settlements)

        broker.settle = noting


async def _has_no_result(handle: Any) -> bool:
    job: Job = await handle.refresh()
    return not job.result
