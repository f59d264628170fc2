"""Verbs that end many jobs at once: by a filter, or all of a queue."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from asyncjobs import App, ArgumentsError, JobCancelled, JobState, RetryPolicy, Worker, tenant_scope
from tests.apps import broker_of
from tests.waiting import SOON, until

pytestmark = pytest.mark.anyio


@pytest.fixture
def work(app: App) -> Any:
    @app.job
    async def work(number: int = 1) -> int:
        return number

    return work


@pytest.fixture
def more(app: App) -> Any:
    @app.job(queue="second", retry=RetryPolicy(max_retries=0))
    async def more() -> None:
        raise LookupError("no")

    return more


async def _left(app: App) -> set[str]:
    return {job.id for state in ("ready", "scheduled", "parked") for job in await app.jobs(state)}  # type: ignore[arg-type]


async def test_jobs_are_cancelled_by_name_tenant_state_queue_and_time(app: App, work: Any, more: Any) -> None:
    async with app:
        plain, other = await work.delay(), await more.delay()
        later = await work.schedule_in(60)
        of_tenant = await work.with_options(tenant="acme").delay()
        elsewhere = await work.with_options(queue="second").delay()
        everything = {one.id for one in (plain, other, later, of_tenant, elsewhere)}
        now = datetime.now(UTC)
        assert await app.cancel_jobs(since=now + timedelta(minutes=5)) == 0
        assert await app.cancel_jobs(until=now - timedelta(minutes=5)) == 0
        assert await app.cancel_jobs(name="unknown") == 0
        assert await app.cancel_jobs("running") == 0
        assert await _left(app) == everything
        assert await app.cancel_jobs("scheduled", reason="too late") == 1
        assert await app.cancel_jobs(name="work", queue="second") == 1
        assert await app.cancel_jobs(tenant="acme", until=now + timedelta(minutes=5)) == 1
        assert await _left(app) == {plain.id, other.id}
        assert await app.cancel_jobs(name="more", since=now - timedelta(minutes=5)) == 1
        assert await app.cancel_jobs() == 1
        assert await _left(app) == set()
        with pytest.raises(JobCancelled, match="too late"):
            await later.result(SOON)
        with pytest.raises(JobCancelled, match="cancelled by request"):
            await plain.result(SOON)


async def test_the_handlers_of_running_jobs_are_cancelled_and_counted_once(app: App, work: Any) -> None:
    started = asyncio.Event()

    @app.job
    async def hang() -> None:
        started.set()
        await asyncio.sleep(2 * SOON)

    async with app, app.worker(concurrency=1):
        running = await hang.delay()
        await until(started, "the handler has started")
        waiting = await work.delay()
        assert await app.cancel_jobs(name="hang") == 1
        with pytest.raises(JobCancelled):
            await running.result(SOON)
        assert await waiting.result(SOON) == 1


async def test_a_purged_queue_has_no_jobs_and_other_queues_have_theirs(app: App, work: Any, more: Any) -> None:
    async with app:
        await more.delay()
        await Worker(app, queues=["second"]).run_until_empty()
        await more.schedule_in(60)
        ready, kept = await more.with_options(tenant="acme").delay(), await work.delay()
        assert (await app.queue_stats("second")).failed == 1
        assert await app.purge_queue("second") == 3
        figures = await app.queue_stats("second")
        assert (figures.size, figures.failed, await app.failed_jobs()) == (0, 0, [])
        with pytest.raises(JobCancelled, match="the jobs of queue 'second' were purged"):
            await ready.result(SOON)
        assert await kept.status() is JobState.PENDING
        assert await app.purge_queue("second") == 0
        # What is sent after that runs.
        again = await work.with_options(queue="second").delay(7)
        await Worker(app, queues=["second"]).run_until_empty()
        assert await again.result(SOON) == 7


async def test_for_code_of_a_tenant_there_are_only_its_jobs(app: App, work: Any) -> None:
    async with app:
        others = [await work.delay(), await work.with_options(tenant="globex").delay()]
        for verb in (lambda: app.purge_queue("default"), app.cancel_jobs):
            await work.with_options(tenant="acme").delay()
            with tenant_scope("acme"):
                assert await verb() == 1
        assert await _left(app) == {one.id for one in others}


async def test_no_call_has_many_jobs_however_many_there_are(
    app: App, work: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with app:
        await app.enqueue_many([work.request(number) for number in range(2_100)])
        broker, sizes = broker_of(app), []
        for name in ("page", "cancel"):
            monkeypatch.setattr(broker, name, _noting(getattr(broker, name), sizes))
        assert await app.purge_queue("default") == 2_100
        assert max(sizes) <= 500
        assert await _left(app) == set()
        monkeypatch.undo()
        # A worker finds what comes behind so many cancelled ones at once.
        handle = await work.delay(5)
        async with app.worker(concurrency=1):
            assert await handle.result(SOON) == 5


def _noting(verb: Callable[..., Awaitable[Any]], sizes: list[int]) -> Callable[..., Awaitable[Any]]:
    async def noting(*args: Any, **options: Any) -> Any:
        reply = await verb(*args, **options)
        sizes.append(len(getattr(reply, "jobs", reply)))
        return reply

    return noting


@pytest.mark.parametrize("verb", ["cancel_jobs", "retry_failed", "delete_failed", "failed_jobs"])
async def test_a_filter_with_a_slip_of_the_pen_lets_no_job_pass(app: App, work: Any, verb: str) -> None:
    async with app:
        await work.delay()
        with pytest.raises(ArgumentsError, match=r"nmae= is no filter.* Did you mean 'name'\?"):
            await getattr(app, verb)(nmae="work")
        assert len(await _left(app)) == 1


@pytest.mark.parametrize(
    "verb",
    [
        lambda app: app.cancel_jobs("failed"),
        lambda app: app.cancel_jobs(5),
        lambda app: app.cancel_jobs(tenant=""),
        lambda app: app.cancel_jobs(since=datetime(2026, 1, 1)),  # noqa: DTZ001
        lambda app: app.cancel_jobs(reason=5),
        lambda app: app.cancel_jobs(queue="a{b"),
        lambda app: app.purge_queue("a{b"),
        lambda app: app.purge_queue(None),
    ],
)
async def test_what_can_not_be_meant_is_refused(app: App, verb: Callable[[App], Awaitable[object]]) -> None:
    async with app:
        with pytest.raises(ArgumentsError, match="expected"):
            await verb(app)
