"""``Intake``: jobs accepted, found, and awaited; and ``Broker.open`` and ``Broker.close``."""

from __future__ import annotations

import asyncio

import pytest

from asyncjobs.core.states import JobState
from asyncjobs.errors import ResultTimeout
from asyncjobs.ports import Emission
from asyncjobs.testing.conformance.bench import QUIET_S, SOON_S, Bench, lease_of
from asyncjobs.testing.conformance.theme import Theme

__all__ = ["Intake"]


class Intake(Theme):
    """What ``enqueue``, ``find`` and ``wait_end`` promise, and ``open`` and ``close``."""

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

    async def test_an_ended_job_is_forgotten_with_all_that_is_kept_of_it(self, bench: Bench) -> None:
        job = bench.new()
        await bench.send(job)
        [running] = (await bench.claim()).jobs
        await bench.broker.emit([Emission(lease_of(running), 1, 0, [b"event"])], 10, 60_000)
        await bench.settle([running], ttl_ms=60_000)
        assert await bench.broker.forget(bench.queue, job.id) is True
        assert await bench.broker.find(bench.queue, job.id) is None
        assert await bench.broker.events(bench.queue, job.id, 0, 10, 0) is None
        assert await bench.broker.forget(bench.queue, job.id) is False
        assert await bench.broker.undelete(bench.queue, [job.id]) == [False]
        assert await bench.broker.enqueue([job]) == [True]

    async def test_what_has_not_ended_is_not_forgotten(self, bench: Bench) -> None:
        [dead] = await bench.bury()
        [running] = await bench.send()
        await bench.claim()
        [ready, later] = await bench.send(bench.new(), bench.new(delay_ms=60_000))
        for job_id in (dead, running, ready, later, "nobody"):
            assert await bench.broker.forget(bench.queue, job_id) is False
        for job_id in (dead, running, ready, later):
            assert await bench.broker.find(bench.queue, job_id) is not None
        assert await bench.ids_in("dead") == [dead]

    async def test_jobs_for_several_queues_are_answered_in_the_order_given(self, bench: Bench) -> None:
        known = bench.new(queue="other")
        await bench.broker.enqueue([known])
        reply = await bench.broker.enqueue([bench.new(), known, bench.new(queue="third"), bench.new()])
        assert reply == [True, False, True, True]
        assert sorted(await bench.broker.queues()) == ["bench", "other", "third"]

    async def test_a_delayed_job_is_not_startable_before_its_time(self, bench: Bench) -> None:
        [job_id] = await bench.send(bench.new(delay_ms=60_000))
        await bench.kit.advance(50_000)
        assert await bench.claim_ids() == []
        assert await bench.waiting() == 1
        await bench.kit.advance(10_001)
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

    async def test_an_unknown_job_is_not_found(self, bench: Bench) -> None:
        await bench.send()
        assert await bench.broker.find(bench.queue, "nobody") is None
        assert await bench.broker.find("unused", "nobody") is None

    async def test_a_broker_that_was_closed_can_be_opened_again(self, bench: Bench) -> None:
        sent = await bench.send()
        await bench.broker.close()
        await bench.broker.open()
        assert await bench.claim_ids() == sent

    async def test_who_awaits_a_job_is_woken_by_its_end(self, bench: Bench) -> None:
        sent = await bench.send(count=3)
        waits = [asyncio.ensure_future(bench.broker.wait_end(bench.queue, one, SOON_S)) for one in (*sent, sent[0])]
        claim = await bench.claim(2)
        await bench.settle(claim.jobs[:1])
        await bench.fail(claim.jobs[1:], for_good=True)
        await bench.cancel(sent[2])
        ended = await asyncio.gather(*waits)
        states = [job.state for job in ended if job is not None]
        assert states == [JobState.COMPLETED, JobState.FAILED, JobState.CANCELLED, JobState.COMPLETED]

    async def test_awaiting_what_has_ended_or_is_unknown_returns_at_once(self, bench: Bench) -> None:
        [job_id] = await bench.send()
        await bench.settle((await bench.claim()).jobs)
        job = await bench.broker.wait_end(bench.queue, job_id, SOON_S)
        assert job is not None
        assert job.state is JobState.COMPLETED
        assert await bench.broker.wait_end(bench.queue, "nobody", SOON_S) is None

    async def test_awaiting_gives_up_after_its_timeout(self, bench: Bench) -> None:
        [job_id] = await bench.send()
        with pytest.raises(ResultTimeout, match="pending"):
            await bench.broker.wait_end(bench.queue, job_id, QUIET_S)
