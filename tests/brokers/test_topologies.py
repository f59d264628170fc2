"""One app on each arrangement of servers: behind sentinels, on a Cluster, with replicas to wait for."""

from __future__ import annotations

import contextlib
import signal
from collections.abc import Iterator

import anyio
import pytest
import redis

from asyncjobs import App, BrokerUnavailable, JobState, Worker
from asyncjobs.brokers.redis.keys import QueueKeys
from asyncjobs.core.retention import CLAIM_KEEP_MS
from tests.servers import Server, cluster_url, replicated, sentinel_url, sentinels
from tests.waiting import SOON, until

pytestmark = pytest.mark.anyio


@pytest.fixture
def watched() -> Iterator[tuple[list[Server], Server, Server]]:
    with sentinels() as running:
        yield running


async def test_queues_spread_over_the_nodes_of_a_cluster_and_one_worker_serves_them_all(nodes: list[Server]) -> None:
    app = App(cluster_url(nodes))
    queues = [f"queue-{number}" for number in range(6)]

    @app.job
    async def double(number: int) -> int:
        return 2 * number

    async with app, app.worker(queues=queues):
        handles = [await double.with_options(queue=queue).delay(number) for number in range(5) for queue in queues]
        assert [await handle.result(SOON) for handle in handles] == [2 * n for n in range(5) for _ in queues]
        figures = {queue.queue_name: queue.succeeded_total for queue in (await app.stats()).queues}
    assert figures == dict.fromkeys(queues, 5)
    holders = 0
    for node in nodes:
        with contextlib.closing(node.client()) as client:
            holders += client.dbsize() > 0
    assert holders == len(nodes)


async def test_a_scheduled_job_on_a_cluster_starts_when_it_is_due(nodes: list[Server]) -> None:
    app = App(cluster_url(nodes), prefix="scheduled")

    @app.job
    async def note() -> str:
        return "done"

    async with app, app.worker():
        handle = await note.schedule_in(0.2)
        assert await handle.status() is JobState.PENDING
        assert await handle.result(SOON) == "done"


@pytest.mark.parametrize("queues", [["ahead", "right"], ["right", "ahead"]])
async def test_the_clocks_of_a_clusters_nodes_may_differ(nodes: list[Server], queues: list[str]) -> None:
    app = App(cluster_url(nodes), prefix=f"skewed-{queues[0]}")

    @app.job
    async def note() -> str:
        return "done"

    with contextlib.closing(redis.RedisCluster(host="127.0.0.1", port=nodes[0].port)) as client:
        client.hset(QueueKeys(app.settings.prefix, "ahead").cfg, "shift_ms", 2 * CLAIM_KEEP_MS)
    async with app, app.worker(queues=queues):
        before = calls(nodes)
        for queue in queues:
            at_once = await note.with_options(queue=queue).delay()
            assert await at_once.result(SOON) == "done"
            later = await note.with_options(queue=queue).schedule_in(1)
            assert await later.result(SOON) == "done"
        assert calls(nodes) - before < 200


def calls(nodes: list[Server]) -> int:
    """Return how many scripts the nodes have run."""
    count = 0
    for node in nodes:
        with contextlib.closing(node.client()) as client:
            count += client.info("commandstats").get("cmdstat_evalsha", {"calls": 0})["calls"]
    return count


async def test_an_app_behind_sentinels_follows_a_failover(watched: tuple[list[Server], Server, Server]) -> None:
    watchers, primary, _ = watched
    app = App(sentinel_url(watchers), lease=2, send_timeout=SOON, durability="replicated")

    @app.job
    async def note(number: int) -> int:
        return number

    async with app, app.worker():
        assert await (await note.delay(1)).result(SOON) == 1
        primary.kill(signal.SIGKILL)
        # The other one is primary then, with no replica left to wait for.
        after = await note.with_options(durability="local").delay(2)
        with anyio.fail_after(SOON):
            assert await after.result(SOON) == 2


async def test_a_send_that_no_replica_confirms_says_so_and_its_job_still_runs_once(
    watched: tuple[list[Server], Server, Server],
) -> None:
    _, primary, replica = watched
    app = App(primary.url + "?command_timeout=0.5", send_timeout=1, durability="replicated")
    ran = []

    @app.job
    async def note() -> None:
        ran.append(1)

    async with app:
        await note.delay()
        replica.kill(signal.SIGSTOP)
        with pytest.raises(BrokerUnavailable, match="no replica has confirmed"):
            await note.delay()
        replica.kill(signal.SIGCONT)
        await note.delay()
        await Worker(app).run_until_empty()
    assert ran == [1, 1, 1]


async def test_a_replicated_send_waits_for_each_replica_that_may_be_promoted() -> None:
    with replicated(2) as (primary, replicas):
        app = App(primary.url + "?command_timeout=1", send_timeout=1, durability="replicated")
        any_one = App(primary.url + "?command_timeout=1&replicas=1", send_timeout=1, durability="replicated")

        @app.job
        async def note() -> None: ...

        @any_one.job(name="note")
        async def note_once() -> None: ...

        async with app, any_one:
            for _ in range(3):
                handle = await note.delay()
                for one in replicas:
                    with contextlib.closing(one.client()) as client:
                        assert client.exists(f"asyncjobs:{{default}}:job:{handle.id}")
            # A failover could promote the one that has not heard of the job.
            replicas[1].kill(signal.SIGSTOP)
            with pytest.raises(BrokerUnavailable, match="1 of 2 replicas has confirmed"):
                await note.delay()
            await note_once.delay()
            replicas[1].kill(signal.SIGCONT)
            await note.delay()


async def test_a_replica_that_is_gone_is_not_waited_for_unless_so_many_are_asked_for() -> None:
    with replicated(2) as (primary, replicas):
        app = App(primary.url + "?command_timeout=1", send_timeout=1, durability="replicated")
        both = App(primary.url + "?command_timeout=1&replicas=2", send_timeout=1, durability="replicated")

        @app.job
        async def note() -> None: ...

        @both.job(name="note")
        async def note_twice() -> None: ...

        async with app, both:
            await note.delay()
            await note_twice.delay()
            replicas[1].kill(signal.SIGKILL)
            with contextlib.closing(primary.client()) as client:
                await until(lambda: client.info("replication")["connected_slaves"] == 1, "one replica is gone")
            assert (await note.delay()).is_new
            with pytest.raises(BrokerUnavailable, match="1 of 2 replicas has confirmed"):
                await note_twice.delay()


async def test_a_send_that_is_known_says_so_however_often_the_replicas_are_waited_for() -> None:
    with replicated(2) as (primary, _):
        for expected in (True, False):
            app = App(primary.url, durability="replicated")

            @app.job
            async def note() -> None: ...

            async with app:
                assert (await note.with_options(job_id="one").delay()).is_new is expected
