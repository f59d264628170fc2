"""``Work.recover`` and ``LeaseKeeper.extend``: leases that are kept, lost and recovered."""

from __future__ import annotations

import pytest

from asyncjobs.core.states import JobState
from asyncjobs.ports import Claimed, Recovery
from asyncjobs.testing.conformance.bench import Bench, ids, lease_of
from asyncjobs.testing.conformance.theme import Theme

__all__ = ["Leasing"]


class Leasing(Theme):
    """What ``extend`` and ``recover`` promise."""

    async def test_a_claimed_job_runs_and_is_given_to_nobody_else(self, bench: Bench) -> None:
        [job_id] = await bench.send()
        claim = await bench.claim()
        job = await bench.broker.find(bench.queue, job_id)
        assert job is not None
        assert (job.state, job.fence) == (JobState.RUNNING, claim.jobs[0].fence)
        assert await bench.claim_ids(worker="other") == []

    async def test_a_running_job_tells_who_runs_it_and_since_when(self, bench: Bench) -> None:
        sent = await bench.send(count=3)
        claims = [await bench.claim(2, worker="worker one"), await bench.claim(1, worker="2")]
        await bench.kit.advance(4_000)
        await bench.extend(claims[0].jobs)
        runs = {
            claimed.id: (who, claim.now_ms)
            for who, claim in zip(("worker one", "2"), claims, strict=True)
            for claimed in claim.jobs
        }
        found = [await bench.broker.find(bench.queue, job_id) for job_id in sent]
        for job in [*found, *await bench.jobs_in("running", limit=2)]:
            assert job is not None
            assert (job.worker, job.started_at_ms) == runs[job.id]
            assert job.duration_ms is not None
            assert 4_000 <= job.duration_ms < 60_000
        # Once a job waits again, nobody runs it.
        await bench.release(claims[0].jobs)
        waiting = await bench.broker.find(bench.queue, sent[0])
        assert waiting is not None
        assert (waiting.worker, waiting.started_at_ms, waiting.duration_ms) == ("", None, None)

    async def test_a_claim_that_is_asked_for_again_began_when_it_was_made(self, bench: Bench) -> None:
        [job_id] = await bench.send()
        first = await bench.claim(number=1)
        await bench.kit.advance(2_000)
        await bench.claim(number=1)
        job = await bench.broker.find(bench.queue, job_id)
        assert job is not None
        assert (job.started_at_ms, job.worker) == (first.now_ms, "worker")

    async def test_a_dead_job_tells_when_its_last_attempt_began_and_how_long_it_took(self, bench: Bench) -> None:
        [failed] = await bench.bury()
        [died] = await bench.send(bench.new(acks_early=True))
        claim = await bench.claim()
        await bench.lapse()
        assert (await bench.recover()).dead in ([], [died])
        dead = {job.id: job for job in await bench.jobs_in("dead")}
        assert dead[failed].started_at_ms == dead[failed].errors[-1].started_at_ms == 1_000
        assert dead[died].started_at_ms == dead[died].errors[-1].started_at_ms == claim.now_ms
        for one in dead.values():
            found = await bench.broker.find(bench.queue, one.id)
            assert found is not None
            assert (found.started_at_ms, found.duration_ms) == (one.started_at_ms, one.duration_ms)
        assert 10_000 <= (dead[died].duration_ms or 0) < 60_000
        # By hand it waits anew, and no attempt of it runs.
        await bench.broker.retry(bench.queue, [died])
        again = await bench.broker.find(bench.queue, died)
        assert again is not None
        assert (again.started_at_ms, again.duration_ms) == (None, None)

    async def test_a_job_that_died_without_a_run_has_begun_at_no_time(self, bench: Bench) -> None:
        [job_id] = await bench.send(bench.new("unknown"))
        await bench.claim(names=frozenset({"work"}))
        await bench.kit.advance(1_001)
        await bench.broker.unpark([bench.queue], frozenset({"work"}), 1_000)
        [dead] = await bench.jobs_in("dead")
        assert (dead.id, dead.started_at_ms, dead.duration_ms) == (job_id, None, None)

    async def test_a_lapsed_lease_is_recovered_to_the_front_and_counts_as_a_death(self, bench: Bench) -> None:
        [first, second, third] = await bench.send(count=3)
        await bench.claim(2)
        await bench.lapse()
        assert (await bench.recover()).recovered == [first, second]
        claim = await bench.claim()
        assert ids(claim.jobs) == [first, second, third]
        job = await bench.broker.find(bench.queue, first)
        assert job is not None
        assert (job.deaths, job.failures, job.attempt) == (1, 0, 2)

    async def test_a_lease_that_is_extended_is_not_recovered(self, bench: Bench) -> None:
        await bench.send()
        claim = await bench.claim(lease_ms=10_000)
        for _ in range(5):
            await bench.recover()
            await bench.kit.advance(5_000)
            assert await bench.extend(claim.jobs) == ([], [])
        assert (await bench.recover()).recovered == []
        assert await bench.settle(claim.jobs) == [True]

    async def test_a_lapsed_lease_that_nobody_took_over_can_be_extended(self, bench: Bench) -> None:
        await bench.send()
        claim = await bench.claim(lease_ms=1_000)
        await bench.kit.advance(5_000)
        assert await bench.extend(claim.jobs) == ([], [])
        await bench.recover()
        assert await bench.settle(claim.jobs) == [True]

    async def test_extending_a_lease_that_was_taken_over_says_that_it_is_lost(self, bench: Bench) -> None:
        await bench.send()
        late = await bench.claim()
        await bench.lapse()
        await bench.recover()
        current = await bench.claim(worker="other")
        assert await bench.extend(late.jobs) == ([lease_of(late.jobs[0])], [])
        assert await bench.extend(current.jobs) == ([], [])

    async def test_a_late_settlement_is_refused_after_the_lease_was_taken_over(self, bench: Bench) -> None:
        [job_id] = await bench.send()
        late = await bench.claim()
        await bench.lapse()
        await bench.recover()
        assert await bench.settle(late.jobs) == [False]
        current = await bench.claim(worker="other")
        assert await bench.settle(late.jobs) == [False]
        assert await bench.fail(late.jobs) == [False]
        assert await bench.settle(current.jobs) == [True]
        assert await bench.settle(late.jobs) == [False]
        job = await bench.broker.find(bench.queue, job_id)
        assert job is not None
        assert job.fence == current.jobs[0].fence
        assert (await bench.figures()).succeeded == 1

    async def test_after_a_time_without_recovery_the_living_may_extend_first(self, bench: Bench) -> None:
        await bench.send(count=2)
        claim = await bench.claim(lease_ms=10_000)
        await bench.recover()
        await bench.kit.advance(60_000)
        assert (await bench.recover()).recovered == []
        assert await bench.extend(claim.jobs[:1]) == ([], [])
        await bench.kit.advance(4_000)
        assert (await bench.recover()).recovered == []
        await bench.kit.advance(1_100)
        assert (await bench.recover()).recovered == [claim.jobs[1].id]

    async def test_a_stall_that_is_shorter_than_a_lease_costs_the_living_no_job(self, bench: Bench) -> None:
        await bench.send()
        claim = await bench.claim(lease_ms=10_000)
        for _ in range(4):
            await bench.recover()
            await bench.kit.advance(2_400)
            assert await bench.extend(claim.jobs) == ([], [])
            await bench.kit.advance(2_400)
            await bench.recover()
            # The extension that is due now is held up with everything else.
            await bench.kit.advance(9_000)
            assert (await bench.recover()).recovered == []
            assert await bench.extend(claim.jobs) == ([], [])
        assert await bench.settle(claim.jobs) == [True]

    async def test_a_worker_that_looks_more_rarely_than_a_lease_lasts_recovers_too(self, bench: Bench) -> None:
        [job_id] = await bench.send()
        await bench.claim(lease_ms=2_000)
        recovered = []
        for _ in range(4):
            recovered += (await bench.recover(lease_ms=2_000)).recovered
            await bench.kit.advance(2_500)
        assert recovered == [job_id]

    async def test_after_a_gap_all_jobs_are_taken_back_whose_lease_had_lapsed_before(self, bench: Bench) -> None:
        sent = await bench.send(count=1_500)
        await bench.claim(1_000)
        await bench.claim(1_000)
        await bench.recover()
        await bench.kit.advance(10_001)
        assert (await bench.recover()).recovered == []
        await bench.kit.advance(60_000)
        assert sorted((await bench.recover()).recovered) == sent
        assert await bench.ids_in("ready", limit=1_000) == sent

    async def test_after_the_clock_was_set_back_leases_lapse_as_they_did_before(self, bench: Bench) -> None:
        living, dying = await bench.send(count=2)
        kept = [one for one in (await bench.claim(lease_ms=10_000)).jobs if one.id == living]
        await bench.recover()
        await bench.kit.advance(-3_600_000)
        found: list[str] = []
        for _ in range(8):
            found += (await bench.recover()).recovered
            await bench.extend(kept)
            await bench.kit.advance(2_000)
        assert found == [dying]

    async def test_a_job_under_which_too_many_workers_died_is_dead_with_the_reason(self, bench: Bench) -> None:
        [job_id] = await bench.send()
        for _ in range(3):
            assert await bench.claim_ids() == [job_id]
            await bench.lapse()
            await bench.recover()
        assert await bench.claim_ids() == []
        [dead] = await bench.jobs_in("dead")
        assert (dead.id, dead.deaths, dead.errors[-1].type) == (job_id, 3, "WorkerDied")

    async def test_a_recovery_tells_what_became_of_each_job(self, bench: Bench) -> None:
        [revived, cancelled] = await bench.send(count=2)
        [dead] = await bench.send(bench.new(acks_early=True))
        await bench.claim()
        await bench.cancel(cancelled)
        told = Recovery([], [], [])
        for _ in range(4):
            for known, new in zip(told, await bench.recover(), strict=True):
                known += new
            await bench.kit.advance(5_000)
        assert told == ([revived], [dead], [cancelled])
        assert (await bench.figures()).recovered == 1

    @pytest.mark.parametrize("extended", [False, True])
    async def test_many_jobs_that_are_recovered_keep_their_order(self, bench: Bench, extended: bool) -> None:
        sent: list[str] = []
        leased: list[Claimed] = []
        # So long that a slow machine has sent and claimed all of them within a quarter of it.
        lease_ms = 120_000
        for _ in range(12):
            sent += await bench.send(count=200)
            leased += (await bench.claim(200, lease_ms=lease_ms)).jobs
        if extended:
            # All leases of a worker lapse at one moment.
            assert await bench.extend(leased, lease_ms) == ([], [])
        [later] = await bench.send()
        await bench.lapse(lease_ms)
        recovered: list[str] = []
        while some := (await bench.recover(lease_ms)).recovered:
            recovered = [*some, *recovered]
        assert recovered == sent
        assert await bench.ids_in("ready", limit=500) == [*sent, later]

    async def test_a_job_acknowledged_early_is_never_handed_out_twice(self, bench: Bench) -> None:
        [job_id] = await bench.send(bench.new(acks_early=True))
        assert await bench.claim_ids() == [job_id]
        await bench.lapse()
        await bench.recover()
        assert await bench.claim_ids() == []
        assert await bench.ids_in("dead") == [job_id]

    async def test_a_job_whose_cancellation_was_under_way_is_cancelled_when_its_worker_dies(self, bench: Bench) -> None:
        [job_id] = await bench.send()
        await bench.claim()
        assert await bench.cancel(job_id) == "running"
        await bench.lapse()
        await bench.recover()
        job = await bench.broker.find(bench.queue, job_id)
        assert job is not None
        assert (job.state, job.reason, job.arguments) == (JobState.CANCELLED, "enough", ["a", 1])

    async def test_extending_tells_of_a_cancellation_and_only_to_the_run_it_was_meant_for(self, bench: Bench) -> None:
        [job_id] = await bench.send()
        claim = await bench.claim()
        await bench.cancel(job_id)
        assert await bench.extend(claim.jobs) == ([], [(lease_of(claim.jobs[0]), "enough")])
        await bench.release(claim.jobs)
        again = await bench.claim()
        assert await bench.extend(again.jobs) == ([], [])
