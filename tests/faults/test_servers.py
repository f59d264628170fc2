"""Faults of Redis and of the way to it: killed, full, failed over, cut off, slow, silent."""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import redis

from asyncjobs import App, BrokerRefused, JobState, current_job
from tests.faults.harness import LEASE_S, SECONDS, Load, Report, Workers, opened, retried
from tests.faults.proxy import Proxy
from tests.servers import Server, cluster, cluster_url, sentinel_url, sentinels, server
from tests.waiting import SOON, Notes, until

pytestmark = pytest.mark.anyio

Check = Callable[[Report], None]


@pytest.fixture
def durable() -> Iterator[Server]:
    """A server that writes each command to disk before it answers."""
    with server(None, "--appendonly", "yes", "--appendfsync", "always") as running:
        yield running


async def test_redis_killed_and_restarted_with_aof(
    durable: Server, tmp_path: Path, report: Report, assert_nothing_lost: Check
) -> None:
    load, workers = Load(durable.url, tmp_path, send_timeout=10), Workers(durable.url, tmp_path)
    async with opened(load, workers):
        workers.start(2)
        load.start()
        for _ in range(max(1, int(SECONDS / 3))):
            await asyncio.sleep(1)
            durable.kill()
            await asyncio.sleep(0.5)
            await asyncio.to_thread(durable.start)
        await load.settle(report)
    assert_nothing_lost(report)


async def test_redis_away_for_longer_than_a_lease(
    durable: Server, tmp_path: Path, report: Report, assert_nothing_lost: Check
) -> None:
    load, workers = Load(durable.url, tmp_path), Workers(durable.url, tmp_path)
    work = load.app.registry.get("work")
    async with opened(load, workers):
        workers.start(2)
        for number in range(40):
            await load.add(work.delay(number, 3 * LEASE_S))
        await until(
            lambda: sum(len(path.read_text().splitlines()) for path in tmp_path.glob("journal-*")) == 40,
            "all 40 jobs have started",
        )
        durable.kill()
        await asyncio.sleep(1.5 * LEASE_S)
        await asyncio.to_thread(durable.start)
        await load.settle(report)
    assert_nothing_lost(report)
    # All workers live: none of their jobs may be taken from them.
    assert report.again == 0


async def test_connections_cut_at_random(
    redis_server: Server, redis_url: str, tmp_path: Path, report: Report, assert_nothing_lost: Check
) -> None:
    async with Proxy(redis_server.port) as proxy:
        url = f"redis://127.0.0.1:{proxy.port}/0"
        load, workers = Load(url, tmp_path, send_timeout=10), Workers(url, tmp_path)
        async with opened(load, workers):
            workers.start(2)
            load.start()
            until_at = time.monotonic() + SECONDS
            while time.monotonic() < until_at:
                await asyncio.sleep(0.3)
                proxy.cut()
            await load.settle(report)
    assert_nothing_lost(report)


async def test_replies_dropped_after_the_command_ran(
    redis_server: Server, redis_url: str, tmp_path: Path, report: Report, assert_nothing_lost: Check
) -> None:
    async with Proxy(redis_server.port, seed=3) as proxy:
        url = f"redis://127.0.0.1:{proxy.port}/0"
        load, workers = Load(url, tmp_path, send_timeout=10), Workers(url, tmp_path)
        async with opened(load, workers):
            workers.start(2)
            load.start()
            proxy.drop_replies = 0.05
            await asyncio.sleep(SECONDS)
            proxy.drop_replies = 0.0
            await load.settle(report)
            figures = await load.app.queue_stats("default")
        assert proxy.dropped > 0
    assert_nothing_lost(report)
    # Sent again after a lost reply, a job is one job still, and a settlement counts once.
    assert figures.processed_total == report.accepted


async def test_a_connection_that_hangs_and_one_that_is_slow(
    redis_server: Server, redis_url: str, tmp_path: Path, report: Report, assert_nothing_lost: Check
) -> None:
    async with Proxy(redis_server.port) as proxy:
        url = f"redis://127.0.0.1:{proxy.port}/0?command_timeout=1"
        load, workers = Load(url, tmp_path, send_timeout=0.5), Workers(url, tmp_path)
        async with opened(load, workers):
            workers.start(2)
            load.start()
            await asyncio.sleep(1)
            proxy.hang = True
            await asyncio.sleep(1.5)
            assert load.refused > 0
            proxy.hang = False
            proxy.delay = 0.1
            await asyncio.sleep(SECONDS / 2)
            proxy.delay = 0.0
            await load.settle(report)
    assert_nothing_lost(report)


