"""The verbs of operators in any order, beside a model of what each does; after every step both tell the same story."""

from __future__ import annotations

import asyncio
import inspect
import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import pytest

from asyncjobs import App, JobHandle, UnknownJob, UnknownSchedule, Worker
from asyncjobs.testing.conformance import Bench
from tests.apps import broker_of, find_or_none

pytestmark = pytest.mark.anyio

SEEDS = range(4)
STEPS = 150
QUEUES = ["default", "other"]
OWN_IDS = [f"job-{number}" for number in range(4)]
NAMES = ["work", "more"]
TENANTS = ["", "acme", "globex"]
# Each tenant has its own jobs of these ids.
IDS = [f"@{tenant}:{own_id}" if tenant else own_id for tenant in TENANTS for own_id in OWN_IDS]
PRIORITIES = ["critical", "high", "normal", "low"]
LATER_S = 3_600


@dataclass
class Known:
    """A job as the model has it: it is waiting, scheduled, dead, completed or cancelled."""

    name: str
    tenant: str
    priority: str
    place: str = "waiting"
    is_moved: bool = False


@dataclass
class Model:
    """The jobs by queue and id, and what is held back."""

    jobs: dict[tuple[str, str], Known] = field(default_factory=dict)
    paused: set[str] = field(default_factory=set)
    names: set[tuple[str, str]] = field(default_factory=set)
    tenants: set[tuple[str, str]] = field(default_factory=set)

    def ids(self, queue: str, *places: str) -> list[str]:
        return sorted(one for (where, one), job in self.jobs.items() if where == queue and job.place in places)

    def is_held(self, queue: str, job: Known) -> bool:
        return queue in self.paused or (queue, job.name) in self.names or (queue, job.tenant) in self.tenants

    def dead(self, name: str | None, tenant: str | None, queue: str | None) -> list[tuple[str, str]]:
        return [
            key
            for key, job in self.jobs.items()
            if job.place == "dead"
            and name in (None, job.name)
            and tenant in (None, job.tenant)
            and queue in (None, key[0])
        ]


async def reply_of(verb: Awaitable[Any]) -> Any:
    """Return what a verb returns, or ``UnknownJob`` if it raises that."""
    try:
        return await verb
    except UnknownJob:
        return UnknownJob


