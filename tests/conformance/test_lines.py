"""Random histories of jobs in lines; after each step, what brokers promise of lines, gates and turns must hold.

What a step does is followed in plain lists. What is asked of the broker are its figures, as anybody could.
"""

from __future__ import annotations

import itertools
import random
import tracemalloc
from collections import Counter, defaultdict
from dataclasses import dataclass, field

import msgspec
import pytest

from asyncjobs.core.limits import QueueLimit, QueueRules, Rate
from asyncjobs.core.lines import gates_in, group_in, line_key, rule_in
from asyncjobs.core.priority import Priority
from asyncjobs.core.record.envelope import JobError
from asyncjobs.core.retry import RetryPolicy
from asyncjobs.core.settlement import Completed, Failed, Outcome, Released, Snoozed
from asyncjobs.core.turns import weight_in
from asyncjobs.ports import Claimed, ClaimRequest, GateFigures, Hold
from asyncjobs.testing.conformance.bench import Bench
from asyncjobs.testing.conformance.lined import close_by, declare, send_lined
from tests.conformance.kits import MemoryKit, RedisKit
from tests.servers import Server

pytestmark = pytest.mark.anyio

GROUPS = ["", "a", "b", "c"]
WEIGHTS = {"b": 3.0, "c": 0.5}
GATES = [[], [], ["all"], ["all", "customer=1"], ["customer=1"], ["customer=2", "slow"], ["slow"], ["open", "all"]]
RULES = {
    "all": QueueLimit(5),
    "customer": QueueLimit(2),
    "slow": QueueLimit(running=3, rate=Rate(60, per=600, burst=4)),
}
NAMES = ["known", "other"]
LEASE_MS = 600_000
WAIT_MS = 90_000
RETRIES = RetryPolicy(max_retries=10**6, initial=WAIT_MS / 1000, jitter=False, cap=WAIT_MS / 1000)
FAILED = Failed(JobError("ValueError", "no", "", 1, 0))


@dataclass
class Job:
    """One job, and what a history knows of it."""

    id: str
    name: str
    priority: int
    line: str
    place: str = "ready"

    @property
    def waits_in(self) -> tuple[int, str]:
        return self.priority, self.line


