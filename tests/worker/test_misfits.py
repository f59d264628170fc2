"""Jobs that a worker can't read, or doesn't know, harm nobody."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import redis.asyncio as redis

from asyncjobs import App, JobState, Worker
from asyncjobs.brokers.redis.keys import QueueKeys
from asyncjobs.core.record.header import encode_header
from asyncjobs.jobs.registry import Registry
from asyncjobs.ports import NewJob
from tests.apps import broker_of, wait_ended
from tests.waiting import SOON

pytestmark = pytest.mark.anyio

JUNK = [b"", b"\x00", b"garbage that is long enough", b"1-2\xff\xff\xff\xff", encode_header("well", 2) + b"\xc1"]


async def _all_are_dead_and_others_run(app: App, ids: list[str]) -> None:
    @app.job
    async def well() -> str:
        return "well"

    handle = await well.delay()
    async with app.worker():
        assert await handle.result(SOON) == "well"
        for job_id in ids:
            await wait_ended(app, job_id, timeout=SOON)
    dead = await app.failed_jobs()
    assert sorted(job.id for job in dead) == ids
    assert {job.errors[-1].type for job in dead} == {"EnvelopeError"}


async def test_a_body_that_is_no_envelope_goes_to_the_dead_letter_queue_and_harms_nobody(app: App) -> None:
    async with app:
        junk = [NewJob("default", f"junk-{n}", "well", body) for n, body in enumerate(JUNK)]
        await broker_of(app).enqueue(junk)
        await _all_are_dead_and_others_run(app, [job.id for job in junk])


async def test_bytes_in_redis_that_are_no_record_go_to_the_dead_letter_queue_and_harm_nobody(redis_url: str) -> None:
    async with App(redis_url) as app, redis.from_url(redis_url) as client:
        junk = [NewJob("default", f"junk-{n}", "well", b"") for n in range(len(JUNK))]
        await broker_of(app).enqueue(junk)
        keys = QueueKeys("asyncjobs", "default")
        for job, record in zip(junk, JUNK, strict=True):
            assert await client.set(keys.of("job", job.id), record, xx=True)
        await _all_are_dead_and_others_run(app, [job.id for job in junk])


async def test_arguments_that_no_longer_fit_the_handler_go_to_the_dead_letter_queue(
    make_app: Callable[..., App],
) -> None:
    app = make_app()

    @app.job(name="resize")
    async def sender(path: str) -> None: ...

    request = sender.request("/a.png")
    later = make_app()

    @later.job(name="resize")
    async def resize(path: str, size: int) -> None: ...

    async with app, later:
        [handle] = await app.enqueue_many([request])
        await Worker(later).run_until_empty()
        job = await handle.refresh()
    assert job.state is JobState.FAILED
    assert "is missing 'size'" in job.errors[-1].message


async def test_a_job_of_an_unknown_name_waits_for_a_worker_that_knows_it(make_app: Callable[..., App]) -> None:
    app = make_app()

    @app.job(name="newer")
    async def sender() -> str: ...

    request = sender.request()
    older = make_app()

    @older.job(name="older")
    async def known() -> str: ...

    async with app:
        [handle] = await app.enqueue_many([request])
        assert await Worker(older).run_until_empty() == 0
        assert (await app.queue_stats("default")).parked == 1
        assert await handle.status() is JobState.PENDING
        await Worker(app).run_until_empty()
        assert await handle.status() is JobState.COMPLETED


async def test_a_worker_whose_app_knows_no_job_buries_none(make_app: Callable[..., App]) -> None:
    app, empty = make_app(), make_app()
    empty.registry = Registry()

    @app.job
    async def known() -> int:
        return 1

    async with app:
        handle = await known.delay()
        assert await Worker(empty).run_until_empty() == 0
        assert (await app.queue_stats("default")).parked == 1
        await Worker(app).run_until_empty()
        assert await handle.result(SOON) == 1
