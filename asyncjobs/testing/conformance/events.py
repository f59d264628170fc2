"""``Intake.events`` and ``Work.emit``: the events of running jobs, and how they are followed."""

from __future__ import annotations

import asyncio
import itertools

from asyncjobs.core.settlement import Cancelled, Snoozed
from asyncjobs.ports import Claimed, Emission, EventPage, Firing
from asyncjobs.testing.conformance.bench import QUIET_S, SOON_S, Bench, lease_of
from asyncjobs.testing.conformance.theme import Theme

__all__ = ["Events"]

TTL_MS = 60_000

_numbers = itertools.count(1)


class Events(Theme):
    """What ``emit`` and ``events`` promise."""

    async def _run(self, bench: Bench) -> Claimed:
        await bench.send()
        [claimed] = (await bench.claim(1)).jobs
        return claimed

    async def _emit(
        self, bench: Bench, claimed: Claimed, *events: bytes, skipped: int = 0, max_events: int = 1_000
    ) -> list[bool]:
        emission = Emission(lease_of(claimed), next(_numbers), skipped, list(events))
        return await bench.broker.emit([emission], max_events, TTL_MS)

    async def _read(self, bench: Bench, job_id: str, after: int = 0, limit: int = 100) -> EventPage:
        page = await bench.broker.events(bench.queue, job_id, after, limit, 0)
        assert page is not None
        return page

    async def test_events_are_numbered_and_read_from_where_one_left_off(self, bench: Bench) -> None:
        claimed = await self._run(bench)
        assert await self._emit(bench, claimed, b"a", b"b\x00") == [True]
        assert await self._emit(bench, claimed, b"c") == [True]
        assert await self._read(bench, claimed.id) == EventPage([(1, b"a"), (2, b"b\x00"), (3, b"c")], False)
        assert await self._read(bench, claimed.id, 1, 1) == EventPage([(2, b"b\x00")], False)
        assert await self._read(bench, claimed.id, 3) == EventPage([], False)

    async def test_the_end_of_the_job_is_the_end_of_its_events(self, bench: Bench) -> None:
        claimed = await self._run(bench)
        await self._emit(bench, claimed, b"a", b"b")
        await bench.settle([claimed])
        assert await self._read(bench, claimed.id, 0, 1) == EventPage([(1, b"a")], False)
        assert await self._read(bench, claimed.id, 0, 2) == EventPage([(1, b"a"), (2, b"b")], False)
        assert await self._read(bench, claimed.id, 2) == EventPage([], True)

    async def test_a_dead_job_is_over_and_one_that_waits_for_its_retry_is_not(self, bench: Bench) -> None:
        claimed = await self._run(bench)
        await bench.settle([claimed], Snoozed(1_000))
        assert not (await self._read(bench, claimed.id)).is_over
        await bench.kit.advance(1_001)
        [claimed] = (await bench.claim()).jobs
        await self._emit(bench, claimed, b"a")
        await bench.fail([claimed], for_good=True)
        assert await self._read(bench, claimed.id) == EventPage([(1, b"a")], True)
        await bench.broker.delete(bench.queue, [claimed.id])
        assert await bench.broker.events(bench.queue, claimed.id, 0, 10, 0) is None

    async def test_who_waits_is_woken_by_an_event_and_by_the_end(self, bench: Bench) -> None:
        claimed = await self._run(bench)
        waiting = asyncio.create_task(bench.broker.events(bench.queue, claimed.id, 0, 10, SOON_S))
        result = asyncio.create_task(bench.broker.wait_end(bench.queue, claimed.id, SOON_S))
        await asyncio.sleep(0.05)
        await self._emit(bench, claimed, b"a")
        assert await waiting == EventPage([(1, b"a")], False)
        waiting = asyncio.create_task(bench.broker.events(bench.queue, claimed.id, 1, 10, SOON_S))
        await asyncio.sleep(0.05)
        assert not result.done()
        await bench.settle([claimed])
        assert await waiting == EventPage([], True)
        job = await result
        assert job is not None
        assert job.id == claimed.id

    async def test_a_wait_for_events_ends_with_an_empty_page_after_its_timeout(self, bench: Bench) -> None:
        claimed = await self._run(bench)
        await self._emit(bench, claimed, b"a")
        page = await bench.broker.events(bench.queue, claimed.id, 1, 10, QUIET_S)
        assert page == EventPage([], False)

    async def test_only_the_last_events_are_kept_and_their_numbers_show_the_gap(self, bench: Bench) -> None:
        claimed = await self._run(bench)
        await self._emit(bench, claimed, *[b"%d" % number for number in range(1, 8)], max_events=3)
        assert [number for number, _ in (await self._read(bench, claimed.id)).events] == [5, 6, 7]
        await self._emit(bench, claimed, b"x", skipped=10, max_events=3)
        assert await self._read(bench, claimed.id, 6) == EventPage([(7, b"7"), (18, b"x")], False)

    async def test_an_emission_sent_again_adds_nothing(self, bench: Bench) -> None:
        claimed = await self._run(bench)
        lease = lease_of(claimed)
        emissions = [Emission(lease, 5, 0, [b"a", b"b"]), Emission(lease, 6, 1, [b"c"]), Emission(lease, 7, 0, [b"d"])]
        assert await bench.broker.emit(emissions[:2], 2, TTL_MS) == [True, True]
        assert await bench.broker.emit(emissions, 2, TTL_MS) == [True, True, True]
        assert await self._read(bench, claimed.id) == EventPage([(4, b"c"), (5, b"d")], False)

    async def test_events_of_many_jobs_go_along(self, bench: Bench) -> None:
        await bench.send(count=3)
        jobs = (await bench.claim(3)).jobs
        emissions = [Emission(lease_of(one), 1, 0, [b"%d" % n] * 400) for n, one in enumerate(jobs)]
        assert await bench.broker.emit(emissions, 1_000, TTL_MS) == [True] * 3
        for n, one in enumerate(jobs):
            page = await self._read(bench, one.id, 0, 1_000)
            assert page.events == [(number, b"%d" % n) for number in range(1, 401)]

    async def test_an_attempt_that_has_lost_its_lease_tells_nothing_more(self, bench: Bench) -> None:
        lost = await self._run(bench)
        await bench.lapse()
        await bench.recover()
        [claimed] = (await bench.claim()).jobs
        assert await self._emit(bench, lost, b"late") == [False]
        assert await self._emit(bench, claimed, b"new") == [True]
        assert (await self._read(bench, claimed.id)).events == [(1, b"new")]

    async def test_the_numbers_go_on_over_attempts(self, bench: Bench) -> None:
        claimed = await self._run(bench)
        await self._emit(bench, claimed, b"first")
        await bench.fail([claimed])
        await bench.kit.advance(1_001)
        [again] = (await bench.claim()).jobs
        await self._emit(bench, again, b"second")
        assert (await self._read(bench, again.id)).events == [(1, b"first"), (2, b"second")]

    async def test_a_job_silent_until_its_events_expire_goes_on_with_the_next_number(self, bench: Bench) -> None:
        claimed = await self._run(bench)
        await self._emit(bench, claimed, b"a", b"b")
        await bench.kit.advance(TTL_MS + 1)
        assert await self._read(bench, claimed.id, 0) == EventPage([], False)
        await self._emit(bench, claimed, b"c")
        assert await self._read(bench, claimed.id, 2) == EventPage([(3, b"c")], False)

    async def test_the_numbers_go_on_over_attempts_between_which_the_events_expire(self, bench: Bench) -> None:
        claimed = await self._run(bench)
        await self._emit(bench, claimed, b"a", b"b")
        await bench.settle([claimed], Snoozed(TTL_MS + 1))
        await bench.kit.advance(TTL_MS + 2)
        [again] = (await bench.claim()).jobs
        await self._emit(bench, again, b"c", skipped=1)
        await bench.fail([again], for_good=True)
        await bench.kit.advance(TTL_MS + 1)
        await bench.broker.retry(bench.queue, [again.id])
        [revived] = (await bench.claim()).jobs
        await self._emit(bench, revived, b"d")
        assert (await self._read(bench, revived.id)).events == [(5, b"d")]

    async def test_a_job_that_is_forgotten_leaves_no_numbers_to_one_of_the_same_id(self, bench: Bench) -> None:
        async def settled(claimed: Claimed) -> None:
            await bench.settle([claimed])
            await bench.broker.delete(bench.queue, [claimed.id])

        async def cancelled(claimed: Claimed) -> None:
            await bench.release([claimed])
            await bench.cancel(claimed.id)
            await bench.broker.delete(bench.queue, [claimed.id])

        async def deleted(claimed: Claimed) -> None:
            await bench.fail([claimed], for_good=True)
            await bench.broker.delete(bench.queue, [claimed.id])

        async def pruned(claimed: Claimed) -> None:
            await bench.fail([claimed], for_good=True)
            await bench.kit.advance(TTL_MS + 1)
            assert await bench.broker.prune([bench.queue], 1_000, 0) == 1

        for end in (settled, cancelled, deleted, pruned):
            await bench.send(bench.new(job_id="again"))
            [claimed] = (await bench.claim()).jobs
            await self._emit(bench, claimed, b"a")
            assert (await self._read(bench, claimed.id)).events == [(1, b"a")], end.__name__
            await end(claimed)

    async def test_a_job_that_was_deleted_or_pruned_leaves_no_events_to_one_of_the_same_id(self, bench: Bench) -> None:
        async def deleted(claimed: Claimed) -> None:
            await bench.fail([claimed], for_good=True)
            await bench.broker.delete(bench.queue, [claimed.id])

        async def deleted_after_its_end(claimed: Claimed) -> None:
            await bench.settle([claimed])
            await bench.broker.delete(bench.queue, [claimed.id])

        async def pruned(claimed: Claimed) -> None:
            await bench.fail([claimed], for_good=True)
            assert await bench.broker.prune([bench.queue], 60_000, 0) == 1

        for end in (deleted, deleted_after_its_end, pruned):
            await bench.send(bench.new(job_id="again"))
            [claimed] = (await bench.claim()).jobs
            await self._emit(bench, claimed, b"a", b"b")
            await end(claimed)
            assert await bench.broker.events(bench.queue, "again", 0, 10, 0) is None, end.__name__
            await bench.send(bench.new(job_id="again"))
            assert await self._read(bench, "again") == EventPage([], False), end.__name__
            [anew] = (await bench.claim()).jobs
            await self._emit(bench, anew, b"c")
            assert await self._read(bench, "again") == EventPage([(1, b"c")], False), end.__name__
            await bench.settle([anew])
            await bench.broker.delete(bench.queue, ["again"])

    async def test_a_job_whose_record_expired_leaves_no_events_to_one_of_the_same_id(self, bench: Bench) -> None:
        async def completed(claimed: Claimed) -> None:
            await bench.settle([claimed], ttl_ms=1_000)

        async def discarded(claimed: Claimed) -> None:
            await bench.settle([claimed], Cancelled("not needed"), ttl_ms=1_000)

        async def cancelled(claimed: Claimed) -> None:
            await bench.release([claimed])
            await bench.cancel(claimed.id, keep_ms=1_000)

        for end in (completed, discarded, cancelled):
            for delay_ms in (0, 1):
                what = f"{end.__name__}, {delay_ms}"
                await bench.send(bench.new(job_id="again"))
                [claimed] = (await bench.claim()).jobs
                await self._emit(bench, claimed, b"a", b"b")
                await end(claimed)
                await bench.kit.advance(1_001)
                # Others' jobs go on, and a repeated send of the new one takes nothing from it.
                await bench.send(bench.new(job_id="again", delay_ms=delay_ms), bench.new(job_id="another"))
                assert await self._read(bench, "again") == EventPage([], False), what
                await bench.kit.advance(2)
                [anew, another] = sorted((await bench.claim()).jobs, key=lambda job: job.id)
                await self._emit(bench, anew, b"c")
                assert await bench.broker.enqueue([bench.new(job_id="again")]) == [False]
                assert await self._read(bench, "again") == EventPage([(1, b"c")], False), what
                await bench.settle([anew, another])
                await bench.broker.delete(bench.queue, ["again", "another"])

    async def test_the_job_of_a_tick_finds_no_events_of_an_earlier_one_of_its_id(self, bench: Bench) -> None:
        await bench.send(bench.new(job_id="daily@1"))
        [claimed] = (await bench.claim()).jobs
        await self._emit(bench, claimed, b"a")
        await bench.settle([claimed], ttl_ms=1_000)
        await bench.kit.advance(1_001)
        await bench.broker.put_schedule(bench.queue, "daily", b"data", 1)
        firing = Firing("daily", 1, 2, 1, [bench.new(job_id="daily@1")])
        assert (await bench.broker.fire(bench.queue, [firing])).fired == [True]
        assert await self._read(bench, "daily@1") == EventPage([], False)

    async def test_events_expire_and_unknown_jobs_have_none(self, bench: Bench) -> None:
        claimed = await self._run(bench)
        await self._emit(bench, claimed, b"a")
        await bench.settle([claimed], ttl_ms=1_000)
        await bench.kit.advance(1_001)
        assert await self._read(bench, claimed.id) == EventPage([(1, b"a")], True)
        await bench.kit.advance(TTL_MS)
        assert await bench.broker.events(bench.queue, claimed.id, 0, 10, 0) is None
        assert await bench.broker.events(bench.queue, "nobody", 0, 10, 0) is None
