"""Faults of workers: killed, stopped, frozen, blocked, poisoned, with a wrong clock, many at once."""

from __future__ import annotations

import asyncio
import random
import signal
import time
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest
import redis.asyncio as redis

from asyncjobs.brokers.redis.keys import QueueKeys
from asyncjobs.ports import NewJob
from tests.apps import broker_of
from tests.faults.harness import LEASE_S, SECONDS, Load, Report, Workers, opened
from tests.waiting import SOON, until, until_workers

pytestmark = pytest.mark.anyio


async def test_kill_9_of_a_random_worker_every_second(
    redis_url: str, tmp_path: Path, report: Report, assert_nothing_lost: Callable[[Report], None]
) -> None:
    load, workers, chance = Load(redis_url, tmp_path), Workers(redis_url, tmp_path), random.Random(1)
    async with opened(load, workers):
        workers.start(3)
        load.start()
        for _ in range(int(SECONDS)):
            await asyncio.sleep(1)
            workers.kill(chance.choice(workers.processes))
            workers.start()
        await load.settle(report)
    assert_nothing_lost(report)


async def test_recovery_after_kill_9_takes_a_lease_and_a_second(
    redis_url: str, tmp_path: Path, report: Report, assert_nothing_lost: Callable[[Report], None]
) -> None:
    load, workers = Load(redis_url, tmp_path), Workers(redis_url, tmp_path)
    async with opened(load, workers):
        workers.start(2)
        await until(lambda: len(list(tmp_path.glob("journal-*"))) == 2, "both workers have started")
        load.start(seconds=0.3, pause=0.02)
        await asyncio.sleep(1)
        workers.kill(workers.processes[0])
        await load.settle(report)
    assert_nothing_lost(report)
    assert report.again > 0
    # Counted from a job's first start, so what it had run before the kill is in it.
    assert report.recovery_s <= LEASE_S + 1 + 0.3


async def test_a_frozen_worker_that_wakes_after_its_lease_settles_nothing(
    redis_url: str, tmp_path: Path, report: Report, assert_nothing_lost: Callable[[Report], None]
) -> None:
    load, workers = Load(redis_url, tmp_path), Workers(redis_url, tmp_path)
    async with opened(load, workers):
        workers.start(2)
        load.start(seconds=0.2)
        for _ in range(max(1, int(SECONDS / 8))):
            frozen = workers.processes[0]
            # One that is still importing has no jobs yet.
            await workers.until_present(load.app, frozen)
            await asyncio.sleep(1)
            workers.kill(frozen, signal.SIGSTOP)
            await asyncio.sleep(LEASE_S + 1.5)
            workers.kill(frozen, signal.SIGCONT)
        await load.settle(report)
    assert_nothing_lost(report)
    assert report.again > 0


async def test_a_rolling_restart_by_sigterm(
    redis_url: str, tmp_path: Path, report: Report, assert_nothing_lost: Callable[[Report], None]
) -> None:
    load, workers = Load(redis_url, tmp_path), Workers(redis_url, tmp_path)
    async with opened(load, workers):
        workers.start(2)
        load.start(seconds=0.05)
        until_at = time.monotonic() + SECONDS
        while time.monotonic() < until_at:
            await asyncio.sleep(0.5)
            workers.start()
            # One that is still importing has no handler of signals yet.
            await workers.until_present(load.app, workers.processes[0])
            assert await workers.end(workers.processes[0]) == 0
        await load.settle(report)
        recovered = (await load.app.queue_stats("default")).recovered_total
    assert_nothing_lost(report)
    assert (report.again, recovered) == (0, 0)


async def test_a_handler_that_blocks_the_loop_for_three_leases(
    redis_url: str, tmp_path: Path, report: Report, assert_nothing_lost: Callable[[Report], None]
) -> None:
    load, workers = Load(redis_url, tmp_path), Workers(redis_url, tmp_path)
    block, work = load.app.registry.get("block"), load.app.registry.get("work")
    async with opened(load, workers):
        workers.start(2)
        for number in range(30):
            await load.add(work.delay(number, LEASE_S))
        await load.add(block.delay(3 * LEASE_S))
        await load.settle(report)
    assert_nothing_lost(report)
    assert report.again == 0