@dataclass
class History:
    """One queue, a history of verbs on it, and what should have become of each job."""

    kit: MemoryKit | RedisKit
    seed: int
    largest: int
    """How many jobs are sent to one line at once, at most."""
    jobs: dict[str, Job] = field(default_factory=dict)
    lines: dict[tuple[int, str], list[str]] = field(default_factory=lambda: defaultdict(list))
    running: dict[str, Claimed] = field(default_factory=dict)
    rules: dict[str, QueueLimit] = field(default_factory=lambda: dict(RULES))
    by_hand: dict[str, QueueLimit] = field(default_factory=dict)
    held: set[Hold] = field(default_factory=set)
    starts: list[tuple[int, str]] = field(default_factory=list)
    ended: Counter[str] = field(default_factory=Counter)
    # How often each group of a priority has started since each other has had jobs for as long as it.
    shares: dict[tuple[int, str, str], list[int]] = field(default_factory=dict)
    number: int = 0
    # Whether time has passed since there was nothing to claim.
    is_later: bool = False

    def __post_init__(self) -> None:
        self.bench = Bench(self.kit)
        self.broker, self.queue = self.bench.broker, self.bench.queue
        self.chance = random.Random(self.seed)
        # Then groups have no shares of starts.
        self.is_by_time = self.seed % 5 == 4

    async def begin(self) -> None:
        await self._declare()

    async def step(self) -> None:
        """Do one thing at random, and check."""
        verbs = [self.send] * 3 + [self.claim] * 6 + [self.end] * 5
        verbs += [self.lapse, self.cancel, self.edit, self.hold, self.unpark, self.change, self.advance, self.prune]
        await self.chance.choice(verbs)()
        await self.check()

    # -- verbs

    async def send(self) -> None:
        line = line_key(self.chance.choice(GROUPS), self.chance.choice(GATES))
        priority = self.chance.choice([Priority.HIGH, Priority.NORMAL, Priority.NORMAL])
        for _ in range(self.chance.choice([1, 2, 5, self.largest])):
            new = self.bench.new(self.chance.choice(["known"] * 9 + ["other"]), priority=priority)
            job = self.jobs[new.id] = Job(new.id, new.name, priority.value, line)
            self.lines[job.waits_in].append(job.id)
            assert await self.broker.enqueue([msgspec.structs.replace(new, line=line)]) == [True]

    async def claim(self) -> None:
        """Claim some jobs, or claim until there is nothing to claim, and then see that nothing could start."""
        if self.chance.random() < 0.5:
            ahead, lowest_first = self.chance.choice([0, 0, 2]), self.chance.random() < 0.2
            await self._claim(self.chance.choice([1, 3, 10, 300]), ahead=ahead, lowest_first=lowest_first)
            return
        is_rung = await self.broker.wait([self.queue], 0.001)
        for _ in range(1_000):
            jobs, again = await self._claim(300)
            # What becomes startable by time is for the worker that keeps the timer.
            assert is_rung or self.is_later or not jobs, f"seed {self.seed}: nobody was woken for {jobs[0].id}"
            if not (jobs or again):
                break
        self.is_later = False
        if Hold("queue") not in self.held:
            await self._nothing_could_start()

    async def _claim(self, limit: int, *, ahead: int = 0, lowest_first: bool = False) -> tuple[list[Claimed], bool]:
        self.number += 1
        request = ClaimRequest(
            worker="worker",
            number=self.number,
            queues=[self.queue],
            limit=limit,
            ahead=ahead,
            lease_ms=LEASE_MS,
            lowest_first=lowest_first,
            keep_number=True,
        )
        claim = await self.broker.claim(request)
        gated = [bool(gates_in(self.jobs[job.id].line)) for job in claim.jobs]
        # What has no free slot yet is not taken through gates.
        assert not any(gated[max(0, limit - ahead) :])
        await self._follow(claim.jobs, claim.now_ms)
        if self.chance.random() < 0.1:
            # The reply was lost.
            assert [job.id for job in (await self.broker.claim(request)).jobs] == [job.id for job in claim.jobs]
        return list(claim.jobs), claim.again

    async def _follow(self, claimed: list[Claimed], now_ms: int) -> None:
        parked = {job.id for job in await self.bench.jobs_in("parked")}
        for job in [self.jobs[job_id] for job_id in parked]:
            if job.place == "ready":
                self.lines[job.waits_in].remove(job.id)
            job.place = "parked"
        assert not (claimed and Hold("queue") in self.held)
        for one in claimed:
            job = self.jobs[one.id]
            assert not self._is_held(job)
            if job.place == "parked":
                # It was claimed from where it is, which jobs with a line key never are.
                assert not job.line
            elif job.place == "scheduled":
                # It came to be due, behind the others.
                assert not self.lines[job.waits_in], (self.seed, job)
            else:
                # The first of its line.
                assert self.lines[job.waits_in].pop(0) == job.id, (self.seed, job)
            job.place = "running"
            self.running[job.id] = one
            self.starts += [(now_ms, gate) for gate in gates_in(job.line)]
            self._count_share(job)
        gates = {gate.gate: gate for gate in await self.broker.gates(self.queue, 10_000)}
        for gate in {gate for one in claimed for gate in gates_in(self.jobs[one.id].line)}:
            most = self._limit(gate).running
            assert most is None or gates[gate].running + gates[gate].booked <= most, (self.seed, gate)

    async def _nothing_could_start(self) -> None:
        gates = {gate.gate: gate for gate in await self.broker.gates(self.queue, 10_000)}
        for (priority, key), ids in self.lines.items():
            assert not ids or any(map(self._is_closed, gates_in(key), itertools.repeat(gates))), (
                f"seed {self.seed}: {len(ids)} jobs of priority {priority} in {key!r} could start"
            )

    def _is_closed(self, gate: str, gates: dict[str, GateFigures]) -> bool:
        most, figures = self._limit(gate).running, gates.get(gate)
        if figures is None:
            return False
        is_full = most is not None and figures.running + figures.booked >= most
        return is_full or figures.opens_at_ms is not None

    async def end(self) -> None:
        jobs = self.chance.sample(list(self.running.values()), self.chance.randint(0, len(self.running)))
        cut = len(jobs) // 2
        for outcome, some in (
            (Completed(b""), jobs[:cut]),
            (self.chance.choice([Completed(b""), FAILED, Released(), Snoozed(WAIT_MS)]), jobs[cut:]),
        ):
            await self._settle(some, outcome)
            if some and self.chance.random() < 0.1:
                # The reply was lost.
                assert not any(await self.bench.settle(some, outcome, policy=RETRIES))
        if self.running and self.chance.random() < 0.1:
            job_id, claimed = self.running.popitem()
            if gates := gates_in(self.jobs[job_id].line):
                assert await close_by(self.bench, claimed, gates[0], WAIT_MS)
                self.jobs[job_id].place = "scheduled"
            else:
                self.running[job_id] = claimed

    async def _settle(self, jobs: list[Claimed], outcome: Outcome) -> None:
        assert all(await self.bench.settle(jobs, outcome, policy=RETRIES))
        for claimed in jobs:
            del self.running[claimed.id]
            job = self.jobs[claimed.id]
            job.place = "scheduled" if isinstance(outcome, Failed | Snoozed) else "ready"
            if isinstance(outcome, Completed):
                job.place = "ended"
                self.ended[job.id] += 1
        if isinstance(outcome, Released):
            for claimed in reversed(jobs):
                job = self.jobs[claimed.id]
                self.lines[job.waits_in].insert(0, job.id)

    async def lapse(self) -> None:
        """Let all workers die."""
        late = list(self.running.values())
        self.is_later = True
        for _ in range(5):
            await self.broker.recover([self.queue], LEASE_MS, 10**9)
            await self.kit.advance(LEASE_MS // 4 + 1)
        await self.broker.recover([self.queue], LEASE_MS, 10**9)
        for claimed in late:
            self.jobs[claimed.id].place = "ready"
        self.running.clear()
        await self._read_lines(front={claimed.id for claimed in late})
        assert not any(await self.bench.settle(late, Completed(b"")))

    async def _read_lines(self, front: set[str]) -> None:
        """Follow which jobs stand where, with those of ``front`` before the others of their lines."""
        listed: dict[tuple[int, str], list[str]] = defaultdict(list)
        for job in await self.bench.jobs_in("ready", limit=1_000):
            listed[self.jobs[job.id].waits_in].append(job.id)
        for key in {*listed, *self.lines}:
            new = [job_id for job_id in listed[key] if job_id in front]
            assert listed[key][: len(new)] == new
            assert listed[key][len(new) :] == self.lines[key]
        self.lines = listed

    async def cancel(self) -> None:
        waiting = [job for job in self.jobs.values() if job.place in ("ready", "parked")]
        for job in self.chance.sample(waiting, min(len(waiting), self.chance.choice([1, 3, self.largest]))):
            assert await self.bench.cancel(job.id) == "cancelled"
            if job.place == "ready":
                self.lines[job.waits_in].remove(job.id)
            job.place = "ended"
            self.ended[job.id] += 1

    async def edit(self) -> None:
        ready = [job for job in self.jobs.values() if job.place == "ready"]
        for job in self.chance.sample(ready, min(len(ready), 3)):
            priority = self.chance.choice([1, 2])
            edit = self.broker.edit
            assert await edit(self.queue, job.id, priority=priority, delay_ms=None, due_at_ms=None) == "edited"
            if priority != job.priority:
                self.lines[job.waits_in].remove(job.id)
                job.priority = priority
                self.lines[job.waits_in].append(job.id)

    async def hold(self) -> None:
        hold = self.chance.choice([Hold("queue"), Hold("name", "other")])
        on = hold not in self.held and self.chance.random() < 0.5
        await self.broker.hold(self.queue, hold, on)
        (self.held.add if on else self.held.discard)(hold)

    def _is_held(self, job: Job) -> bool:
        return Hold("name", job.name) in self.held

    async def unpark(self) -> None:
        await self.broker.unpark([self.queue], frozenset(NAMES), 10**9)
        back = {job.id for job in self.jobs.values() if job.place == "parked" and not self._is_held(job)}
        for job_id in back:
            self.jobs[job_id].place = "ready"
        await self._read_lines(front=back)

    async def change(self) -> None:
        gate = self.chance.choice(["all", "customer", "customer=1", "customer=2", "slow"])
        limit = self.chance.choice([None, None, QueueLimit(1), QueueLimit(4), QueueLimit()])
        if self.chance.random() < 0.7:
            held = await self.broker.set_limit(self.queue, gate, limit, "somebody")
            assert (held is not None) == (self.by_hand.get(gate) != limit)
            assert limit is None or held in (None, limit)
            if limit is None:
                self.by_hand.pop(gate, None)
            else:
                self.by_hand[gate] = limit
        else:
            self.rules = {name: rule for name, rule in RULES.items() if self.chance.random() < 0.8}
            await self._declare()

    async def _declare(self) -> None:
        rules = QueueRules(gates=self.rules, weights=WEIGHTS, by_time=self.is_by_time)
        await self.broker.declare_rules(self.queue, rules)

    async def _lift_limits(self) -> None:
        for gate in list(self.by_hand):
            assert await self.broker.set_limit(self.queue, gate, None, "somebody") is not None
        self.by_hand.clear()
        self.rules = {}
        await self._declare()

    async def advance(self) -> None:
        self.is_later = True
        await self.broker.recover([self.queue], LEASE_MS, 10**9)
        await self.kit.advance(self.chance.choice([1_000, 20_000, 100_000]))
        await self.broker.recover([self.queue], LEASE_MS, 10**9)

    async def prune(self) -> None:
        await self.broker.prune([self.queue], 10**9, 10**6)

    # -- what must hold

    def _limit(self, gate: str) -> QueueLimit:
        for limit in (self.by_hand.get(gate), self.by_hand.get(rule_in(gate)), self.rules.get(rule_in(gate))):
            if limit is not None:
                return limit
        return QueueLimit()

    def _count_share(self, job: Job) -> None:
        """Groups without gates that have jobs throughout start as often as their weights say."""
        group = group_in(job.line)
        for key, counts in list(self.shares.items()):
            priority, *pair = key
            if job.line and job.priority == priority and group in pair:
                counts[pair.index(group)] += 1
                a, b = (weight_in(WEIGHTS, one) for one in pair)
                is_fair = abs(counts[0] / a - counts[1] / b) <= 1 / a + 1 / b + 1e-6
                assert is_fair or self.is_by_time, (self.seed, key)
            if not all(self.lines[priority, one] for one in pair):
                del self.shares[key]

    async def check(self) -> None:
        figures = await self.bench.figures()
        due = [job for job in self.jobs.values() if job.place == "scheduled"]
        for job in await self.bench.jobs_in("ready", limit=1_000) if due else []:
            if self.jobs[job.id].place == "scheduled":
                # It came to be due, and is behind the others of its line.
                self.jobs[job.id].place = "ready"
                self.lines[self.jobs[job.id].waits_in].append(job.id)
        places = Counter(job.place for job in self.jobs.values())
        assert (figures.running, figures.parked) == (places["running"], places["parked"]), self.seed
        assert (figures.scheduled, sum(figures.ready)) == (places["scheduled"], places["ready"]), self.seed
        sizes = Counter[int]()
        for (priority, _), ids in self.lines.items():
            sizes[priority] += len(ids)
        assert figures.ready == tuple(sizes[priority] for priority in range(4))
        assert figures.lined == sum(len(ids) for (_, key), ids in self.lines.items() if key)
        # Those that were emptied by cancellations may be among them.
        assert figures.closed_lines <= sum(bool(gates_in(key)) for _, key in self.lines)
        assert figures.repaired == 0
        assert await self.kit.places(self.queue) == Counter(
            {job.id: 1 for job in self.jobs.values() if job.place != "ended"}
        )
        assert await self.kit.orphans(self.queue) == []
        assert await self.kit.faults_of_lines(self.queue) == []
        used = Counter(gate for job_id in self.running for gate in gates_in(self.jobs[job_id].line))
        gates = {gate.gate: gate for gate in await self.broker.gates(self.queue, 10_000)}
        assert all(gates[gate].running == count for gate, count in used.items() if "=" in gate or gate not in RULES)
        assert sum(used.values()) == sum(gate.running for name, gate in gates.items() if "=" not in name), self.seed
        assert all(count == 1 for count in self.ended.values())
        self._compare_shares()

    def _compare_shares(self) -> None:
        """Begin to compare groups that have jobs now, and have none that need gates."""
        for priority in (1, 2):
            busy = {group for group in GROUPS[1:] if self.lines[priority, group]}
            gated = {
                group_in(key) for (one, key), ids in self.lines.items() if one == priority and ids and gates_in(key)
            }
            alone = busy - gated
            for pair in itertools.combinations(GROUPS[1:], 2):
                if alone.issuperset(pair):
                    self.shares.setdefault((priority, *pair), [0, 0])
                else:
                    self.shares.pop((priority, *pair), None)

    def check_rates(self) -> None:
        """In any time, so many jobs start as the burst and the rate allow, and no more."""
        rate = RULES["slow"].rate
        assert rate is not None
        times = [at for at, gate in self.starts if gate == "slow"]
        for first, last in itertools.combinations(range(len(times)), 2):
            allowed = rate.burst + (times[last] - times[first]) / rate.step_ms
            assert last - first + 1 <= allowed + 1e-6, self.seed

    async def finish(self) -> None:
        """Let all jobs end, and see that nothing is left of them."""
        for hold in list(self.held):
            await self.broker.hold(self.queue, hold, on=False)
        self.held.clear()
        if self.largest > 100:
            # At the rate of one of them, the end would be far.
            await self._lift_limits()
        idle = 0
        while any(job.place != "ended" for job in self.jobs.values()):
            before = len(self.ended)
            await self.unpark()
            for _ in range(100):
                jobs, again = await self._claim(300)
                if not (jobs or again):
                    break
            await self._settle(list(self.running.values()), Completed(b""))
            await self.kit.advance(WAIT_MS)
            await self.check()
            # A rate may have been used up just before, but not twice.
            idle = idle + 1 if len(self.ended) == before else 0
            assert idle < 2, self.seed
        assert self.ended == Counter(list(self.jobs))
        await self.kit.advance(10**7)
        await self.prune()
        while (await self._claim(1))[1]:
            # Lines that were emptied by cancellations are taken away.
            pass
        assert (await self.bench.figures()).lined == 0
        declared = {*map(rule_in, self.rules), *map(rule_in, self.by_hand), *self.by_hand}
        assert {gate.gate for gate in await self.broker.gates(self.queue, 10_000)} <= declared
        assert await self.kit.remains_of_lines(self.queue) == []
        assert await self.kit.orphans(self.queue) == []


async def _run(history: History, steps: int) -> None:
    await history.begin()
    for _ in range(steps):
        await history.step()
    await history.finish()


@pytest.mark.parametrize("seed", range(20))
async def test_lines_in_memory_keep_their_promises(seed: int) -> None:
    await _run(History(MemoryKit(), seed, largest=20), 60)


@pytest.mark.parametrize("seed", range(100, 102))
async def test_long_lines_in_memory_keep_their_promises(seed: int) -> None:
    await _run(History(MemoryKit(), seed, largest=1_200), 25)


async def _set_clock_back(kit: MemoryKit | RedisKit) -> None:
    bench = Bench(kit)
    limit = QueueLimit(rate=Rate(6, per=60, burst=1))
    await bench.broker.declare_rules(bench.queue, QueueRules(gates={"slow": limit}))
    slow = await send_lined(bench, gates=["slow"], count=3)
    closed = await send_lined(bench, gates=["closed"], count=3)
    claim = await bench.claim(1)
    assert [job.id for job in claim.jobs] == slow[:1]
    claim = await bench.claim(1)
    assert await close_by(bench, claim.jobs[0], "closed", 60_000)
    assert await bench.claim_ids() == []
    await kit.advance(-3_600_000)
    # As a worker does each minute.
    await bench.broker.prune([bench.queue], 10**9, 10**6)
    assert await bench.claim_ids() == closed[1:]
    await kit.advance(11_000)
    assert (await bench.claim_ids() or await bench.claim_ids()) == slow[1:2]


async def test_a_clock_that_is_set_back_closes_no_gate_in_memory() -> None:
    await _set_clock_back(MemoryKit())


async def test_a_clock_that_is_set_back_closes_no_gate_on_redis(redis_server: Server) -> None:
    kit = RedisKit(redis_server)
    await kit.broker.open()
    try:
        await _set_clock_back(kit)
    finally:
        await kit.broker.close()
        kit.close()


async def _empty_a_line_that_waits(kit: MemoryKit | RedisKit, leaving: str, *, is_audited: bool) -> None:
    bench = Bench(kit)
    await declare(bench, all=1)
    await send_lined(bench, gates=["all"])
    [holder] = (await bench.claim()).jobs
    [only] = await send_lined(bench, "a", ["all"])
    assert await bench.claim_ids() == []
    if leaving == "cancel":
        assert await bench.cancel(only) == "cancelled"
    else:
        priority, delay_ms = (1, None) if leaving == "priority" else (None, WAIT_MS)
        edited = await bench.broker.edit(bench.queue, only, priority=priority, delay_ms=delay_ms, due_at_ms=None)
        assert edited == "edited"
    if is_audited:
        await bench.broker.prune([bench.queue], 10**9, 10**6)
    assert await kit.faults_of_lines(bench.queue) == []
    await bench.settle([holder])
    assert await kit.faults_of_lines(bench.queue) == []
    # What is sent to the same line begins anew.
    sent = await send_lined(bench, "a", ["all"]) + ([only] if leaving != "cancel" else [])
    await kit.advance(WAIT_MS)
    ran = []
    while jobs := (await bench.claim(1)).jobs or (await bench.claim(1)).jobs:
        ran += [job.id for job in jobs]
        await bench.settle(jobs)
    assert sorted(ran) == sorted(sent)
    await kit.advance(10**7)
    await bench.broker.prune([bench.queue], 10**9, 10**6)
    assert await kit.remains_of_lines(bench.queue) == []


EMPTIED = pytest.mark.parametrize(
    ("leaving", "is_audited"),
    [(leaving, audited) for leaving in ("priority", "time", "cancel") for audited in (False, True)],
)


@EMPTIED
async def test_nothing_is_left_in_memory_of_a_line_emptied_while_it_waited(leaving: str, is_audited: bool) -> None:
    await _empty_a_line_that_waits(MemoryKit(), leaving, is_audited=is_audited)


@EMPTIED
async def test_nothing_is_left_on_redis_of_a_line_emptied_while_it_waited(
    redis_server: Server, leaving: str, is_audited: bool
) -> None:
    kit = RedisKit(redis_server)
    await kit.broker.open()
    try:
        await _empty_a_line_that_waits(kit, leaving, is_audited=is_audited)
    finally:
        await kit.broker.close()
        kit.close()


@pytest.mark.parametrize(("seed", "largest", "steps"), [(0, 20, 40), (1, 20, 40), (2, 20, 40), (100, 1_200, 15)])
async def test_lines_on_redis_keep_their_promises(redis_server: Server, seed: int, largest: int, steps: int) -> None:
    kit = RedisKit(redis_server)
    await kit.broker.open()
    try:
        await _run(History(kit, seed, largest), steps)
    finally:
        await kit.broker.close()
        kit.close()


async def test_jobs_that_are_claimed_and_given_back_for_long_take_no_more_memory() -> None:
    bench = Bench(MemoryKit())
    await send_lined(bench, "a")
    await send_lined(bench, "b")

    async def give_back(times: int) -> None:
        for _ in range(times):
            await bench.release((await bench.claim(1)).jobs)

    tracemalloc.start()
    try:
        # What is kept of the last claims is bounded too, and by now complete.
        await give_back(2_500)
        before, _ = tracemalloc.get_traced_memory()
        await give_back(1_000)
        after, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert after - before < 50_000
