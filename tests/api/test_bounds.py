"""Durations, times and counts have one bound each, wherever a user gives them."""

from __future__ import annotations

import math
import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest

from asyncjobs import App, ArgumentsError, ConfigurationError, JobFailed, JobState, Retry, RetryPolicy, Snooze, Worker
from asyncjobs.core.bounds import MAX_COUNT, MAX_DURATION_MS, shown
from asyncjobs.core.duration import utc_time
from asyncjobs.middleware import DefaultTimeout
from asyncjobs.settings import load_settings
from asyncjobs.tenancy import CachedTenants, StaticTenants
from tests.waiting import SOON, until

pytestmark = pytest.mark.anyio

LONGEST_S = MAX_DURATION_MS / 1000

TOO_LONG = [sys.maxsize, 1e13, 1e16, 1e18, 1e300, 10**400, 10**5_000, LONGEST_S + 1, timedelta.max]
NO_DURATION = [math.inf, -math.inf, math.nan, True, "1", None]
FAR = [
    datetime.max.replace(tzinfo=UTC),
    datetime.max.replace(tzinfo=timezone(timedelta(hours=-12))),
    datetime(9999, 1, 1, tzinfo=UTC),
]

APP = App("memory://")


@APP.job
async def work() -> None: ...


DURATIONS: dict[str, Callable[[Any], object]] = {
    "result_ttl": lambda given: work.with_options(result_ttl=given),
    "expires": lambda given: work.with_options(expires=given),
    "timeout": lambda given: work.with_options(timeout=given),
    "schedule_in": lambda given: work.schedule_in(given),
    "@job(result_ttl=)": lambda given: APP.job(result_ttl=given),
    "@job(every=)": lambda given: APP.job(every=given if given is not None else "none"),
    "Snooze": lambda given: Snooze(given),
    "Retry": lambda given: Retry(given if given is not None else "none"),
    "RetryPolicy(initial=)": lambda given: RetryPolicy(initial=given),
    "RetryPolicy(cap=)": lambda given: RetryPolicy(cap=given),
    "DefaultTimeout": lambda given: DefaultTimeout(given),
    "CachedTenants(ttl=)": lambda given: CachedTenants(StaticTenants({}), ttl=given),
}


@pytest.mark.parametrize("take", DURATIONS.values(), ids=DURATIONS)
def test_a_duration_beyond_the_bound_is_refused_where_it_is_given(
    take: Callable[[Any], object], request: pytest.FixtureRequest
) -> None:
    for given in TOO_LONG:
        with pytest.raises((ArgumentsError, ConfigurationError), match=r"=.*: expected at most 36,525 days"):
            take(given)
    for given in NO_DURATION:
        if given == math.inf and "result_ttl" in request.node.callspec.id:
            # For ever.
            continue
        with pytest.raises((ArgumentsError, ConfigurationError), match="expected seconds or a timedelta"):
            take(given)
    with pytest.raises((ArgumentsError, ConfigurationError), match="expected at least"):
        take(-1)


@pytest.mark.parametrize("name", ["lease", "result_ttl", "dead_ttl", "event_ttl", "unknown_job_grace", "send_timeout"])
@pytest.mark.parametrize("given", [*TOO_LONG, math.nan, -math.inf, "1e99", "nan"], ids=shown)
def test_a_setting_beyond_the_bound_is_refused(name: str, given: object) -> None:
    with pytest.raises(ConfigurationError, match=f"{name}=.*: expected seconds, at least"):
        load_settings("memory://", {name: given}, {})


@pytest.mark.parametrize("given", [MAX_COUNT + 1, 10**400, 10**5_000, -1, True, 1.5, "many"], ids=shown)
def test_a_count_beyond_the_bound_is_refused_where_it_is_given(given: Any) -> None:
    for take in (
        lambda: work.with_options(max_retries=given),
        lambda: RetryPolicy(max_retries=given),
        lambda: load_settings("memory://", {"max_dead": given}, {}),
        lambda: load_settings("memory://", {"max_deaths": given}, {}),
        lambda: Worker(APP, concurrency=given),
    ):
        with pytest.raises((ArgumentsError, ConfigurationError), match=r"=.*: expected"):
            take()


