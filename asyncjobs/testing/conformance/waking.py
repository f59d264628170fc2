"""``Work.wait``, ``Work.watch_cancels`` and ``JobStats.withdraw``: which workers are woken, and when."""

from __future__ import annotations

import asyncio
import time

import anyio
import pytest

from asyncjobs.testing.conformance.bench import QUIET_S, SOON_S, Bench, ids
from asyncjobs.testing.conformance.lined import send_lined
from asyncjobs.testing.conformance.theme import Theme

__all__ = ["Waking"]


class Waking(Theme):
    """What ``wait``, ``watch_cancels`` and ``withdraw`` promise."""

    @pytest.mark.parametrize("seconds", [0.0, 0.0005, 0.001])
    async def test_a_wait_for_hardly_any_time_ends(self, bench: Bench, seconds: float) -> None:
        with anyio.fail_after(5):
            assert not await bench.broker.wait([bench.queue], seconds)

    async def test_an_idle_worker_is_woken_by_a_send(self, bench: Bench) -> None:
        waiting = asyncio.ensure_future(bench.broker.wait([bench.queue], SOON_S))
        await bench.send()
        assert await waiting

    async def test_a_send_before_the_wait_is_not_missed(self, bench: Bench) -> None:
        await bench.send()
        assert await bench.broker.wait([bench.queue], SOON_S)

    async def test_a_wait_ends_without_a_bell_after_its_timeout(self, bench: Bench) -> None:
        began = time.monotonic()
        assert not await bench.broker.wait([bench.queue], QUIET_S)
        assert time.monotonic() - began >= QUIET_S * 0.9

    async def test_a_wait_for_several_queues_is_ended_by_any(self, bench: Bench) -> None:
        await bench.send(bench.new(queue="second"))
        assert await bench.broker.wait(["first", "second"], SOON_S)

    async def test_one_job_wakes_one_worker(self, bench: Bench) -> None:
        waits = [asyncio.ensure_future(bench.broker.wait([bench.queue], 1)) for _ in range(2)]
        await bench.send()
        assert sorted(await asyncio.gather(*waits)) == [False, True]

    async def test_a_claim_that_left_something_wakes_the_next_worker(self, bench: Bench) -> None:
        await bench.send(count=2)
        assert await bench.broker.wait([bench.queue], SOON_S)
        await bench.claim(1)
        assert await bench.broker.wait([bench.queue], SOON_S)
        await bench.claim(1)
        assert not await bench.broker.wait([bench.queue], QUIET_S)

    async def test_a_claim_that_emptied_the_queue_leaves_no_false_bell(self, bench: Bench) -> None:
        await bench.send()
        await bench.claim()
        assert not await bench.broker.wait([bench.queue], QUIET_S)

    @pytest.mark.parametrize("group", ["", "acme"])
    async def test_promoted_retried_released_recovered_and_unparked_jobs_ring(self, bench: Bench, group: str) -> None:
        await send_lined(bench, group, delay_ms=1_000)
        await bench.broker.wait([bench.queue], SOON_S)
        await bench.kit.advance(1_001)
        await bench.claim(0)
        assert await bench.broker.wait([bench.queue], SOON_S), "promoted"
        claim = await bench.claim()
        await bench.release(claim.jobs)
        assert await bench.broker.wait([bench.queue], SOON_S), "released"
        await bench.claim()
        await bench.lapse()
        await bench.recover()
        assert await bench.broker.wait([bench.queue], SOON_S), "recovered"
        claim = await bench.claim()
        await bench.fail(claim.jobs, for_good=True)
        await bench.broker.retry(bench.queue, ids(claim.jobs))
        assert await bench.broker.wait([bench.queue], SOON_S), "retried"
        await bench.claim(names=frozenset({"known"}))
        # For a worker that knows the name; others pass the ring on, but not for ever.
        rings = 0
        while await bench.broker.wait([bench.queue], QUIET_S):
            rings += 1
            await bench.claim(names=frozenset({"known"}))
        assert 1 < rings < 100, "parked"
        await bench.broker.unpark([bench.queue], frozenset({"work"}), 60_000)
        assert await bench.broker.wait([bench.queue], SOON_S), "unparked"

    @pytest.mark.parametrize("group", ["", "acme"])
    async def test_a_job_that_is_sent_or_put_forward_rings(self, bench: Bench, group: str) -> None:
        await send_lined(bench, group)
        assert await bench.broker.wait([bench.queue], SOON_S), "sent"
        await bench.claim()
        [later] = await send_lined(bench, group, delay_ms=60_000)
        assert await bench.broker.wait([bench.queue], SOON_S), "the first due time"
        assert not await bench.broker.wait([bench.queue], QUIET_S)
        assert await bench.broker.edit(bench.queue, later, priority=None, delay_ms=0, due_at_ms=None) == "edited"
        assert await bench.broker.wait([bench.queue], SOON_S), "put forward"

    async def test_an_earlier_due_time_rings_and_a_later_one_does_not(self, bench: Bench) -> None:
        await bench.send(bench.new(delay_ms=60_000))
        assert await bench.broker.wait([bench.queue], SOON_S)
        await bench.claim(keep_timer_ms=1_000)
        await bench.send(bench.new(delay_ms=90_000))
        assert not await bench.broker.wait([bench.queue], QUIET_S)
        await bench.send(bench.new(delay_ms=30_000))
        assert await bench.broker.wait([bench.queue], SOON_S)

    async def test_a_job_that_has_left_the_queue_keeps_no_worker_asleep_that_knows_a_parked_one(
        self, bench: Bench
    ) -> None:
        known = frozenset({"work"})
        await bench.send(bench.new("other"))
        assert await bench.claim_ids(names=known) == []
        assert (await bench.figures()).parked == 1
        [moved] = await bench.send()
        edited = await bench.broker.edit(bench.queue, moved, priority=None, delay_ms=60_000, due_at_ms=None)
        assert edited == "edited"
        assert await bench.broker.wait([bench.queue], SOON_S)
        assert await bench.claim_ids(names=known) == []
        assert await bench.broker.wait([bench.queue], SOON_S)

    async def test_a_worker_that_withdraws_wakes_another_one_only_where_something_is_ready(self, bench: Bench) -> None:
        await bench.broker.withdraw("worker", [bench.queue])
        assert not await bench.broker.wait([bench.queue], QUIET_S)
        await bench.send()
        await bench.broker.wait([bench.queue], SOON_S)
        await bench.broker.withdraw("worker", ["other", bench.queue])
        assert await bench.broker.wait([bench.queue], SOON_S)

    async def test_resuming_a_paused_queue_rings(self, bench: Bench) -> None:
        await bench.hold("queue")
        await bench.send()
        await bench.claim()
        await bench.broker.wait([bench.queue], QUIET_S)
        await bench.hold("queue", on=False)
        assert await bench.broker.wait([bench.queue], SOON_S)

    async def test_the_worker_of_a_job_that_is_cancelled_is_told(self, bench: Bench) -> None:
        [other_id] = await bench.send(bench.new(queue="other"))
        [job_id] = await bench.send()
        claim = await bench.claim(worker="mine")
        told = asyncio.Event()
        watching = asyncio.ensure_future(bench.broker.watch_cancels("mine", [bench.queue, "other"], told.set))
        try:
            # The watch has begun once it tells of a cancellation; the one that begins it may be told too early.
            while not told.is_set():
                assert await bench.broker.cancel(bench.queue, [job_id], "first", 1_000) == ["running"]
                await asyncio.sleep(0.01)
            await asyncio.sleep(QUIET_S)
            told.clear()
            # Neither the end of a job that waits nor that of a job of another worker is news.
            await bench.broker.cancel("other", [other_id], "waits", 1_000)
            [foreign] = await bench.send()
            await bench.claim(worker="another")
            assert await bench.broker.cancel(bench.queue, [foreign], "not mine", 1_000) == ["running"]
            await asyncio.sleep(QUIET_S)
            assert not told.is_set()
            assert await bench.broker.cancel(bench.queue, [job_id], "again", 1_000) == ["running"]
            async with asyncio.timeout(SOON_S):
                await told.wait()
            assert [reason for _, reason in (await bench.extend(claim.jobs)).cancelled] == ["again"]
        finally:
            watching.cancel()
            await asyncio.wait([watching])
        told.clear()
        await bench.broker.cancel(bench.queue, [job_id], "after", 1_000)
        await asyncio.sleep(QUIET_S)
        assert not told.is_set()
