"""What calls cost the server: not more with the jobs that they aren't about, and nothing where nothing happens."""

from __future__ import annotations

import hashlib

import msgspec
import pytest
import redis

from asyncjobs import App, Worker
from asyncjobs.brokers.redis.scripts import load
from asyncjobs.core.limits import QueueLimit, Rate
from asyncjobs.errors import BrokerRefused, ResultTimeout
from asyncjobs.ports import ClaimRequest, NewJob, WorkerInfo
from asyncjobs.testing.conformance.bench import Bench
from asyncjobs.testing.conformance.lined import declare, lined
from tests.apps import broker_of
from tests.brokers.test_script_faults import claim, enqueue
from tests.brokers.test_scripts import KEYS, run
from tests.servers import Server

pytestmark = pytest.mark.anyio

FEW, MANY = 100, 30_000


def server_us(client: redis.Redis) -> float:
    """Return the time that the server has spent in scripts."""
    found = client.info("commandstats")
    return sum(float(found[name]["usec"]) for name in ("cmdstat_eval", "cmdstat_evalsha") if name in found)


def refuse(monkeypatch: pytest.MonkeyPatch, way: str, *names: str) -> None:
    """Let scripts fail where they make their functions that are ``rare``, or ``rarer``."""
    for script in map(load, names):
        text = script.text.replace(f"function {way}()\n", f"function {way}()\nerror('a {way} function')\n")
        assert text != script.text
        monkeypatch.setattr(script, "text", text)
        monkeypatch.setattr(script, "sha", hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest())


