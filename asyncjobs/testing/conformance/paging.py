"""``JobStore.page``: the jobs in one place, page by page."""

from __future__ import annotations

import pytest

from asyncjobs.core.priority import Priority
from asyncjobs.core.states import JobState
from asyncjobs.ports import NewJob, Place
from asyncjobs.testing.conformance.bench import Bench
from asyncjobs.testing.conformance.lined import lined
from asyncjobs.testing.conformance.theme import Theme

__all__ = ["Paging"]

KNOWN = frozenset({"work", "other"})

# In one order by their bytes, and in another by the rules of most languages.
ODD_NAMES = ["Beta", "Gamma", "acme", "acme-2", "Zeta", "delta", "a_b", "Ab"]


class Paging(Theme):
    """What ``page`` promises."""

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

    async def test_pages_of_one_entry_list_a_whole_place_in_its_order(self, bench: Bench) -> None:
        dead = await bench.bury(count=3)
        running = await bench.send(count=3)
        await bench.claim(3)
        parked = await bench.send(*(bench.new("unknown") for _ in range(3)))
        await bench.claim(3, names=KNOWN)
        ready = await bench.send(*(bench.new(priority=priority) for priority in Priority))
        scheduled = await bench.send(*(bench.new(delay_ms=60_000 + number) for number in range(3)))
        assert await bench.ids_in("ready", limit=1) == ready
        assert await bench.ids_in("scheduled", limit=1) == scheduled
        assert await bench.ids_in("parked", limit=1) == parked
        assert sorted(await bench.ids_in("running", limit=1)) == running
        assert await bench.ids_in("dead", limit=1) == dead[::-1]

    @pytest.mark.parametrize("place", ["ready", "scheduled", "running", "parked", "dead"])
    async def test_pages_list_each_job_of_one_moment_once_whatever_the_ids_are(
        self, bench: Bench, place: Place
    ) -> None:
        due_at_ms = (await bench.claim(0)).now_ms + 60_000 if place == "scheduled" else None
        jobs = [
            lined(bench, one if place == "ready" else "", name=one, job_id=one, due_at_ms=due_at_ms)
            for one in ODD_NAMES
        ]
        await (bench.bury if place == "dead" else bench.send)(*jobs)
        if place in ("running", "parked"):
            await bench.claim(10, names=KNOWN if place == "parked" else None)
        for limit in (1, 3):
            seen: list[str] = []
            cursor = ""
            for _ in ODD_NAMES:
                page = await bench.broker.page(bench.queue, place, cursor, limit)
                seen += [job.id for job in page.jobs]
                cursor = page.next
                if not cursor:
                    break
            assert sorted(seen) == sorted(ODD_NAMES)

    async def test_an_edited_job_is_listed_once_where_it_will_start(self, bench: Bench) -> None:
        first, second, third = await bench.send(count=3)
        edits: list[tuple[int | None, int | None, list[str]]] = [
            (Priority.LOW.value, None, [second, third, first]),
            (Priority.NORMAL.value, None, [second, third, first]),
            (Priority.CRITICAL.value, None, [first, second, third]),
            (Priority.NORMAL.value, 60_000, [second, third]),
            (None, 0, [second, third, first]),
        ]
        for priority, delay_ms, expected in edits:
            await bench.broker.edit(bench.queue, first, priority=priority, delay_ms=delay_ms, due_at_ms=None)
            assert await bench.ids_in("ready") == expected
            assert await bench.ids_in("ready", limit=1) == expected

    async def test_a_place_without_jobs_has_one_empty_page(self, bench: Bench) -> None:
        places: list[Place] = ["ready", "scheduled", "running", "parked", "dead"]
        for place in places:
            assert await bench.broker.page("unused", place, "", 10) == ([], "")

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

    async def _paged_while_jobs_leave(self, bench: Bench, place: Place, leaving: set[str]) -> list[str]:
        """Read a place page by page, and cancel some of ``leaving`` between the pages; return all ids seen."""
        seen: list[str] = []
        cursor = ""
        left = sorted(leaving)
        for _ in range(100):
            page = await bench.broker.page(bench.queue, place, cursor, 3)
            seen += [job.id for job in page.jobs]
            now, left = left[:5], left[5:]
            await bench.broker.cancel(bench.queue, now, "enough", 60_000)
            cursor = page.next
            if not cursor:
                break
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
        # Among them are the last job of a page, whose place the cursor names, and jobs before it.
        leaving = {job_id for number, job_id in enumerate(sent) if number % 4 != 1}
        seen = await self._paged_while_jobs_leave(bench, place, leaving)
        assert len(seen) == len(set(seen))
        assert set(sent) - leaving <= set(seen)

    async def test_jobs_that_stay_come_once_while_others_come_back_to_the_front(self, bench: Bench) -> None:
        sent = await bench.send(count=8)
        claimed = (await bench.claim(2)).jobs
        first = await bench.broker.page(bench.queue, "ready", "", 3)
        await bench.release(claimed)
        second = await bench.broker.page(bench.queue, "ready", first.next, 8)
        assert [[job.id for job in page.jobs] for page in (first, second)] == [sent[2:5], sent[5:]]

    async def test_running_jobs_that_stay_come_once_while_others_end_between_the_pages(self, bench: Bench) -> None:
        await bench.send(count=40)
        jobs = [one for _ in range(4) for one in (await bench.claim(10)).jobs]
        staying = {job.id for number, job in enumerate(jobs) if number % 4 == 1}
        seen: list[str] = []
        cursor = ""
        for _ in jobs:
            page = await bench.broker.page(bench.queue, "running", cursor, 3)
            seen += [job.id for job in page.jobs]
            # A heartbeat extends the leases of the jobs that go on.
            await bench.extend(jobs[1::4])
            await bench.settle([job for job in jobs if job.id in seen[-3:] and job.id not in staying])
            cursor = page.next
            if not cursor:
                break
        assert len(seen) == len(set(seen))
        assert staying <= set(seen)

    async def test_the_latest_dead_come_first(self, bench: Bench) -> None:
        sent = await bench.send(count=3)
        for _ in sent:
            await bench.fail((await bench.claim(1)).jobs, for_good=True)
            await bench.kit.advance(10)
        assert [job.id for job in (await bench.broker.page(bench.queue, "dead", "", 2)).jobs] == [sent[2], sent[1]]

    async def test_the_dead_are_paged_without_gap_or_double_also_those_of_one_moment(self, bench: Bench) -> None:
        sent = await bench.bury(count=7)
        await bench.kit.advance(10)
        sent += await bench.bury(count=2)
        seen: list[str] = []
        page = await bench.broker.page(bench.queue, "dead", "", 3)
        while page.jobs:
            seen += [job.id for job in page.jobs]
            # A job that leaves or joins between two pages must not shift the others.
            await bench.broker.delete(bench.queue, [page.jobs[-1].id])
            await bench.bury(count=1)
            if not page.next:
                break
            page = await bench.broker.page(bench.queue, "dead", page.next, 3)
        assert seen == sent[::-1]

    async def test_the_dead_of_one_moment_are_in_the_order_of_their_ids(self, bench: Bench) -> None:
        sent = await bench.send(count=5)
        await bench.fail((await bench.claim(5)).jobs[::-1], for_good=True)
        assert await bench.ids_in("dead", limit=2) == sorted(sent, reverse=True)

    async def test_the_dead_are_listed_from_a_time_on(self, bench: Bench) -> None:
        early = await bench.bury(count=3)
        await bench.kit.advance(10)
        middle = (await bench.broker.page(bench.queue, "dead", "", 1)).jobs[0].finished_at_ms or 0
        await bench.bury(count=2)
        for limit in (2, 10):
            page = await bench.broker.page(bench.queue, "dead", "", limit, until_ms=middle + 1)
            seen = [job.id for job in page.jobs]
            while page.next:
                page = await bench.broker.page(bench.queue, "dead", page.next, limit, until_ms=middle + 1)
                seen += [job.id for job in page.jobs]
            assert seen == early[::-1]
        assert (await bench.broker.page(bench.queue, "dead", "", 10, until_ms=middle)).jobs == []

    async def test_the_waiting_jobs_of_one_tenant_are_listed_among_others(self, bench: Bench) -> None:
        sent = await bench.send(*(bench.new(tenant=tenant) for tenant in ("acme", "", "globex", "acme")))
        later = await bench.send(*(bench.new(tenant=tenant, delay_ms=60_000) for tenant in ("globex", "acme")))
        first = await bench.broker.page(bench.queue, "ready", "", 3, "acme")
        second = await bench.broker.page(bench.queue, "ready", first.next, 3, "acme")
        assert [[job.id for job in page.jobs] for page in (first, second)] == [sent[:1], sent[3:]]
        assert await bench.ids_in("scheduled", tenant="acme") == later[1:]
        await bench.claim(1)
        assert await bench.ids_in("running", tenant="acme") == sent[:1]

    async def test_the_dead_of_a_tenant_are_paged_past_those_of_others(self, bench: Bench) -> None:
        sent = []
        for _ in range(3):
            sent += await bench.bury_of("acme", "globex", "", "acme")
            await bench.kit.advance(10)
        seen: list[str] = []
        for job in await bench.jobs_in("dead", limit=2, tenant="acme"):
            seen.append(job.id)
            assert job.tenant == "acme"
        own = [one for number, one in enumerate(sent) if number % 4 in (0, 3)]
        assert seen == own[::-1]
        assert len(await bench.jobs_in("dead")) == 12

    async def test_a_job_with_a_damaged_body_is_still_its_tenants(self, bench: Bench) -> None:
        await bench.send(NewJob(bench.queue, "damaged", "work", b"\xc1", tenant="acme", acks_early=True))
        [found] = await bench.jobs_in("ready", tenant="acme")
        assert (found.id, found.tenant) == ("damaged", "acme")
        await bench.claim()
        await bench.lapse()
        await bench.recover()
        [dead] = await bench.jobs_in("dead", tenant="acme")
        assert (dead.id, dead.tenant, dead.name) == ("damaged", "acme", "")
        assert await bench.broker.delete(bench.queue, ["damaged"]) == [True]
        assert await bench.dead_of("acme") == []
