"""``JobStore.delete`` that keeps the jobs, and ``undelete``; and ``retry`` over a time."""

from __future__ import annotations

from asyncjobs.core.states import JobState
from asyncjobs.testing.conformance.bench import Bench
from asyncjobs.testing.conformance.theme import Theme

__all__ = ["Undoing"]

_KEEP_MS = 60_000


class Undoing(Theme):
    """What a deletion that can be undone promises, and a retry that is spread."""

    async def _delete(self, bench: Bench, *job_ids: str, deletion: int = 1) -> None:
        done = await bench.broker.delete(bench.queue, job_ids, keep_ms=_KEEP_MS, deletion=deletion)
        assert done == [True] * len(job_ids)

    async def test_a_dead_job_comes_back_as_it_was(self, bench: Bench) -> None:
        [job_id] = await bench.bury(bench.new(tenant="acme"))
        await bench.kit.advance(1_000)
        later = await bench.bury(bench.new(tenant="acme"))
        before = await bench.broker.find(bench.queue, job_id)
        [group] = await bench.broker.dead_groups(bench.queue)
        await self._delete(bench, job_id)
        assert await bench.broker.find(bench.queue, job_id) is None
        assert await bench.dead_of("acme") == later
        assert (await bench.figures()).tried == 1
        assert await bench.broker.retry(bench.queue, [job_id]) == [False]
        assert await bench.broker.delete(bench.queue, [job_id], keep_ms=_KEEP_MS, deletion=2) == [False]
        await bench.kit.advance(1_000)
        assert await bench.broker.undelete(bench.queue, [job_id, job_id, "nobody"]) == [True, False, False]
        assert await bench.broker.find(bench.queue, job_id) == before
        assert await bench.dead_of("acme") == [*later, job_id]
        [back] = await bench.broker.dead_groups(bench.queue)
        assert (back.id, back.count, back.state, back.first_ms) == (group.id, 2, "new", group.first_ms)
        assert (await bench.figures()).tried == 2
        assert await bench.broker.retry(bench.queue, [job_id]) == [True]
        assert await bench.claim_ids() == [job_id]

    async def test_the_only_job_of_a_group_comes_back_into_it(self, bench: Bench) -> None:
        [job_id] = await bench.bury()
        [group] = await bench.broker.dead_groups(bench.queue)
        await self._delete(bench, job_id)
        assert await bench.broker.dead_groups(bench.queue) == []
        await bench.broker.undelete(bench.queue, [job_id])
        assert await bench.broker.dead_groups(bench.queue) == [group]

    async def test_a_deletion_can_be_undone_for_so_long_and_not_longer(self, bench: Bench) -> None:
        first, second = await bench.bury(count=2)
        await self._delete(bench, first, second)
        await bench.kit.advance(_KEEP_MS - 1_000)
        assert await bench.broker.undelete(bench.queue, [first]) == [True]
        await bench.kit.advance(1_001)
        assert await bench.broker.undelete(bench.queue, [second]) == [False]
        assert await bench.ids_in("deleted") == []
        assert await bench.broker.prune([bench.queue], 1_000_000_000, 100) == 0
        assert await bench.ids_in("dead") == [first]

    async def test_what_is_deleted_for_good_can_not_be_undone(self, bench: Bench) -> None:
        kept, gone = await bench.bury(count=2)
        assert await bench.broker.delete(bench.queue, [gone]) == [True]
        assert await bench.broker.undelete(bench.queue, [gone]) == [False]
        # Also what an earlier deletion has kept, and nothing else of that id.
        await self._delete(bench, kept)
        await bench.send(bench.new(job_id=kept))
        assert await bench.broker.forget_deleted(bench.queue, [kept, gone]) == [True, False]
        assert await bench.claim_ids() == [kept]
        assert await bench.broker.undelete(bench.queue, [kept]) == [False]
        assert await bench.ids_in("deleted") == []

    async def test_the_deleted_are_listed_by_deletion_the_latest_first(self, bench: Bench) -> None:
        sent = await bench.bury(*(bench.new(tenant=tenant) for tenant in ("acme", "globex", "acme", "")))
        await self._delete(bench, sent[0], sent[1], deletion=7)
        await self._delete(bench, sent[3], deletion=9)
        await self._delete(bench, sent[2], deletion=8)
        found = await bench.jobs_in("deleted", limit=1)
        assert [(job.deletion, job.id) for job in found] == [(9, sent[3]), (8, sent[2]), (7, sent[1]), (7, sent[0])]
        assert {job.state for job in found} == {JobState.FAILED}
        assert all(job.finished_at_ms and len(job.errors) == 1 for job in found)
        assert await bench.ids_in("deleted", tenant="acme") == [sent[2], sent[0]]
        assert sum((await bench.figures()).ready) == (await bench.figures()).dead == 0

    async def test_an_id_that_is_sent_anew_is_another_job(self, bench: Bench) -> None:
        job = bench.new()
        await bench.bury(job)
        await self._delete(bench, job.id)
        await bench.send(job)
        assert await bench.broker.undelete(bench.queue, [job.id]) == [False]
        assert await bench.claim_ids() == [job.id]
        found = await bench.broker.find(bench.queue, job.id)
        assert found is not None
        assert found.errors == ()

    async def test_an_ended_job_comes_back_for_as_long_as_it_would_have_been_kept(self, bench: Bench) -> None:
        [job_id] = await bench.send()
        await bench.settle((await bench.claim()).jobs, ttl_ms=30_000, result_ttl_ms=100_000)
        before = await bench.broker.find(bench.queue, job_id)
        await self._delete(bench, job_id)
        assert await bench.broker.find(bench.queue, job_id) is None
        assert await bench.broker.undelete(bench.queue, [job_id]) == [True]
        after = await bench.broker.find(bench.queue, job_id)
        assert before is not None
        assert after is not None
        assert (after.state, after.encoded_result) == (JobState.COMPLETED, before.encoded_result)
        await self._delete(bench, job_id, deletion=2)
        await bench.kit.advance(30_001)
        assert await bench.broker.undelete(bench.queue, [job_id]) == [False]

    async def test_a_retry_can_be_spread_over_a_time(self, bench: Bench) -> None:
        sent = await bench.bury(count=4)
        assert await bench.broker.retry(bench.queue, sent, delay_ms=0, spread_ms=20_000) == [True] * 4
        assert await bench.claim_ids() == sent[:1]
        for job_id in sent[1:]:
            assert await bench.claim_ids() == []
            await bench.kit.advance(5_001)
            assert await bench.claim_ids() == [job_id]
        assert (await bench.figures()).scheduled == 0

    async def test_a_part_of_a_spread_retry_begins_later(self, bench: Bench) -> None:
        sent = await bench.bury(count=2)
        assert await bench.broker.retry(bench.queue, sent, delay_ms=10_000, spread_ms=0) == [True] * 2
        assert await bench.claim_ids() == []
        jobs = await bench.jobs_in("scheduled")
        assert [job.state for job in jobs] == [JobState.PENDING] * 2
        await bench.kit.advance(10_001)
        assert sorted(await bench.claim_ids()) == sent
