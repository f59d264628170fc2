"""``Limits``: gates that let so many jobs through in a time, and gates that a job has found closed."""

from __future__ import annotations

from asyncjobs.core.limits import QueueLimit, Rate
from asyncjobs.testing.conformance.bench import QUIET_S, SOON_S, Bench, ids
from asyncjobs.testing.conformance.lined import close_by, declare, figures_of, lined, send_lined
from asyncjobs.testing.conformance.theme import Theme

__all__ = ["Rating"]

SLOWLY = QueueLimit(rate=Rate(6, per=60, burst=3))
"""Three at once, then one each ten seconds."""

#: More than a command of a server may take at once.
MANY = 8_200


class Rating(Theme):
    """What claims promise of jobs whose gates have a rate."""

    async def test_each_value_has_a_rate_of_its_own(self, bench: Bench) -> None:
        await declare(bench, api=SLOWLY)
        one = await send_lined(bench, gates=["api=1"], count=8)
        two = await send_lined(bench, gates=["api=2"], count=2)
        assert await bench.claim_ids(20) == [one[0], two[0], one[1], two[1], one[2]]
        assert await bench.claim_ids(20) == []
        await bench.kit.advance(10_000)
        assert await bench.claim_ids(20) == []
        # The claim before has let the line on, which starts with the next.
        assert await bench.claim_ids(20) == one[3:4]
        await bench.kit.advance(600_000)
        found = await bench.claim_ids(20) or await bench.claim_ids(20)
        assert found == one[4:5] or found == one[4:7]

    async def test_a_worker_is_told_when_a_gate_opens(self, bench: Bench) -> None:
        await declare(bench, api=SLOWLY)
        await send_lined(bench, gates=["api"], count=5)
        claim = await bench.claim(keep_timer_ms=100_000)
        assert len(claim.jobs) == 3
        assert claim.next_due_ms is not None
        assert 9_000 <= claim.next_due_ms - claim.now_ms <= 10_000
        other = await bench.claim(worker="second", keep_timer_ms=100_000)
        assert (other.jobs, other.next_due_ms) == ([], None)
        assert not await bench.broker.wait([bench.queue], QUIET_S)
        await bench.kit.advance(10_000)
        claim = await bench.claim(keep_timer_ms=100_000)
        found = claim.jobs or (await bench.claim(keep_timer_ms=100_000)).jobs
        assert len(found) == 1

    async def test_a_gate_for_which_lines_wait_tells_when_they_go_on(self, bench: Bench) -> None:
        # So fast that two starts are let come together.
        await declare(bench, api=QueueLimit(rate=Rate(40, per=1, burst=5)))
        await send_lined(bench, gates=["api"], count=8)
        while await bench.claim_ids():
            continue
        # One alone could start by now.
        await bench.kit.advance(30)
        figures = await figures_of(bench, "api")
        assert figures.lines == 1
        assert figures.opens_at_ms is not None

    async def test_a_repeated_claim_and_a_release_change_nothing_of_a_rate(self, bench: Bench) -> None:
        await declare(bench, api=SLOWLY)
        sent = await send_lined(bench, gates=["api"], count=6)
        for _ in range(3):
            claim = await bench.claim(2, number=1)
            assert ids(claim.jobs) == sent[:2]
        # What has started has started: nothing is given back.
        await bench.release(claim.jobs)
        assert await bench.claim_ids(number=2) == sent[:1]

    async def test_a_job_that_is_not_for_the_worker_uses_up_nothing_of_a_gate(self, bench: Bench) -> None:
        await declare(bench, api=QueueLimit(running=1, rate=Rate(1, per=60)))
        await send_lined(bench, gates=["api"], name="unknown")
        [known] = await send_lined(bench, gates=["api"], name="known")
        names = frozenset({"known"})
        assert (await bench.claim_ids(names=names) or await bench.claim_ids(names=names)) == [known]

    async def test_a_gate_with_slots_and_a_rate_keeps_to_both(self, bench: Bench) -> None:
        await declare(bench, api=QueueLimit(running=1, rate=Rate(6, per=60, burst=2)))
        sent = await send_lined(bench, gates=["api"], count=5)
        for number in range(2):
            claim = await bench.claim()
            assert ids(claim.jobs) == [sent[number]]
            await bench.settle(claim.jobs)
        for _ in range(3):
            assert await bench.claim_ids() == []
        await bench.kit.advance(10_000)
        assert (await bench.claim_ids() or await bench.claim_ids()) == [sent[2]]
        await bench.kit.advance(60_000)
        for _ in range(3):
            assert await bench.claim_ids() == []

    async def test_a_faster_rate_of_a_gate_holds_at_once(self, bench: Bench) -> None:
        await declare(bench, api=QueueLimit(rate=Rate(1, per=3_600)))
        await send_lined(bench, gates=["api"], count=3)
        assert len(await bench.claim_ids()) == 1
        await declare(bench, api=QueueLimit(rate=Rate(10, per=60)))
        await bench.claim_ids()
        await bench.kit.advance(6_000)
        assert len(await bench.claim_ids() or await bench.claim_ids()) == 1
        await declare(bench)
        assert len(await bench.claim_ids()) == 1

    async def test_a_rule_can_be_changed_while_very_many_of_its_gates_are_closed(self, bench: Bench) -> None:
        await declare(bench, api=QueueLimit(rate=Rate(1, per=3_600)))
        for first in range(0, MANY, 820):
            numbers = range(first, first + 820)
            await bench.send(*(lined(bench, gates=[f"api={number}"]) for number in numbers for _ in range(2)))
        started = 0
        while (claim := await bench.claim(1_000)).jobs or claim.again:
            started += len(claim.jobs)
        assert started == MANY
        await declare(bench)
        while (claim := await bench.claim(1_000)).jobs or claim.again:
            started += len(claim.jobs)
        assert started == 2 * MANY

    async def test_the_figures_tell_when_a_gate_opens(self, bench: Bench) -> None:
        await declare(bench, api=SLOWLY)
        assert (await figures_of(bench, "api")).opens_at_ms is None
        await send_lined(bench, gates=["api"], count=4)
        now_ms = (await bench.claim()).now_ms
        opens_at_ms = (await figures_of(bench, "api")).opens_at_ms
        assert opens_at_ms is not None
        assert 9_000 <= opens_at_ms - now_ms <= 10_000

    async def test_a_job_that_finds_its_gate_closed_closes_it_for_the_others(self, bench: Bench) -> None:
        sent = await send_lined(bench, gates=["api=1"], count=4)
        [other] = await send_lined(bench, gates=["api=2"])
        claim = await bench.claim(1)
        assert await close_by(bench, claim.jobs[0], "api=1", 30_000)
        claim = await bench.claim()
        assert ids(claim.jobs) == [other]
        opens_at_ms = (await figures_of(bench, "api=1")).opens_at_ms
        assert opens_at_ms is not None
        assert 29_000 <= opens_at_ms - claim.now_ms <= 30_000
        assert (await bench.figures()).scheduled == 1
        await bench.kit.advance(20_000)
        assert await bench.claim_ids() == []
        await bench.kit.advance(11_000)
        found = [await bench.claim_ids(), await bench.claim_ids()]
        # The job that has found it closed comes to the back of its line when it is due.
        assert found[0] + found[1] == [*sent[1:], sent[0]]

    async def test_a_closed_gate_that_has_a_rate_opens_when_both_allow_it(self, bench: Bench) -> None:
        await declare(bench, api=QueueLimit(rate=Rate(60, per=60, burst=1)))
        await send_lined(bench, gates=["api"], count=4)
        claim = await bench.claim()
        assert len(claim.jobs) == 1
        assert await close_by(bench, claim.jobs[0], "api", 30_000)
        await bench.kit.advance(5_000)
        assert await bench.claim_ids() == []
        await bench.kit.advance(26_000)
        assert len(await bench.claim_ids() or await bench.claim_ids()) == 1

    async def test_a_closing_gate_wakes_a_worker_that_keeps_its_time(self, bench: Bench) -> None:
        await declare(bench, api=1)
        await send_lined(bench, gates=["api"], count=3)
        claim = await bench.claim(keep_timer_ms=60_000)
        await bench.claim(keep_timer_ms=60_000)
        await bench.broker.wait([bench.queue], QUIET_S)
        assert await close_by(bench, claim.jobs[0], "api", 30_000)
        assert await bench.broker.wait([bench.queue], SOON_S)
        claim = await bench.claim(worker="second", keep_timer_ms=60_000)
        assert not claim.jobs
        assert claim.next_due_ms is not None
        assert 29_000 <= claim.next_due_ms - claim.now_ms <= 30_000

    async def test_a_settlement_that_comes_too_late_closes_nothing(self, bench: Bench) -> None:
        sent = await send_lined(bench, gates=["api"], count=3)
        claim = await bench.claim(1)
        await bench.lapse()
        await bench.recover()
        assert not await close_by(bench, claim.jobs[0], "api", 30_000)
        assert await bench.claim_ids() == sent
