"""A fleet of two versions: what a newer asyncjobs has written waits for a newer worker, and is shown as what it is."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import timedelta

import msgspec
import pytest
import redis.asyncio as redis

from asyncjobs import App, BrokerRefused, JobCancelled, JobState, NewerVersion
from asyncjobs.app.deploy_check import check_jobs
from asyncjobs.brokers.redis import session
from asyncjobs.core.settlement import Settlement, Verdict
from asyncjobs.errors import EnvelopeError
from asyncjobs.jobs.events import encode_event
from asyncjobs.ports import ClaimRequest, Emission, Lease, NewJob
from asyncjobs.worker import presence
from tests.apps import broker_of
from tests.waiting import SOON, Notes, until

pytestmark = pytest.mark.anyio

NEWER = b"\x02\x93whatever"


async def _is_parked(app: App, job_id: str) -> None:
    async def is_parked() -> bool:
        return [job.id for job in await app.jobs("parked")] == [job_id]

    await until(is_parked, "the newer job is set aside")


async def _send_newer(app: App) -> str:
    await broker_of(app).enqueue([NewJob("default", "newer", "work", NEWER, tenant="acme")])
    return "newer"


async def _send_with_newer_tries(app: App) -> str:
    """Send a job that a newer worker has tried once."""
    handle = await app.enqueue_many([app.registry.get("work").request()])
    claim = await broker_of(app).claim(
        ClaimRequest(worker="newer", number=1, queues=["default"], limit=1, lease_ms=60_000)
    )
    [one] = claim.jobs
    retried = Settlement("default", one.id, one.name, one.priority, one.fence, Verdict.RETRY, tries=b"1:0:" + NEWER)
    assert await broker_of(app).settle([retried]) == [True]
    return handle[0].id


@pytest.mark.parametrize("send", [_send_newer, _send_with_newer_tries])
async def test_a_newer_job_is_set_aside_once_logged_listed_as_newer_and_never_buried(
    make_app: Callable[..., App], send: Callable[[App], object], caplog: pytest.LogCaptureFixture
) -> None:
    app, ran = make_app(unknown_job_grace=0), Notes[str]()

    @app.job
    async def work() -> None:
        ran.append("work")

    @app.job
    async def other() -> None:
        ran.append("other")

    async with app:
        job_id = await send(app)  # type: ignore[misc]
        assert isinstance(job_id, str)
        async with app.worker():
            await _is_parked(app, job_id)
            await other.delay()
            await ran.reach(1)
        # Another worker of this version, whose start looks at what is set aside.
        async with app.worker():
            await other.delay()
            await ran.reach(2)
            await _is_parked(app, job_id)
        assert await app.failed_jobs() == []
        [job] = await app.jobs("parked")
        assert (job.name, job.is_newer, job.version, job.failures) == ("work", True, 2, int(send is not _send_newer))
        problems, _ = await check_jobs(app)
        assert [(one.name, one.reason) for one in problems] == [
            ("work", "a newer asyncjobs has written its record, of version 2")
        ]
        assert await app.edit_job(job_id, priority="high") == "edited"
        with pytest.raises(EnvelopeError, match="can't be moved"):
            await app.edit_job(job_id, to_queue="elsewhere")
        await _is_parked(app, job_id)
        assert await app.cancel_job(job_id) == "cancelled"
        with pytest.raises(JobCancelled):
            await app.handle(job_id).result(SOON)
        assert await app.delete_job(job_id)
    told = [record.getMessage() for record in caplog.records if "wait for a newer worker" in record.getMessage()]
    [line] = told
    assert "upgrade this one" in line
    assert ran == ["other", "other"]


@pytest.mark.parametrize("rest", [None, b"-2\xff\xff\xff\xffno header that fits"])
async def test_a_record_with_a_newer_header_waits_and_is_taken_by_a_worker_that_reads_it(
    redis_url: str, rest: bytes | None
) -> None:
    app, ran = App(redis_url), Notes[str]()

    @app.job
    async def work() -> None:
        ran.append("work")

    async with app, redis.from_url(redis_url) as client:
        handle = await work.with_options(tenant="acme").delay()
        key = f"asyncjobs:{{default}}:job:{handle.id}"
        record = await client.get(key)
        await client.set(key, b"2" + (rest or record[1:]))
        async with app.worker():
            await _is_parked(app, handle.id)
            assert await app.failed_jobs() == []
            [job] = await app.jobs("parked")
            assert (job.name, job.tenant) == (("work", "acme") if rest is None else ("", ""))
            assert await handle.status() is JobState.PENDING
        # As a worker of version 0 would have set aside a record of this version.
        await client.set(key, b"10" + record[2:])
        await client.rename("asyncjobs:{default}:parked:version:1", "asyncjobs:{default}:parked:version:0")
        await client.delete("asyncjobs:{default}:parked")
        await client.hset("asyncjobs:{default}:parked", "version:0", 1)
        async with app.worker():
            await handle.result(SOON)
    assert ran == ["work"]


@pytest.mark.parametrize("rest", [None, b"-2\xff\xff\xff\xffno header that fits"])
async def test_a_waiting_job_with_a_newer_header_is_cancelled_edited_and_listed(
    redis_url: str, rest: bytes | None
) -> None:
    app = App(redis_url)

    @app.job
    async def work() -> None: ...

    async with app, redis.from_url(redis_url) as client:
        for when in (None, timedelta(hours=1)):
            handle = await work.delay() if when is None else await work.schedule_in(when)
            key = f"asyncjobs:{{default}}:job:{handle.id}"
            await client.set(key, b"2" + (rest or (await client.get(key))[1:]))
            state = "ready" if when is None else "scheduled"
            assert [(job.id, job.is_newer) for job in await app.jobs(state)] == [(handle.id, True)]  # type: ignore[arg-type]
            assert await app.edit_job(handle.id, delay=3600) == "edited"
            assert [job.id for job in await app.jobs("scheduled")] == [handle.id]
            assert await handle.cancel("not needed")
            with pytest.raises(JobCancelled, match="not needed"):
                await handle.result(SOON)
        assert (await app.queue_stats("default")).pending == 0


async def test_the_result_of_a_newer_worker_is_a_clear_error_and_no_endless_wait(redis_url: str) -> None:
    app = App(redis_url)

    @app.job
    async def work() -> int:
        return 1

    async with app, redis.from_url(redis_url) as client:
        async with app.worker():
            handle = await work.delay()
            await handle.result(SOON)
        await client.setrange(f"asyncjobs:{{default}}:job:{handle.id}", 0, b"2")
        assert await handle.status() is JobState.COMPLETED
        with pytest.raises(NewerVersion, match=r"has version 2.*upgrade this one"):
            await handle.result(SOON)
        assert await app.delete_job(handle.id)


async def test_events_of_a_newer_worker_are_left_out_and_counted_as_dropped(
    make_app: Callable[..., App], caplog: pytest.LogCaptureFixture
) -> None:
    app = make_app()

    @app.job
    async def work() -> None: ...

    async with app:
        handle = await work.delay()
        request = ClaimRequest(worker="newer", number=1, queues=["default"], limit=1, lease_ms=60_000)
        [one] = (await broker_of(app).claim(request)).jobs
        lease = Lease("default", one.id, one.priority, one.fence)
        told = [NEWER, encode_event(1, 1, "data", "first"), NEWER, NEWER, encode_event(1, 1, "data", "second")]
        assert await broker_of(app).emit([Emission(lease, 1, 0, told)], 100, 60_000) == [True]
        await handle.cancel()
        events = []
        async for event in handle.events():
            events.append((event.number, event.data, event.dropped))
            if len(events) == 2:
                break
    assert events == [(2, "first", 1), (5, "second", 2)]
    assert sum("are left out" in record.getMessage() for record in caplog.records) == 1


async def test_a_newer_schedule_is_neither_replaced_nor_fired_and_shown(make_app: Callable[..., App]) -> None:
    app, ran = make_app(), Notes[str]()

    @app.job(every=3600)
    async def work() -> None: ...

    @app.job
    async def other() -> None:
        ran.append("other")

    async with app:
        await broker_of(app).put_schedule("default", "work", NEWER, 1)
        async with app.worker():
            await other.delay()
            await ran.reach(1)
        [info] = await app.schedules()
        assert (info.id, info.name, info.upcoming()) == ("work", "", [])
        assert "has version 2" in info.problem
        [stored] = (await broker_of(app).schedules("default")).schedules
        assert (stored.data, stored.next_ms) == (NEWER, 1)
        await app.pause_schedule("work")
        for verb in (app.resume_schedule, app.trigger_schedule):
            with pytest.raises(NewerVersion, match="upgrade this one"):
                await verb("work")
        await app.remove_schedule("work")
        assert await app.schedules() == []


async def test_an_open_app_refuses_once_the_schema_was_raised(redis_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(session, "_REGISTER_EVERY_S", 0.0)
    app = App(redis_url)

    @app.job
    async def work() -> None: ...

    async with app, redis.from_url(redis_url) as client:
        await work.delay()
        await client.hset("asyncjobs:meta", "schema", 3)
        for _ in range(2):
            with pytest.raises(BrokerRefused, match=r"has schema version 3; this asyncjobs reads versions 1 and 2"):
                await work.delay()
        with pytest.raises(BrokerRefused, match="schema version 3"):
            await app.stats()
        await client.hset("asyncjobs:meta", "schema", 1)
        await work.delay()
        assert len(await app.jobs("ready")) == 2


async def test_a_worker_claims_nothing_once_the_schema_was_raised(
    redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(presence, "_ANNOUNCE_EVERY_S", 0.05)
    app, ran = App(redis_url, poll_interval=0.1, shutdown_timeout=1), Notes[int]()

    @app.job
    async def work(number: int) -> None:
        ran.append(number)

    async with App(redis_url) as sender, app, redis.from_url(redis_url) as client, app.worker():
        await work.with_options(app=sender).delay(1)
        await ran.reach(1)
        await client.hset("asyncjobs:meta", "schema", 3)

        async def is_refused() -> bool:
            try:
                await app.stats()
            except BrokerRefused:
                return True
            return False

        await until(is_refused, "the worker's app has noticed the schema")
        await work.with_options(app=sender).delay(2)
        await asyncio.sleep(0.5)
        assert ran == [1]
        await client.hset("asyncjobs:meta", "schema", 1)
        await ran.reach(2)


async def test_jobs_that_a_worker_without_their_name_takes_reach_the_worker_that_knows_it_at_once(
    make_app: Callable[..., App],
) -> None:
    # So long that no poll helps.
    knowing, unknowing, ran = make_app(poll_interval=60), make_app(poll_interval=60), Notes[int]()

    @knowing.job
    async def work(number: int) -> None:
        ran.append(number)

    @unknowing.job
    async def other() -> None: ...

    async with knowing, unknowing, unknowing.worker(), knowing.worker(), unknowing.worker():
        for number in range(5):
            began = asyncio.get_running_loop().time()
            await work.with_options(app=knowing).delay(number)
            await ran.reach(number + 1)
            assert asyncio.get_running_loop().time() - began < 2.5
        await knowing.enqueue_many([work.request(number) for number in range(3_003)])
        await ran.reach(5 + 3_003)
    assert sorted(ran) == sorted([*range(5), *range(3_003)])


def test_the_version_of_a_newer_job_is_in_its_plain_data_and_no_other() -> None:
    from asyncjobs.core.job import create_job
    from asyncjobs.core.priority import Priority
    from asyncjobs.core.record.envelope import Envelope
    from asyncjobs.core.view import job_summary

    job = create_job("one", "work", "default", Priority.HIGH, Envelope())
    assert "version" not in msgspec.to_builtins(job_summary(job))
    assert msgspec.to_builtins(job_summary(msgspec.structs.replace(job, version=2)))["version"] == 2


async def test_statistics_leave_out_what_only_a_newer_asyncjobs_knows(redis_url: str) -> None:
    app = App(redis_url)

    @app.job
    async def work() -> None: ...

    async with app, redis.from_url(redis_url) as client:
        await work.delay()
        await app.suspend_name("other", queue="default")
        await client.zadd("asyncjobs:workers", {"newer": 1})
        await client.set("asyncjobs:{}:worker:newer", NEWER)
        labels = msgspec.msgpack.encode(["name:other", "share:of-a-newer-kind"])
        await client.hset("asyncjobs:{default}:cfg", "held", labels)
        stats = await app.stats()
        assert stats.workers == []
        assert [one.paused for one in stats.queues] == [False]
        assert await app.suspended_names() == {"default": ["other"]}


async def test_a_schema_that_is_no_number_is_refused(redis_url: str) -> None:
    async with redis.from_url(redis_url) as client:
        await client.hset("asyncjobs:meta", "schema", "of mine")
    with pytest.raises(BrokerRefused, match="has schema version of mine"):
        async with App(redis_url):
            pass
