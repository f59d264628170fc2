"""What one call moves is bounded in bytes: claims, settlements, pages and ticks."""

from __future__ import annotations

import itertools
from typing import Any

import msgspec
import pytest
import redis.asyncio

from asyncjobs.core.portions import MOST_BYTES, Portion, fitting, portions
from asyncjobs.core.priority import Priority
from asyncjobs.core.record.envelope import Envelope, JobError, encode
from asyncjobs.core.record.tries import Tries, pack_tries
from asyncjobs.core.settlement import Failed
from asyncjobs.errors import BrokerUnavailable
from asyncjobs.ports import Firing, NewJob, Place
from asyncjobs.testing.conformance.bench import Bench, ids
from tests.conformance.kits import RedisKit
from tests.servers import Server

pytestmark = pytest.mark.anyio

SIZE = 300_000


def large(bench: Bench, size: int = SIZE, *, priority: Priority = Priority.NORMAL, delay_ms: int = 0) -> NewJob:
    arguments = msgspec.Raw(encode([bytes(size)]))
    body = encode(Envelope(arguments=arguments, created_at_ms=1))
    return msgspec.structs.replace(bench.new(priority=priority, delay_ms=delay_ms), body=body)


async def test_a_claim_takes_as_many_jobs_as_fit_and_leaves_the_others_where_they_are(bench: Bench) -> None:
    sent = await bench.send(
        *(large(bench) for _ in range(10)),
        *(large(bench, priority=Priority.LOW) for _ in range(10)),
    )
    due = await bench.send(*(large(bench, delay_ms=1_000) for _ in range(10)))
    await bench.kit.advance(2_000)
    expected = [*sent[:10], *due, *sent[10:]]
    got: list[str] = []
    while claim := await bench.claim(100):
        if not claim.jobs:
            break
        assert sum(len(job.body) for job in claim.jobs) <= MOST_BYTES
        assert await bench.ids_in("ready") == [one for one in expected if one not in [*got, *ids(claim.jobs)]]
        got += ids(claim.jobs)
        assert await bench.settle(claim.jobs) == [True] * len(claim.jobs)
    assert got == expected


async def test_a_worker_is_woken_for_the_jobs_that_did_not_fit(bench: Bench) -> None:
    await bench.send(*(large(bench) for _ in range(30)))
    await bench.broker.wait([bench.queue], 1)
    await bench.claim(100)
    assert await bench.broker.wait([bench.queue], 1)


async def test_a_job_that_is_larger_than_a_claim_comes_alone(bench: Bench) -> None:
    [first, second, third] = await bench.send(large(bench), large(bench, 2 * MOST_BYTES), large(bench))
    assert await bench.claim_ids() == [first]
    assert await bench.claim_ids() == [second]
    assert await bench.claim_ids() == [third]


async def test_a_claim_whose_reply_does_not_get_through_asks_for_less_and_counts_no_death(
    kit: RedisKit, bench: Bench
) -> None:
    sent = await bench.send(*(large(bench) for _ in range(20)))
    is_lost = True
    kit.lose_commands(lambda: is_lost)
    for _ in range(3):
        with pytest.raises(BrokerUnavailable):
            await bench.claim(20, number=1, worker="slow")
    is_lost = False
    repeated = await bench.claim(20, number=1, worker="slow")
    assert 1 <= len(repeated.jobs) <= 2
    rest = await bench.claim(20, worker="other")
    while more := (await bench.claim(20, worker="other")).jobs:
        rest.jobs.extend(more)
    assert [*ids(repeated.jobs), *ids(rest.jobs)] == sent
    assert {(await bench.broker.find(bench.queue, one)).deaths for one in sent} == {0}  # type: ignore[union-attr]


async def test_jobs_that_go_back_for_their_size_have_used_no_turns_of_their_groups(kit: RedisKit, bench: Bench) -> None:
    # The server knows the script from now on.
    await bench.claim(0)
    # By turns: a first job of each group, then a second one.
    sent = await bench.send(*(msgspec.structs.replace(large(bench), line=group) for _ in range(2) for group in "abc"))
    is_lost = True
    # The request gets through, and the reply doesn't.
    turns = itertools.cycle([False, True])
    kit.lose_commands(lambda: is_lost and next(turns))
    for _ in range(3):
        with pytest.raises(BrokerUnavailable):
            await bench.claim(3, number=1, worker="slow")
    is_lost = False
    repeated = await bench.claim(3, number=1, worker="slow")
    assert 1 <= len(repeated.jobs) <= 2
    rest = [job_id for _ in sent for job_id in await bench.claim_ids(1, worker="other")]
    assert [*ids(repeated.jobs), *rest] == sent


