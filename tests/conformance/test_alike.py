"""The same random verbs on both brokers: each claim must get the same jobs, in the same order."""

from __future__ import annotations

import random

import pytest

from asyncjobs.core.priority import Priority
from asyncjobs.core.record.envelope import JobError
from asyncjobs.core.retry import RetryPolicy
from asyncjobs.core.settlement import Completed, Failed, Released
from asyncjobs.ports import Claimed, ClaimRequest, Hold, NewJob
from asyncjobs.testing.conformance.bench import Bench
from tests.conformance.kits import MemoryKit, RedisKit
from tests.servers import Server

pytestmark = pytest.mark.anyio

QUEUES = ["first", "second"]
NAMES = ["known", "other"]
HOLDS = [Hold("queue"), Hold("name", "known"), Hold("tenant", "acme")]
# So long that the time which the test itself takes, by the clock of the server, matters nowhere.
TICK_MS = 600_000
LATER_MS = TICK_MS + TICK_MS // 2
LEASE_MS = 4 * TICK_MS + TICK_MS // 2
RETRIES = RetryPolicy(max_retries=1, initial=LATER_MS / 1000, jitter=False, cap=LATER_MS / 1000)


class Pair:
    """Both brokers, which are asked for the same."""

    VERBS: tuple[str, ...] = (
        "send", "claim", "claim", "claim", "end", "advance", "recover", "hold", "cancel", "edit", "unpark",
    )  # fmt: skip

    def __init__(self, memory: MemoryKit, server: RedisKit, seed: int) -> None:
        self.kits = [memory, server]
        self.benches = [Bench(kit) for kit in self.kits]
        self.chance = random.Random(seed)
        self.runs: list[list[Claimed]] = [[], []]
        self.number = 0
        self.sent: list[tuple[str, str]] = []

    async def step(self) -> None:
        # What is due from now on is due after what was set before.
        for kit in self.kits:
            await kit.advance(1)
        await getattr(self, self.chance.choice(self.VERBS))()

    async def send(self) -> None:
        jobs: list[NewJob] = []
        for _ in range(self.chance.choice([1, 5, 30])):
            queue, job_id = self.chance.choice(QUEUES), f"job-{len(self.sent):05}"
            self.sent.append((queue, job_id))
            jobs.append(
                self.benches[0].new(
                    self.chance.choice(NAMES),
                    queue=queue,
                    job_id=job_id,
                    priority=self.chance.choice(list(Priority)),
                    delay_ms=self.chance.choice([0, 0, 0, LATER_MS, LATER_MS + TICK_MS]),
                    tenant=self.chance.choice(["", "acme"]),
                )
            )
        for kit in self.kits:
            assert await kit.broker.enqueue(jobs) == [True] * len(jobs)

    async def claim(self) -> None:
        limit = self.chance.choice([0, 1, 2, 5, 100])
        queues = self.chance.choice([QUEUES, QUEUES[::-1], QUEUES[:1]])
        names = self.chance.choice([None, frozenset(NAMES), frozenset(["known"])])
        lowest_first, last = self.chance.random() < 0.2, self.chance.random() < 0.5
        suspects = self.chance.choice([0, 1, 3, 99])
        got: list[list[str]] = [[], []]
        woken: list[list[bool]] = [[], []]
        for at, kit in enumerate(self.kits):
            number, again = self.number, True
            while again:
                number += 1
                claim = await kit.broker.claim(
                    ClaimRequest(
                        worker="worker",
                        number=number,
                        queues=queues,
                        limit=limit - len(got[at]),
                        lease_ms=LEASE_MS,
                        names=names,
                        lowest_first=lowest_first,
                        max_suspects=suspects,
                        last_try=last,
                        max_deaths=3,
                        keep_number=True,
                    )
                )
                got[at] += [job.id for job in claim.jobs]
                self.runs[at] += claim.jobs
                again = claim.again and (not claim.jobs or limit == 0)
                assert number < self.number + 50
            woken[at] = [await kit.broker.wait([queue], 0.001) for queue in QUEUES]
        self.number += 60
        assert got[0] == got[1], (got, limit, queues, names, lowest_first, suspects, last)
        # On Redis, entries of cancelled jobs may wake a worker, which then takes them away.
        assert all(there or not here for here, there in zip(*woken, strict=True)), (
            limit,
            queues,
            names,
            suspects,
            last,
        )

    async def end(self) -> None:
        seed = self.chance.random()
        for at, bench in enumerate(self.benches):
            chance = random.Random(seed)
            jobs = [job for job in self.runs[at] if chance.random() < 0.5]
            self.runs[at] = [job for job in self.runs[at] if job not in jobs]
            for outcome in (Completed(b""), Failed(JobError("ValueError", "no", "", 1, 0)), Released()):
                some, jobs = jobs[::2], jobs[1::2]
                await bench.settle(some, outcome, policy=RETRIES)

    async def advance(self) -> None:
        for kit in self.kits:
            for queue in QUEUES:
                await kit.broker.recover([queue], LEASE_MS, 3)
            await kit.advance(TICK_MS)

    async def recover(self) -> None:
        for _ in range(6):
            await self.advance()
        found = [[sorted(part) for part in await kit.broker.recover(QUEUES, LEASE_MS, 3)] for kit in self.kits]
        assert found[0] == found[1]
        self.runs = [[], []]

    async def hold(self) -> None:
        hold, queue, on = self.chance.choice(HOLDS), self.chance.choice(QUEUES), self.chance.random() < 0.4
        for kit in self.kits:
            await kit.broker.hold(queue, hold, on)

    async def unpark(self) -> None:
        found = [await kit.broker.unpark(QUEUES, frozenset(NAMES), 10**9) for kit in self.kits]
        assert found[0] == found[1]

    async def cancel(self) -> None:
        chosen = self.chance.sample(self.sent, min(len(self.sent), self.chance.choice([1, 10])))
        for queue in QUEUES:
            job_ids = [job_id for where, job_id in chosen if where == queue]
            found = [await kit.broker.cancel(queue, job_ids, "why", 60_000) for kit in self.kits]
            assert found[0] == found[1]

    async def edit(self) -> None:
        if not self.sent:
            return
        queue, job_id = self.chance.choice(self.sent)
        priority, delay_ms = self.chance.choice([None, 0, 2]), self.chance.choice([None, 0, LATER_MS])
        found = [
            await kit.broker.edit(queue, job_id, priority=priority, delay_ms=delay_ms, due_at_ms=None)
            for kit in self.kits
        ]
        assert found[0] == found[1]

    async def check(self) -> None:
        for queue in QUEUES:
            for place in ("ready", "running", "scheduled", "dead"):
                found = []
                for bench in self.benches:
                    bench.queue = queue
                    ids = await bench.ids_in(place)
                    found.append(ids if place == "ready" else sorted(ids))
                assert found[0] == found[1], (queue, place)


async def run_alike(kind: type[Pair], redis_server: Server, seed: int, steps: int) -> None:
    """Ask both brokers for the same ``steps`` times, and compare what they say and keep after each."""
    server = RedisKit(redis_server)
    await server.broker.open()
    try:
        pair = kind(MemoryKit(), server, seed)
        for _ in range(steps):
            await pair.step()
            await pair.check()
        await pair.recover()
        await pair.check()
    finally:
        await server.broker.close()
        server.close()


@pytest.mark.parametrize("seed", range(6))
async def test_both_brokers_give_the_same_jobs(redis_server: Server, seed: int) -> None:
    await run_alike(Pair, redis_server, seed, 60)
