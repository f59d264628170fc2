"""``Limits``: gates that let so many jobs through at once."""

from __future__ import annotations

from asyncjobs.core.limits import NO_LIMIT, NO_RULES, QueueLimit
from asyncjobs.core.priority import Priority
from asyncjobs.core.settlement import Cancelled, Snoozed
from asyncjobs.ports import Firing
from asyncjobs.testing.conformance.bench import QUIET_S, SOON_S, Bench, ids
from asyncjobs.testing.conformance.lined import declare, figures_of, lined, send_lined
from asyncjobs.testing.conformance.theme import Theme

__all__ = ["Gating"]


class Gating(Theme):
    """What claims promise of jobs that need slots of gates."""

    async def test_each_value_of_a_rule_has_slots_of_its_own(self, bench: Bench) -> None:
        await declare(bench, customer=2)
        one = await send_lined(bench, gates=["customer=1"], count=4)
        two = await send_lined(bench, gates=["customer=2"], count=3)
        claim = await bench.claim()
        # Lines of one group take turns.
        assert ids(claim.jobs) == [one[0], two[0], one[1], two[1]]
        assert await bench.claim_ids(worker="second") == []
        await bench.settle([job for job in claim.jobs if job.id == two[1]])
        assert await bench.claim_ids(worker="second") == two[2:]
        assert await bench.claim_ids(worker="second") == []

    async def test_a_rule_without_values_is_one_gate(self, bench: Bench) -> None:
        await declare(bench, mail=2)
        sent = await send_lined(bench, gates=["mail"], count=3)
        other = await bench.send()
        claim = await bench.claim()
        assert sorted(ids(claim.jobs)) == sorted([*sent[:2], *other])
        await bench.settle(claim.jobs)
        assert await bench.claim_ids() == sent[2:]

    async def test_a_gate_without_a_rule_is_open(self, bench: Bench) -> None:
        sent = await send_lined(bench, gates=["customer=1"], count=3)
        assert await bench.claim_ids() == sent
        # Its jobs are counted all the same, for a rule that comes later.
        await declare(bench, customer=3)
        await send_lined(bench, gates=["customer=1"])
        assert await bench.claim_ids() == []
        assert (await figures_of(bench, "customer=1")).running == 3

    async def test_a_job_takes_a_slot_of_each_of_its_gates_or_of_none(self, bench: Bench) -> None:
        await declare(bench, all=3, customer=2)
        one = await send_lined(bench, gates=["all", "customer=1"], count=3)
        two = await send_lined(bench, gates=["all", "customer=2"], count=3)
        claim = await bench.claim()
        assert ids(claim.jobs) == [one[0], two[0], one[1]]
        assert (await figures_of(bench, "customer=2")).running == 1
        assert (await figures_of(bench, "all")).running == 3
        await bench.settle([job for job in claim.jobs if job.id == one[0]])
        claim = await bench.claim()
        assert len(claim.jobs) == 1
        assert (await figures_of(bench, "all")).running == 3

    async def test_a_full_gate_wakes_nobody_until_a_slot_is_free(self, bench: Bench) -> None:
        await declare(bench, mail=1)
        [first, second] = await send_lined(bench, gates=["mail"], count=2)
        claim = await bench.claim()
        assert ids(claim.jobs) == [first]
        await bench.broker.wait([bench.queue], QUIET_S)
        assert await bench.claim_ids() == []
        assert not await bench.broker.wait([bench.queue], QUIET_S)
        # Neither does a job that joins the line.
        [third] = await send_lined(bench, gates=["mail"])
        assert not await bench.broker.wait([bench.queue], QUIET_S)
        await bench.settle(claim.jobs)
        assert await bench.broker.wait([bench.queue], SOON_S)
        claim = await bench.claim()
        assert ids(claim.jobs) == [second]
        await bench.claim()
        await bench.settle(claim.jobs)
        assert await bench.claim_ids() == [third]

    async def test_a_job_behind_many_of_a_closed_gate_starts_at_once(self, bench: Bench) -> None:
        await declare(bench, customer=1)
        for _ in range(10):
            await send_lined(bench, gates=["customer=1"], count=1_000)
        assert len(await bench.claim_ids()) == 1
        [other] = await send_lined(bench, gates=["customer=2"])
        assert await bench.claim_ids() == [other]
        [plain] = await bench.send()
        assert await bench.claim_ids() == [plain]

    async def test_no_slot_is_held_by_a_job_that_waits_for_its_time(self, bench: Bench) -> None:
        await declare(bench, mail=1)
        sent = await send_lined(bench, gates=["mail"], count=3)
        await bench.fail((await bench.claim()).jobs)
        claim = await bench.claim()
        assert ids(claim.jobs) == sent[1:2]
        await bench.settle(claim.jobs, Snoozed(1_000))
        claim = await bench.claim()
        assert ids(claim.jobs) == sent[2:]
        # What is due comes back to its line.
        await bench.kit.advance(2_000)
        assert await bench.claim_ids() == []
        await bench.settle(claim.jobs)
        claim = await bench.claim()
        assert ids(claim.jobs) == sent[:1]
        await bench.settle(claim.jobs)
        assert await bench.claim_ids() == sent[1:2]

    async def test_a_released_job_frees_its_slot_and_goes_to_the_front_of_its_line(self, bench: Bench) -> None:
        await declare(bench, mail=2)
        sent = await send_lined(bench, gates=["mail"], count=4)
        await bench.release((await bench.claim()).jobs)
        assert (await figures_of(bench, "mail")).running == 0
        assert await bench.claim_ids() == sent[:2]

    async def test_the_slots_of_a_dead_worker_are_free_again(self, bench: Bench) -> None:
        await declare(bench, mail=2)
        sent = await send_lined(bench, gates=["mail"], count=4)
        claim = await bench.claim()
        assert ids(claim.jobs) == sent[:2]
        await bench.lapse()
        assert sorted((await bench.recover()).recovered) == sent[:2]
        assert (await figures_of(bench, "mail")).running == 0
        assert await bench.broker.wait([bench.queue], SOON_S)
        assert await bench.claim_ids(worker="second") == sent[:2]
        # The dead worker's settlement is too late to free anything.
        assert await bench.settle(claim.jobs) == [False, False]
        assert (await figures_of(bench, "mail")).running == 2
        assert await bench.claim_ids(worker="third") == []

    async def test_a_job_that_dies_with_its_worker_frees_its_slot(self, bench: Bench) -> None:
        await declare(bench, mail=1)
        [early] = await send_lined(bench, gates=["mail"], acks_early=True)
        [behind] = await send_lined(bench, gates=["mail"])
        assert await bench.claim_ids() == [early]
        assert await bench.claim_ids() == []
        await bench.lapse()
        assert (await bench.recover()).dead == [early]
        assert await bench.claim_ids() == [behind]

    async def test_a_repeated_claim_takes_no_further_slots(self, bench: Bench) -> None:
        await declare(bench, mail=3)
        sent = await send_lined(bench, gates=["mail"], count=5)
        for _ in range(3):
            assert await bench.claim_ids(2, number=1) == sent[:2]
        assert (await figures_of(bench, "mail")).running == 2
        assert await bench.claim_ids(number=2) == sent[2:3]

    async def test_a_repeated_settlement_frees_nothing_more(self, bench: Bench) -> None:
        await declare(bench, mail=2)
        sent = await send_lined(bench, gates=["mail"], count=5)
        [first, _] = (await bench.claim()).jobs
        assert await bench.settle([first, first]) == [True, False]
        assert await bench.settle([first]) == [False]
        assert (await figures_of(bench, "mail")).running == 1
        assert await bench.claim_ids() == sent[2:3]

    async def test_the_slot_of_a_running_job_that_is_cancelled_is_free_when_it_ends(self, bench: Bench) -> None:
        await declare(bench, mail=1)
        sent = await send_lined(bench, gates=["mail"], count=2)
        claim = await bench.claim()
        assert await bench.cancel(sent[0]) == "running"
        assert await bench.claim_ids() == []
        await bench.settle(claim.jobs, Cancelled("enough"))
        assert await bench.claim_ids() == sent[1:]

    async def test_a_line_whose_jobs_were_cancelled_keeps_no_other_from_the_slot(self, bench: Bench) -> None:
        await declare(bench, mail=1)
        [first] = await send_lined(bench, "a", ["mail"])
        [cancelled] = await send_lined(bench, "b", ["mail"])
        [last] = await send_lined(bench, "c", ["mail"])
        claim = await bench.claim()
        assert ids(claim.jobs) == [first]
        assert await bench.cancel(cancelled) == "cancelled"
        await bench.settle(claim.jobs)
        found: list[str] = []
        for _ in range(3):
            found += await bench.claim_ids()
        assert found == [last]

    async def test_many_lines_whose_jobs_were_cancelled_cost_no_claim_each(self, bench: Bench) -> None:
        await declare(bench, wide=1)
        await send_lined(bench, gates=["wide"])
        claim = await bench.claim()
        many = [job_id for n in range(200) for job_id in await send_lined(bench, gates=[f"c={n:03}", "wide"])]
        while (await bench.claim(100)).again:
            pass
        [last] = await send_lined(bench, "z", ["wide"])
        while (await bench.claim(100)).again:
            pass
        await bench.broker.cancel(bench.queue, many, "enough", 60_000)
        await bench.settle(claim.jobs)
        found: list[str] = []
        for _ in range(20):
            found += await bench.claim_ids(100)
        assert found == [last]

    async def test_a_gate_that_opens_lets_very_many_lines_on(self, bench: Bench) -> None:
        await declare(bench, wide=1)
        await send_lined(bench, gates=["wide"])
        await bench.claim()
        many = [lined(bench, gates=[f"c={n:04}", "wide"]) for n in range(1_100)]
        for first in range(0, len(many), 100):
            await bench.broker.enqueue(many[first : first + 100])
        while (await bench.claim(100)).again:
            pass
        assert (await figures_of(bench, "wide")).lines == len(many)
        await declare(bench)
        found: list[str] = []
        for _ in range(20):
            found += await bench.claim_ids(200)
        assert sorted(found) == sorted(job.id for job in many)

    async def test_nothing_is_claimed_through_gates_ahead_of_free_slots(self, bench: Bench) -> None:
        await declare(bench, mail=100)
        sent = await send_lined(bench, "a", ["mail"], count=5)
        assert await bench.claim_ids(5, ahead=3) == sent[:2]
        assert await bench.claim_ids(5, ahead=5) == []
        free = await send_lined(bench, "b", count=2)
        assert await bench.claim_ids(5, ahead=5) == free
        assert await bench.broker.wait([bench.queue], SOON_S)
        assert await bench.claim_ids(5) == sent[2:]

    async def test_a_claim_that_comes_short_of_many_jobs_says_that_there_are_more(self, bench: Bench) -> None:
        await declare(bench, mail=1_000)
        sent = await send_lined(bench, gates=["mail"], count=450)
        found: list[str] = []
        for _ in range(3):
            claim = await bench.claim(1_000)
            found += ids(claim.jobs)
            assert claim.again or len(found) == len(sent)
        assert found == sent

    async def test_of_two_priorities_the_closed_one_keeps_the_other_from_nothing(self, bench: Bench) -> None:
        await declare(bench, mail=1)
        high = await send_lined(bench, gates=["mail"], count=3, priority=Priority.HIGH)
        low = await send_lined(bench, gates=["other"], count=2, priority=Priority.LOW)
        claim = await bench.claim()
        assert ids(claim.jobs) == [high[0], *low]
        await send_lined(bench, gates=["other"], count=2, priority=Priority.LOW)
        await bench.settle(claim.jobs[:1])
        assert (await bench.claim_ids(1)) == high[1:2]

    async def test_of_lines_that_wait_the_one_of_higher_priority_is_let_on_first(self, bench: Bench) -> None:
        await declare(bench, mail=1)
        [running] = await send_lined(bench, gates=["mail"])
        claim = await bench.claim()
        assert ids(claim.jobs) == [running]
        [low] = await send_lined(bench, gates=["mail"], priority=Priority.LOW)
        await bench.claim()
        [high] = await send_lined(bench, gates=["mail"], priority=Priority.HIGH)
        await bench.claim()
        for expected in (high, low):
            await bench.settle(claim.jobs)
            claim = await bench.claim()
            assert ids(claim.jobs) == [expected]

    async def test_lowest_priority_first_holds_for_lines_too(self, bench: Bench) -> None:
        [high] = await send_lined(bench, "a", priority=Priority.HIGH)
        [low] = await send_lined(bench, "a", priority=Priority.LOW)
        assert await bench.claim_ids(1, lowest_first=True) == [low]
        assert await bench.claim_ids(1) == [high]

    async def test_the_limit_of_the_whole_queue_holds_as_well(self, bench: Bench) -> None:
        await declare(bench, customer=2)
        await bench.broker.set_limit(bench.queue, "", QueueLimit(3), "")
        one = await send_lined(bench, gates=["customer=1"], count=4)
        two = await send_lined(bench, gates=["customer=2"], count=4)
        claim = await bench.claim()
        assert ids(claim.jobs) == [one[0], two[0], one[1]]
        await bench.settle(claim.jobs[:1])
        assert await bench.claim_ids() == [two[1]]

    async def test_a_paused_queue_gives_nothing_and_keeps_the_slots(self, bench: Bench) -> None:
        await declare(bench, mail=1)
        sent = await send_lined(bench, gates=["mail"], count=2)
        claim = await bench.claim()
        await bench.hold("queue")
        await bench.settle(claim.jobs)
        assert await bench.claim_ids() == []
        await bench.hold("queue", on=False)
        assert await bench.broker.wait([bench.queue], SOON_S)
        assert await bench.claim_ids() == sent[1:]

    async def test_what_is_set_by_hand_for_a_value_goes_before_its_rule(self, bench: Bench) -> None:
        await declare(bench, customer=1)
        broker, queue = bench.broker, bench.queue
        one = await send_lined(bench, gates=["customer=1"], count=6)
        two = await send_lined(bench, gates=["customer=2"], count=6)
        assert await broker.set_limit(queue, "customer=1", QueueLimit(2), "ada") is not None
        assert await broker.set_limit(queue, "customer=1", QueueLimit(2), "bob") is None
        assert await bench.claim_ids() == [one[0], two[0], one[1]]
        assert await broker.set_limit(queue, "customer", QueueLimit(3), "bob") is not None
        assert await bench.claim_ids() == two[1:3]
        figures = await figures_of(bench, "customer=1")
        assert (figures.limit, figures.is_set, figures.set_by) == (QueueLimit(2), True, "ada")
        figures = await figures_of(bench, "customer=2")
        assert (figures.limit, figures.is_set, figures.set_by) == (QueueLimit(3), False, "")
        figures = await figures_of(bench, "customer")
        assert (figures.limit, figures.is_set, figures.set_by) == (QueueLimit(3), True, "bob")
        # Without a number of its own, the rule's holds again.
        assert await broker.set_limit(queue, "customer=1", None, "ada") is not None
        assert await broker.set_limit(queue, "customer=1", None, "ada") is None
        assert await bench.claim_ids() == one[2:3]
        assert await broker.set_limit(queue, "customer", NO_LIMIT, "bob") is not None
        assert sorted(await bench.claim_ids()) == sorted([*one[3:], *two[3:]])

    async def test_a_higher_limit_lets_lines_on_and_a_lower_one_stops_nobody(self, bench: Bench) -> None:
        await declare(bench, mail=1)
        sent = await send_lined(bench, gates=["mail"], count=8)
        running = (await bench.claim()).jobs
        assert await bench.claim_ids() == []
        await bench.broker.wait([bench.queue], QUIET_S)
        await declare(bench, mail=3)
        assert await bench.broker.wait([bench.queue], SOON_S)
        running = [*running, *(await bench.claim()).jobs]
        assert ids(running) == sent[:3]
        await declare(bench, mail=1)
        assert await bench.settle(running[:2]) == [True, True]
        assert await bench.claim_ids() == []
        await bench.settle(running[2:])
        claim = await bench.claim()
        assert ids(claim.jobs) == sent[3:4]
        await bench.broker.declare_rules(bench.queue, NO_RULES)
        assert await bench.claim_ids() == sent[4:]

    async def test_a_job_of_a_schedule_waits_in_its_line(self, bench: Bench) -> None:
        await declare(bench, mail=1)
        await bench.broker.put_schedule(bench.queue, "every", b"data", 1)
        await send_lined(bench, gates=["mail"])
        claim = await bench.claim()
        tick = lined(bench, gates=["mail"])
        [fired] = (await bench.broker.fire(bench.queue, [Firing("every", None, None, None, [tick])])).fired
        assert fired
        assert await bench.claim_ids() == []
        await bench.settle(claim.jobs)
        assert await bench.claim_ids() == [tick.id]
