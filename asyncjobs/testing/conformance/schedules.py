"""``ScheduleStore``: schedules known, fired once, paused and removed."""

from __future__ import annotations

import asyncio

from asyncjobs.ports import Firing, StoredSchedule
from asyncjobs.testing.conformance.bench import SOON_S, Bench
from asyncjobs.testing.conformance.theme import Theme

__all__ = ["Schedules"]


class Schedules(Theme):
    """What every verb of a ``ScheduleStore`` promises."""

    async def _stored(self, bench: Bench) -> list[StoredSchedule]:
        return (await bench.broker.schedules(bench.queue)).schedules

    async def _due(self, bench: Bench, schedule_id: str = "nightly") -> int:
        """Put a schedule whose tick is due; return the tick."""
        tick = (await bench.broker.schedules(bench.queue)).now_ms
        assert await bench.broker.put_schedule(bench.queue, schedule_id, b"data", tick)
        return tick

    async def test_a_schedule_is_known_with_its_data_and_its_next_tick(self, bench: Bench) -> None:
        assert await bench.broker.put_schedule(bench.queue, "b", b"\x00data", 5_000)
        assert await bench.broker.put_schedule(bench.queue, "a", b"other", 7_000)
        assert await self._stored(bench) == [
            StoredSchedule("a", b"other", 7_000, None),
            StoredSchedule("b", b"\x00data", 5_000, None),
        ]
        assert (await bench.broker.schedules("unused")).schedules == []
        assert bench.queue in await bench.broker.queues()

    async def test_putting_the_same_again_changes_nothing_and_other_data_begins_anew(self, bench: Bench) -> None:
        await bench.broker.put_schedule(bench.queue, "one", b"data", 5_000)
        assert not await bench.broker.put_schedule(bench.queue, "one", b"data", 9_000)
        assert await self._stored(bench) == [StoredSchedule("one", b"data", 5_000, None)]
        assert await bench.broker.put_schedule(bench.queue, "one", b"new", 9_000)
        assert await self._stored(bench) == [StoredSchedule("one", b"new", 9_000, None)]

    async def test_of_many_who_fire_a_tick_one_does_and_its_jobs_are_ready(self, bench: Bench) -> None:
        tick = await self._due(bench)
        job = bench.new(job_id=f"nightly@{tick}")
        firing = Firing("nightly", tick, tick + 1_000, tick, [job])
        replies = await asyncio.gather(*(bench.broker.fire(bench.queue, [firing]) for _ in range(10)))
        assert sorted(reply.fired for reply in replies) == [[False]] * 9 + [[True]]
        assert all(reply.now_ms >= tick for reply in replies)
        assert await self._stored(bench) == [StoredSchedule("nightly", b"data", tick + 1_000, tick, job.id)]
        assert await bench.broker.wait([bench.queue], SOON_S)
        assert await bench.claim_ids() == [job.id]

    async def test_a_tick_that_is_not_due_by_the_brokers_clock_does_not_fire(self, bench: Bench) -> None:
        tick = (await bench.broker.schedules(bench.queue)).now_ms + 60_000
        await bench.broker.put_schedule(bench.queue, "nightly", b"data", tick)
        firing = Firing("nightly", tick, tick + 60_000, tick, [bench.new()])
        assert (await bench.broker.fire(bench.queue, [firing])).fired == [False]
        await bench.kit.advance(60_001)
        assert (await bench.broker.fire(bench.queue, [firing])).fired == [True]

    async def test_several_schedules_fire_in_one_call_each_by_itself(self, bench: Bench) -> None:
        first, second = await self._due(bench, "first"), await self._due(bench, "second")
        jobs = [bench.new(), bench.new(), bench.new()]
        firings = [
            Firing("first", first, first + 5_000, first, jobs[:2]),
            Firing("unknown", first, first + 5_000, first, [bench.new()]),
            Firing("second", second - 1, second + 5_000, second, [bench.new()]),
            Firing("second", second, second + 5_000, None, []),
        ]
        assert (await bench.broker.fire(bench.queue, firings)).fired == [True, False, False, True]
        assert await bench.claim_ids() == [jobs[0].id, jobs[1].id]
        assert [(one.next_ms, one.last_ms, one.last_job) for one in await self._stored(bench)] == [
            (first + 5_000, first, jobs[1].id),
            (second + 5_000, None, ""),
        ]

    async def test_a_paused_schedule_does_not_fire_until_it_is_resumed(self, bench: Bench) -> None:
        tick = await self._due(bench)
        assert await bench.broker.move_schedule(bench.queue, "nightly", None)
        firing = Firing("nightly", tick, tick + 1_000, tick, [bench.new()])
        assert (await bench.broker.fire(bench.queue, [firing])).fired == [False]
        # It stays paused, even with other data.
        await bench.broker.put_schedule(bench.queue, "nightly", b"new", tick)
        assert await self._stored(bench) == [StoredSchedule("nightly", b"new", None, None)]
        assert await bench.broker.move_schedule(bench.queue, "nightly", tick)
        # A schedule that isn't paused keeps its tick.
        assert await bench.broker.move_schedule(bench.queue, "nightly", tick + 9_000)
        assert (await bench.broker.fire(bench.queue, [firing])).fired == [True]

    async def test_a_removed_schedule_is_gone_and_what_it_enqueued_stays(self, bench: Bench) -> None:
        tick = await self._due(bench)
        await bench.broker.fire(bench.queue, [Firing("nightly", tick, tick + 1, tick, [bench.new(job_id="made")])])
        assert await bench.broker.remove_schedule(bench.queue, "nightly")
        assert not await bench.broker.remove_schedule(bench.queue, "nightly")
        assert not await bench.broker.move_schedule(bench.queue, "nightly", None)
        assert await self._stored(bench) == []
        assert await bench.claim_ids() == ["made"]

    async def test_a_job_that_a_tick_has_made_before_is_not_made_again(self, bench: Bench) -> None:
        tick = await self._due(bench)
        await bench.send(bench.new(job_id="made"))
        await bench.broker.fire(bench.queue, [Firing("nightly", tick, tick + 1, tick, [bench.new(job_id="made")])])
        assert await bench.claim_ids() == ["made"]

    async def test_a_tick_is_skipped_while_the_job_before_is_live_if_they_must_not_overlap(self, bench: Bench) -> None:
        tick = await self._due(bench)

        async def fire(number: int) -> tuple[list[bool], list[bool]]:
            firing = Firing(
                "nightly", tick + number, tick + number + 1, tick + number, [bench.new(job_id=f"{number}")], False
            )
            await bench.kit.advance(1)
            reply = await bench.broker.fire(bench.queue, [firing])
            return reply.fired, reply.skipped

        fires, skips = ([True], [False]), ([True], [True])
        assert await fire(0) == fires
        # It waits; then it runs; then it waits for its next try.
        assert await fire(1) == skips
        claim = await bench.claim()
        assert await fire(2) == skips
        await bench.fail(claim.jobs)
        assert await fire(3) == skips
        assert await self._stored(bench) == [StoredSchedule("nightly", b"data", tick + 4, tick, "0", 3, tick + 3)]
        await bench.kit.advance(60_001)
        await bench.settle((await bench.claim()).jobs)
        assert await fire(4) == fires
        claim = await bench.claim()
        assert [job.id for job in claim.jobs] == ["4"]
        await bench.fail(claim.jobs, for_good=True)
        # The dead letter queue isn't waited for.
        assert await fire(5) == fires
        assert await bench.claim_ids() == ["5"]
        assert await self._stored(bench) == [StoredSchedule("nightly", b"data", tick + 6, tick + 5, "5", 3, tick + 3)]
        await bench.broker.remove_schedule(bench.queue, "nightly")
        await bench.broker.put_schedule(bench.queue, "nightly", b"data", tick)
        assert await self._stored(bench) == [StoredSchedule("nightly", b"data", tick, None)]

    async def test_a_schedule_may_fire_now_in_addition_to_its_ticks(self, bench: Bench) -> None:
        tick = (await bench.broker.schedules(bench.queue)).now_ms + 60_000
        await bench.broker.put_schedule(bench.queue, "nightly", b"data", tick)

        async def fire(job_id: str) -> tuple[list[bool], list[bool]]:
            firing = Firing("nightly", None, None, 7_000, [bench.new(job_id=job_id)], overlaps=False)
            _, fired, skipped = await bench.broker.fire(bench.queue, [firing])
            return fired, skipped

        assert await fire("a") == ([True], [False])
        assert await fire("b") == ([True], [True])
        assert await bench.claim_ids() == ["a"]
        # That of a start is no tick, so it isn't counted as skipped.
        assert await self._stored(bench) == [StoredSchedule("nightly", b"data", tick, 7_000, "a")]
        await bench.broker.move_schedule(bench.queue, "nightly", None)
        assert await fire("c") == ([False], [False])
        assert (await bench.broker.fire("unused", [Firing("gone", None, None, 1, [])])).fired == [False]