async def test_requests_that_arrive_after_later_ones(
    redis_server: Server, redis_url: str, tmp_path: Path, report: Report, assert_nothing_lost: Check
) -> None:
    async with Proxy(redis_server.port, seed=5) as proxy:
        url = f"redis://127.0.0.1:{proxy.port}/0?command_timeout=0.5"
        load, workers = Load(url, tmp_path, send_timeout=10), Workers(url, tmp_path)
        async with opened(load, workers):
            workers.start(2)
            load.start()
            proxy.late_by = 1.5
            proxy.late = 0.03
            await asyncio.sleep(SECONDS)
            proxy.late = 0.0
            await load.settle(report)
            figures = await load.app.queue_stats("default")
        assert proxy.held_up > 0
    assert_nothing_lost(report)
    assert figures.processed_total == report.accepted


async def test_jobs_and_results_of_a_megabyte_over_a_slow_line(redis_server: Server, redis_url: str) -> None:
    """At the default settings, over 100 Mbit/s: each runs once, and none counts the death of a worker."""
    count, size = 100, 900_000
    ran: Notes[int] = Notes()

    def app_at(url: str) -> App:
        app = App(url)

        @app.job
        async def echo(number: int, data: bytes) -> bytes:
            ran.append(current_job().attempt)
            return data

        return app

    direct = app_at(redis_url)
    async with Proxy(redis_server.port) as proxy, direct:
        slow = app_at(f"redis://127.0.0.1:{proxy.port}/0")
        echo: Any = direct.registry.get("echo")
        handles = await direct.enqueue_many([echo.request(number, os.urandom(size)) for number in range(count)])
        proxy.rate = 100e6 / 8
        async with slow, slow.worker(concurrency=100):
            # 90 MB take 7.2 s in each direction.
            await until(lambda: len(ran) >= count, "all jobs have run", within=60)
            for handle in handles:
                assert len(await handle.result(60)) == size
    assert list(ran) == [1] * count


async def test_a_server_that_stalls_for_a_little_less_than_a_lease(
    durable: Server, tmp_path: Path, report: Report, assert_nothing_lost: Check
) -> None:
    url = durable.url + "?command_timeout=1.5"
    load, workers = Load(url, tmp_path), Workers(url, tmp_path, lease=3, concurrency=60)
    work = load.app.registry.get("work")
    async with opened(load, workers):
        for number in range(60):
            await load.add(work.delay(number, 13))
        workers.start(2)

        async def all_run() -> bool:
            return (await load.app.queue_stats("default")).running == 60

        await until(all_run, "all jobs run")
        for _ in range(3):
            durable.kill(signal.SIGSTOP)
            await asyncio.sleep(2.6)
            durable.kill(signal.SIGCONT)
            await asyncio.sleep(1.2)
        await load.settle(report)
    assert_nothing_lost(report)
    assert (report.dead, report.again) == (0, 0)


async def test_maxmemory_reached_and_relieved(
    redis_server: Server, redis_url: str, tmp_path: Path, report: Report, assert_nothing_lost: Check
) -> None:
    load, workers = Load(redis_url, tmp_path), Workers(redis_url, tmp_path)
    work = load.app.registry.get("work")
    with contextlib.closing(redis_server.client()) as client:
        async with opened(load, workers):
            for number in range(500):
                await load.add(work.delay(number, 0.0))
            client.config_set("maxmemory", client.info("memory")["used_memory"])
            try:
                with pytest.raises(BrokerRefused, match="out of memory"):
                    await work.delay(0, 0.0)
                # Full as it is, claiming, settling and recovering go on.
                workers.start(1)
                first = next(iter(load.accepted.values()))
                job = await first.result(timeout=SOON)
                assert job == 0
            finally:
                client.config_set("maxmemory", 0)
            load.start()
            await asyncio.sleep(1)
            await load.settle(report)
    assert_nothing_lost(report)


@pytest.mark.parametrize("durability", ["replicated", "local"])
async def test_a_sentinel_failover(durability: str, tmp_path: Path, report: Report, assert_nothing_lost: Check) -> None:
    with sentinels() as (watchers, primary, _):
        url = sentinel_url(watchers)
        load = Load(url, tmp_path, send_timeout=2, durability=durability)
        workers = Workers(url, tmp_path)
        async with opened(load, workers):
            workers.start(2)
            load.start()
            await asyncio.sleep(1.5)
            primary.kill(signal.SIGKILL)
            await asyncio.sleep(4)
            if durability == "replicated":
                # There is no replica any more to wait for.
                await load.stop()
                refused = load.refused
                assert refused > 0
            await load.settle(report)
    if durability == "replicated":
        assert_nothing_lost(report)
    assert report.doubled == 0


