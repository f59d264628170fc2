"""``Work.settle``: how runs end."""

from __future__ import annotations

from asyncjobs.core.settlement import Cancelled, Snoozed
from asyncjobs.core.states import JobState
from asyncjobs.testing.conformance.bench import SOON_S, Bench, ids
from asyncjobs.testing.conformance.theme import Theme

__all__ = ["Settling"]


class Settling(Theme):
    """What ``settle`` promises."""

    async def test_a_completed_job_keeps_its_result_until_it_expires(self, bench: Bench) -> None:
        [job_id] = await bench.send()
        assert await bench.settle((await bench.claim()).jobs, ttl_ms=5_000) == [True]
        job = await bench.broker.find(bench.queue, job_id)
        assert job is not None
        assert (job.state, job.result) == (JobState.COMPLETED, "result")
        assert job.arguments == ["a", 1]
        await bench.kit.advance(5_001)
        assert await bench.broker.find(bench.queue, job_id) is None

    async def test_a_result_that_lapses_before_its_record_is_gone_in_time_while_the_id_stays_known(
        self, bench: Bench
    ) -> None:
        [job_id] = await bench.send()
        assert await bench.settle((await bench.claim()).jobs, result_ttl_ms=5_000) == [True]
        await bench.kit.advance(4_000)
        kept = await bench.broker.wait_end(bench.queue, job_id, SOON_S)
        await bench.kit.advance(1_001)
        found = await bench.broker.find(bench.queue, job_id)
        awaited = await bench.broker.wait_end(bench.queue, job_id, SOON_S)
        assert kept is not None
        assert found is not None
        assert awaited is not None
        assert [job.state for job in (kept, found, awaited)] == [JobState.COMPLETED] * 3
        assert [bool(job.result) for job in (kept, found, awaited)] == [True, False, False]
        assert await bench.broker.enqueue([bench.new(job_id=job_id)]) == [False]
        await bench.kit.advance(55_000)
        assert await bench.broker.find(bench.queue, job_id) is None
        assert await bench.broker.enqueue([bench.new(job_id=job_id)]) == [True]

    async def test_a_settlement_sent_twice_counts_once(self, bench: Bench) -> None:
        await bench.send()
        claim = await bench.claim()
        assert [await bench.settle(claim.jobs), await bench.settle(claim.jobs)] == [[True], [False]]
        await bench.send()
        one = bench.settlement((await bench.claim()).jobs[0])
        assert await bench.broker.settle([one, one]) == [True, False]
        assert (await bench.figures()).succeeded == 2

    async def test_a_failed_attempt_waits_for_its_retry_with_its_error(self, bench: Bench) -> None:
        [job_id] = await bench.send()
        await bench.fail((await bench.claim()).jobs)
        job = await bench.broker.find(bench.queue, job_id)
        assert job is not None
        assert (job.state, job.failures, job.attempt) == (JobState.RETRYING, 1, 2)
        assert job.errors[0].message == "no"
        assert await bench.claim_ids() == []
        await bench.kit.advance(1_001)
        claim = await bench.claim()
        assert ids(claim.jobs) == [job_id]
        assert claim.jobs[0].tries.startswith(b"1:0:")

    async def test_a_job_failed_for_good_is_in_the_dead_letter_queue_with_every_error(self, bench: Bench) -> None:
        [job_id] = await bench.send()
        await bench.fail((await bench.claim()).jobs)
        await bench.kit.advance(1_001)
        await bench.fail((await bench.claim()).jobs)
        [dead] = await bench.jobs_in("dead")
        assert (dead.id, dead.state, dead.failures, len(dead.errors)) == (job_id, JobState.FAILED, 2, 2)
        assert await bench.waiting() == 0

    async def test_a_released_job_goes_back_to_the_front_in_order_with_nothing_counted(self, bench: Bench) -> None:
        sent = await bench.send(count=5)
        claim = await bench.claim(3)
        assert await bench.release(claim.jobs) == [True] * 3
        again = await bench.claim()
        assert ids(again.jobs) == sent
        assert again.jobs[0].tries == b""

    async def test_a_run_that_was_cancelled_ends_with_the_reason(self, bench: Bench) -> None:
        [job_id] = await bench.send()
        await bench.settle((await bench.claim()).jobs, Cancelled("too slow"))
        job = await bench.broker.find(bench.queue, job_id)
        assert job is not None
        assert (job.state, job.reason) == (JobState.CANCELLED, "too slow")

    async def test_a_snoozed_job_comes_back_at_its_time_with_nothing_counted(self, bench: Bench) -> None:
        [job_id] = await bench.send()
        claim = await bench.claim()
        assert await bench.settle(claim.jobs, Snoozed(5_000)) == [True]
        job = await bench.broker.find(bench.queue, job_id)
        assert job is not None
        assert (job.state, job.attempt, job.errors) == (JobState.PENDING, 1, ())
        figures = await bench.figures()
        assert (figures.scheduled, figures.tried, figures.retried) == (1, 0, 0)
        assert await bench.claim_ids() == []
        await bench.kit.advance(5_001)
        again = await bench.claim()
        assert [(one.id, one.tries) for one in again.jobs] == [(job_id, b"")]
        assert again.jobs[0].fence > claim.jobs[0].fence
        assert await bench.broker.history(bench.queue, 10, name="work") == []
