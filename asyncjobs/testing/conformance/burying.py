"""The dead letter queue as operators use it, and jobs that come back later."""

from __future__ import annotations

from asyncjobs.core.settlement import Snoozed
from asyncjobs.core.states import JobState
from asyncjobs.testing.conformance.kit import Bench
from asyncjobs.testing.conformance.theme import Theme

__all__ = ["Burying"]


class Burying(Theme):
    """What pages of ``page``, ``retry`` and ``delete`` of many, ``prune`` and a snooze promise."""

    async def _bury(self, bench: Bench, count: int) -> list[str]:
        sent = await bench.send(count=count)
        await bench.fail((await bench.claim(count)).jobs, for_good=True)
        return sent

    async def test_the_dead_are_paged_without_gap_or_double_also_those_of_one_moment(self, bench: Bench) -> None:
        sent = await self._bury(bench, 7)
        await bench.kit.advance(10)
        sent += await self._bury(bench, 2)
        seen: list[str] = []
        page = await bench.broker.page(bench.queue, "dead", "", 3)
        while page.jobs:
            seen += [job.id for job in page.jobs]
            # What leaves between two pages, or joins, moves no other.
            await bench.broker.delete(bench.queue, [page.jobs[-1].id])
            await self._bury(bench, 1)
            if not page.next:
                break
            page = await bench.broker.page(bench.queue, "dead", page.next, 3)
        assert seen == sent[::-1]

    async def test_many_dead_are_retried_in_the_order_asked_for(self, bench: Bench) -> None:
        sent = await self._bury(bench, 5)
        wanted = [sent[3], sent[0], sent[4]]
        assert await bench.broker.retry(bench.queue, wanted) == [True] * 3
        assert await bench.claim_ids() == wanted
        assert await bench.ids_in("dead") == [sent[2], sent[1]]

    async def test_nothing_asked_for_is_nothing_done(self, bench: Bench) -> None:
        assert await bench.broker.retry(bench.queue, []) == []
        assert await bench.broker.delete(bench.queue, []) == []

    async def test_the_dead_are_pruned_by_age(self, bench: Bench) -> None:
        await self._bury(bench, 3)
        await bench.kit.advance(5_000)
        young = await self._bury(bench, 2)
        assert await bench.broker.prune([bench.queue], 60_000, 100) == 0
        assert await bench.broker.prune([bench.queue], 4_000, 100) == 3
        assert sorted(job.id for job in await bench.jobs_in("dead")) == young
        assert (await bench.figures()).tried == 2

    async def test_the_dead_are_pruned_by_number_the_oldest_first(self, bench: Bench) -> None:
        for _ in range(4):
            await bench.kit.advance(10)
            last = await self._bury(bench, 1)
        [waiting] = await bench.send()
        assert await bench.broker.prune([bench.queue, "unused"], 60_000, 1) == 3
        assert await bench.ids_in("dead") == last
        assert await bench.claim_ids() == [waiting]

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
