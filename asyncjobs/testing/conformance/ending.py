"""How jobs end, and what operators may do to them."""

from __future__ import annotations

import msgspec

from asyncjobs.core.states import JobState
from asyncjobs.testing.conformance.kit import Bench, ids
from asyncjobs.testing.conformance.theme import Theme

__all__ = ["Ending"]


class Ending(Theme):
    """What ``settle``, ``cancel``, ``retry``, ``delete`` and ``page`` promise."""

    async def test_a_completed_job_keeps_its_result_until_it_expires(self, bench: Bench) -> None:
        [job_id] = await bench.send()
        assert await bench.settle((await bench.claim()).jobs, ttl_ms=5_000) == [True]
        job = await bench.broker.find(bench.queue, job_id)
        assert job is not None
        assert (job.state, msgspec.msgpack.decode(job.result)) == (JobState.COMPLETED, "result")
        assert job.arguments == ["a", 1]
        await bench.kit.advance(5_001)
        assert await bench.broker.find(bench.queue, job_id) is None

    async def test_a_settlement_sent_twice_counts_once(self, bench: Bench) -> None:
        await bench.send()
        claim = await bench.claim()
        assert [await bench.settle(claim.jobs), await bench.settle(claim.jobs)] == [[True], [False]]
        one = bench.settlement(await self._another(bench))
        assert await bench.broker.settle([one, one]) == [True, False]
        assert (await bench.figures()).succeeded == 2

    async def _another(self, bench: Bench):  # type: ignore[no-untyped-def]
        await bench.send()
        return (await bench.claim()).jobs[0]

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

    async def test_the_latest_dead_come_first(self, bench: Bench) -> None:
        sent = await bench.send(count=3)
        for _ in sent:
            await bench.fail((await bench.claim(1)).jobs, for_good=True)
            await bench.kit.advance(10)
        assert [job.id for job in (await bench.broker.page(bench.queue, "dead", "", 2)).jobs] == [sent[2], sent[1]]

    async def test_a_released_job_goes_back_to_the_front_in_order_with_nothing_counted(self, bench: Bench) -> None:
        sent = await bench.send(count=5)
        claim = await bench.claim(3)
        assert await bench.release(claim.jobs) == [True] * 3
        again = await bench.claim()
        assert ids(again.jobs) == sent
        assert again.jobs[0].tries == b""

    async def test_a_run_that_was_cancelled_ends_with_the_reason(self, bench: Bench) -> None:
        [job_id] = await bench.send()
        await bench.cancel_run((await bench.claim()).jobs, "too slow")
        job = await bench.broker.find(bench.queue, job_id)
        assert job is not None
        assert (job.state, job.reason) == (JobState.CANCELLED, "too slow")

    async def test_a_waiting_job_is_cancelled_at_once_wherever_it_waits(self, bench: Bench) -> None:
        [ready] = await bench.send()
        [scheduled] = await bench.send(bench.new(delay_ms=60_000))
        [parked] = await bench.send(bench.new("other", queue="parking"))
        await bench.claim(queues=["parking"], names=frozenset({"known"}))
        for queue, job_id in ((bench.queue, ready), (bench.queue, scheduled), ("parking", parked)):
            assert await bench.cancel(job_id, queue=queue) == "cancelled"
            job = await bench.broker.find(queue, job_id)
            assert job is not None
            assert (job.state, job.reason) == (JobState.CANCELLED, "enough")
            assert await bench.cancel(job_id, queue=queue) == "ended"
        assert [await bench.waiting(queue) for queue in (bench.queue, "parking")] == [0, 0]
        await bench.broker.unpark(["parking"], frozenset({"other"}), 60_000)
        await bench.kit.advance(60_000)
        assert await bench.claim_ids(queues=[bench.queue, "parking"]) == []

    async def test_cancelling_what_is_dead_or_unknown_changes_nothing(self, bench: Bench) -> None:
        [job_id] = await bench.send()
        await bench.fail((await bench.claim()).jobs, for_good=True)
        assert await bench.cancel(job_id) == "failed"
        assert await bench.cancel("nobody") == "unknown"
        assert len(await bench.jobs_in("dead")) == 1

    async def test_an_id_sent_anew_after_its_cancellation_runs_once(self, bench: Bench) -> None:
        job = bench.new()
        await bench.send(job)
        [behind] = await bench.send()
        await bench.cancel(job.id, keep_ms=1_000)
        await bench.kit.advance(1_001)
        # The cancelled entry still stands in the list, before the new one.
        await bench.send(job)
        assert await bench.waiting() == 2
        first = await bench.claim_ids(1) or await bench.claim_ids(1)
        assert [*first, *await bench.claim_ids()] == [behind, job.id]
        assert await bench.claim_ids() == []

    async def test_a_dead_job_that_is_retried_is_ready_with_its_errors_kept_and_its_retries_new(
        self, bench: Bench
    ) -> None:
        [job_id] = await bench.send()
        await bench.fail((await bench.claim()).jobs, for_good=True)
        assert await bench.broker.retry(bench.queue, [job_id, job_id, "nobody"]) == [True, False, False]
        job = await bench.broker.find(bench.queue, job_id)
        assert job is not None
        assert (job.state, job.failures, len(job.errors)) == (JobState.PENDING, 0, 1)
        assert await bench.claim_ids() == [job_id]
        assert await bench.jobs_in("dead") == []

    async def test_only_dead_and_ended_jobs_can_be_deleted(self, bench: Bench) -> None:
        [dead, ended, waiting] = await bench.send(count=3)
        claim = await bench.claim(2)
        assert await bench.broker.delete(bench.queue, [dead]) == [False]
        await bench.fail(claim.jobs[:1], for_good=True)
        await bench.settle(claim.jobs[1:])
        assert await bench.broker.delete(bench.queue, [dead, ended, dead, waiting, "nobody"]) == [
            True,
            True,
            False,
            False,
            False,
        ]
        assert await bench.broker.find(bench.queue, dead) is None
        assert await bench.broker.find(bench.queue, ended) is None
        assert await bench.jobs_in("dead") == []
        assert await bench.claim_ids() == [waiting]