async def test_a_time_beyond_the_bound_is_refused_where_it_is_given(app: App) -> None:
    @app.job
    async def later() -> None: ...

    async with app:
        for when in FAR:
            with pytest.raises(ArgumentsError, match=r"schedule_at was given 9999-.*at most 36,525 days"):
                later.schedule_at(when)
            with pytest.raises(ArgumentsError, match=r"edit_job was given 9999-.*at most 36,525 days"):
                await app.edit_job("any", at=when)
        with pytest.raises(ArgumentsError, match=r"delay=.*at most 36,525 days"):
            await app.edit_job("any", delay=1e13)


async def test_the_longest_durations_and_the_earliest_time_are_taken_and_listed(app: App) -> None:
    @app.job(timeout=LONGEST_S, retry=RetryPolicy(initial=LONGEST_S, cap=LONGEST_S, jitter=False))
    async def later(how: str) -> str:
        if how == "snooze":
            raise Snooze(LONGEST_S)
        if how == "retry":
            raise Retry(LONGEST_S)
        if how == "fail":
            raise ValueError(how)
        return how

    async with app:
        longest = later.with_options(result_ttl=LONGEST_S, expires=LONGEST_S, max_retries=MAX_COUNT)
        put_off = [await longest.schedule_in(LONGEST_S, "later")]
        handles = {how: await longest.delay(how) for how in ("snooze", "retry", "fail")}
        now = await longest.schedule_at(datetime.min.replace(tzinfo=UTC), "now")
        await app.add_schedule("rare", later.request("rare"), every=LONGEST_S)
        assert await app.edit_job(put_off[0].id, delay=LONGEST_S) == "edited"
        async with app.worker():
            assert await now.result(SOON) == "now"
            await _until_none_is_startable(app)
        listed = {job.id: job for job in await app.jobs("scheduled")}
        assert set(listed) == {put_off[0].id, *(handle.id for handle in handles.values())}
        assert all(job.due_at_ms is not None and utc_time(job.due_at_ms).year >= 2100 for job in listed.values())
        [schedule] = await app.schedules()
        assert schedule.next_at is not None
        assert schedule.next_at.year < 2200
        assert 50 < len(schedule.upcoming(1_000)) < 1_000


async def test_a_handler_that_raises_an_absurd_duration_fails_alone_and_says_why(app: App) -> None:
    @app.job(retry=RetryPolicy(max_retries=0))
    async def work(how: str) -> str:
        if how == "snooze":
            raise Snooze(1e13)
        if how == "retry":
            raise Retry(1e16)
        return how

    async with app, app.worker():
        handles = [await work.delay(how) for how in ("snooze", "fine", "retry", "well")]
        assert [await handles[1].result(SOON), await handles[3].result(SOON)] == ["fine", "well"]
        for handle in (handles[0], handles[2]):
            with pytest.raises(JobFailed, match="at most 36,525 days"):
                await handle.result(SOON)


async def test_a_wait_that_is_changed_behind_the_check_loses_no_job_and_spoils_no_listing(app: App) -> None:
    @app.job
    async def work(how: str) -> str:
        if how == "snooze":
            snooze = Snooze(1)
            snooze.after_ms = 10**30
            raise snooze
        if how == "retry":
            retry = Retry(1)
            retry.after_ms = 10**30
            raise retry
        return how

    async with app:
        handles = [await work.delay(how) for how in ("snooze", "fine", "retry")]
        async with app.worker():
            assert await handles[1].result(SOON) == "fine"
            await _until_none_is_startable(app)
        states = {job.id: job.state for job in await app.jobs("scheduled")}
        assert states == {handles[0].id: JobState.PENDING, handles[2].id: JobState.RETRYING}


async def _until_none_is_startable(app: App) -> None:
    async def none_is() -> bool:
        figures = await app.queue_stats("default")
        return not (figures.pending or figures.running)

    await until(none_is, "no job can be started")
