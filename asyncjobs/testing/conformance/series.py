"""``JobStats`` and ``Work``: figures over time."""

from __future__ import annotations

from asyncjobs.core.histogram import bucket_of
from asyncjobs.core.settlement import Cancelled
from asyncjobs.ports import GaugeReading, Gauges, PeriodFigures, RunCounts, Step
from asyncjobs.testing.conformance.bench import Bench
from asyncjobs.testing.conformance.theme import Theme

__all__ = ["Series"]

MINUTE_MS = 60_000
HOUR_MS = 3_600_000
DAY_MS = 24 * HOUR_MS


class Series(Theme):
    """What ``series``, ``runs``, ``count_runs``, ``begin_gauges`` and ``keep_gauges`` promise."""

    async def _begin(self, bench: Bench, period_ms: int = MINUTE_MS) -> int:
        """Let the next period of the broker's clock begin; return when it did, in Unix milliseconds."""
        now_ms = (await bench.claim(0)).now_ms
        await bench.kit.advance(period_ms - now_ms % period_ms)
        return now_ms - now_ms % period_ms + period_ms

    async def _periods(self, bench: Bench, step: Step, count: int, skip: int = 0) -> list[PeriodFigures]:
        return (await bench.broker.series(bench.queue, step, count, skip)).periods

    async def _settle_one(self, bench: Bench) -> None:
        await bench.send()
        await bench.settle((await bench.claim(1)).jobs, duration_us=2_000)

    async def test_the_minutes_tell_what_came_to_an_end_in_each(self, bench: Bench) -> None:
        first_ms = await self._begin(bench)
        await bench.send(count=5)
        claim = await bench.claim()
        await bench.settle(claim.jobs[:2], duration_us=2_000)
        await bench.fail(claim.jobs[2:3])
        await bench.fail(claim.jobs[3:4], for_good=True)
        await bench.settle(claim.jobs[4:], Cancelled("enough"))
        await self._begin(bench)
        third_ms = await self._begin(bench)
        [waiting] = await bench.send()
        assert await bench.cancel(waiting) == "cancelled"
        first = PeriodFigures(at_ms=first_ms, succeeded=2, failed=1, cancelled=1, retried=1, duration_us=4_000)
        third = PeriodFigures(at_ms=third_ms, cancelled=1)
        assert await self._periods(bench, "minute", 3) == [first, third]
        assert await self._periods(bench, "minute", 3, 1) == [first]
        assert await self._periods(bench, "minute", 1, 3) == []
        assert await self._periods(bench, "minute", 1_000_000) == [first, third]
        await self._begin(bench)
        assert await self._periods(bench, "minute", 4) == [first, third]
        assert await self._periods(bench, "minute", 3) == [third]
        assert await self._periods(bench, "minute", 1) == []
        assert await self._periods(bench, "minute", 0) == []
        unused = await bench.broker.series("unused", "minute", 3)
        assert unused.periods == []
        assert unused.now_ms >= third_ms

    async def test_the_minutes_count_what_was_taken_back_from_dead_workers(self, bench: Bench) -> None:
        await self._begin(bench)
        await bench.send(bench.new(), bench.new(acks_early=True))
        await bench.claim()
        await bench.lapse()
        await bench.recover()
        [minute] = await self._periods(bench, "minute", 10)
        assert (minute.recovered, minute.failed) == (1, 1)

    async def test_minutes_are_kept_for_six_hours(self, bench: Bench) -> None:
        await self._begin(bench)
        await self._settle_one(bench)
        await bench.kit.advance(6 * HOUR_MS - 10_000)
        assert [one.succeeded for one in await self._periods(bench, "minute", 1_000)] == [1]
        await bench.kit.advance(10_001)
        await self._settle_one(bench)
        assert [one.succeeded for one in await self._periods(bench, "minute", 1_000)] == [1]

    async def test_runs_are_counted_in_the_minute_and_by_name(self, bench: Bench) -> None:
        at_ms = await self._begin(bench, HOUR_MS)
        short, long = bucket_of(1), bucket_of(5_000_000)
        work = RunCounts(name="work", succeeded=2, retried=1, run_us=9_000, runs={short: 1, long: 2}, waits={long: 2})
        other = RunCounts(name="other", failed=1, cancelled=1, run_us=1_000, runs={short: 1, 1: 1, 2: 1})
        await bench.broker.count_runs({bench.queue: [work, other]})
        await bench.broker.count_runs({bench.queue: [work], "third": [other]})
        [minute] = await self._periods(bench, "minute", 1)
        assert (minute.runs, minute.waits) == ({short: 3, long: 4, 1: 1, 2: 1}, {long: 4})
        twice = RunCounts(name="work", succeeded=4, retried=2, run_us=18_000, runs={short: 2, long: 4}, waits={long: 4})
        [hour] = (await bench.broker.runs(bench.queue, 1)).hours
        assert hour == (at_ms, [other, twice])
        assert (await bench.broker.runs(bench.queue, 5, name="work")).hours == [(at_ms, [twice])]
        assert (await bench.broker.runs(bench.queue, 5, name="unknown")).hours == []
        assert (await bench.broker.runs(bench.queue, 5, 1)).hours == []
        await bench.kit.advance(HOUR_MS)
        await bench.broker.count_runs({bench.queue: [other]})
        assert (await bench.broker.runs(bench.queue, 2)).hours == [(at_ms, [other, twice]), (at_ms + HOUR_MS, [other])]
        assert (await bench.broker.runs(bench.queue, 1, 1)).hours == [(at_ms, [other, twice])]
        await bench.kit.advance(14 * DAY_MS - HOUR_MS)
        await bench.broker.count_runs({bench.queue: [other]})
        assert [one.at_ms for one in (await bench.broker.runs(bench.queue, 1_000_000)).hours] == [
            at_ms + HOUR_MS,
            at_ms + 14 * DAY_MS,
        ]

    async def test_names_beyond_200_an_hour_count_as_one(self, bench: Bench) -> None:
        await self._begin(bench, HOUR_MS)
        for part in range(3):
            names = [RunCounts(name=f"name-{part}-{number}", succeeded=1) for number in range(100)]
            await bench.broker.count_runs({bench.queue: names})
        await bench.broker.count_runs({bench.queue: [RunCounts(name="name-0-0", succeeded=1)]})
        [hour] = (await bench.broker.runs(bench.queue, 1)).hours
        found = {one.name: one.succeeded for one in hour.names}
        assert len(found) == 201
        assert (found[""], found["name-0-0"]) == (100, 2)

    async def test_each_queue_is_sampled_once_a_minute(self, bench: Bench) -> None:
        at_ms = await self._begin(bench)
        assert await bench.broker.begin_gauges([bench.queue, "other"]) == [bench.queue, "other"]
        assert await bench.broker.begin_gauges([bench.queue, "third"]) == ["third"]
        gauges = Gauges(normal=3, scheduled=2, running=1, oldest_wait_ms=7, workers=2)
        await bench.broker.keep_gauges([GaugeReading(bench.queue, gauges, 10), GaugeReading("other", Gauges(), 0)])
        assert await self._periods(bench, "minute", 1) == [PeriodFigures(at_ms=at_ms, gauges=gauges)]
        await self._begin(bench)
        assert await bench.broker.begin_gauges([bench.queue]) == [bench.queue]

    async def test_what_came_in_is_told_from_two_samples(self, bench: Bench) -> None:
        await self._begin(bench)
        arrived = []
        for minutes, ever in [(1, 100), (1, 130), (2, 130), (1, 120), (6, 500), (1, 501)]:
            await bench.broker.keep_gauges([GaugeReading(bench.queue, Gauges(normal=1), ever)])
            arrived.append((await self._periods(bench, "minute", 1))[0].arrived)
            for _ in range(minutes):
                await self._begin(bench)
        assert arrived == [0, 30, 0, 0, 380, 0]

    async def test_an_hour_is_the_sum_of_its_minutes_and_the_highest_of_their_gauges(self, bench: Bench) -> None:
        at_ms = await self._begin(bench, HOUR_MS)
        await bench.broker.begin_gauges([bench.queue])
        await self._settle_one(bench)
        await bench.broker.keep_gauges([GaugeReading(bench.queue, Gauges(normal=5, dead=1), 5)])
        await bench.broker.count_runs({bench.queue: [RunCounts(name="work", succeeded=1, runs={7: 1}, waits={3: 1})]})
        assert await self._periods(bench, "hour", 1) == []
        await self._begin(bench)
        await bench.broker.begin_gauges([bench.queue])
        await self._settle_one(bench)
        await bench.broker.keep_gauges([GaugeReading(bench.queue, Gauges(normal=2, dead=9), 8)])
        await bench.broker.count_runs({bench.queue: [RunCounts(name="work", succeeded=1, runs={7: 2, 8: 1})]})
        await bench.kit.advance(5 * HOUR_MS)
        assert await bench.broker.begin_gauges([bench.queue]) == [bench.queue]
        assert await bench.broker.begin_gauges([bench.queue]) == []
        hour = PeriodFigures(
            at_ms=at_ms,
            succeeded=2,
            duration_us=4_000,
            arrived=3,
            runs={7: 3, 8: 1},
            waits={3: 1},
            gauges=Gauges(normal=5, dead=9),
        )
        assert await self._periods(bench, "hour", 6) == [hour]
        assert await self._periods(bench, "hour", 5) == []
        assert await self._periods(bench, "hour", 1, 5) == [hour]
        for _ in range(3):
            await bench.kit.advance(30 * DAY_MS - 3 * HOUR_MS)
        assert await self._periods(bench, "hour", 1_000_000) == [hour]
        await bench.kit.advance(9 * HOUR_MS)
        await bench.broker.begin_gauges([bench.queue])
        assert await self._periods(bench, "hour", 1_000_000) == []

    async def test_a_minute_that_is_long_over_is_in_no_hour(self, bench: Bench) -> None:
        await self._begin(bench, HOUR_MS)
        await self._settle_one(bench)
        await bench.kit.advance(7 * HOUR_MS)
        await bench.broker.begin_gauges([bench.queue])
        assert await self._periods(bench, "hour", 100) == []
