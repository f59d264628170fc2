"""``Limits``: how many jobs of a whole queue run, at once and in a time."""

from __future__ import annotations

import asyncio

from asyncjobs.core.limits import NO_LIMIT, NO_RULES, QueueLimit, QueueRules, Rate
from asyncjobs.core.priority import Priority
from asyncjobs.testing.conformance.bench import QUIET_S, SOON_S, Bench, ids
from asyncjobs.testing.conformance.theme import Theme

__all__ = ["Limiting"]

TWO = QueueLimit(running=2)
SLOWLY = QueueLimit(rate=Rate(6, per=60, burst=3))
"""Three at once, then one each ten seconds."""


class Limiting(Theme):
    """What ``declare_rules`` and ``set_limit`` promise for a whole queue, and how claims keep to them."""

    async def test_no_more_jobs_run_than_the_limit_says_on_all_workers_together(self, bench: Bench) -> None:
        await bench.broker.declare_rules(bench.queue, QueueRules(TWO))
        sent = await bench.send(count=5)
        first = (await bench.claim(1)).jobs
        assert ids(first) == sent[:1]
        assert await bench.claim_ids(worker="second") == sent[1:2]
        assert await bench.claim_ids(worker="third") == []
        assert (await bench.figures()).ready[Priority.NORMAL] == 3
        await bench.settle(first)
        assert await bench.claim_ids(worker="third") == sent[2:3]

    async def test_a_full_queue_wakes_nobody_until_a_job_ends(self, bench: Bench) -> None:
        await bench.broker.declare_rules(bench.queue, QueueRules(TWO))
        await bench.send(count=4)
        claim = await bench.claim()
        await bench.broker.wait([bench.queue], QUIET_S)
        assert await bench.claim_ids() == []
        assert not await bench.broker.wait([bench.queue], QUIET_S)
        await bench.settle(claim.jobs[:1])
        assert await bench.broker.wait([bench.queue], SOON_S)
        assert len(await bench.claim_ids()) == 1

    async def test_a_job_that_waits_for_its_retry_or_is_dead_takes_no_slot(self, bench: Bench) -> None:
        await bench.broker.declare_rules(bench.queue, QueueRules(TWO))
        sent = await bench.send(count=4)
        claim = await bench.claim()
        await bench.fail(claim.jobs)
        assert await bench.broker.wait([bench.queue], SOON_S)
        assert await bench.claim_ids() == sent[2:]

    async def test_the_slot_of_a_dead_worker_is_free_again(self, bench: Bench) -> None:
        await bench.broker.declare_rules(bench.queue, QueueRules(TWO))
        [early, late] = await bench.send(bench.new(acks_early=True), bench.new())
        [behind] = await bench.send()
        assert await bench.claim_ids(lease_ms=1_000) == [early, late]
        await bench.recover(lease_ms=1_000)
        await bench.kit.advance(1_600)
        await bench.recover(lease_ms=1_000)
        await bench.kit.advance(1_600)
        await bench.recover(lease_ms=1_000)
        assert await bench.broker.wait([bench.queue], SOON_S)
        assert await bench.claim_ids() == [late, behind]

    async def test_of_several_queues_the_others_go_on(self, bench: Bench) -> None:
        await bench.broker.declare_rules("first", QueueRules(TWO))
        first = await bench.send(*(bench.new(queue="first") for _ in range(4)))
        second = await bench.send(*(bench.new(queue="second") for _ in range(4)))
        assert await bench.claim_ids(5, queues=["first", "second"]) == first[:2] + second[:3]

    async def test_nothing_is_claimed_ahead_of_a_queue_with_a_limit(self, bench: Bench) -> None:
        await bench.broker.declare_rules(bench.queue, QueueRules(QueueLimit(running=100)))
        sent = await bench.send(count=5)
        assert await bench.claim_ids(5, ahead=3) == sent[:2]
        assert await bench.claim_ids(5, ahead=5) == []
        # There is room, for a worker that has a free slot.
        assert await bench.broker.wait([bench.queue], SOON_S)
        assert await bench.claim_ids(5) == sent[2:]

    async def test_no_more_jobs_start_in_a_time_than_the_rate_allows(self, bench: Bench) -> None:
        await bench.broker.declare_rules(bench.queue, QueueRules(SLOWLY))
        sent = await bench.send(count=10)
        assert await bench.claim_ids(2) == sent[:2]
        assert await bench.claim_ids() == sent[2:3]
        assert await bench.claim_ids() == []
        await bench.kit.advance(10_000)
        assert await bench.claim_ids() == sent[3:4]
        await bench.kit.advance(15_000)
        assert await bench.claim_ids() == sent[4:5]
        await bench.kit.advance(5_000)
        assert await bench.claim_ids() == sent[5:6]
        # A quiet time saves up the burst, and no more.
        await bench.kit.advance(600_000)
        assert await bench.claim_ids() == sent[6:9]

    async def test_a_repeated_claim_uses_up_nothing_more(self, bench: Bench) -> None:
        await bench.broker.declare_rules(bench.queue, QueueRules(SLOWLY))
        sent = await bench.send(count=10)
        for _ in range(3):
            assert await bench.claim_ids(2, number=1) == sent[:2]
        assert await bench.claim_ids(number=2) == sent[2:3]

    async def test_a_job_that_is_not_for_the_worker_uses_up_nothing(self, bench: Bench) -> None:
        await bench.broker.declare_rules(bench.queue, QueueRules(QueueLimit(running=1, rate=Rate(1, per=60))))
        await bench.send(bench.new("unknown"))
        [known] = await bench.send(bench.new("known"))
        names = frozenset({"known"})
        found = await bench.claim_ids(names=names) or await bench.claim_ids(names=names)
        assert found == [known]

    async def test_a_worker_is_told_when_the_rate_allows_the_next_start(self, bench: Bench) -> None:
        await bench.broker.declare_rules(bench.queue, QueueRules(SLOWLY))
        await bench.send(bench.new(delay_ms=60_000))
        # This worker keeps the timer, for a time at which the rate will long be open.
        await bench.claim(worker="keeper", keep_timer_ms=100_000)
        await bench.send(count=4)
        claim = await bench.claim(worker="second", keep_timer_ms=100_000)
        assert len(claim.jobs) == 3
        assert claim.next_due_ms is not None
        assert 9_000 <= claim.next_due_ms - claim.now_ms <= 10_000
        await bench.kit.advance(10_000)
        claim = await bench.claim(worker="second", keep_timer_ms=100_000)
        assert len(claim.jobs) == 1
        assert not claim.again
        # Nothing waits for the rate any more.
        assert claim.next_due_ms is None or claim.next_due_ms - claim.now_ms > 40_000

    async def test_a_job_that_is_sent_while_the_rate_is_used_up_wakes_a_worker_that_keeps_its_time(
        self, bench: Bench
    ) -> None:
        await bench.broker.declare_rules(bench.queue, QueueRules(SLOWLY))
        await bench.send(count=3)
        assert len((await bench.claim(keep_timer_ms=3_000)).jobs) == 3
        [late] = await bench.send()
        assert await bench.broker.wait([bench.queue], SOON_S)
        claim = await bench.claim(worker="other", keep_timer_ms=3_000)
        assert not claim.jobs
        assert claim.next_due_ms is not None
        assert not await bench.broker.wait([bench.queue], QUIET_S)
        await bench.kit.advance(claim.next_due_ms - claim.now_ms)
        assert await bench.claim_ids(worker="other") == [late]

    async def test_one_worker_keeps_the_time_of_a_rate(self, bench: Bench) -> None:
        await bench.broker.declare_rules(bench.queue, QueueRules(SLOWLY))
        await bench.send(count=5)
        claims = [await bench.claim(worker=f"worker-{number}", keep_timer_ms=30_000) for number in range(4)]
        assert [len(claim.jobs) for claim in claims] == [3, 0, 0, 0]
        assert [claim.next_due_ms is not None for claim in claims] == [True, False, False, False]
        # Where it is late, another one does.
        await bench.kit.advance(10_500)
        assert len((await bench.claim(1, worker="worker-1", keep_timer_ms=30_000)).jobs) == 1
        claims = [await bench.claim(worker=f"worker-{number}", keep_timer_ms=30_000) for number in (1, 2)]
        assert [claim.next_due_ms is not None for claim in claims] == [True, False]

    async def test_due_jobs_keep_to_the_limit_and_to_their_order(self, bench: Bench) -> None:
        await bench.broker.declare_rules(bench.queue, QueueRules(TWO))
        later = await bench.send(*(bench.new(delay_ms=1_000 + n) for n in range(4)))
        await bench.kit.advance(2_000)
        claim = await bench.claim()
        assert ids(claim.jobs) == later[:2]
        await bench.settle(claim.jobs)
        assert await bench.claim_ids() == later[2:]

    async def test_what_is_set_by_hand_goes_before_what_is_declared(self, bench: Bench) -> None:
        assert await bench.broker.declare_rules(bench.queue, QueueRules(TWO)) == NO_RULES
        assert await bench.broker.set_limit(bench.queue, "", QueueLimit(running=1), "ada") is not None
        assert await bench.broker.set_limit(bench.queue, "", QueueLimit(running=1), "bob") is None
        # A worker that starts, of the same program or of a new one, changes nothing of that.
        assert await bench.broker.declare_rules(bench.queue, QueueRules(SLOWLY)) == QueueRules(TWO)
        limit = (await bench.figures()).limit
        assert limit is not None
        assert (limit.limit, limit.declared, limit.is_set, limit.set_by) == (QueueLimit(1), SLOWLY, True, "ada")
        await bench.send(count=5)
        assert len(await bench.claim_ids()) == 1
        assert await bench.broker.set_limit(bench.queue, "", NO_LIMIT, "ada") is not None
        assert len(await bench.claim_ids()) == 4
        await bench.send(count=5)
        assert await bench.broker.set_limit(bench.queue, "", None, "ada") is not None
        assert await bench.broker.set_limit(bench.queue, "", None, "ada") is None
        limit = (await bench.figures()).limit
        assert limit is not None
        assert (limit.limit, limit.is_set, limit.set_by) == (SLOWLY, False, "")
        assert len(await bench.claim_ids()) == 3

    async def test_one_part_of_a_limit_is_changed_and_the_other_stays(self, bench: Bench) -> None:
        broker, queue, rate = bench.broker, bench.queue, Rate(6, per=60)
        await broker.declare_rules(queue, QueueRules(TWO, {"customer": QueueLimit(3)}))
        for gate, running in (("", 2), ("customer", 3), ("customer=1", 3)):
            both = QueueLimit(running, rate)
            assert await broker.set_limit(queue, gate, QueueLimit(rate=rate), "ada", "running") == both
            assert await broker.set_limit(queue, gate, QueueLimit(rate=rate), "ada", "running") is None
            assert await broker.set_limit(queue, gate, QueueLimit(1), "ada", "rate") == QueueLimit(1, rate)
            # What is set at the same time is lost by neither.
            await asyncio.gather(
                broker.set_limit(queue, gate, QueueLimit(9), "ada", "rate"),
                broker.set_limit(queue, gate, NO_LIMIT, "bob", "running"),
            )
            assert await broker.set_limit(queue, gate, QueueLimit(rate=rate), "ada", "running") == QueueLimit(9, rate)
            assert await broker.set_limit(queue, gate, None, "ada") == QueueLimit(running)

    async def test_a_limit_that_is_no_longer_declared_is_gone(self, bench: Bench) -> None:
        await bench.broker.declare_rules(bench.queue, QueueRules(TWO))
        assert await bench.broker.declare_rules(bench.queue, NO_RULES) == QueueRules(TWO)
        await bench.send(count=3)
        assert len(await bench.claim_ids()) == 3
        assert (await bench.figures()).limit is None

    async def test_a_higher_limit_wakes_workers_and_a_lower_one_stops_nobody(self, bench: Bench) -> None:
        await bench.broker.declare_rules(bench.queue, QueueRules(TWO))
        await bench.send(count=5)
        running = (await bench.claim()).jobs
        await bench.broker.wait([bench.queue], QUIET_S)
        await bench.broker.set_limit(bench.queue, "", QueueLimit(running=3), "")
        assert await bench.broker.wait([bench.queue], SOON_S)
        running = [*running, *(await bench.claim()).jobs]
        assert len(running) == 3
        await bench.broker.set_limit(bench.queue, "", QueueLimit(running=1), "")
        assert await bench.settle(running[:2]) == [True, True]
        assert await bench.claim_ids() == []
        await bench.settle(running[2:])
        assert len(await bench.claim_ids()) == 1

    async def test_a_faster_rate_holds_at_once(self, bench: Bench) -> None:
        await bench.broker.declare_rules(bench.queue, QueueRules(QueueLimit(rate=Rate(1, per=3_600))))
        await bench.send(count=5)
        assert len(await bench.claim_ids()) == 1
        await bench.broker.set_limit(bench.queue, "", QueueLimit(rate=Rate(10, per=60)), "")
        # The worker that is woken by that.
        assert await bench.claim_ids() == []
        await bench.kit.advance(6_000)
        assert len(await bench.claim_ids()) == 1

    async def test_the_figures_tell_when_a_used_up_rate_allows_the_next_start(self, bench: Bench) -> None:
        assert (await bench.figures()).limit is None
        await bench.broker.declare_rules(bench.queue, QueueRules(SLOWLY))
        limit = (await bench.figures()).limit
        assert limit is not None
        assert limit.opens_at_ms is None
        await bench.send(count=3)
        now_ms = (await bench.claim()).now_ms
        limit = (await bench.figures()).limit
        assert limit is not None
        assert limit.opens_at_ms is not None
        assert 9_000 <= limit.opens_at_ms - now_ms <= 10_000
