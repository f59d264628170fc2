"""Jobs accepted: new ones, known ones, and those for later."""

from __future__ import annotations

from asyncjobs.core.states import JobState
from asyncjobs.testing.conformance.kit import Bench
from asyncjobs.testing.conformance.theme import Theme

__all__ = ["Sending"]


class Sending(Theme):
    """What ``enqueue`` promises."""

    async def test_an_accepted_job_waits_with_what_was_sent(self, bench: Bench) -> None:
        [job_id] = await bench.send()
        job = await bench.broker.find(bench.queue, job_id)
        assert job is not None
        assert (job.state, job.name, job.attempt, job.arguments) == (JobState.PENDING, "work", 1, ["a", 1])
        assert await bench.waiting() == 1

    async def test_an_id_that_waits_is_accepted_once(self, bench: Bench) -> None:
        job = bench.new()
        assert await bench.broker.enqueue([job]) == [True]
        assert await bench.broker.enqueue([job]) == [False]
        assert await bench.claim_ids() == [job.id]
        assert await bench.claim_ids() == []

    async def test_an_id_named_twice_in_one_call_is_accepted_once(self, bench: Bench) -> None:
        job = bench.new()
        assert await bench.broker.enqueue([job, job]) == [True, False]
        assert await bench.waiting() == 1

    async def test_an_id_that_runs_or_is_dead_is_not_accepted_again(self, bench: Bench) -> None:
        job = bench.new()
        await bench.send(job)
        claim = await bench.claim()
        assert await bench.broker.enqueue([job]) == [False]
        await bench.fail(claim.jobs, for_good=True)
        assert await bench.broker.enqueue([job]) == [False]
        assert await bench.ids_in("dead") == [job.id]

    async def test_an_ended_id_is_known_until_its_record_expires(self, bench: Bench) -> None:
        job = bench.new()
        await bench.send(job)
        await bench.settle((await bench.claim()).jobs, ttl_ms=60_000)
        assert await bench.broker.enqueue([job]) == [False]
        await bench.kit.advance(60_001)
        assert await bench.broker.find(bench.queue, job.id) is None
        assert await bench.broker.enqueue([job]) == [True]
        assert await bench.claim_ids() == [job.id]

    async def test_jobs_for_several_queues_are_answered_in_the_order_given(self, bench: Bench) -> None:
        known = bench.new(queue="other")
        await bench.broker.enqueue([known])
        reply = await bench.broker.enqueue([bench.new(), known, bench.new(queue="third"), bench.new()])
        assert reply == [True, False, True, True]
        assert sorted(await bench.broker.queues()) == ["bench", "other", "third"]

    async def test_a_delayed_job_is_not_startable_before_its_time(self, bench: Bench) -> None:
        [job_id] = await bench.send(bench.new(delay_ms=5_000))
        await bench.kit.advance(4_900)
        assert await bench.claim_ids() == []
        assert await bench.waiting() == 1
        await bench.kit.advance(200)
        assert await bench.claim_ids() == [job_id]

    async def test_a_due_time_is_by_the_brokers_clock_and_one_in_the_past_is_now(self, bench: Bench) -> None:
        now_ms = (await bench.claim()).now_ms
        [past] = await bench.send(bench.new(due_at_ms=now_ms - 60_000))
        [later] = await bench.send(bench.new(due_at_ms=now_ms + 60_000))
        assert await bench.claim_ids() == [past]
        job = await bench.broker.find(bench.queue, later)
        assert job is not None
        assert job.due_at_ms == now_ms + 60_000
        await bench.kit.advance(60_001)
        assert await bench.claim_ids() == [later]

    async def test_ids_may_hold_any_text_without_white_space(self, bench: Bench) -> None:
        odd = ["order:7", "{braces}", "größe-🐘", "1:2:3", "a" * 200]
        assert await bench.send(*(bench.new(job_id=one) for one in odd)) == odd
        claim = await bench.claim()
        assert [claimed.id for claimed in claim.jobs] == odd
        assert await bench.settle(claim.jobs) == [True] * len(odd)
        assert [await bench.broker.find(bench.queue, one) is not None for one in odd] == [True] * len(odd)
