"""The same random verbs on both brokers, with lines, gates and turns: each claim must get the same jobs in order."""

from __future__ import annotations

import msgspec
import pytest

from asyncjobs.core.limits import QueueLimit, QueueRules, Rate
from asyncjobs.core.lines import gate_of, line_key
from asyncjobs.core.priority import Priority
from asyncjobs.core.settlement import Settlement, Verdict
from asyncjobs.ports import ClaimRequest, GateFigures, NewJob
from tests.conformance.test_alike import LATER_MS, LEASE_MS, NAMES, QUEUES, TICK_MS, Pair, run_alike
from tests.servers import Server

pytestmark = pytest.mark.anyio

GROUPS = ["", "acme", "globex", "initech", "umbrella"]
# So slow that the time which the test itself takes says nothing.
SLOWLY = Rate(3, per=3 * TICK_MS / 1000, burst=2)
GATES = ["wide", "narrow", "slow", *(gate_of("each", str(number)) for number in range(6))]


class LinedPair(Pair):
    """Both brokers, with jobs that wait in lines."""

    VERBS = (
        "send", "send_many", "claim", "claim", "claim", "claim", "end", "end", "advance", "recover", "hold", "cancel",
        "edit", "unpark", "declare", "set_limit", "close", "prune", "retry",
    )  # fmt: skip

    def line(self) -> str:
        if self.chance.random() < 0.2:
            return ""
        gates = self.chance.sample(GATES, self.chance.choice([0, 0, 1, 1, 2, 3]))
        return line_key(self.chance.choice(GROUPS), gates)

    async def send(self) -> None:
        lines = [self.line() for _ in range(4)]
        count = self.chance.choice([1, 5, 30])
        await self.enqueue(
            [self.new(self.chance.choice(lines), self.chance.choice([0, 0, 0, LATER_MS])) for _ in range(count)]
        )

    async def send_many(self) -> None:
        line, priority = self.line(), self.chance.choice([Priority.HIGH, Priority.NORMAL])
        await self.enqueue([self.new(line, 0, priority) for _ in range(self.chance.choice([3, 300]))])

    def new(self, line: str, delay_ms: int, priority: Priority | None = None) -> NewJob:
        queue, job_id = self.chance.choice(QUEUES), f"job-{len(self.sent):05}"
        self.sent.append((queue, job_id))
        new = self.benches[0].new(
            self.chance.choice([*NAMES, "known", "known"]),
            queue=queue,
            job_id=job_id,
            priority=priority or self.chance.choice(list(Priority)),
            delay_ms=delay_ms,
            tenant=self.chance.choice(["", "", "acme"]),
        )
        return msgspec.structs.replace(new, line=line)

    async def enqueue(self, jobs: list[NewJob]) -> None:
        for kit in self.kits:
            assert await kit.broker.enqueue(jobs) == [True] * len(jobs)

    async def claim(self) -> None:
        limit = self.chance.choice([0, 1, 2, 5, 20, 100, 300])
        request = ClaimRequest(
            worker="worker",
            number=self.number + 1,
            queues=self.chance.choice([QUEUES, QUEUES[:1], QUEUES[1:]]),
            limit=limit,
            ahead=self.chance.choice([0, 0, 0, limit // 2]),
            lease_ms=LEASE_MS,
            names=self.chance.choice([None, None, frozenset(NAMES), frozenset(["known"])]),
            lowest_first=self.chance.random() < 0.2,
            max_suspects=self.chance.choice([0, 1, 3, 99, 99]),
            last_try=self.chance.random() < 0.5,
            max_deaths=3,
            keep_number=True,
        )
        self.number += 1
        claims = [await kit.broker.claim(request) for kit in self.kits]
        got = [[job.id for job in claim.jobs] for claim in claims]
        assert got[0] == got[1], request
        for runs, claim in zip(self.runs, claims, strict=True):
            runs += claim.jobs
        woken = [[await kit.broker.wait([queue], 0.001) for queue in request.queues] for kit in self.kits]
        if not any(claim.again for claim in claims):
            assert woken[0] == woken[1], (request, woken)
        assert claims[1].again or not claims[0].again or any(woken[1]), (request, claims[0].again, claims[1].again)

    async def declare(self) -> None:
        rules = QueueRules(
            gates={
                "wide": QueueLimit(self.chance.choice([2, 20])),
                "narrow": QueueLimit(1),
                "slow": QueueLimit(rate=SLOWLY),
                "each": QueueLimit(self.chance.choice([None, 1, 3])),
            },
            weights=self.chance.choice([{}, {"acme": 3.0, "globex": 0.5}]),
        )
        queue = self.chance.choice(QUEUES)
        for kit in self.kits:
            await kit.broker.declare_rules(queue, rules)

    async def set_limit(self) -> None:
        queue, gate = self.chance.choice(QUEUES), self.chance.choice([*GATES, "each", "", ""])
        limit = self.chance.choice([None, QueueLimit(1), QueueLimit(5), QueueLimit()])
        if not gate and limit:
            limit = QueueLimit(40)
        keep = None if limit is None or not gate else self.chance.choice([None, "running", "rate"])
        assert len({await kit.broker.set_limit(queue, gate, limit, "ada", keep) for kit in self.kits}) == 1

    async def close(self) -> None:
        if not self.runs[0]:
            return
        gate, at = self.chance.choice(GATES), self.chance.randrange(len(self.runs[0]))
        for kit, runs in zip(self.kits, self.runs, strict=True):
            job = runs.pop(at)
            one = Settlement(
                job.queue, job.id, job.name, job.priority, job.fence, Verdict.SNOOZE, delay_ms=LATER_MS, closes=gate
            )
            await kit.broker.settle([one])

    async def prune(self) -> None:
        for kit in self.kits:
            await kit.broker.prune(QUEUES, 10**12, 10**6)

    async def retry(self) -> None:
        queue = self.chance.choice(QUEUES)
        self.benches[0].queue = queue
        dead = sorted(await self.benches[0].ids_in("dead"))[:5]
        for kit in self.kits:
            assert await kit.broker.retry(queue, dead) == [True] * len(dead)

    async def check(self) -> None:
        await super().check()
        for queue in QUEUES:
            [one], [other] = [await kit.broker.overview([queue]) for kit in self.kits]
            assert (one.ready, one.lined) == (other.ready, other.lined)
            assert other.repaired == 0
            here, there = [await kit.broker.gates(queue, 100) for kit in self.kits]
            assert _counts(here) == _counts(there), queue


def _counts(gates: list[GateFigures]) -> dict[str, tuple[int, ...]]:
    """Return the numbers of those gates that are in use, or for which lines wait."""
    found = {one.gate: (one.running, one.booked, one.lines, one.jobs) for one in gates}
    return {gate: counts for gate, counts in found.items() if any(counts)}


@pytest.mark.parametrize("seed", range(12))
async def test_both_brokers_give_the_same_jobs_of_lines(redis_server: Server, seed: int) -> None:
    await run_alike(LinedPair, redis_server, seed, 80)
