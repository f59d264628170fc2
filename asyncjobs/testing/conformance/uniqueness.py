"""``Intake.enqueue`` with jobs that have a unique key."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from asyncjobs.core.priority import Priority
from asyncjobs.core.record.envelope import Envelope, encode
from asyncjobs.core.uniqueness import UniqueRule
from asyncjobs.ports import Firing, NewJob
from asyncjobs.testing.conformance.bench import Bench
from asyncjobs.testing.conformance.theme import Theme

__all__ = ["Uniqueness"]


def unique(bench: Bench, argument: str = "a", *, new: dict[str, Any] | None = None, **rule: Any) -> NewJob:
    """Return a job called with ``argument``, with the rule and the key ``user-7``."""
    given = {"key": "user-7", **rule}
    body = encode(Envelope(arguments=msgspec.Raw(encode([argument])), created_at_ms=1))
    job = bench.new(**(new or {}))
    return msgspec.structs.replace(
        job, body=body, unique=UniqueRule(**given), delay_ms=job.delay_ms or given.get("wait_ms", 0)
    )


class Uniqueness(Theme):
    """Which jobs hold their key, and what a send does that meets one of them."""

    async def test_a_second_job_of_a_key_is_left_out_and_the_reply_names_the_first(self, bench: Bench) -> None:
        first, second, other = unique(bench), unique(bench), unique(bench, key="user-8")
        assert await bench.broker.enqueue([first]) == [True]
        assert await bench.broker.enqueue([second, other, bench.new()]) == [first.id, True, True]
        assert await bench.waiting() == 3
        job = await bench.broker.find(bench.queue, first.id)
        assert job is not None
        assert job.unique_key == "user-7"
        assert await bench.broker.find(bench.queue, second.id) is None

    async def test_jobs_of_one_key_in_one_call_are_one(self, bench: Bench) -> None:
        jobs = [unique(bench) for _ in range(3)]
        assert await bench.broker.enqueue(jobs) == [True, jobs[0].id, jobs[0].id]
        assert await bench.claim_ids() == [jobs[0].id]

    async def test_a_key_counts_within_its_queue(self, bench: Bench) -> None:
        jobs = [unique(bench), unique(bench, new={"queue": "other"})]
        assert await bench.broker.enqueue(jobs) == [True, True]

    async def test_a_known_id_is_known_whoever_holds_its_key(self, bench: Bench) -> None:
        first = unique(bench)
        assert await bench.broker.enqueue([first]) == [True]
        assert await bench.broker.enqueue([first, first]) == [False, False]

    async def test_a_job_holds_its_key_while_it_waits_runs_and_is_retried(self, bench: Bench) -> None:
        first = unique(bench)
        await bench.send(first)
        claim = await bench.claim()
        assert [one.unique_key for one in claim.jobs] == ["user-7"]
        assert await bench.broker.enqueue([unique(bench)]) == [first.id]
        await bench.fail(claim.jobs)
        assert await bench.broker.enqueue([unique(bench)]) == [first.id]
        await bench.kit.advance(60_000)
        assert await bench.claim_ids() == [first.id]
        assert await bench.broker.enqueue([unique(bench)]) == [first.id]

    async def test_a_job_that_ends_frees_its_key(self, bench: Bench) -> None:
        for end in ("complete", "cancel", "cancel while it runs"):
            job = unique(bench)
            assert await bench.broker.enqueue([job]) == [True], end
            if end == "cancel":
                await bench.cancel(job.id)
            elif end == "complete":
                await bench.settle((await bench.claim()).jobs)
            else:
                await bench.claim()
                await bench.cancel(job.id)
                await bench.lapse()
                await bench.recover()
            found = await bench.broker.find(bench.queue, job.id)
            assert found is not None
            assert found.unique_key == "user-7"

    async def test_a_dead_or_a_deleted_job_holds_no_key(self, bench: Bench) -> None:
        first, second, third = unique(bench), unique(bench), unique(bench)
        await bench.send(first)
        await bench.fail((await bench.claim()).jobs, for_good=True)
        assert await bench.broker.enqueue([second]) == [True]
        assert await bench.broker.enqueue([third]) == [second.id]
        await bench.settle((await bench.claim()).jobs)
        assert await bench.broker.delete(bench.queue, [first.id, second.id]) == [True, True]
        assert await bench.broker.enqueue([third]) == [True]

    async def test_a_job_whose_workers_died_under_it_frees_its_key_once_it_is_dead(self, bench: Bench) -> None:
        first, second = unique(bench), unique(bench)
        await bench.send(first)
        for _ in range(3):
            assert await bench.broker.enqueue([second]) == [first.id]
            await bench.claim()
            await bench.lapse()
            await bench.recover()
        assert await bench.ids_in("dead") == [first.id]
        assert await bench.broker.enqueue([second]) == [True]

    async def test_a_job_frees_no_key_that_another_holds_by_now(self, bench: Bench) -> None:
        first, second, third = unique(bench), unique(bench), unique(bench)
        await bench.send(first)
        await bench.fail((await bench.claim()).jobs, for_good=True)
        await bench.send(second)
        await bench.broker.retry(bench.queue, [first.id])
        await bench.settle([one for one in (await bench.claim()).jobs if one.id == first.id])
        assert await bench.broker.enqueue([third]) == [second.id]

    async def test_a_dead_job_that_is_retried_holds_its_key_again_unless_another_does(self, bench: Bench) -> None:
        first, second, third = unique(bench), unique(bench), unique(bench)
        await bench.send(first)
        await bench.fail((await bench.claim()).jobs, for_good=True)
        await bench.send(second)
        await bench.settle((await bench.claim()).jobs)
        assert await bench.broker.retry(bench.queue, [first.id]) == [True]
        assert await bench.broker.enqueue([third]) == [first.id]

    async def test_a_dead_job_that_is_retried_takes_its_key_from_another_that_is_dead(self, bench: Bench) -> None:
        first, second, third = unique(bench), unique(bench, within_ms=60_000), unique(bench)
        for job in (first, second):
            await bench.send(job)
            await bench.fail((await bench.claim()).jobs, for_good=True)
        assert await bench.broker.retry(bench.queue, [first.id]) == [True]
        assert await bench.broker.enqueue([third]) == [first.id]
        # The other is retried too, and both run.
        assert await bench.broker.retry(bench.queue, [second.id]) == [True]
        assert await bench.broker.enqueue([third]) == [first.id]
        await bench.settle((await bench.claim(5)).jobs)
        assert await bench.broker.enqueue([third]) == [True]

    async def test_of_dead_jobs_of_one_key_that_are_retried_at_once_the_first_holds_it(self, bench: Bench) -> None:
        first, second, third = unique(bench), unique(bench), unique(bench)
        for job in (first, second):
            await bench.send(job)
            await bench.fail((await bench.claim()).jobs, for_good=True)
        assert await bench.broker.retry(bench.queue, [first.id, second.id]) == [True, True]
        assert await bench.broker.enqueue([third]) == [first.id]

    async def test_a_dead_job_that_is_retried_leaves_its_key_to_one_that_has_completed_within_its_time(
        self, bench: Bench
    ) -> None:
        first, second, third = unique(bench), unique(bench, within_ms=60_000), unique(bench)
        await bench.send(first)
        await bench.fail((await bench.claim()).jobs, for_good=True)
        await bench.send(second)
        await bench.settle((await bench.claim()).jobs)
        assert await bench.broker.retry(bench.queue, [first.id]) == [True]
        assert await bench.broker.enqueue([third]) == [second.id]

    async def test_an_expired_record_holds_no_key(self, bench: Bench) -> None:
        first = unique(bench)
        await bench.send(first)
        await bench.settle((await bench.claim()).jobs, ttl_ms=1_000)
        await bench.kit.advance(2_000)
        assert await bench.broker.enqueue([unique(bench)]) == [True]

    async def test_a_later_job_that_has_the_id_of_a_holder_but_not_its_key_keeps_nobody_out(self, bench: Bench) -> None:
        first = unique(bench, within_ms=2_000)
        await bench.send(first)
        await bench.settle((await bench.claim()).jobs, ttl_ms=1_000)
        await bench.kit.advance(2_001)
        await bench.send(bench.new(job_id=first.id))
        assert await bench.broker.enqueue([unique(bench, "b", on_conflict="replace")]) == [True]
        job = await bench.broker.find(bench.queue, first.id)
        assert job is not None
        assert job.arguments == ["a", 1]

    async def test_until_its_start_a_job_keeps_others_out_only_before_its_first_attempt(self, bench: Bench) -> None:
        first, second, third = (unique(bench, until="start") for _ in range(3))
        await bench.send(first)
        assert await bench.broker.enqueue([second]) == [first.id]
        claim = await bench.claim()
        assert await bench.broker.enqueue([second]) == [True]
        assert await bench.broker.enqueue([third]) == [second.id]
        await bench.fail(claim.jobs)
        # The first waits for its retry, and keeps nobody out.
        await bench.cancel(second.id)
        assert await bench.broker.enqueue([third]) == [True]

    async def test_a_job_that_was_given_back_waits_for_its_first_attempt_again(self, bench: Bench) -> None:
        first = unique(bench, until="start")
        await bench.send(first)
        await bench.release((await bench.claim()).jobs)
        assert await bench.broker.enqueue([unique(bench, until="start")]) == [first.id]

    async def test_within_a_time_a_completed_job_keeps_others_out(self, bench: Bench) -> None:
        first, second = unique(bench, within_ms=600_000), unique(bench, within_ms=600_000)
        await bench.send(first)
        await bench.kit.advance(300_000)
        await bench.settle((await bench.claim()).jobs, ttl_ms=1_000)
        assert await bench.broker.enqueue([second]) == [first.id]
        await bench.kit.advance(290_000)
        assert await bench.broker.find(bench.queue, first.id) is None
        await bench.broker.prune([bench.queue], 60_000, 100)
        assert await bench.broker.enqueue([second]) == [first.id]
        await bench.kit.advance(10_001)
        assert await bench.broker.enqueue([second]) == [True]

    async def test_within_a_time_a_completed_job_keeps_others_out_once_its_result_was_read(self, bench: Bench) -> None:
        first, second = unique(bench, within_ms=600_000), unique(bench, within_ms=600_000)
        await bench.send(first)
        await bench.settle((await bench.claim()).jobs)
        assert await bench.broker.forget(bench.queue, first.id)
        await bench.broker.prune([bench.queue], 60_000, 100)
        assert await bench.broker.enqueue([second]) == [first.id]
        await bench.kit.advance(600_001)
        assert await bench.broker.enqueue([second]) == [True]

    async def test_within_a_time_a_job_that_outlives_it_keeps_others_out_too(self, bench: Bench) -> None:
        first = unique(bench, within_ms=1_000)
        await bench.send(first)
        await bench.kit.advance(5_000)
        await bench.broker.prune([bench.queue], 60_000, 100)
        assert await bench.broker.enqueue([unique(bench, within_ms=1_000)]) == [first.id]

    @pytest.mark.parametrize("end", ["cancelled", "dead", "cancelled and forgotten", "deleted", "pruned"])
    async def test_within_its_time_a_job_that_did_not_complete_keeps_nobody_out(self, bench: Bench, end: str) -> None:
        first = unique(bench, within_ms=60_000)
        await bench.send(first)
        if end.startswith("cancelled"):
            await bench.cancel(first.id)
        elif end == "deleted":
            await bench.settle((await bench.claim()).jobs)
            await bench.broker.delete(bench.queue, [first.id], keep_ms=60_000, deletion=1)
        else:
            await bench.fail((await bench.claim()).jobs, for_good=True)
        if end == "cancelled and forgotten":
            assert await bench.broker.forget(bench.queue, first.id)
        if end == "pruned":
            await bench.kit.advance(2_000)
            assert await bench.broker.prune([bench.queue], 1_000, 100) == 1
        assert await bench.broker.enqueue([unique(bench)]) == [True]

    async def test_a_waiting_job_is_given_the_arguments_of_a_later_one(self, bench: Bench) -> None:
        first = unique(bench, new={"priority": Priority.HIGH, "delay_ms": 5_000})
        second = unique(bench, "b", on_conflict="replace", new={"acks_early": True})
        await bench.send(first)
        before = await bench.broker.find(bench.queue, first.id)
        assert await bench.broker.enqueue([second]) == [first.id]
        job = await bench.broker.find(bench.queue, first.id)
        assert job is not None
        assert before is not None
        assert (job.arguments, job.acks_early, job.priority) == (["b"], True, Priority.HIGH)
        assert job.due_at_ms == before.due_at_ms
        await bench.kit.advance(5_001)
        [claimed] = (await bench.claim()).jobs
        assert (claimed.id, claimed.body, claimed.priority) == (first.id, second.body, Priority.HIGH.value)
        # It has begun.
        assert await bench.broker.enqueue([unique(bench, "c", on_conflict="replace")]) == [first.id]
        await bench.settle([claimed])
        ended = await bench.broker.find(bench.queue, first.id)
        assert ended is not None
        assert ended.arguments == ["b"]

    async def test_a_job_of_the_same_call_is_given_the_arguments_of_a_later_one(self, bench: Bench) -> None:
        jobs = [unique(bench, argument, on_conflict="replace") for argument in "abc"]
        assert await bench.broker.enqueue(jobs) == [True, jobs[0].id, jobs[0].id]
        [claimed] = (await bench.claim()).jobs
        assert (claimed.id, claimed.body) == (jobs[0].id, jobs[2].body)

    async def test_a_parked_job_is_given_the_arguments_of_a_later_one_and_stays_parked(self, bench: Bench) -> None:
        first = unique(bench)
        await bench.send(first)
        assert (await bench.claim(names=frozenset({"other"}))).jobs == []
        assert await bench.ids_in("parked") == [first.id]
        assert await bench.broker.enqueue([unique(bench, "b", on_conflict="replace")]) == [first.id]
        [job] = await bench.jobs_in("parked")
        assert (job.id, job.arguments) == (first.id, ["b"])
        assert await bench.claim_ids() == [first.id]

    async def test_a_debounced_job_starts_once_its_sends_have_calmed_down(self, bench: Bench) -> None:
        rule: dict[str, Any] = {"until": "start", "on_conflict": "replace", "wait_ms": 60_000}
        jobs = [unique(bench, argument, **rule) for argument in "abc"]
        assert await bench.broker.enqueue(jobs[:1]) == [True]
        for later in jobs[1:]:
            await bench.kit.advance(40_000)
            assert await bench.claim_ids() == []
            assert await bench.broker.enqueue([later]) == [jobs[0].id]
        await bench.kit.advance(40_000)
        assert await bench.claim_ids() == []
        await bench.kit.advance(20_001)
        [claimed] = (await bench.claim()).jobs
        assert (claimed.id, claimed.body) == (jobs[0].id, jobs[2].body)
        # It has started, so another one is made.
        fresh = unique(bench, "d", **rule)
        assert await bench.broker.enqueue([fresh]) == [True]
        await bench.settle([claimed])
        await bench.kit.advance(60_001)
        assert await bench.claim_ids() == [fresh.id]

    async def test_a_debounced_job_is_put_off_for_no_longer_than_its_bound(self, bench: Bench) -> None:
        rule: dict[str, Any] = {"until": "start", "on_conflict": "replace", "wait_ms": 60_000, "at_most_ms": 100_000}
        first = unique(bench, **rule)
        await bench.send(first)
        for _ in range(3):
            await bench.kit.advance(30_000)
            assert await bench.claim_ids() == []
            assert await bench.broker.enqueue([unique(bench, **rule)]) == [first.id]
        await bench.kit.advance(10_001)
        assert await bench.claim_ids() == [first.id]

    async def test_a_debounced_job_that_has_come_due_is_not_put_off_again(self, bench: Bench) -> None:
        rule: dict[str, Any] = {"until": "start", "on_conflict": "replace", "wait_ms": 1_000}
        first = unique(bench, **rule)
        await bench.send(first, bench.new())
        await bench.kit.advance(1_001)
        # It is ready behind the other one.
        await bench.claim(1)
        assert await bench.ids_in("ready") == [first.id]
        assert await bench.broker.enqueue([unique(bench, "b", **rule)]) == [first.id]
        [claimed] = (await bench.claim()).jobs
        assert (claimed.id, msgspec.msgpack.decode(claimed.body)["a"]) == (first.id, ["b"])

    async def test_a_job_that_is_edited_holds_its_key(self, bench: Bench) -> None:
        first = unique(bench)
        await bench.send(first)
        reply = await bench.broker.edit(bench.queue, first.id, priority=0, delay_ms=60_000, due_at_ms=None)
        assert reply == "edited"
        assert await bench.broker.enqueue([unique(bench, "b", on_conflict="replace")]) == [first.id]
        [job] = await bench.jobs_in("scheduled")
        assert (job.arguments, job.priority, job.unique_key) == (["b"], Priority.CRITICAL, "user-7")

    async def test_a_tick_makes_no_job_while_another_of_its_key_is_there(self, bench: Bench) -> None:
        broker, now_ms = bench.broker, (await bench.claim()).now_ms
        await broker.put_schedule(bench.queue, "nightly", b"data", now_ms - 2)
        jobs = [unique(bench), unique(bench)]
        for number, job in enumerate(jobs):
            firing = Firing("nightly", now_ms - 2 + number, now_ms - 1 + number, now_ms - 2 + number, [job])
            assert (await broker.fire(bench.queue, [firing])).fired == [True]
            [stored] = (await broker.schedules(bench.queue)).schedules
            assert stored.last_job == jobs[0].id
        assert await bench.claim_ids() == [jobs[0].id]

    async def test_keys_that_no_job_holds_are_forgotten(self, bench: Bench) -> None:
        sent = [unique(bench, key=f"user-{number}", within_ms=1_000) for number in range(300)]
        await bench.send(*sent)
        await bench.settle((await bench.claim(300)).jobs, ttl_ms=1_000)
        await bench.kit.advance(2_000)
        for _ in range(3):
            assert await bench.broker.prune([bench.queue], 60_000, 100) == 0
        again = [unique(bench, key=f"user-{number}") for number in range(300)]
        assert await bench.broker.enqueue(again) == [True] * 300