class Operators:
    """Calls one verb after another, each with arguments drawn by ``chance``, and follows it in the model."""

    def __init__(self, app: App, chance: random.Random) -> None:
        self.app = app
        self.chance = chance
        self.model = Model()
        kit: Any = SimpleNamespace(broker=broker_of(app))
        self.bench = {queue: Bench(kit, queue) for queue in QUEUES}
        # Each bench numbers its claims, which belong to one worker.
        self.claims = 0

    def any_id(self) -> tuple[str, str]:
        return self.chance.choice(QUEUES), self.chance.choice(IDS)

    def any_of(self, *values: Any) -> Any:
        return self.chance.choice(values)

    async def send(self) -> None:
        queue, tenant, own_id = self.any_of(*QUEUES), self.any_of(*TENANTS), self.any_of(*OWN_IDS)
        name, priority = self.any_of(*NAMES), self.any_of(*PRIORITIES)
        job_id = f"@{tenant}:{own_id}" if tenant else own_id
        job = self.app.registry.get(name).with_options(
            queue=queue, job_id=own_id, tenant=tenant or None, priority=priority
        )
        is_later = self.any_of(True, False, False)
        handle = await (job.schedule_in(LATER_S) if is_later else job.delay())
        assert handle.id == job_id
        assert handle.is_new == ((queue, job_id) not in self.model.jobs)
        if handle.is_new:
            place = "scheduled" if is_later else "waiting"
            self.model.jobs[queue, job_id] = Known(name, tenant, priority, place)

    async def run_some(self) -> None:
        queue, is_failing = self.any_of(*QUEUES), self.any_of(True, False)
        self.claims += 1
        claim = await self.bench[queue].claim(self.any_of(1, 3), number=self.claims, names=frozenset(NAMES))
        for one in claim.jobs:
            job = self.model.jobs[queue, one.id]
            assert job.place == "waiting"
            assert not self.model.is_held(queue, job)
            assert (one.name, one.tenant) == (job.name, job.tenant)
            assert PRIORITIES[one.priority] == job.priority
            job.place = "dead" if is_failing else "completed"
        if is_failing:
            assert all(await self.bench[queue].fail(claim.jobs, for_good=True))
        else:
            assert all(await self.bench[queue].settle(claim.jobs))

    async def cancel(self) -> None:
        queue, job_id = self.any_id()
        job = self.model.jobs.get((queue, job_id))
        replies = {"dead": "failed", "completed": "ended", "cancelled": "ended"}
        expected = UnknownJob if job is None else replies.get(job.place, "cancelled")
        assert await reply_of(self.app.cancel_job(job_id, queue=queue)) == expected
        if job is not None and expected == "cancelled":
            job.place = "cancelled"

    async def edit(self) -> None:
        queue, job_id = self.any_id()
        to_queue = self.any_of(None, None, *QUEUES)
        changes = {"priority": self.any_of(None, *PRIORITIES), "delay": self.any_of(None, None, 0, LATER_S)}
        job, target = self.model.jobs.get((queue, job_id)), self.model.jobs.get((to_queue, job_id))
        replies = {"dead": "failed", "completed": "ended", "cancelled": "ended"}
        expected = UnknownJob if job is None else replies.get(job.place, "edited")
        is_move = to_queue not in (None, queue)
        if is_move and job is not None and target is not None and not target.is_moved:
            expected = "known"
        assert await reply_of(self.app.edit_job(job_id, queue=queue, to_queue=to_queue, **changes)) == expected
        if job is None or expected != "edited":
            return
        place = job.place
        if changes["delay"] is not None:
            place = "scheduled" if changes["delay"] else "waiting"
        edited = Known(job.name, job.tenant, changes["priority"] or job.priority, place)
        if is_move:
            job.place, job.is_moved = "cancelled", True
            queue = to_queue
        self.model.jobs[queue, job_id] = edited

    async def retry(self) -> None:
        queue, job_id = self.any_id()
        job = self.model.jobs.get((queue, job_id))
        expected = UnknownJob if job is None else job.place == "dead"
        assert await reply_of(self.app.retry_job(job_id, queue=queue)) == expected
        if job is not None and expected is True:
            job.place = "waiting"

    async def name_what_is_nowhere(self) -> None:
        for verb in (App.find_job, App.cancel_job, App.edit_job, App.retry_job, App.delete_job):
            with pytest.raises(UnknownJob, match="there is no record of job 'nowhere' in any queue"):
                await verb(self.app, "nowhere")

    async def delete(self) -> None:
        queue, job_id = self.any_id()
        job = self.model.jobs.get((queue, job_id))
        expected = UnknownJob if job is None else job.place not in ("waiting", "scheduled")
        assert await reply_of(self.app.delete_job(job_id, queue=queue)) == expected
        if expected is True:
            del self.model.jobs[queue, job_id]

    async def change_dead(self) -> None:
        name, tenant, queue = self.any_of(None, *NAMES), self.any_of(None, *TENANTS[1:]), self.any_of(None, *QUEUES)
        expected = self.model.dead(name, tenant, queue)
        listed = await self.app.failed_jobs(name=name, tenant=tenant, queue=queue)
        assert sorted((job.queue, job.id) for job in listed) == sorted(expected)
        is_retry = self.any_of(True, False)
        verb = self.app.retry_failed if is_retry else self.app.delete_failed
        assert await verb(name=name, tenant=tenant, queue=queue) == len(expected)
        for key in expected:
            if is_retry:
                self.model.jobs[key].place = "waiting"
            else:
                del self.model.jobs[key]

    async def pause(self) -> None:
        queue, is_pause = self.any_of(*QUEUES), self.any_of(True, False, False)
        await (self.app.pause(queue) if is_pause else self.app.resume(queue))
        (self.model.paused.add if is_pause else self.model.paused.discard)(queue)

    async def suspend(self) -> None:
        queue, on, is_name = self.any_of(*QUEUES), self.any_of(True, False, False), self.any_of(True, False)
        which = self.any_of(*NAMES) if is_name else self.any_of(*TENANTS[1:])
        verbs: dict[tuple[bool, bool], Callable[..., Awaitable[None]]] = {
            (True, True): self.app.suspend_name,
            (True, False): self.app.resume_name,
            (False, True): self.app.suspend_tenant,
            (False, False): self.app.resume_tenant,
        }
        await verbs[is_name, on](which, queue=queue)
        held = self.model.names if is_name else self.model.tenants
        (held.add if on else held.discard)((queue, which))

    async def cancel_many(self) -> None:
        name, tenant, queue = self.any_of(None, *NAMES), self.any_of(None, *TENANTS[1:]), self.any_of(None, *QUEUES)
        state = self.any_of(None, "scheduled")
        own = [
            job
            for (where, _), job in self.model.jobs.items()
            if job.place in (("scheduled",) if state else ("waiting", "scheduled"))
            and name in (None, job.name)
            and tenant in (None, job.tenant)
            and queue in (None, where)
        ]
        assert await self.app.cancel_jobs(state, name=name, tenant=tenant, queue=queue) == len(own)
        for job in own:
            job.place = "cancelled"

    async def purge(self) -> None:
        tenant, queue = self.any_of(None, *TENANTS[1:]), self.any_of(None, *QUEUES)
        if tenant is None:
            queue = self.any_of(*QUEUES)
        own = [
            key
            for key, job in self.model.jobs.items()
            if tenant in (None, job.tenant)
            and queue in (None, key[0])
            and job.place in ("waiting", "scheduled", "dead")
        ]
        if tenant is None:
            assert await self.app.purge_queue(queue) == len(own)
        else:
            assert await self.app.purge_tenant(tenant, queue=queue) == len(own)
        for key in own:
            if self.model.jobs[key].place == "dead":
                del self.model.jobs[key]
            else:
                self.model.jobs[key].place = "cancelled"

    async def check(self) -> None:
        """Compare what the app lists and counts with the model."""
        states = {
            "waiting": ("pending", "retrying"),
            "scheduled": ("pending", "retrying"),
            "dead": ("failed",),
            "completed": ("completed",),
            "cancelled": ("cancelled",),
        }
        for queue in QUEUES:
            listed = {
                state: sorted([job.id for job in await self.app.jobs(state, queue=queue)])  # type: ignore[arg-type]
                for state in ("ready", "parked", "scheduled", "running", "failed")
            }
            assert sorted(listed["ready"] + listed["parked"]) == self.model.ids(queue, "waiting")
            assert listed["scheduled"] == self.model.ids(queue, "scheduled")
            assert listed["failed"] == self.model.ids(queue, "dead")
            assert listed["running"] == []
            stats = await self.app.queue_stats(queue)
            assert stats.size == len(self.model.ids(queue, "waiting", "scheduled"))
            assert (stats.parked, stats.pending) == (len(listed["parked"]), len(listed["ready"]))
            assert stats.scheduled == len(listed["scheduled"])
            for job_id in IDS:
                found, known = await find_or_none(self.app, job_id, queue=queue), self.model.jobs.get((queue, job_id))
                assert (found is None) == (known is None)
                if found is not None and known is not None:
                    assert found.state.value in states[known.place]
                    assert (found.name, found.tenant) == (known.name, known.tenant)
                    if known.place in ("waiting", "scheduled"):
                        assert found.priority.label == known.priority
        for held, kept in (
            (await self.app.suspended_names(), self.model.names),
            (await self.app.suspended_tenants(), self.model.tenants),
        ):
            assert {(queue, which) for queue, here in held.items() for which in here} == kept


