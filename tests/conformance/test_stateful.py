"""Random verbs against each broker, beside a model of it; after every step both must tell the same story."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test

from asyncjobs.core.limits import QueueLimit
from asyncjobs.core.priority import Priority
from asyncjobs.core.record.envelope import Envelope, JobError, decode_envelope, encode
from asyncjobs.core.retry import RetryPolicy
from asyncjobs.core.settlement import Completed, Failed, Outcome, Released, Snoozed
from asyncjobs.core.states import JobState
from asyncjobs.core.uniqueness import UniqueRule
from asyncjobs.ports import Claimed, Hold
from asyncjobs.testing.conformance import Bench
from tests.conformance.kits import MemoryKit, RedisKit
from tests.conformance.model import (
    HALF_MS,
    KEEP_MS,
    LEASE_MS,
    MAX_DEATHS,
    MAX_RETRIES,
    RETRY_MS,
    TICK_MS,
    TTL_MS,
    ModelQueue,
)
from tests.lengths import length
from tests.servers import Server

IDS = [f"job-{number}" for number in range(6)]
NAMES = ["known", "other"]
TENANTS = ["acme", "globex"]
HOLDS = [
    Hold("queue"),
    *(Hold("name", name) for name in NAMES),
    *(Hold("tenant", tenant) for tenant in TENANTS),
]
POLICY = RetryPolicy(max_retries=MAX_RETRIES, initial=RETRY_MS / 1000, cap=RETRY_MS / 1000, jitter=False)
WAIT_MS = TICK_MS + HALF_MS
RULES = [
    UniqueRule("a"),
    UniqueRule("a", until="start"),
    UniqueRule("a", on_conflict="replace", within_ms=3 * TICK_MS + HALF_MS),
    UniqueRule("b", within_ms=8 * TICK_MS + HALF_MS),
    UniqueRule("b", until="start", on_conflict="replace", wait_ms=WAIT_MS, at_most_ms=2 * WAIT_MS + HALF_MS),
]
STATES = {
    "ready": (JobState.PENDING, JobState.RETRYING),
    "parked": (JobState.PENDING, JobState.RETRYING),
    "scheduled": (JobState.PENDING, JobState.RETRYING),
    "running": (JobState.RUNNING,),
    "dead": (JobState.FAILED,),
    "ended": (JobState.COMPLETED, JobState.CANCELLED),
}


class BrokerMachine(RuleBasedStateMachine):
    """Drives one broker; a subclass gives it as ``make_kit``."""

    runs = Bundle("runs")
    make_kit: Any

    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        self.kit = self.run(self.make_kit())
        self.bench = Bench(self.kit)
        self.queue = self.bench.queue
        self.broker = self.kit.broker
        self.model = ModelQueue()
        self.fences: set[tuple[int, str]] = set()
        # When each job was claimed last, by the broker's clock.
        self.claimed_ms: dict[str, int] = {}

    def run(self, coroutine: Any) -> Any:
        return self.runner.run(coroutine)

    def teardown(self) -> None:
        self.run(self.broker.close())
        self.runner.close()
        if isinstance(self.kit, RedisKit):
            self.kit.close()

    # Most rules need jobs, and of all rules in any order few would make any.
    @initialize(
        jobs=st.lists(
            st.tuples(st.sampled_from(NAMES), st.sampled_from(list(Priority)), st.sampled_from(["", *TENANTS])),
            max_size=len(IDS),
        )
    )
    def begin(self, jobs: list[tuple[str, Priority, str]]) -> None:
        self.run(self.broker.open())
        for job_id, (name, priority, tenant) in zip(IDS, jobs, strict=False):
            self.enqueue(job_id, name, priority, 0, tenant)

    def pass_a_moment(self) -> None:
        """Let what is due from now on be due after what was set before, as it is by the clock of a server."""
        self.run(self.kit.advance(1))
        self.model.now_ms += 1

    # -- verbs

    @rule(
        job_id=st.sampled_from(IDS),
        name=st.sampled_from(NAMES),
        priority=st.sampled_from(list(Priority)),
        delay_ticks=st.sampled_from([0, 0, 0, 1, 3]),
        tenant=st.sampled_from(["", *TENANTS]),
    )
    def enqueue(self, job_id: str, name: str, priority: Priority, delay_ticks: int, tenant: str) -> None:
        self.pass_a_moment()
        delay_ms = delay_ticks * TICK_MS + TICK_MS // 2 if delay_ticks else 0
        job = self.bench.new(name, job_id=job_id, priority=priority, delay_ms=delay_ms, tenant=tenant)
        expected = self.model.enqueue(job_id, name, priority.value, delay_ms, tenant)
        assert self.run(self.broker.enqueue([job])) == [expected]

    @rule(
        job_ids=st.lists(st.sampled_from(IDS), min_size=1, max_size=3),
        name=st.sampled_from(NAMES),
        priority=st.sampled_from(list(Priority)),
        unique=st.sampled_from(RULES),
        argument=st.integers(0, 9),
    )
    def enqueue_unique(
        self, job_ids: list[str], name: str, priority: Priority, unique: UniqueRule, argument: int
    ) -> None:
        self.pass_a_moment()
        # As a key does, it names the job name: what is replaced keeps its own.
        unique = msgspec.structs.replace(unique, key=f"{unique.key} of {name}")
        jobs, expected = [], []
        for number, job_id in enumerate(job_ids):
            body = encode(Envelope(arguments=msgspec.Raw(encode([argument, number])), created_at_ms=1))
            new = self.bench.new(name, job_id=job_id, priority=priority, delay_ms=unique.wait_ms)
            jobs.append(msgspec.structs.replace(new, body=body, unique=unique))
            expected.append(self.model.enqueue(job_id, name, priority.value, unique.wait_ms, "", body, unique))
        assert self.run(self.broker.enqueue(jobs)) == expected

    @rule(
        target=runs,
        limit=st.integers(0, 4),
        names=st.sampled_from([frozenset({"known"}), frozenset(NAMES)]),
        lowest_first=st.booleans(),
    )
    def claim(self, limit: int, names: frozenset[str], lowest_first: bool) -> list[Claimed]:
        claim = self.run(self.bench.claim(limit, names=names, lowest_first=lowest_first, lease_ms=LEASE_MS))
        parked = self.run(self.bench.ids_in("parked"))
        limit = self.model.room(limit)
        left = self.model.claim([one.id for one in claim.jobs], parked, names, limit, lowest_first=lowest_first)
        assert len(claim.jobs) <= limit
        # It may come back short, but then says that there may be more.
        assert len(claim.jobs) == limit or claim.again or not left
        for claimed in claim.jobs:
            assert (claimed.fence, claimed.id) not in self.fences
            self.fences.add((claimed.fence, claimed.id))
            self.model.jobs[claimed.id].fence = claimed.fence
            self.claimed_ms[claimed.id] = claim.now_ms
        return list(claim.jobs)

    @rule(running=st.sampled_from([None, None, 1, 2]))
    def set_limit(self, running: int | None) -> None:
        limit = None if running is None else QueueLimit(running)
        held = self.run(self.broker.set_limit(self.queue, "", limit, ""))
        assert held == (None if running == self.model.limit else QueueLimit(running))
        self.model.limit = running

    @rule(limit=st.integers(1, 4), ending=st.sampled_from(["complete", "fail", "bury"]))
    def claim_and_end(self, limit: int, ending: str) -> None:
        # Left to chance, the one rule seldom follows the other.
        jobs = self.claim(limit, frozenset(NAMES), lowest_first=False)
        getattr(self, ending)(jobs)

    @rule(jobs=runs)
    def bury(self, jobs: list[Claimed]) -> None:
        for job_id in self._settle(jobs, Failed(JobError("ValueError", "no", "", 1, 0), retryable=False)):
            self.model.fail(job_id, for_good=True)

    @rule(jobs=runs)
    def complete(self, jobs: list[Claimed]) -> None:
        held = self._settle(jobs, Completed(encode("done")))
        for job_id in held:
            self.model.complete(job_id)

    @rule(jobs=runs)
    def fail(self, jobs: list[Claimed]) -> None:
        held = self._settle(jobs, Failed(JobError("ValueError", "no", "", 1, 0)))
        for job_id in held:
            self.model.fail(job_id)

    @rule(jobs=runs)
    def snooze(self, jobs: list[Claimed]) -> None:
        for job_id in self._settle(jobs, Snoozed(RETRY_MS)):
            self.model.snooze(job_id)

    @rule(jobs=runs)
    def release(self, jobs: list[Claimed]) -> None:
        self.model.release(self._settle(jobs, Released()))

    def _settle(self, jobs: list[Claimed], outcome: Outcome) -> list[str]:
        if not jobs:
            return []
        self.pass_a_moment()
        reply = self.run(self.bench.settle(jobs, outcome, policy=POLICY, ttl_ms=TTL_MS))
        assert reply == [self.model.runs(claimed.id, claimed.fence) for claimed in jobs]
        return [claimed.id for claimed, done in zip(jobs, reply, strict=True) if done]

    @rule(jobs=runs)
    def extend(self, jobs: list[Claimed]) -> None:
        lost, cancelled = self.run(self.bench.extend(jobs, LEASE_MS))
        held = [claimed for claimed in jobs if self.model.runs(claimed.id, claimed.fence)]
        assert {lease.id for lease in lost} == {claimed.id for claimed in jobs if claimed not in held}
        wanted = {one.id for one in held if self.model.jobs[one.id].cancel_reason is not None}
        assert {lease.id for lease, _ in cancelled} == wanted
        for claimed in held:
            self.model.extend(claimed.id)

    @rule(ticks=st.integers(1, 8))
    def advance(self, ticks: int) -> None:
        self.run(self.kit.advance(ticks * TICK_MS))
        self.model.advance(ticks)

    @rule()
    def recover(self) -> None:
        reply = self.run(self.broker.recover([self.queue], LEASE_MS, MAX_DEATHS))
        expected = self.model.recover()
        assert [sorted(part) for part in reply] == [sorted(part) for part in expected]
        self.model.join_front(expected[0], self.run(self.bench.ids_in("ready")))

    @rule(job_ids=st.lists(st.sampled_from(IDS), min_size=1, max_size=3))
    def cancel(self, job_ids: list[str]) -> None:
        replies = self.run(self.broker.cancel(self.queue, job_ids, "enough", TTL_MS))
        assert replies == [self.model.cancel(job_id) for job_id in job_ids]

    @rule(job_id=st.sampled_from(IDS))
    def retry(self, job_id: str) -> None:
        assert self.run(self.broker.retry(self.queue, [job_id])) == [self.model.retry(job_id)]

    @rule(job_id=st.sampled_from(IDS), keep_ms=st.sampled_from([0, KEEP_MS]))
    def delete(self, job_id: str, keep_ms: int) -> None:
        done = self.run(self.broker.delete(self.queue, [job_id], keep_ms=keep_ms, deletion=1))
        assert done == [self.model.delete(job_id, keep_ms)]

    @rule(job_id=st.sampled_from(IDS))
    def forget(self, job_id: str) -> None:
        assert self.run(self.broker.forget(self.queue, job_id)) == self.model.forget(job_id)

    @rule(job_id=st.sampled_from(IDS))
    def undelete(self, job_id: str) -> None:
        assert self.run(self.broker.undelete(self.queue, [job_id])) == [self.model.undelete(job_id)]

    @rule(
        job_id=st.sampled_from(IDS),
        priority=st.none() | st.sampled_from([0, 1, 2, 3]),
        delay_ticks=st.sampled_from([None, 0, 2]),
    )
    def edit(self, job_id: str, priority: int | None, delay_ticks: int | None) -> None:
        self.pass_a_moment()
        delay_ms = None
        if delay_ticks is not None:
            delay_ms = delay_ticks * TICK_MS + TICK_MS // 2 if delay_ticks else 0
        reply = self.run(self.broker.edit(self.queue, job_id, priority=priority, delay_ms=delay_ms, due_at_ms=None))
        assert reply == self.model.edit(job_id, priority, delay_ms)

    @rule(hold=st.sampled_from(HOLDS), on=st.booleans())
    def hold(self, hold: Hold, on: bool) -> None:
        changed = self.run(self.broker.hold(self.queue, hold, on))
        assert changed == ((hold in self.model.holds) != on)
        (self.model.holds.add if on else self.model.holds.discard)(hold)

    @rule()
    def unpark(self) -> None:
        expected = self.model.unpark(frozenset(NAMES))
        assert self.run(self.broker.unpark([self.queue], frozenset(NAMES), 10**9)).moved == len(expected)
        self.model.join_front(expected, self.run(self.bench.ids_in("ready")))

    # -- what must hold after each step

    @invariant()
    def every_job_is_where_the_model_has_it(self) -> None:
        for job_id in IDS:
            job = self.run(self.broker.find(self.queue, job_id))
            known = self.model.jobs.get(job_id)
            assert (job is None) == (known is None), job_id
            if job is not None and known is not None:
                assert job.state in STATES[known.place], (job_id, job.state, known.place)
                assert job.unique_key == known.key
                if known.body:
                    assert job.envelope == decode_envelope(known.body)
                if known.place != "ended":
                    assert (job.failures, job.deaths) == (known.failures, known.deaths)
                run = (self.claimed_ms[job_id], "worker") if known.place == "running" else (None, "")
                if known.place not in ("dead", "ended"):
                    assert (job.started_at_ms, job.worker, job.duration_ms is None) == (*run, run[0] is None)

    @invariant()
    def each_place_lists_the_models_jobs(self) -> None:
        model = self.model
        assert self.run(self.bench.ids_in("ready", limit=2)) == model.startable()
        assert sorted(self.run(self.bench.ids_in("parked", limit=2))) == sorted(model.parked)
        assert sorted(self.run(self.bench.ids_in("running"))) == sorted(one.id for one in model.in_place("running"))
        due = [(model.jobs[job_id].due_ms, job_id) for job_id in self.run(self.bench.ids_in("scheduled", limit=2))]
        assert [one for one, _ in due] == sorted(one.due_ms for one in model.in_place("scheduled"))
        died = [model.jobs[job_id].died_ms for job_id in self.run(self.bench.ids_in("dead", limit=2))]
        assert died == sorted((one.died_ms for one in model.in_place("dead")), reverse=True)

    @invariant()
    def each_dead_job_is_in_one_group(self) -> None:
        groups = self.run(self.broker.dead_groups(self.queue))
        assert all(group.id for group in groups)
        assert sum(group.count for group in groups) == len(self.model.in_place("dead"))

    @invariant()
    def sizes_and_counts_are_the_models(self) -> None:
        figures = self.run(self.bench.figures())
        model = self.model
        assert set(figures.holds) == model.holds
        assert figures.ready == model.sizes()
        assert figures.parked == len(model.parked)
        assert (figures.scheduled, figures.running) == (
            len(model.in_place("scheduled")),
            len(model.in_place("running")),
        )
        assert figures.dead == len(model.in_place("dead"))
        found = figures.succeeded, figures.failed, figures.cancelled, figures.retried
        assert found == tuple(map(model.total, ("succeeded", "failed", "cancelled", "retried")))

    @invariant()
    def each_tenant_has_its_own_counts_and_its_own_dead(self) -> None:
        for tenant in TENANTS:
            [figures] = self.run(self.broker.tenant_figures([(self.queue, tenant)]))
            dead = self.run(self.bench.ids_in("dead", tenant=tenant))
            own = [job.id for job in self.model.in_place("dead") if job.tenant == tenant]
            assert (sorted(dead), figures.dead) == (sorted(own), len(own))
            for what in ("succeeded", "failed", "cancelled", "retried"):
                assert getattr(figures, what) == self.model.counts[tenant, what]

    @invariant()
    def each_live_id_is_in_exactly_one_place_and_has_one_record(self) -> None:
        live = {job_id: 1 for job_id, job in self.model.jobs.items() if job.place != "ended"}
        assert self.run(self.kit.places(self.queue)) == Counter(live)

    @invariant()
    def nothing_in_the_store_is_without_owner_or_expiry(self) -> None:
        assert self.run(self.kit.orphans(self.queue)) == []


class MemoryMachine(BrokerMachine):
    async def make_kit(self) -> MemoryKit:
        return MemoryKit()


@pytest.fixture(params=["valkey-9", "redis-6.2"])
def machine_server(request: pytest.FixtureRequest) -> Iterator[Server]:
    from tests.conftest import lane_of
    from tests.servers import server

    with server(lane_of(request.param)) as running:
        yield running


def _settings(examples: int) -> settings:
    return settings(
        max_examples=examples,
        stateful_step_count=40,
        deadline=None,
        suppress_health_check=list(HealthCheck),
    )


def test_the_memory_broker_and_the_model_agree() -> None:
    run_state_machine_as_test(MemoryMachine, settings=_settings(length(40, 150)))


def test_the_redis_broker_and_the_model_agree(machine_server: Server) -> None:
    class RedisMachine(BrokerMachine):
        async def make_kit(self) -> RedisKit:
            return RedisKit(machine_server)

    run_state_machine_as_test(RedisMachine, settings=_settings(length(8, 25)))
