"""``JobStore.edit``: another priority or another time for a job that waits."""

from __future__ import annotations

from asyncjobs.core.priority import Priority
from asyncjobs.testing.conformance.bench import SOON_S, Bench
from asyncjobs.testing.conformance.theme import Theme

__all__ = ["Editing"]

KNOWN = frozenset({"work", "other"})


class Editing(Theme):
    """What ``edit`` promises."""

    async def _edit(
        self,
        bench: Bench,
        job_id: str,
        *,
        priority: int | None = None,
        delay_ms: int | None = None,
        due_at_ms: int | None = None,
    ) -> str:
        return await bench.broker.edit(bench.queue, job_id, priority=priority, delay_ms=delay_ms, due_at_ms=due_at_ms)

    async def test_another_priority_puts_a_job_behind_those_that_have_it(self, bench: Bench) -> None:
        first, second, third = await bench.send(
            bench.new(), bench.new(priority=Priority.HIGH), bench.new(priority=Priority.LOW)
        )
        assert await self._edit(bench, third, priority=Priority.HIGH.value) == "edited"
        job = await bench.broker.find(bench.queue, third)
        assert job is not None
        assert job.priority is Priority.HIGH
        assert await bench.waiting() == 3
        claimed = [job_id for _ in range(2) for job_id in await bench.claim_ids()]
        assert claimed == [second, third, first]

    async def test_a_job_edited_there_and_back_runs_once(self, bench: Bench) -> None:
        [job_id, other] = await bench.send(count=2)
        for priority in (0, 2, 0, 2):
            assert await self._edit(bench, job_id, priority=priority) == "edited"
        claimed = [one for _ in range(5) for one in await bench.claim_ids(2)]
        assert claimed == [other, job_id]
        figures = await bench.figures()
        assert (figures.ready, figures.running) == ((0, 0, 0, 0), 2)

    async def test_another_time_lets_a_job_wait_or_start_at_once(self, bench: Bench) -> None:
        [now, later] = await bench.send(bench.new(), bench.new(delay_ms=3_600_000))
        assert await self._edit(bench, now, delay_ms=60_000) == "edited"
        assert await self._edit(bench, later, delay_ms=0) == "edited"
        assert await bench.broker.wait([bench.queue], SOON_S)
        assert [one for _ in range(2) for one in await bench.claim_ids()] == [later]
        await bench.kit.advance(60_001)
        assert await bench.claim_ids() == [now]

    async def test_an_earlier_time_resets_the_timer(self, bench: Bench) -> None:
        [job_id] = await bench.send(bench.new(delay_ms=3_600_000))
        now_ms = (await bench.claim(keep_timer_ms=60_000)).now_ms
        await bench.broker.wait([bench.queue], 0.01)
        assert await self._edit(bench, job_id, due_at_ms=now_ms + 30_000) == "edited"
        assert await bench.broker.wait([bench.queue], SOON_S)
        claim = await bench.claim(worker="another", keep_timer_ms=60_000)
        assert claim.next_due_ms == now_ms + 30_000

    async def test_a_failed_job_that_waits_for_its_retry_can_be_hurried(self, bench: Bench) -> None:
        [job_id] = await bench.send()
        await bench.fail((await bench.claim()).jobs)
        assert await self._edit(bench, job_id, delay_ms=0) == "edited"
        claim = await bench.claim()
        assert [(one.id, one.tries[:4]) for one in claim.jobs] == [(job_id, b"1:0:")]

    async def test_a_parked_job_can_be_edited(self, bench: Bench) -> None:
        first, second = await bench.send(bench.new("unknown"), bench.new("unknown"))
        await bench.claim(names=KNOWN)
        assert await self._edit(bench, first, delay_ms=60_000) == "edited"
        assert await self._edit(bench, second, priority=0) == "edited"
        figures = await bench.figures()
        assert (figures.parked, figures.scheduled) == (1, 1)
        await bench.broker.unpark([bench.queue], frozenset({"unknown"}), 60_000)
        assert (await bench.figures()).ready == (1, 0, 0, 0)
        await bench.kit.advance(60_001)
        assert await bench.claim_ids(names=frozenset({"unknown"})) == [second, first]

    async def test_what_runs_or_has_ended_is_not_edited(self, bench: Bench) -> None:
        running, ended, dead = await bench.send(count=3)
        claim = await bench.claim()
        await bench.settle(claim.jobs[1:2])
        await bench.fail(claim.jobs[2:], for_good=True)
        replies = [await self._edit(bench, one, priority=0, delay_ms=0) for one in (running, ended, dead, "nobody")]
        assert replies == ["running", "ended", "failed", "unknown"]