async def test_a_claim_gets_through_where_only_large_replies_are_lost(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent = await bench.send(*(large(bench) for _ in range(20)))
    connection: Any = redis.asyncio.Connection
    read = connection.read_response

    async def read_small(*args: Any, **given: Any) -> Any:
        reply = await read(*args, **given)
        if len(msgspec.msgpack.encode(reply)) > 2 * SIZE:
            raise redis.ConnectionError("the reply took too long")
        return reply

    monkeypatch.setattr(connection, "read_response", read_small)
    failures = 0
    while True:
        try:
            claim = await bench.claim(20, number=1, worker="slow")
            break
        except BrokerUnavailable:
            failures += 1
        # Others get through meanwhile.
        await bench.recover()
    assert ids(claim.jobs) == sent[: len(claim.jobs)] != []
    assert failures <= 5


async def test_jobs_that_must_wait_take_no_bytes_from_those_behind_them(bench: Bench) -> None:
    suspects = await bench.send(*(large(bench) for _ in range(40)))
    while (await bench.claim(100)).jobs:
        pass
    await bench.lapse()
    await bench.recover()
    fresh = await bench.send(count=3)
    assert await bench.claim_ids(3, max_suspects=0) == fresh
    assert await bench.ids_in("ready") == suspects


async def test_a_worker_is_woken_for_what_did_not_fit_behind_a_job_that_must_wait(bench: Bench) -> None:
    second = Bench(bench.kit, "second")
    [suspect] = await second.send(second.new(priority=Priority.HIGH))
    await second.claim()
    await second.lapse()
    await second.recover()
    fresh = await second.send(*(large(second) for _ in range(2)))
    await bench.send(*(large(bench) for _ in range(30)))
    while await bench.broker.wait(["second"], 0.01):
        pass
    claim = await bench.claim(100, worker="full", queues=[bench.queue, "second"], max_suspects=0)
    assert {job.queue for job in claim.jobs} == {bench.queue}
    assert await bench.broker.wait(["second"], 1)
    assert await second.claim_ids(worker="other") == [suspect, *fresh]


async def test_the_errors_of_earlier_attempts_count_too(running: Server, bench: Bench) -> None:
    await bench.send(count=300)
    errors = tuple(JobError("ValueError", "no", "x" * 10_000, number, 1) for number in range(1, 6))
    tries = pack_tries(Tries(5, 0, errors))
    failed = [
        msgspec.structs.replace(bench.settlement(one, Failed(errors[0])), tries=tries, delay_ms=0)
        for one in (await bench.claim(300)).jobs
    ]
    with running.client() as client:
        client.config_resetstat()
        assert await bench.broker.settle(failed) == [True] * 300
        assert client.info("commandstats")["cmdstat_zmscore"]["calls"] >= 300 * len(tries) / MOST_BYTES
    await bench.kit.advance(1_000)
    page = await bench.broker.page(bench.queue, "scheduled", "", 1_000)
    claims = [await bench.claim(300), await bench.claim(300)]
    for found in (len(page.jobs), *(len(claim.jobs) for claim in claims)):
        assert 1 <= found <= MOST_BYTES / len(tries)


@pytest.mark.parametrize("place", ["ready", "running", "scheduled", "dead", "parked"])
async def test_a_page_has_as_many_jobs_as_fit_and_the_next_one_goes_on(bench: Bench, place: Place) -> None:
    delay_ms = 3_600_000 if place == "scheduled" else 0
    jobs = [large(bench, priority=Priority(number % 2 + 1), delay_ms=delay_ms) for number in range(30)]
    sent = await bench.send(*jobs)
    if place in ("running", "dead"):
        while claimed := (await bench.claim(100)).jobs:
            if place == "dead":
                await bench.fail(claimed, for_good=True)
    elif place == "parked":
        while (await bench.claim(100, names=frozenset())).again or await bench.ids_in("ready", limit=1):
            pass
    found: list[str] = []
    after = ""
    while True:
        page = await bench.broker.page(bench.queue, place, after, 100)
        assert len(page.jobs) * SIZE <= MOST_BYTES
        found += [job.id for job in page.jobs]
        after = page.next
        if not after:
            break
    assert sorted(found) == sorted(sent)


async def test_results_go_in_calls_that_are_bounded(running: Server, bench: Bench) -> None:
    await bench.send(*(large(bench, 100) for _ in range(60)))
    claim = await bench.claim(100)
    ended = [msgspec.structs.replace(bench.settlement(one), body=bytes(SIZE)) for one in claim.jobs]
    with running.client() as client:
        client.config_resetstat()
        assert await bench.broker.settle(ended) == [True] * 60
        calls = client.info("commandstats")["cmdstat_zmscore"]["calls"]
    assert calls >= 60 * SIZE / MOST_BYTES


async def test_many_missed_ticks_are_fired_in_parts_between_which_the_server_serves_others(
    running: Server, bench: Bench
) -> None:
    now_ms = (await bench.claim()).now_ms
    firings = []
    for number in range(500):
        schedule_id = f"schedule-{number}"
        await bench.broker.put_schedule(bench.queue, schedule_id, b"data", now_ms)
        jobs = [
            NewJob(queue=bench.queue, id=f"{number}@{tick}", name="work", body=b"", priority=2) for tick in range(1000)
        ]
        firings.append(Firing(schedule_id, now_ms, now_ms + 60_000, now_ms, jobs))
    with running.client() as client:
        client.config_resetstat()
        reply = await bench.broker.fire(bench.queue, firings)
        calls = client.info("commandstats")["cmdstat_evalsha"]["calls"]
        # Of that many jobs, a call takes some hundredths of a second.
        assert 500_000 / calls <= 2_500
    assert reply.fired == [True] * 500
    assert (await bench.figures()).ready[2] == 500_000


def test_a_portion_shrinks_after_failures_and_grows_again() -> None:
    portion = Portion()
    assert portion.bytes == MOST_BYTES
    for _ in range(20):
        portion.failed()
    assert 0 < portion.bytes <= 64 << 10
    least = portion.bytes
    portion.succeeded(least // 10)
    assert portion.bytes == least
    for _ in range(20):
        portion.succeeded(portion.bytes)
    assert portion.bytes == MOST_BYTES


def test_parts_hold_at_least_one_item_and_no_more_than_fit() -> None:
    portion = Portion()
    sizes = [1, MOST_BYTES, MOST_BYTES + 1, 2, 3, 4]
    assert [list(part) for part in portions(sizes, int, most=2, portion=portion)] == [
        [1],
        [MOST_BYTES],
        [MOST_BYTES + 1],
        [2, 3],
        [4],
    ]
    assert list(portions([], int, most=2, portion=portion)) == []
    assert fitting([]) == 0