async def test_a_cluster_failover(tmp_path: Path, report: Report, assert_nothing_lost: Check) -> None:
    with cluster(3, 1) as nodes:
        url = cluster_url(nodes)
        load = Load(url, tmp_path, send_timeout=2, durability="replicated")
        workers = Workers(url, tmp_path)
        async with opened(load, workers):
            workers.start(2)
            load.start()
            await asyncio.sleep(1.5)
            await load.stop()
            with contextlib.closing(nodes[0].client()) as client:
                slot = client.execute_command("CLUSTER", "KEYSLOT", "{default}")
                owners = [
                    port
                    for first, last, (_, port, *_), *_ in client.execute_command("CLUSTER", "SLOTS")
                    if first <= slot <= last
                ]
            next(node for node in nodes if node.port == owners[0]).kill(signal.SIGKILL)
            work = load.app.registry.get("work")
            # The replica takes over; then there is nobody to wait for.
            after = await retried(lambda: work.with_options(durability="local").delay(7, 0.0), within=30)
            assert await retried(lambda: after.result(timeout=SOON), within=30) == 7
            load.accepted[after.id] = after
            await load.settle(report)
    assert_nothing_lost(report)


async def test_slot_migration_under_load(tmp_path: Path, report: Report, assert_nothing_lost: Check) -> None:
    with cluster(3) as nodes:
        url = cluster_url(nodes)
        load, workers = Load(url, tmp_path, send_timeout=10), Workers(url, tmp_path)
        async with opened(load, workers):
            workers.start(2)
            load.start()
            for _ in range(max(1, int(SECONDS / 4))):
                await asyncio.sleep(0.5)
                await asyncio.to_thread(move_slot, nodes)
            await load.settle(report)
    assert_nothing_lost(report)


def move_slot(nodes: list[Server]) -> None:
    """Move the slot of the queue to another node, a few keys at a time, as an operator's tool does."""
    with contextlib.ExitStack() as stack:
        clients = [stack.enter_context(contextlib.closing(node.client())) for node in nodes]
        ids = [client.execute_command("CLUSTER MYID").decode() for client in clients]
        slot = clients[0].execute_command("CLUSTER", "KEYSLOT", "{default}")
        # Whoever is asked to migrate a slot that is not his own refuses.
        for source in range(len(nodes)):
            target = (source + 1) % len(nodes)
            with contextlib.suppress(redis.ResponseError):
                clients[source].execute_command("CLUSTER", "SETSLOT", slot, "MIGRATING", ids[target])
                break
        clients[target].execute_command("CLUSTER", "SETSLOT", slot, "IMPORTING", ids[source])
        while keys := clients[source].execute_command("CLUSTER", "GETKEYSINSLOT", slot, 7):
            place = ("127.0.0.1", nodes[target].port, "", 0, 5_000)
            clients[source].execute_command("MIGRATE", *place, "REPLACE", "KEYS", *keys)
            time.sleep(0.002)
        for number in (target, source, *range(len(nodes))):
            clients[number].execute_command("CLUSTER", "SETSLOT", slot, "NODE", ids[target])


async def test_callers_cancelled_at_random_while_they_send_and_await(
    redis_url: str, tmp_path: Path, report: Report, assert_nothing_lost: Check
) -> None:
    load, workers, chance = Load(redis_url, tmp_path), Workers(redis_url, tmp_path), random.Random(4)
    work = load.app.registry.get("work")
    wrong: list[tuple[int, int]] = []

    async def call(number: int) -> None:
        handle = await work.delay(number, 0.0)
        load.accepted[handle.id] = handle
        # Each caller must get its own answer, whoever was cancelled beside it.
        result = await handle.result(timeout=SOON)
        if result != number:
            wrong.append((number, result))

    async with opened(load, workers):
        workers.start(2)
        number = 0
        until_at = time.monotonic() + SECONDS
        while time.monotonic() < until_at:
            tasks = [asyncio.create_task(call(number + n)) for n in range(50)]
            number += 50
            await asyncio.sleep(chance.random() * 0.05)
            for task in chance.sample(tasks, 25):
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            assert [task.exception() for task in tasks if not task.cancelled() and task.exception()] == []
        await load.settle(report)
        states = {await handle.status() for handle in load.accepted.values()}
    assert wrong == []
    assert states == {JobState.COMPLETED}
    assert_nothing_lost(report)
