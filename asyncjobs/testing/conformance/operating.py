"""``JobStore.cancel``, ``retry`` and ``delete``: what operators do to jobs by their id."""

from __future__ import annotations

from asyncjobs.core.priority import Priority
from asyncjobs.core.states import JobState
from asyncjobs.testing.conformance.bench import Bench, ids
from asyncjobs.testing.conformance.theme import Theme

__all__ = ["Operating"]


class Operating(Theme):
    """What ``cancel``, ``retry`` and ``delete`` promise."""

    async def test_no_claim_has_to_pass_over_jobs_that_were_cancelled_from_the_front_on(self, bench: Bench) -> None:
        doomed = await bench.send(count=2_500)
        [again] = await bench.send(bench.new(priority=Priority.LOW))
        # One of the midst went before, and its entry is passed over.
        await bench.cancel(doomed[700])
        await bench.kit.advance(60_001)
        for start in range(0, len(doomed), 400):
            await bench.broker.cancel(bench.queue, doomed[start : start + 400], "enough", 60_000)
        assert await bench.ids_in("ready", limit=500) == [again]
        assert await bench.claim_ids(1) == [again]

    async def test_once_all_parked_jobs_of_a_name_are_cancelled_there_is_nothing_left_of_it(self, bench: Bench) -> None:
        sent = await bench.send(*(bench.new("stranger") for _ in range(3)))
        await bench.claim(names=frozenset({"work"}))
        assert await bench.broker.cancel(bench.queue, sent, "enough", 60_000) == ["cancelled"] * 3
        assert (await bench.figures()).parked == 0
        assert await bench.broker.unpark([bench.queue], frozenset({"work"}), 60_000) == (0, [])
        # Of the same names and ids there may be others.
        await bench.kit.advance(60_001)
        again = await bench.send(*(bench.new("stranger", job_id=job_id) for job_id in sent))
        await bench.claim(names=frozenset({"work"}))
        assert (await bench.figures()).parked == 3
        assert (await bench.broker.unpark([bench.queue], frozenset({"stranger"}), 60_000)).moved == 3
        assert await bench.claim_ids() == again

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
        # The job stands behind the other one now, although it was sent before it at first.
        await bench.send(job)
        assert await bench.waiting() == 2
        first = await bench.claim_ids(1) or await bench.claim_ids(1)
        assert [*first, *await bench.claim_ids()] == [behind, job.id]
        assert await bench.claim_ids() == []

    async def test_a_cancelled_job_is_known_for_as_long_as_asked(self, bench: Bench) -> None:
        [job_id] = await bench.send()
        await bench.cancel(job_id, keep_ms=5_000)
        await bench.kit.advance(4_000)
        assert await bench.broker.find(bench.queue, job_id) is not None
        await bench.kit.advance(1_001)
        assert await bench.broker.find(bench.queue, job_id) is None
        assert await bench.cancel(job_id) == "unknown"

    async def test_many_jobs_are_cancelled_at_once_wherever_they_are(self, bench: Bench) -> None:
        running, ended, dead = await bench.send(count=3)
        claim = await bench.claim()
        await bench.settle(claim.jobs[1:2])
        await bench.fail(claim.jobs[2:], for_good=True)
        [parked] = await bench.send(bench.new("unknown"))
        await bench.claim(names=frozenset({"work"}))
        ready, later = await bench.send(bench.new(tenant="acme"), bench.new(delay_ms=60_000))
        wanted = [ready, running, later, "nobody", ended, dead, parked, ready]
        assert await bench.broker.cancel(bench.queue, wanted, "enough", 60_000) == [
            "cancelled",
            "running",
            "cancelled",
            "unknown",
            "ended",
            "failed",
            "cancelled",
            "ended",
        ]
        for job_id in (ready, later, parked):
            job = await bench.broker.find(bench.queue, job_id)
            assert job is not None
            assert (job.state, job.reason) == (JobState.CANCELLED, "enough")
        extension = await bench.extend(claim.jobs[:1])
        assert [(lease.id, reason) for lease, reason in extension.cancelled] == [(running, "enough")]
        assert await bench.waiting() == 0
        assert await bench.claim_ids() == []
        assert (await bench.figures()).cancelled == 3
        assert await bench.broker.cancel(bench.queue, [], "enough", 60_000) == []

    async def test_more_jobs_than_one_call_may_carry_are_cancelled(self, bench: Bench) -> None:
        sent = await bench.send(*(bench.new(tenant="acme") for _ in range(600)))
        assert await bench.broker.cancel(bench.queue, sent, "enough", 60_000) == ["cancelled"] * 600
        assert (await bench.tenant_figures("acme")).cancelled == 600
        [kept] = await bench.send()
        assert [one for _ in range(3) for one in ids((await bench.claim(500)).jobs)] == [kept]

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

    async def test_many_dead_are_retried_in_the_order_asked_for(self, bench: Bench) -> None:
        sent = await bench.bury(count=5)
        wanted = [sent[3], sent[0], sent[4]]
        assert await bench.broker.retry(bench.queue, wanted) == [True] * 3
        assert await bench.claim_ids() == wanted
        assert await bench.ids_in("dead") == [sent[2], sent[1]]

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

    async def test_nothing_asked_for_is_nothing_done(self, bench: Bench) -> None:
        assert await bench.broker.retry(bench.queue, []) == []
        assert await bench.broker.delete(bench.queue, []) == []
