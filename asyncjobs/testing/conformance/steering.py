"""What operators do to jobs that wait: look at them, edit them, suspend their name or their tenant."""

from __future__ import annotations

import pytest

from asyncjobs.core.priority import Priority
from asyncjobs.core.states import JobState
from asyncjobs.ports import Hold, Place
from asyncjobs.testing.conformance.kit import Bench
from asyncjobs.testing.conformance.theme import Theme

__all__ = ["Steering"]

KNOWN = frozenset({"work", "other"})


class Steering(Theme):
    """What ``page``, ``edit`` and ``hold`` of a name or a tenant promise."""

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

    async def test_waiting_jobs_are_listed_page_by_page_in_the_order_in_which_they_will_start(
        self, bench: Bench
    ) -> None:
        low = await bench.send(bench.new(priority=Priority.LOW), bench.new(priority=Priority.LOW))
        high = await bench.send(bench.new(priority=Priority.HIGH))
        later = await bench.send(bench.new(delay_ms=60_000), bench.new(delay_ms=30_000))
        first = await bench.broker.page(bench.queue, "ready", "", 2)
        second = await bench.broker.page(bench.queue, "ready", first.next, 2)
        assert [[job.id for job in page.jobs] for page in (first, second)] == [[*high, low[0]], [low[1]]]
        assert second.next == ""
        jobs = await bench.jobs_in("scheduled")
        assert [job.id for job in jobs] == later[::-1]
        assert jobs[0].due_at_ms is not None

    async def _paged_while_jobs_leave(self, bench: Bench, place: Place, leaving: set[str]) -> list[str]:
        """Read a place page by page, and cancel some of ``leaving`` between the pages; return all ids seen."""
        seen: list[str] = []
        cursor = ""
        left = sorted(leaving)
        while True:
            page = await bench.broker.page(bench.queue, place, cursor, 3)
            seen += [job.id for job in page.jobs]
            now, left = left[:5], left[5:]
            await bench.broker.cancel(bench.queue, now, "enough", 60_000)
            cursor = page.next
            if not cursor:
                return seen

    @pytest.mark.parametrize("place", ["ready", "scheduled", "parked"])
    async def test_jobs_that_stay_come_once_while_others_are_cancelled_between_the_pages(
        self, bench: Bench, place: Place
    ) -> None:
        priorities = [Priority.LOW, Priority.NORMAL, Priority.CRITICAL]
        jobs = [
            bench.new(
                "other" if number % 2 else "unknown",
                priority=priorities[number % 3],
                delay_ms=60_000 + number if place == "scheduled" else 0,
            )
            for number in range(40)
        ]
        sent = await bench.send(*jobs)
        if place == "parked":
            await bench.claim(100, names=frozenset({"work"}))
        # Also the last of a page, behind which the next one goes on, and those before it.
        leaving = {job_id for number, job_id in enumerate(sent) if number % 4 != 1}
        seen = await self._paged_while_jobs_leave(bench, place, leaving)
        assert len(seen) == len(set(seen))
        assert set(sent) - leaving <= set(seen)

    async def test_running_jobs_that_stay_come_once_while_others_end_between_the_pages(self, bench: Bench) -> None:
        await bench.send(count=40)
        jobs = [one for _ in range(4) for one in (await bench.claim(10)).jobs]
        staying = {job.id for number, job in enumerate(jobs) if number % 4 == 1}
        seen: list[str] = []
        cursor = ""
        while True:
            page = await bench.broker.page(bench.queue, "running", cursor, 3)
            seen += [job.id for job in page.jobs]
            # Those that go on are extended, as a heartbeat does.
            await bench.extend(jobs[1::4])
            await bench.settle([job for job in jobs if job.id in seen[-3:] and job.id not in staying])
            cursor = page.next
            if not cursor:
                break
        assert len(seen) == len(set(seen))
        assert staying <= set(seen)

    async def test_running_and_parked_jobs_are_listed_too_and_cancelled_ones_are_not(self, bench: Bench) -> None:
        [running] = await bench.send()
        await bench.claim(1)
        parked = await bench.send(bench.new("unknown"), bench.new("unknown"))
        await bench.claim(5, names=KNOWN)
        ready = await bench.send(count=2)
        await bench.cancel(parked[0])
        await bench.cancel(ready[0])
        places: list[Place] = ["running", "parked", "ready"]
        found = {place: [(job.id, job.state) for job in await bench.jobs_in(place)] for place in places}
        assert found == {
            "running": [(running, JobState.RUNNING)],
            "parked": [(parked[1], JobState.PENDING)],
            "ready": [(ready[1], JobState.PENDING)],
        }

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
        assert await bench.broker.wait([bench.queue], 5.0)
        assert [one for _ in range(2) for one in await bench.claim_ids()] == [later]
        await bench.kit.advance(60_001)
        assert await bench.claim_ids() == [now]

    async def test_an_earlier_time_resets_the_timer(self, bench: Bench) -> None:
        [job_id] = await bench.send(bench.new(delay_ms=3_600_000))
        now_ms = (await bench.claim(keep_timer_ms=60_000)).now_ms
        await bench.broker.wait([bench.queue], 0.01)
        assert await self._edit(bench, job_id, due_at_ms=now_ms + 30_000) == "edited"
        assert await bench.broker.wait([bench.queue], 5.0)
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

    async def test_jobs_of_a_suspended_name_wait_until_it_is_resumed(self, bench: Bench) -> None:
        assert await bench.hold("name", "work")
        assert not await bench.hold("name", "work")
        assert bench.queue in await bench.broker.queues()
        waiting = await bench.send(count=2)
        [other] = await bench.send(bench.new("other"))
        assert await bench.claim_ids(names=KNOWN) == [other]
        # Neither those who know it, nor the time, change anything.
        await bench.kit.advance(7_200_000)
        assert await bench.broker.unpark([bench.queue], KNOWN, 3_600_000) == 0
        assert (await bench.figures()).parked == 2
        assert (await bench.figures()).holds == (Hold("name", "work"),)
        assert await bench.hold("name", "work", on=False)
        # The time to wait for somebody who knows it begins anew.
        assert await bench.broker.unpark([bench.queue], frozenset({"other"}), 3_600_000) == 0
        assert await bench.broker.unpark([bench.queue], KNOWN, 3_600_000) == 2
        assert await bench.claim_ids(names=KNOWN) == waiting
        assert (await bench.figures()).holds == ()

    @pytest.mark.parametrize("names", [None, KNOWN])
    async def test_jobs_of_a_suspended_tenant_wait_whoever_claims(
        self, bench: Bench, names: frozenset[str] | None
    ) -> None:
        await bench.hold("tenant", "acme")
        await bench.hold("name", "acme")
        sent = await bench.send(bench.new(tenant="acme"), bench.new(tenant="globex"), bench.new())
        assert await bench.claim_ids(names=names) == sent[1:]
        assert (await bench.figures()).parked == 1
        await bench.kit.advance(7_200_000)
        assert await bench.broker.unpark([bench.queue], KNOWN, 3_600_000) == 0
        assert (await bench.figures()).holds == (Hold("name", "acme"), Hold("tenant", "acme"))
        await bench.hold("tenant", "acme", on=False)
        assert await bench.broker.unpark([bench.queue], frozenset(), 3_600_000) == 1
        assert await bench.claim_ids(names=names) == sent[:1]

    async def test_an_id_cancelled_in_one_parked_list_is_not_passed_over_in_another(self, bench: Bench) -> None:
        job = bench.new(job_id="twice", tenant="acme")
        await bench.send(job)
        await bench.claim(names=frozenset({"other"}))
        await bench.cancel("twice", keep_ms=1_000)
        await bench.kit.advance(1_001)
        await bench.hold("tenant", "acme")
        await bench.send(job)
        await bench.claim(names=KNOWN)
        await bench.hold("tenant", "acme", on=False)
        await bench.broker.unpark([bench.queue], frozenset(), 3_600_000)
        assert await bench.claim_ids(names=KNOWN) == ["twice"]
        await bench.broker.unpark([bench.queue], KNOWN, 3_600_000)
        assert await bench.claim_ids(names=KNOWN) == []
