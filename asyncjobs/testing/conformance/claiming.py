"""``Work.claim``: which jobs are handed out, in which order, and again after a lost reply."""

from __future__ import annotations

from asyncjobs.core.priority import Priority
from asyncjobs.core.retention import CLAIM_KEEP_MS
from asyncjobs.core.states import JobState
from asyncjobs.ports import Hold, NewJob
from asyncjobs.testing.conformance.bench import Bench, ids
from asyncjobs.testing.conformance.theme import Theme

__all__ = ["Claiming"]

KNOWN = frozenset({"known"})


class Claiming(Theme):
    """What ``claim`` promises."""

    async def test_jobs_of_one_priority_come_first_in_first_out(self, bench: Bench) -> None:
        sent = await bench.send(count=25)
        assert [*await bench.claim_ids(10), *await bench.claim_ids(10), *await bench.claim_ids(10)] == sent

    async def test_priorities_come_in_their_order_and_lowest_first_on_demand(self, bench: Bench) -> None:
        by_priority = {}
        for priority in (Priority.LOW, Priority.NORMAL, Priority.HIGH, Priority.CRITICAL):
            [by_priority[priority]] = await bench.send(bench.new(priority=priority))
        assert await bench.claim_ids(1, lowest_first=True) == [by_priority[Priority.LOW]]
        assert await bench.claim_ids() == [by_priority[p] for p in (Priority.CRITICAL, Priority.HIGH, Priority.NORMAL)]

    async def test_queues_come_in_the_order_asked_for(self, bench: Bench) -> None:
        await bench.send(*(bench.new(queue=queue) for queue in ("b", "a", "b", "a")))
        claim = await bench.claim(3, queues=["a", "b"])
        assert [claimed.queue for claimed in claim.jobs] == ["a", "a", "b"]

    async def test_a_claim_takes_no_more_than_its_limit(self, bench: Bench) -> None:
        sent = await bench.send(count=5)
        assert await bench.claim_ids(0) == []
        assert await bench.claim_ids(2) == sent[:2]

    async def test_every_claim_has_a_fence_of_its_own_that_rises(self, bench: Bench) -> None:
        await bench.send(count=3)
        fences = [(await bench.claim(1)).jobs[0].fence for _ in range(3)]
        assert fences == sorted(set(fences))

    async def test_due_jobs_come_behind_ready_ones_of_their_priority(self, bench: Bench) -> None:
        [due_high] = await bench.send(bench.new(priority=Priority.HIGH, delay_ms=1_000))
        [due_normal] = await bench.send(bench.new(delay_ms=1_000))
        ready = await bench.send(count=2)
        await bench.kit.advance(1_001)
        assert await bench.claim_ids(3) == [due_high, *ready]
        assert await bench.claim_ids() == [due_normal]

    async def test_a_claim_repeated_under_its_number_gets_the_same_jobs(self, bench: Bench) -> None:
        sent = await bench.send(count=4)
        first = await bench.claim(2, number=7)
        again = await bench.claim(2, number=7)
        assert ids(first.jobs) == ids(again.jobs) == sent[:2]
        assert first.jobs[0].fence == again.jobs[0].fence
        assert await bench.claim_ids(2, number=8) == sent[2:]

    async def test_a_repeated_claim_leaves_out_what_was_settled_meanwhile(self, bench: Bench) -> None:
        sent = await bench.send(count=2)
        claim = await bench.claim(number=3)
        await bench.settle(claim.jobs[:1])
        assert await bench.claim_ids(number=3) == sent[1:]

    async def test_a_claim_that_arrives_after_a_later_one_gets_nothing(self, bench: Bench) -> None:
        sent = await bench.send(count=3)
        assert await bench.claim_ids(1, number=7) == sent[:1]
        late = await bench.claim(number=6)
        assert (late.jobs, late.again) == ([], True)
        assert await bench.claim_ids(number=6, keep_number=True) == []
        assert await bench.ids_in("running") == sent[:1]
        # By their values: as text, 10 stands before 7.
        assert await bench.claim_ids(1, number=10) == sent[1:2]
        assert await bench.claim_ids(number=9) == []
        assert await bench.claim_ids(number=11) == sent[2:]

    async def test_a_repeated_claim_that_got_nothing_is_known_too(self, bench: Bench) -> None:
        assert await bench.claim_ids(number=5, keep_number=True) == []
        sent = await bench.send()
        # What was sent first under this number arrives last, and so does one before it.
        assert await bench.claim_ids(number=5) == []
        assert await bench.claim_ids(number=4) == []
        assert (await bench.figures()).running == 0
        assert await bench.claim_ids(number=6) == sent

    async def test_a_repeated_claim_that_parked_all_it_saw_is_known_too(self, bench: Bench) -> None:
        await bench.send()
        assert await bench.claim_ids(number=5, names=KNOWN, keep_number=True) == []
        sent = await bench.send(bench.new("known"))
        assert await bench.claim_ids(number=5, names=KNOWN) == []
        assert await bench.claim_ids(number=6, names=KNOWN) == sent

    async def test_a_claim_that_arrives_when_no_number_is_kept_any_longer_gets_nothing(self, bench: Bench) -> None:
        await bench.send()
        claim = await bench.claim(number=7)
        await bench.settle(claim.jobs)
        await bench.kit.advance(CLAIM_KEEP_MS + 10_000)
        sent = await bench.send()
        late = await bench.claim(number=6, sent_at_ms=claim.now_ms)
        assert (late.jobs, late.again) == ([], True)
        assert await bench.claim_ids(number=8, sent_at_ms=late.now_ms) == sent

    async def test_a_workers_numbers_begin_again_once_its_claims_are_forgotten(self, bench: Bench) -> None:
        await bench.send()
        await bench.settle((await bench.claim(number=100)).jobs)
        await bench.kit.advance(CLAIM_KEEP_MS + 10_000)
        sent = await bench.send()
        assert await bench.claim_ids(number=1) == sent

    async def test_another_workers_equal_number_is_another_claim(self, bench: Bench) -> None:
        sent = await bench.send(count=2)
        assert await bench.claim_ids(1, worker="a", number=1) == sent[:1]
        assert await bench.claim_ids(1, worker="b", number=1) == sent[1:]

    async def test_a_claimed_job_has_all_that_was_sent(self, bench: Bench) -> None:
        plain = bench.new("other")
        special = bench.new(priority=Priority.CRITICAL, tenant="acme", acks_early=True)
        await bench.send(plain, special)
        claim = await bench.claim()
        fields = ("queue", "id", "name", "body", "priority", "tenant", "acks_early")
        for claimed, sent in zip(claim.jobs, (special, plain), strict=True):
            assert [getattr(claimed, field) for field in fields] == [getattr(sent, field) for field in fields]
            assert claimed.tries == b""

    async def test_bytes_that_are_no_record_are_handed_out_as_they_are(self, bench: Bench) -> None:
        junk = [b"", b"\x00\x01", b"2-1\x04\x00\x00\x00work", b"1-1\xff\xff\xff\xffx", bytes(range(256))]
        await bench.send(*(NewJob(bench.queue, f"junk-{n}", "known", data) for n, data in enumerate(junk)))
        claim = await bench.claim(names=KNOWN)
        assert {claimed.id: claimed.body for claimed in claim.jobs} == {f"junk-{n}": d for n, d in enumerate(junk)}

    async def test_jobs_whose_worker_has_died_are_given_in_the_number_asked_for_and_keep_their_place(
        self, bench: Bench
    ) -> None:
        suspects = await bench.send(*(bench.new(priority=one) for one in (Priority.HIGH, Priority.NORMAL) * 2))
        suspects = [suspects[0], suspects[2], suspects[1], suspects[3]]
        assert await bench.claim_ids() == suspects
        await bench.lapse()
        await bench.recover()
        fresh = await bench.send(count=3)
        [due] = await bench.send(bench.new(delay_ms=1_000))
        await bench.kit.advance(1_000)
        assert await bench.claim_ids(2, max_suspects=0) == fresh[:2]
        assert await bench.ids_in("ready") == [*suspects, fresh[2], due]
        assert await bench.claim_ids(max_suspects=1) == [suspects[0], fresh[2], due]
        assert await bench.ids_in("ready") == suspects[1:]
        assert await bench.claim_ids(max_suspects=2) == suspects[1:3]
        assert await bench.claim_ids(max_suspects=0) == []
        assert await bench.claim_ids() == suspects[3:]

    async def test_a_job_that_is_dead_with_its_next_death_is_given_without_others_whose_worker_died(
        self, bench: Bench
    ) -> None:
        [twice] = await bench.send()
        for _ in range(2):
            assert await bench.claim_ids() == [twice]
            await bench.lapse()
            await bench.recover()
        [once] = await bench.send()
        assert await bench.claim_ids(last_try=False) == [once]
        await bench.lapse()
        await bench.recover()
        [fresh] = await bench.send()
        assert await bench.ids_in("ready") == [once, twice, fresh]
        assert await bench.claim_ids(last_try=False, max_suspects=0) == [fresh]
        assert await bench.claim_ids(last_try=True, max_suspects=2) == [once]
        assert await bench.claim_ids(last_try=True, max_suspects=2) == [twice]

    async def test_a_claim_from_several_queues_gets_no_more_jobs_whose_worker_has_died_than_asked_for(
        self, bench: Bench
    ) -> None:
        queues = ["first", bench.queue, "second", *(f"empty-{number}" for number in range(300)), "third"]
        sent = await bench.send(*(bench.new(queue=queue) for queue in ("first", "second", "third")))
        await bench.claim(queues=queues)
        for _ in range(4):
            await bench.broker.recover(queues, 10_000, 3)
            await bench.kit.advance(2_501)
        await bench.broker.recover(queues, 10_000, 3)
        [fresh] = await bench.send(bench.new(queue="third"))
        assert await bench.claim_ids(queues=queues, max_suspects=1) == [sent[0], fresh]
        assert await bench.claim_ids(queues=queues, max_suspects=2) == sent[1:]

    async def test_jobs_of_several_queues_whose_worker_has_died_are_one_company(self, bench: Bench) -> None:
        queues = ["first", "second", "third"]
        sent = []
        for queue in queues:
            [one, other] = await bench.send(bench.new(queue=queue), bench.new(queue=queue))
            sent.append([one, other])
            await bench.claim(queues=[queue])
        for _ in range(4):
            await bench.broker.recover(queues, 10_000, 3)
            await bench.kit.advance(2_501)
        await bench.broker.recover(queues, 10_000, 3)
        assert await bench.claim_ids(queues=queues, max_suspects=3) == [*sent[0], sent[1][0]]
        assert await bench.claim_ids(queues=queues, max_suspects=1) == [sent[1][1]]
        assert await bench.claim_ids(queues=queues, max_suspects=0) == []

    async def test_a_job_that_must_wait_is_not_parked_meanwhile(self, bench: Bench) -> None:
        [suspect] = await bench.send(bench.new("other"))
        await bench.claim()
        await bench.lapse()
        await bench.recover()
        [fresh] = await bench.send(bench.new("known"))
        assert await bench.claim_ids(names=KNOWN, max_suspects=0) == [fresh]
        assert await bench.ids_in("ready") == [suspect]
        assert await bench.claim_ids(names=KNOWN) == []
        assert await bench.ids_in("parked") == [suspect]

    async def test_a_job_that_must_wait_under_another_priority_is_given_once(self, bench: Bench) -> None:
        [suspect] = await bench.send()
        await bench.claim()
        await bench.lapse()
        await bench.recover()
        await bench.broker.edit(bench.queue, suspect, priority=0, delay_ms=None, due_at_ms=None)
        [fresh] = await bench.send()
        assert await bench.claim_ids(max_suspects=0) == [fresh]
        assert await bench.claim_ids() == [suspect]

    async def test_jobs_that_must_wait_wake_nobody_and_those_behind_them_are_found(self, bench: Bench) -> None:
        sent = await bench.send(count=30)
        await bench.claim(30)
        await bench.lapse()
        await bench.recover()
        fresh = await bench.send(count=20)
        while await bench.broker.wait([bench.queue], 0.01):
            if not await bench.claim_ids(7, max_suspects=0):
                break
        assert await bench.ids_in("ready") == sent
        assert not await bench.broker.wait([bench.queue], 0.01)
        assert len(fresh) == 20

    async def test_what_is_due_is_claimed_by_priority_however_much_is_due(self, bench: Bench) -> None:
        low = await bench.send(*(bench.new(priority=Priority.LOW, delay_ms=1_000) for _ in range(2_500)))
        [critical] = await bench.send(bench.new(priority=Priority.CRITICAL, delay_ms=2_000))
        await bench.kit.advance(3_000)
        claim = await bench.claim(2)
        while claim.again and not claim.jobs:
            claim = await bench.claim(2)
        assert ids(claim.jobs) == [critical, low[0]]

    async def test_no_job_of_the_next_queue_comes_before_what_is_due_in_the_first(self, bench: Bench) -> None:
        first = await bench.send(*(bench.new(queue="first", delay_ms=1_000) for _ in range(2_500)))
        second = await bench.send(*(bench.new(queue="second") for _ in range(2)))
        await bench.kit.advance(2_000)
        queues = ["first", "second"]
        got: list[str] = []
        while len(got) < 2_502:
            claim = await bench.claim(500, queues=queues)
            assert claim.jobs or claim.again
            got += ids(claim.jobs)
        assert got == first + second

    async def test_a_claim_looks_behind_many_jobs_that_are_no_more_and_many_that_are_held(self, bench: Bench) -> None:
        gone = await bench.send(count=1_500)
        held = await bench.send(*(bench.new(tenant="held") for _ in range(1_500)))
        [live] = await bench.send()
        await bench.broker.cancel(bench.queue, gone, "why", 60_000)
        await bench.broker.hold(bench.queue, Hold("tenant", "held"), on=True)
        claims = 0
        while not (claim := await bench.claim(1)).jobs:
            assert claim.again
            claims += 1
        assert ids(claim.jobs) == [live]
        assert claims <= 5
        assert sorted(await bench.ids_in("parked")) == sorted(held)

    async def test_a_worker_that_fills_up_from_one_queue_wakes_another_for_the_next(self, bench: Bench) -> None:
        await bench.send(count=2)
        await bench.send(bench.new(queue="second"))
        assert await bench.broker.wait(["second"], 1)
        await bench.claim(2, queues=[bench.queue, "second"])
        assert await bench.broker.wait(["second"], 1)

    async def test_a_claim_from_many_queues_takes_them_in_order_up_to_its_limit(self, bench: Bench) -> None:
        queues = [f"queue-{number}" for number in range(500)]
        sent = await bench.send(*(bench.new(queue=queues[at]) for at in (499, 250, 3)))
        first = await bench.claim(2, number=1, queues=queues)
        assert ids(first.jobs) == [sent[2], sent[1]]
        again = await bench.claim(2, number=1, queues=queues)
        assert sorted(ids(again.jobs)) == sorted(ids(first.jobs))
        assert await bench.claim_ids(number=2, queues=queues) == sent[:1]
        assert await bench.claim_ids(number=3, queues=queues) == []

    async def test_jobs_that_a_repeated_claim_gets_again_are_leased_anew(self, bench: Bench) -> None:
        sent = await bench.send(count=2)
        assert await bench.claim_ids(number=1) == sent
        for _ in range(3):
            await bench.kit.advance(4_000)
            assert (await bench.recover()).recovered == []
            assert await bench.claim_ids(number=1) == sent
        await bench.kit.advance(4_000)
        await bench.recover()
        job = await bench.broker.find(bench.queue, sent[0])
        assert job is not None
        assert (job.state, job.deaths) == (JobState.RUNNING, 0)

    async def test_a_claim_that_is_repeated_with_a_lower_limit_gets_what_it_got(self, bench: Bench) -> None:
        sent = await bench.send(count=3)
        await bench.send(bench.new(queue="second"))
        assert await bench.claim_ids(3, number=1) == sent
        assert await bench.claim_ids(1, number=1, queues=[bench.queue, "second"]) == sent

    async def test_only_one_worker_keeps_the_timer_of_a_queue(self, bench: Bench) -> None:
        await bench.send(bench.new(delay_ms=60_000))
        due = (await bench.claim(worker="a", keep_timer_ms=1_000)).next_due_ms
        assert due is not None
        assert (await bench.claim(worker="b", keep_timer_ms=1_000)).next_due_ms is None
        assert (await bench.claim(worker="a", keep_timer_ms=1_000)).next_due_ms == due
        await bench.kit.advance(1_500)
        assert (await bench.claim(worker="b", keep_timer_ms=1_000)).next_due_ms == due

    async def test_a_keeper_from_before_the_clock_was_set_back_is_replaced(self, bench: Bench) -> None:
        await bench.send(bench.new(delay_ms=60_000))
        await bench.claim(worker="a", keep_timer_ms=1_000)
        await bench.kit.advance(-3_600_000)
        assert (await bench.claim(worker="b", keep_timer_ms=1_000)).next_due_ms is not None

    async def test_an_earlier_due_time_makes_somebody_keep_the_timer_anew(self, bench: Bench) -> None:
        await bench.send(bench.new(delay_ms=60_000))
        await bench.claim(worker="a", keep_timer_ms=10_000)
        await bench.send(bench.new(delay_ms=30_000))
        claim = await bench.claim(worker="b", keep_timer_ms=10_000)
        assert claim.next_due_ms is not None
        assert claim.next_due_ms - claim.now_ms <= 30_000