@pytest.mark.parametrize("seed", SEEDS)
async def test_operators_verbs_do_what_the_model_says(make_app: Callable[..., App], seed: int) -> None:
    app = make_app()

    @app.job
    async def work() -> None: ...

    @app.job
    async def more() -> None: ...

    async with app:
        chance = random.Random(seed)
        operators = Operators(app, chance)
        verbs = [
            *(operators.send,) * 6,
            *(operators.run_some,) * 4,
            *(operators.edit,) * 4,
            *(operators.cancel, operators.retry, operators.delete, operators.change_dead) * 2,
            *(
                operators.pause,
                operators.suspend,
                operators.purge,
                operators.cancel_many,
                operators.name_what_is_nowhere,
            ),
        ]
        told = []
        for _ in range(STEPS):
            verb = chance.choice(verbs)
            told.append(verb.__name__)
            try:
                await verb()
                await operators.check()
            except BaseException as error:
                error.add_note(f"seed {seed}, after {' '.join(told)}")
                raise


VERBS_BY_ID = [
    name
    for name, verb in inspect.getmembers(App, inspect.iscoroutinefunction)
    if {"job_id", "schedule_id"} & inspect.signature(verb).parameters.keys() and name[0] != "_"
]


@pytest.mark.parametrize("queue", [None, "default", "nowhere"])
@pytest.mark.parametrize("verb", [name for name in VERBS_BY_ID if name != "add_schedule"])
async def test_what_is_not_found_is_the_same_error_of_each_verb(app: App, verb: str, queue: str | None) -> None:
    where = "in any queue" if queue is None else f"in queue '{queue}'"
    if "schedule" in verb:
        expected: Any = pytest.raises(UnknownSchedule, match=f"there is no schedule 'nobody' {where}")
    else:
        expected = pytest.raises(UnknownJob, match=f"there is no record of job 'nobody' {where}")
    async with app:
        with expected:
            await getattr(app, verb)("nobody", queue=queue)
    with expected:
        await asyncio.to_thread(getattr(app.sync, verb), "nobody", queue=queue)


@pytest.mark.parametrize("verb", [JobHandle.refresh, JobHandle.status, JobHandle.result, JobHandle.cancel])
async def test_what_is_not_found_is_the_same_error_of_each_verb_of_a_handle(app: App, verb: Any) -> None:
    @app.job
    async def work() -> None: ...

    async with app:
        for handle in (app.handle("nobody"), work.handle("nobody")):
            with pytest.raises(UnknownJob, match="there is no record of job 'nobody' in queue 'default'"):
                await verb(handle)
            with pytest.raises(UnknownJob, match="there is no record of job 'nobody' in queue 'default'"):
                [event async for event in handle.events()]


async def test_a_sender_whose_job_is_no_longer_kept_has_nothing_to_cancel(app: App) -> None:
    @app.job
    async def work() -> None: ...

    async with app:
        handle = await work.delay()
        await Worker(app).run_until_empty()
        assert await app.delete_job(handle.id)
        assert not await handle.cancel()
        with pytest.raises(UnknownJob):
            await work.handle(handle.id).cancel()
