"""What becomes of a job that fails, or whose handler says what is to become of it."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta

import pytest

from asyncjobs import (
    App,
    ArgumentsError,
    Cancel,
    ConfigurationError,
    Discard,
    JobCancelled,
    JobFailed,
    JobState,
    Retry,
    RetryPolicy,
    Snooze,
    Worker,
    current_job,
)
from asyncjobs.worker import maintenance
from tests.conformance.kits import MemoryKit, RedisKit
from tests.waiting import SOON, Notes, until

pytestmark = pytest.mark.anyio

FAST = RetryPolicy(max_retries=2, initial=0.01, jitter=False)


class RateLimited(Exception):
    """What a service answers that is asked too often."""


class Banned(RateLimited):
    """A kind of it that does not get better."""


async def test_a_rule_for_an_exception_type_holds_for_it_and_its_subclasses_the_nearest_first(app: App) -> None:
    policy = RetryPolicy(
        max_retries=0,
        rules={
            RateLimited: RetryPolicy(max_retries=2, initial=0.01, jitter=False),
            Banned: RetryPolicy(max_retries=1, initial=0.01, jitter=False),
        },
    )

    @app.job(retry=policy)
    async def fail(kind: str) -> None:
        raise {"limited": RateLimited, "banned": Banned, "other": ValueError}[kind]

    async with app, app.worker():
        handles = [await fail.delay(kind) for kind in ("limited", "banned", "other")]
        failures = []
        for handle in handles:
            with pytest.raises(JobFailed):
                await handle.result(SOON)
            failures.append((await handle.refresh()).failures)
    assert failures == [3, 2, 1]


async def test_a_function_decides_how_long_to_wait_and_when_to_give_up(app: App) -> None:
    asked = []

    def rule(error: BaseException, failures: int) -> float | None:
        asked.append((str(error), failures, current_job().attempt))
        return 0.01 * failures if failures < 3 else None

    @app.job(retry=rule)
    async def fail() -> None:
        raise ValueError("no")

    async with app, app.worker():
        handle = await fail.delay()
        with pytest.raises(JobFailed):
            await handle.result(SOON)
    assert asked == [("no", 1, 1), ("no", 2, 2), ("no", 3, 3)]


@pytest.mark.parametrize("kind", [LookupError, SystemExit])
async def test_a_rule_that_fails_itself_costs_no_job(
    app: App, caplog: pytest.LogCaptureFixture, kind: type[BaseException]
) -> None:
    def rule(error: BaseException, failures: int) -> float:
        raise kind("the rule is broken")

    @app.job(retry=rule)
    async def fail() -> None:
        raise ValueError("no")

    async with app:
        handle = await fail.delay()
        await Worker(app).run_until_empty()
        assert await handle.status() is JobState.RETRYING
        # And nor is it tried for ever: the default policy holds.
        for _ in range(RetryPolicy().max_retries):
            await app.edit_job(handle.id, delay=0)
            await Worker(app).run_until_empty()
        assert await handle.status() is JobState.FAILED
    assert "the rule is broken" in caplog.text


async def test_max_retries_of_a_call_bounds_a_rule_too(app: App) -> None:
    @app.job(retry=lambda error, failures: 0.001)
    async def fail() -> None:
        raise ValueError("no")

    async with app, app.worker():
        handle = await fail.with_options(max_retries=1).delay()
        with pytest.raises(JobFailed):
            await handle.result(SOON)
        assert (await handle.refresh()).failures == 2


async def test_retry_waits_as_long_as_it_says_and_spends_retries(app: App) -> None:
    @app.job(retry=RetryPolicy(max_retries=1, initial=3600))
    async def later() -> None:
        raise Retry(after=0.01, reason="the file isn't there yet")

    async with app, app.worker():
        handle = await later.delay()
        with pytest.raises(JobFailed, match="the file isn't there yet"):
            await handle.result(SOON)
        job = await handle.refresh()
    assert [error.type for error in job.errors] == ["asyncjobs.Retry"] * 2


async def test_retry_without_a_time_waits_as_the_policy_says(app: App) -> None:
    @app.job(retry=RetryPolicy(initial=3600, cap=3600, jitter=False))
    async def later() -> None:
        raise Retry

    async with app:
        handle = await later.delay()
        await Worker(app).run_until_empty()
        job = await handle.refresh()
    assert job.state is JobState.RETRYING
    assert job.due_at_ms is not None
    assert 3_500_000 < job.due_at_ms - job.created_at_ms < 3_700_000


async def test_retry_without_a_time_asks_the_function_that_decides(app: App) -> None:
    asked = []

    def rule(error: BaseException, failures: int) -> float | None:
        asked.append((type(error), failures))
        return 0.01 if failures < 2 else None

    @app.job(retry=rule)
    async def later() -> None:
        raise Retry

    async with app, app.worker():
        with pytest.raises(JobFailed):
            await (await later.delay()).result(SOON)
    assert asked == [(Retry, 1), (Retry, 2)]


async def test_snooze_comes_back_later_and_counts_nothing(app: App) -> None:
    attempts = []

    @app.job(retry=RetryPolicy(max_retries=0))
    async def wait_for_it() -> str:
        attempts.append(current_job().attempt)
        if len(attempts) < 4:
            raise Snooze(timedelta(milliseconds=5))
        return "there"

    async with app, app.worker():
        assert await (await wait_for_it.delay()).result(SOON) == "there"
    assert attempts == [1, 1, 1, 1]


async def test_discard_gives_up_at_once_and_can_be_retried_from_the_dead_letter_queue(app: App) -> None:
    @app.job(retry=FAST)
    async def give_up() -> None:
        raise Discard("the order was deleted")

    async with app:
        handle = await give_up.delay()
        await Worker(app).run_until_empty()
        [dead] = await app.failed_jobs()
        assert (dead.id, dead.failures, dead.errors[-1].message) == (handle.id, 1, "the order was deleted")


async def test_cancel_ends_the_job_as_cancelled_with_the_reason(app: App) -> None:
    @app.job
    def no_longer_wanted() -> None:
        raise Cancel("the customer has left")

    async with app, app.worker():
        with pytest.raises(JobCancelled, match="the customer has left"):
            await (await no_longer_wanted.delay()).result(SOON)
        assert await app.failed_jobs() == []


async def test_a_job_acknowledged_early_is_not_run_again_whatever_its_handler_asks(app: App) -> None:
    @app.job(acks="early")
    async def once(how: str) -> None:
        raise Snooze(0.01) if how == "snooze" else Retry(0.01)

    async with app, app.worker():
        for how in ("snooze", "retry"):
            with pytest.raises(JobFailed):
                await (await once.delay(how)).result(SOON)


async def test_a_timeout_says_where_the_handler_was(app: App) -> None:
    @app.job(timeout=0.05, retry=RetryPolicy(max_retries=0))
    async def hang() -> None:
        await asyncio.sleep(3600)

    async with app, app.worker():
        with pytest.raises(JobFailed, match=r"timeout of 0\.05 s") as caught:
            await (await hang.delay()).result(SOON)
    assert caught.value.error_type == "TimeoutError"
    assert "await asyncio.sleep(3600)" in caught.value.traceback


def test_wrong_values_are_refused_where_they_are_given(app: App) -> None:
    with pytest.raises(ArgumentsError, match="expected seconds or a timedelta"):
        Retry(after="soon")  # type: ignore[arg-type]
    with pytest.raises(ArgumentsError, match="at least"):
        Snooze(after=-1)
    with pytest.raises(ArgumentsError, match="a function of error and failures"):
        app.job(retry=5)  # type: ignore[call-overload]
    with pytest.raises(ConfigurationError, match="exception type"):
        RetryPolicy(rules={"ValueError": RetryPolicy()})  # type: ignore[dict-item]


async def _bury(app: App) -> None:
    @app.job(retry=RetryPolicy(max_retries=0))
    async def bad(kind: str) -> None:
        raise {"limited": RateLimited, "other": ValueError}[kind]("no")

    @app.job(queue="second", retry=RetryPolicy(max_retries=0))
    async def worse() -> None:
        raise ValueError("no")

    for tenant in ("acme", "globex"):
        await bad.with_options(tenant=tenant).delay("limited")
        await bad.with_options(tenant=tenant).delay("other")
        await worse.with_options(tenant=tenant).delay()
    await Worker(app).run_until_empty()


async def test_the_dead_are_listed_retried_and_discarded_by_filter(make_app: Callable[..., App]) -> None:
    app = make_app(queues=["default", "second"])
    async with app:
        before = datetime.now(UTC)
        await _bury(app)
        assert len(await app.failed_jobs()) == 6
        assert len(await app.failed_jobs(4)) == 4
        assert len(await app.failed_jobs(name="bad")) == 4
        assert len(await app.failed_jobs(error="RateLimited")) == 2
        assert len(await app.failed_jobs(error="ValueError", tenant="acme")) == 2
        assert len(await app.failed_jobs(queue="second", tenant="acme")) == 1
        assert len(await app.failed_jobs(since=before - timedelta(minutes=1))) == 6
        assert await app.failed_jobs(until=before - timedelta(minutes=1)) == []
        assert await app.retry_failed(name="worse", tenant="acme") == 1
        assert await app.delete_failed(error="RateLimited") == 2
        assert len(await app.failed_jobs()) == 3
        assert (await app.queue_stats("second")).pending == 1
        with pytest.raises(ArgumentsError, match="aware"):
            await app.failed_jobs(since=datetime(2026, 1, 1))  # noqa: DTZ001


async def test_more_dead_than_a_page_are_all_retried_in_the_order_of_their_deaths(make_app: Callable[..., App]) -> None:
    app = make_app()

    @app.job(retry=RetryPolicy(max_retries=0))
    async def bad(number: int) -> None:
        raise ValueError(number)

    async with app:
        await app.enqueue_many([bad.request(number) for number in range(1_201)])
        await Worker(app).run_until_empty()
        assert len(await app.failed_jobs(5_000)) == 1_201
        died = [job.id for job in await app.failed_jobs(5_000)]
        assert await app.retry_failed(name="bad") == 1_201
        assert [job.id for job in await app.jobs("ready", limit=5_000)] == died[::-1]
        figures = await app.queue_stats("default")
        assert (figures.pending, figures.failed) == (1_201, 0)


async def _dead(app: App, count: int) -> None:
    @app.job(retry=RetryPolicy(max_retries=0))
    async def bad(number: int) -> None:
        raise ValueError(number)

    await app.enqueue_many([bad.request(number) for number in range(count)])
    await Worker(app).run_until_empty()


async def test_a_running_worker_keeps_no_more_dead_than_it_should_the_latest(
    make_app: Callable[..., App], monkeypatch: pytest.MonkeyPatch
) -> None:
    # Once is enough, however many there are.
    monkeypatch.setattr(maintenance, "_PRUNE_EVERY_S", 0.5)
    prunes: Notes[int] = Notes()

    async def prune_once(self: maintenance.Maintenance) -> None:
        if not prunes:
            await original(self)
        prunes.append(len(await app.failed_jobs(5_000)))

    original = maintenance.Maintenance.prune
    monkeypatch.setattr(maintenance.Maintenance, "prune", prune_once)
    app = make_app(max_dead=3)
    async with app:
        await _dead(app, 2_100)
        # On a slow machine the worker that let them die has pruned too, before all were dead.
        prunes.clear()
        async with app.worker():
            await prunes.reach(1)
    assert prunes[0] == 3


@pytest.fixture(params=["memory", "redis"])
def kit(request: pytest.FixtureRequest) -> Iterator[MemoryKit | RedisKit]:
    """Each broker, with a hand on its clock."""
    if request.param == "memory":
        yield MemoryKit()
    else:
        with contextlib.closing(RedisKit(request.getfixturevalue("redis_server"))) as kit:
            yield kit


async def test_a_running_worker_forgets_the_dead_that_are_too_old(
    kit: MemoryKit | RedisKit, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(maintenance, "_PRUNE_EVERY_S", 0.2)
    app = App("memory://", broker=kit.broker, lease=2, dead_ttl=60)

    async def none_is_left() -> bool:
        return not await app.failed_jobs()

    async with app:
        await _dead(app, 2)
        assert len(await app.failed_jobs()) == 2
        await kit.advance(61_000)
        async with app.worker():
            await until(none_is_left, "the dead are forgotten")


async def test_a_job_that_runs_again_is_running_and_not_retrying(app: App) -> None:
    is_running, may_end = asyncio.Event(), asyncio.Event()

    @app.job(retry=RetryPolicy(max_retries=1, initial=0.01))
    async def work() -> None:
        if current_job().attempt == 1:
            raise ValueError("once")
        is_running.set()
        await may_end.wait()

    async with app:
        handle = await work.delay()
        async with app.worker():
            await until(is_running, "the second attempt runs")
            stats = await app.queue_stats("default")
            may_end.set()
            await handle.result(SOON)
    assert (stats.running, stats.retrying) == (1, 0)