async def test_poison_that_kills_its_worker(
    redis_url: str, tmp_path: Path, report: Report, assert_nothing_lost: Callable[[Report], None]
) -> None:
    load, workers = Load(redis_url, tmp_path), Workers(redis_url, tmp_path, lease=1)
    poison = load.app.registry.get("poison")
    async with opened(load, workers):
        load.start(pause=0.05)
        await load.add(poison.delay())

        async def is_dead() -> bool:
            return "poison" in [job.name for job in await load.app.failed_jobs()]

        workers.start(2)
        async with workers.replacing_the_dead():
            await until(is_dead, "the poison is in the dead letter queue", within=60)
            await load.settle(report)
        [dead] = [job for job in await load.app.failed_jobs() if job.name == "poison"]
    assert_nothing_lost(report)
    assert (dead.deaths, dead.errors[-1].type) == (3, "WorkerDied")


async def test_poison_that_kills_its_worker_takes_no_others_with_it(
    redis_url: str, tmp_path: Path, report: Report, assert_nothing_lost: Callable[[Report], None]
) -> None:
    load, workers = Load(redis_url, tmp_path), Workers(redis_url, tmp_path, lease=1, concurrency=50)
    poison, work = load.app.registry.get("poison"), load.app.registry.get("work")
    async with opened(load, workers):
        for number in range(60):
            await load.add(work.delay(number, 1.5))
            if number == 20:
                await load.add(poison.delay())

        workers.start(2)
        async with workers.replacing_the_dead():
            await load.settle(report)
        dead = [(job.name, job.deaths) for job in await load.app.failed_jobs()]
    assert_nothing_lost(report)
    assert dead == [("poison", 3)]


async def test_random_bytes_as_payloads(
    redis_url: str, tmp_path: Path, report: Report, assert_nothing_lost: Callable[[Report], None]
) -> None:
    load, workers, chance = Load(redis_url, tmp_path), Workers(redis_url, tmp_path), random.Random(2)
    async with opened(load, workers):
        workers.start(2)
        load.start()
        junk = [NewJob("default", f"junk-{n}", "work", chance.randbytes(chance.randrange(40))) for n in range(300)]
        # Of half of them nothing is left as it was; some begin as records do, so that every layer gets its share.
        waiting = [msgspec.structs.replace(job, delay_ms=500) for job in junk[::2]]
        await broker_of(load.app).enqueue([*junk[1::2], *waiting])
        heads = [b"", b"1", b"1-2\x04\x00\x00\x00work", b"1-2\x04\x00\x00\x00work\x81\xa1a"]
        async with redis.from_url(redis_url) as client:
            for job in waiting:
                damaged = chance.choice(heads) + chance.randbytes(chance.randrange(40))
                await client.set(QueueKeys("asyncjobs", "default").of("job", job.id), damaged, xx=True)
        for job in junk:
            load.accepted[job.id] = load.app.handle(job.id)
        await load.stop()

        async def is_at_rest() -> bool:
            [figures] = await broker_of(load.app).overview(["default"])
            return not (sum(figures.ready) or figures.scheduled or figures.running)

        await until(is_at_rest, "what can be read, or is damaged, has ended", within=60)
        # Some of it says that a later version has written it, and waits for a newer worker.
        parked = await load.app.jobs("parked", limit=500)
        assert [job.id for job in parked if not job.is_newer] == []
        for job in parked:
            assert await load.app.cancel_job(job.id) == "cancelled"
        await load.settle(report)
    assert_nothing_lost(report)


async def test_a_worker_whose_clock_is_an_hour_off(
    redis_url: str, tmp_path: Path, report: Report, assert_nothing_lost: Callable[[Report], None]
) -> None:
    load, workers = Load(redis_url, tmp_path), Workers(redis_url, tmp_path)
    work = load.app.registry.get("work")
    async with opened(load, workers):
        workers.start(1, SHIFTED_CLOCK="1")
        workers.start(1)
        load.start()
        began = time.monotonic()
        later = await work.schedule_in(1, 1, 0.0)
        assert await later.result(timeout=SOON) == 1
        assert time.monotonic() - began >= 1
        await asyncio.sleep(LEASE_S + 1)
        await load.settle(report)
    assert_nothing_lost(report)
    assert (report.again, report.recovery_s) == (0, 0)


async def test_64_workers_on_one_queue(
    redis_url: str, tmp_path: Path, report: Report, assert_nothing_lost: Callable[[Report], None]
) -> None:
    load, workers = Load(redis_url, tmp_path), Workers(redis_url, tmp_path, concurrency=2)
    work = load.app.registry.get("work")
    async with opened(load, workers):
        # Objects in four processes.
        workers.start(4, CREW="16")
        await until_workers(load.app, 64)
        sent = await load.app.enqueue_many([work.request(number, 0.0) for number in range(3_000)])
        for handle in sent:
            load.accepted[handle.id] = handle
        await load.settle(report)
        results = [await handle.result(timeout=SOON) for handle in sent]
    assert results == list(range(3_000))
    assert_nothing_lost(report)
    assert report.again == 0
