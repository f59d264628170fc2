"""What an app tells of limits by name and of turns: its gates, and why a job waits, each reason once."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from asyncjobs import App, ArgumentsError, GateStats, Limit, ProblemLimits, RateLimited, WhyReason
from tests.waiting import SOON, Notes, until

pytestmark = pytest.mark.anyio


class Held:
    """Handlers that note that they have begun, and wait."""

    def __init__(self) -> None:
        self.began: Notes[str] = Notes()
        self.may_end = asyncio.Event()

    async def run(self, what: str) -> None:
        self.began.append(what)
        await asyncio.wait_for(self.may_end.wait(), SOON)


@pytest.fixture
def held() -> Held:
    return Held()


async def reason(app: App, job_id: str, kind: str) -> WhyReason:
    """Return the reason of a kind why a job waits, once it is told."""
    found: list[WhyReason] = []

    async def is_told() -> bool:
        found[:] = [one for one in (await app.why(job_id)).reasons if one.kind == kind]
        return bool(found)

    await until(is_told, f"the reason {kind!r}")
    return found[0]


async def gate(app: App, name: str) -> GateStats:
    return {one.gate: one for one in await app.gates("mail")}[name]


async def test_a_full_gate_is_told_with_the_jobs_that_hold_it_and_those_before(app: App, held: Held) -> None:
    @app.job(queue="mail", limits=Limit("customer", running=2).by("customer"))
    async def mail(customer: int) -> None:
        await held.run(str(customer))

    async with app, app.worker(queues=["mail"], concurrency=8):
        handles = await app.enqueue_many([mail.request(42) for _ in range(5)])
        await held.began.reach(2)
        told = await reason(app, handles[4].id, "gate full")
        assert (told.which, told.in_use, told.slots, told.ahead, told.lines_ahead) == ("customer=42", 2, 2, 2, 0)
        assert sorted(told.holders) == sorted(handle.id for handle in handles[:2])
        one, rule = await gate(app, "customer=42"), await gate(app, "customer")
        assert (one.in_use, one.running, one.waiting, one.waiting_lines, one.is_full) == (2, 2, 3, 1, True)
        assert str(one) == "customer=42: 2 of 2 in use; 3 jobs in 1 line wait"

        async def has_waited() -> bool:
            return (await gate(app, "customer")).oldest_wait_ms > 0

        await until(has_waited, "the first job has waited for a millisecond")
        assert (rule.is_each, rule.in_use, rule.waiting, rule.is_full) == (True, 2, 3, False)
        held.may_end.set()
        for handle in handles:
            await handle.result(SOON)
        assert (await gate(app, "customer")).in_use == 0


async def test_a_full_gate_is_no_problem_until_jobs_have_waited_for_long(app: App, held: Held) -> None:
    @app.job(queue="mail", limits=Limit("stripe", running=1))
    async def charge() -> None:
        await held.run("charge")

    async with app, app.worker(queues=["mail"]):
        handles = await app.enqueue_many([charge.request() for _ in range(3)])
        await reason(app, handles[2].id, "gate full")
        assert await app.problems(queue="mail") == []
        [problem] = await app.problems(queue="mail", limits=ProblemLimits(limit_wait_s=0, wait_s=0, wait_ratio=0))
        assert (problem.kind, problem.subject, problem.count) == ("waits for a limit", "stripe", 2)
        assert str(problem).startswith("mail: 2 jobs wait for the limit stripe (1 at once), the first one for ")
        held.may_end.set()


async def test_lines_that_wait_for_one_gate_are_before_one_another(app: App, held: Held) -> None:
    stripe = Limit("stripe", running=1)

    @app.job(queue="mail", limits=[stripe, Limit("customer", running=9).by("customer")])
    async def charge(customer: int) -> None:
        await held.run(str(customer))

    async with app, app.worker(queues=["mail"], concurrency=8):
        handles = await app.enqueue_many([charge.request(one) for one in range(4)])
        await held.began.reach(1)
        waiting = [handle.id for handle in handles if handle.id not in (await gate(app, "stripe")).holders]
        told = [await reason(app, job_id, "gate full") for job_id in waiting]
        assert [one.which for one in told] == ["stripe"] * 3
        assert sorted(one.lines_ahead or 0 for one in told) == [0, 1, 2]
        assert (await gate(app, "stripe")).waiting_lines == 3
        held.may_end.set()


async def test_a_rate_that_is_used_up_is_told_with_when_it_opens(app: App, held: Held) -> None:
    @app.job(queue="mail", limits=Limit("slow", rate="1/h"))
    async def mail(number: int) -> None:
        held.began.append(str(number))

    async with app, app.worker(queues=["mail"]):
        _, second = await app.enqueue_many([mail.request(one) for one in range(2)])
        await held.began.reach(1)
        told = await reason(app, second.id, "gate rate used up")
        assert (told.which, told.note, told.ahead) == ("slow", "1/h", 0)
        assert told.due_at is not None
        one = await gate(app, "slow")
        assert (one.opens_at, one.is_closed, one.limit) == (told.due_at, False, "1/h")


@pytest.mark.parametrize("rate", [None, "1000/s"])
async def test_a_gate_that_a_job_has_closed_is_told_as_such(app: App, held: Held, rate: str | None) -> None:
    stripe = Limit("stripe", running=5, rate=rate)

    @app.job(queue="mail", limits=stripe)
    async def charge(is_refused: bool) -> None:
        held.began.append("charge")
        if is_refused:
            raise RateLimited(stripe, after=600)

    async with app, app.worker(queues=["mail"]):
        await charge.delay(is_refused=True)
        await held.began.reach(1)

        async def is_closed() -> bool:
            return (await gate(app, "stripe")).is_closed

        await until(is_closed, "the gate is closed")
        other = await charge.delay(is_refused=False)
        told = await reason(app, other.id, "gate closed")
        assert told.due_at == (await gate(app, "stripe")).opens_at
        assert "It waits for stripe: a job has closed it until" in str(told)
        assert len(held.began) == 1


async def test_the_group_and_the_groups_before_it_are_told(make_app: Callable[..., App], held: Held) -> None:
    app = make_app()
    app.queue("mail", fair_by="customer")

    @app.job(queue="mail")
    async def mail(customer: str) -> None:
        await held.run(customer)

    async with app, app.worker(queues=["mail"], concurrency=1):
        await mail.delay("first")
        await held.began.reach(1)
        handles = await app.enqueue_many([mail.request(one) for one in ("a", "a", "b", "c")])
        told = [await reason(app, handle.id, "no free slot") for handle in handles]
        assert [one.group for one in told] == ["a", "a", "b", "c"]
        assert [one.ahead for one in told] == [0, 1, 0, 0]
        before: list[Any] = [one.groups_ahead for one in told]
        assert before[0] == before[1]
        assert sorted({*before}) == [0, 1, 2]
        stats = await app.queue_stats("mail")
        assert (stats.lined, stats.closed_lines, stats.pending) == (4, 0, 4)
        turns = await app.turns("mail")
        assert {one.group: (one.waiting, one.priority, one.weight) for one in turns} == {
            "a": (2, "normal", 1.0),
            "b": (1, "normal", 1.0),
            "c": (1, "normal", 1.0),
        }
        ahead = {one.group: one.groups_ahead for one in told}
        assert [ahead[one.group] for one in turns] == [0, 1, 2]
        assert await app.turns("mail", limit=1) == turns[:1]
        job = await handles[2].refresh()
        assert job.line == "b"
        held.may_end.set()


async def test_while_long_jobs_run_in_all_slots_the_next_one_says_so_at_once(app: App, held: Held) -> None:
    @app.job(queue="mail")
    async def mail() -> None:
        await held.run("mail")

    async with app, app.worker(queues=["mail"], concurrency=2):
        await app.enqueue_many([mail.request() for _ in range(2)])
        await held.began.reach(2)
        later = await mail.delay()
        [told] = (await app.why(later.id)).reasons
        assert (told.kind, told.slots, told.free_slots, told.ahead) == ("no free slot", 2, 0, 0)
        held.may_end.set()


async def test_what_waits_for_a_limit_wants_no_slots(app: App, held: Held) -> None:
    @app.job(queue="mail", limits=Limit("customer", running=1).by("customer"))
    async def mail(customer: int) -> None:
        await held.run(str(customer))

    async with app, app.worker(queues=["mail"], concurrency=4):
        await app.enqueue_many([mail.request(customer) for customer in (1, 2) for _ in range(5)])
        await held.began.reach(2)

        async def all_wait() -> bool:
            load = await app.load(["mail"])
            return (load.backlog, load.held_back, load.running) == (8, 8, 2)

        await until(all_wait, "both lines wait")
        [load] = await app.queue_loads(["mail"])
        assert (load.backlog, load.held_back, load.wanted_slots) == (8, 8, 2)
        held.may_end.set()


async def test_a_wrong_queue_or_number_is_refused(app: App) -> None:
    async with app:
        with pytest.raises(ArgumentsError, match="limit=0"):
            await app.gates("mail", limit=0)
        for limit in (0, 501):
            with pytest.raises(ArgumentsError, match=f"limit={limit}"):
                await app.turns("mail", limit=limit)
        assert await app.gates("unknown") == await app.turns("unknown") == []
        with pytest.raises(ArgumentsError, match="queue"):
            await app.gates("")