async def test_a_plain_job_makes_no_rare_function_from_send_to_end(
    running: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    refuse(monkeypatch, "rare", "enqueue", "claim", "settle")
    app = App(running.url)

    @app.job
    async def noop() -> None: ...

    async with app:
        for _ in range(3):
            await app.enqueue_many([noop.request() for _ in range(150)])
            await Worker(app).run_until_empty()
        assert (await app.queue_stats("default")).succeeded_total == 450
        with pytest.raises(BrokerRefused, match="a rare function"):
            await noop.schedule_in(60)


async def test_a_job_whose_limits_have_room_makes_no_function_that_only_others_need(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    refuse(monkeypatch, "rarer", "claim", "settle")
    await declare(bench, all=1_000, each=QueueLimit(running=500, rate=Rate(10_000, burst=1_000)))
    for _ in range(3):
        await bench.send(*(lined(bench, f"group-{n % 3}", ["all", f"each={n % 7}"]) for n in range(50)))
        for limit in (20, 50):
            claimed = (await bench.claim(limit)).jobs
            assert len(claimed) >= 20
            assert all(await bench.settle(claimed))
    await declare(bench, all=1)
    await bench.send(*(lined(bench, "", ["all", f"each={n}"]) for n in range(2)))
    with pytest.raises(BrokerRefused, match="a rarer function"):
        await bench.claim()


@pytest.mark.parametrize("call", ["find", "cancel", "edit", "wait"])
async def test_the_cost_of_a_call_about_one_job_does_not_grow_with_those_that_run(running: Server, call: str) -> None:
    costs = []
    client = running.client()
    for count in (FEW, MANY):
        client.flushall()
        app = App(running.url)

        @app.job
        async def noop() -> None: ...

        async with app:
            handles = await app.enqueue_many([noop.request() for _ in range(count)])
            broker = broker_of(app)
            for number in range(1, count // 1000 + 2):
                request = ClaimRequest(worker="one", number=number, queues=["default"], limit=1000, lease_ms=3_600_000)
                await broker.claim(request)
            waiting = await app.enqueue_many([noop.request() for _ in range(50)])
            before = server_us(client)
            for one in waiting:
                if call == "find":
                    await one.status()
                elif call == "cancel":
                    await one.cancel()
                elif call == "edit":
                    await app.edit_job(one.id, queue="default", priority="low")
                else:
                    with pytest.raises(ResultTimeout):
                        await handles[-1].result(0.001)
            costs.append(server_us(client) - before)
    client.close()
    assert costs[1] < 10 * costs[0]


async def test_recovery_writes_nothing_where_nothing_runs(running: Server) -> None:
    client = running.client()
    client.flushall()
    app = App(running.url)

    @app.job
    async def noop() -> None: ...

    async with app:
        await noop.delay()
        broker = broker_of(app)
        before = client.info("persistence")["rdb_changes_since_last_save"]
        for _ in range(3):
            await broker.recover(["default", "other"], 10_000, 3)
        assert client.info("persistence")["rdb_changes_since_last_save"] == before
    client.close()


async def test_the_results_of_many_large_jobs_take_the_server_little_memory(running: Server) -> None:
    client = running.client()
    client.flushall()
    app = App(running.url)

    @app.job
    async def large() -> bytes:
        return bytes(500_000)

    async with app:
        await app.enqueue_many([large.request() for _ in range(200)])
        await Worker(app, concurrency=200).run_until_empty()
        # 100 MB are kept; a call of 500 results had all of theirs three times over meanwhile.
        assert client.info("memory")["used_memory_peak"] < 180e6
    client.close()


def idle_claim(number: int, names: int, queues: int = 1) -> ClaimRequest:
    return ClaimRequest(
        worker="one",
        number=number,
        queues=[f"idle-{at}" for at in range(queues)],
        limit=10,
        lease_ms=10_000,
        names=frozenset(f"app.jobs.number_{at}" for at in range(names)),
    )


async def test_the_cost_of_an_idle_look_does_not_grow_with_the_names_that_a_worker_knows(running: Server) -> None:
    client = running.client()
    client.flushall()
    async with App(running.url) as app:
        broker = broker_of(app)
        costs = []
        for number, names in enumerate((1, MANY)):
            request = idle_claim(100 * number + 1, names)
            assert request.names is not None
            await broker.claim(request)
            looks = []
            for again in range(20):
                before = server_us(client)
                await broker.claim(idle_claim(100 * number + 2 + again, names))
                await broker.unpark(["idle-0"], request.names, 1_000)
                looks.append(server_us(client) - before)
            costs.append(min(looks))
    client.close()
    assert costs[1] < 10 * costs[0]


async def test_a_claim_from_many_queues_holds_up_other_clients_for_a_bounded_time_only(running: Server) -> None:
    client = running.client()
    client.flushall()
    async with App(running.url) as app:
        broker = broker_of(app)
        for number in (1, 2):
            client.config_resetstat()
            await broker.claim(idle_claim(number, names=1, queues=2_000))
        evalsha = client.info("commandstats")["cmdstat_evalsha"]
        exists = client.info("commandstats")["cmdstat_exists"]
    client.close()
    # A few commands for each of the queues, and none of the calls for all of them.
    assert evalsha["calls"] == 10
    assert exists["calls"] == 2_000
    assert float(evalsha["usec"]) / 10 < 100_000


async def test_a_full_server_is_drained_by_a_worker_of_many_names(running: Server) -> None:
    client = running.client()
    client.flushall()
    async with App(running.url) as app:
        broker = broker_of(app)
        job = NewJob(queue="idle-0", id="one", name="app.jobs.number_7", body=b"\x80")
        assert await broker.enqueue([job]) == [True]
        client.config_set("maxmemory", 1)
        try:
            claim = await broker.claim(idle_claim(1, MANY))
        finally:
            client.config_set("maxmemory", 0)
        assert [one.id for one in claim.jobs] == ["one"]
    client.close()


async def test_an_idle_worker_of_many_queues_writes_next_to_nothing_and_asks_for_all_at_once(
    running: Server,
) -> None:
    client = running.client()
    client.flushall()
    queues = [f"idle-{at}" for at in range(500)]
    worker = WorkerInfo(
        id="one", host="host", pid=1, started_at_ms=1, queues=tuple(queues), concurrency=10, status="idle", running=()
    )
    async with App(running.url) as app:
        broker = broker_of(app)
        await broker.announce(worker, 20_000)
        before = client.info("persistence")["rdb_changes_since_last_save"]
        client.config_resetstat()
        for _ in range(10):
            await broker.announce(worker, 20_000)
            await broker.unpark(queues, frozenset({"noop"}), 1_000)
            await broker.prune(queues, 1_000, 10)
            await broker.recover(queues, 1_000, 3)
        # Its own record is kept for longer each time.
        assert client.info("persistence")["rdb_changes_since_last_save"] - before <= 10
        assert "cmdstat_evalsha" not in client.info("commandstats")
    client.close()


async def test_the_ids_of_killed_workers_do_not_pile_up(running: Server) -> None:
    client = running.client()
    client.flushall()
    worker = WorkerInfo(
        id="one", host="host", pid=1, started_at_ms=1, queues=(), concurrency=10, status="idle", running=()
    )
    async with App(running.url) as app:
        await broker_of(app).announce(worker, 20_000)
        [(_, until_ms)] = client.zrange("asyncjobs:workers", 0, -1, withscores=True)
        client.zadd("asyncjobs:workers", {"killed": until_ms - 2 * 3_600_000})
        await broker_of(app).announce(worker, 20_000)
        assert client.zrange("asyncjobs:workers", 0, -1) == [b"one"]
    client.close()


async def test_jobs_of_many_names_are_unparked_in_parts_between_which_others_are_served(running: Server) -> None:
    client = running.client()
    client.flushall()
    names = [f"job-{at:03}" for at in range(300)]
    async with App(running.url) as app:
        broker = broker_of(app)
        sent = [
            NewJob(queue="idle-0", id=f"{name}-{at}", name=name, body=b"\x80") for name in names for at in range(20)
        ]
        await broker.enqueue(sent)
        number = 1
        while (await broker.claim(idle_claim(number, names=1))).again:
            number += 1
        client.config_resetstat()
        assert (await broker.unpark(["idle-0"], frozenset(names[:40]), 3_600_000)).moved == 800
        assert client.info("commandstats")["cmdstat_evalsha"]["calls"] == 1
        assert (await broker.unpark(["idle-0"], frozenset(names), 3_600_000)).moved == 5_200
        assert 7 <= client.info("commandstats")["cmdstat_evalsha"]["calls"] <= 10
        request = idle_claim(number + 1, names=1)
        claim = await broker.claim(msgspec.structs.replace(request, names=None, limit=1_000))
        assert [one.name for one in claim.jobs] == [name for name in names[40:90] for _ in range(20)]
    client.close()


def test_a_worker_that_dies_while_it_unparks_holds_up_its_queue_for_two_seconds(running: Server) -> None:
    client = running.client()
    client.flushall()
    for number in range(3):
        enqueue(client, f"parked-{number}")
    claim(client, 1, 3, [])
    run(client, "unpark", ["work"], grace_ms=60_000, limit=1, kept_names="")
    assert claim(client, 2, 3, ["work"]) == {}
    client.hset(KEYS.cfg, "shift_ms", 2_001)
    assert list(claim(client, 3, 3, ["work"])) == ["parked-0", "parked-1", "parked-2"]
    client.close()


async def test_the_list_of_turns_looks_at_a_bounded_number_of_lines(running: Server, bench: Bench) -> None:
    groups, lines = 55, 100
    for group in range(groups):
        await bench.send(*(lined(bench, f"group-{group}", [f"customer={line}"]) for line in range(lines)))
    client = running.client()
    client.config_resetstat()
    turns = await bench.broker.turns(bench.queue, 100)
    assert client.info("commandstats")["cmdstat_llen"]["calls"] <= 5_000
    client.close()
    # Each line has one job, and so counts as one also where it wasn't looked at.
    assert {one.group: one.jobs for one in turns} == {f"group-{group}": lines for group in range(groups)}
