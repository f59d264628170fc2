"""The ids of a tenant's schedules, and of their ticks, are its own."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from asyncjobs import App, ArgumentsError, UnknownJob, UnknownSchedule, current_job, tenant_scope
from tests.api.test_tenant_ids import NAMING_SCHEDULES
from tests.apps import broker_of
from tests.waiting import SOON, Notes, until

pytestmark = pytest.mark.anyio

TICK = 1_700_000_000_000


@pytest.mark.parametrize("verb", NAMING_SCHEDULES)
async def test_to_each_verb_another_tenants_schedule_is_unknown(app: App, pay: Any, verb: str) -> None:
    call: Callable[..., Awaitable[Any]] = getattr(app, verb)
    async with app:
        with tenant_scope("acme"):
            before = await app.add_schedule("nightly", pay.request(), every=60)
        for tenant in ("globex", None):
            for name in ("nightly",) if tenant is None else ("nightly", before.id):
                # What another tenant has chosen is not told either.
                hint = r"Did you mean '@acme:nightly'\?$" if tenant is None else r"those there are\.$"
                with tenant_scope(tenant), pytest.raises(UnknownSchedule, match=hint):
                    await call(name)
        assert await app.schedules() == [before]
        assert await app.jobs("ready") == []
        with tenant_scope("acme"):
            await call("nightly")


async def test_the_same_schedule_id_in_two_tenants_and_in_none_is_three_schedules(app: App, pay: Any) -> None:
    request = pay.request()
    async with app:
        for seconds, tenant in enumerate(["acme", "globex", None], 60):
            with tenant_scope(tenant):
                info = await app.add_schedule("nightly", request, every=seconds)
                assert (info.tenant, info.every) == (tenant, seconds)
                seen = {one.every for one in await app.schedules()}
                assert seen == ({60, 61, 62} if tenant is None else {seconds})
        ids = {info.id for info in await app.schedules()}
        await app.pause_schedule("@globex:nightly")
        with tenant_scope("acme"):
            triggered = await app.trigger_schedule("nightly")
            assert not (await app.find_schedule("nightly")).paused
            assert (await app.find_job(triggered.id)) == await triggered.refresh()
        with tenant_scope("globex"):
            assert (await app.find_schedule("nightly")).paused
            with pytest.raises(UnknownJob):
                await app.find_job(triggered.id)
        await app.remove_schedule("nightly")
        assert len(await app.schedules()) == 2
    assert ids == {"@acme:nightly", "@globex:nightly", "nightly"}
    assert triggered.id.startswith("@acme:")


async def test_the_ticks_of_two_tenants_schedules_are_jobs_of_their_own(make_app: Callable[..., App]) -> None:
    app = make_app(scheduler_interval=0.1)
    ran: Notes[tuple[Any, ...]] = Notes()

    @app.job
    async def work() -> None:
        job = current_job()
        assert job.tick is not None
        assert job.schedule is not None
        assert (await app.find_job(job.id)).id == job.id
        schedule = await app.find_schedule(job.schedule)
        tick_id = f"{job.schedule}@{round(job.tick.timestamp() * 1000)}"
        ran.append((job.tenant, job.schedule, schedule.id, job.id, tick_id))

    async with app, app.worker():
        for tenant in ("acme", "globex", None):
            with tenant_scope(tenant):
                await app.add_schedule("s", work.request(), every=1)
        await ran.until(lambda: len({note[0] for note in ran}) == 3, "a tick of each")
    assert {note[:3] for note in ran} == {
        ("acme", "@acme:s", "@acme:s"),
        ("globex", "@globex:s", "@globex:s"),
        (None, "s", "s"),
    }
    assert all(note[3] == note[4] for note in ran)


@pytest.mark.parametrize("tenant", ["acme", None])
async def test_no_job_can_take_the_id_of_a_tick(app: App, pay: Any, tenant: str | None) -> None:
    async with app:
        with tenant_scope(tenant):
            for prefix in ("", "@acme:") if tenant else ("",):
                with pytest.raises(ArgumentsError, match="a schedule's tick"):
                    pay.with_options(job_id=f"{prefix}nightly@{TICK}")
            for free in (f"nightly@{TICK}-child", "ada@example.com", "user@1007"):
                assert (await pay.with_options(job_id=free).delay()).is_new


async def test_a_tick_can_be_named(make_app: Callable[..., App]) -> None:
    app = make_app(scheduler_interval=0.1)

    @app.job
    async def work() -> None: ...

    async with app, app.worker():
        with tenant_scope("acme"):
            await app.add_schedule("s", work.request(), every=1)

            async def has_fired() -> bool:
                return (await app.find_schedule("s")).last_at is not None

            await until(has_fired, "a tick has fired")
            last_at = (await app.find_schedule("s")).last_at
            assert last_at is not None
            await app.handle(f"s@{round(last_at.timestamp() * 1000)}").result(timeout=SOON)


async def test_the_schedules_of_another_tenant_that_can_not_be_read_are_not_in_the_way(app: App, pay: Any) -> None:
    async with app:
        with tenant_scope("acme"):
            await app.add_schedule("s", pay.request(), every=60)
        await broker_of(app).put_schedule("default", "@globex:broken", b"\xc1", TICK)
        with tenant_scope("acme"):
            assert [info.id for info in await app.schedules()] == ["@acme:s"]
