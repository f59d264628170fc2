"""Who is woken, and when."""

from __future__ import annotations

import asyncio
import time

import pytest

from asyncjobs.core.states import JobState
from asyncjobs.errors import ResultTimeout
from asyncjobs.testing.conformance.kit import Bench, ids
from asyncjobs.testing.conformance.theme import Theme

__all__ = ["Waking"]

SOON = 5.0
QUIET = 0.05


class Waking(Theme):
    """What ``wait``, ``withdraw`` and ``wait_end`` promise."""

    async def test_an_idle_worker_is_woken_by_a_send(self, bench: Bench) -> None:
        waiting = asyncio.ensure_future(bench.broker.wait([bench.queue], SOON))
        await bench.send()
        assert await waiting

    async def test_a_send_before_the_wait_is_not_missed(self, bench: Bench) -> None:
        await bench.send()
        assert await bench.broker.wait([bench.queue], SOON)

    async def test_a_wait_ends_without_a_bell_after_its_timeout(self, bench: Bench) -> None:
        began = time.monotonic()
        assert not await bench.broker.wait([bench.queue], QUIET)
        assert time.monotonic() - began >= QUIET * 0.9

    async def test_a_wait_for_several_queues_is_ended_by_any(self, bench: Bench) -> None:
        await bench.send(bench.new(queue="second"))
        assert await bench.broker.wait(["first", "second"], SOON)

    async def test_one_job_wakes_one_worker(self, bench: Bench) -> None:
        waits = [asyncio.ensure_future(bench.broker.wait([bench.queue], 1)) for _ in range(2)]
        await bench.send()
        assert sorted(await asyncio.gather(*waits)) == [False, True]

    async def test_a_claim_that_left_something_wakes_the_next_worker(self, bench: Bench) -> None:
        await bench.send(count=2)
        assert await bench.broker.wait([bench.queue], SOON)
        await bench.claim(1)
        assert await bench.broker.wait([bench.queue], SOON)
        await bench.claim(1)
        assert not await bench.broker.wait([bench.queue], QUIET)

    async def test_a_claim_that_emptied_the_queue_leaves_no_false_bell(self, bench: Bench) -> None:
        await bench.send()
        await bench.claim()
        assert not await bench.broker.wait([bench.queue], QUIET)

    async def test_promoted_retried_released_recovered_and_unparked_jobs_ring(self, bench: Bench) -> None:
        await bench.send(bench.new(delay_ms=1_000))
        await bench.broker.wait([bench.queue], SOON)
        await bench.kit.advance(1_001)
        await bench.claim(0)
        assert await bench.broker.wait([bench.queue], SOON), "promoted"
        claim = await bench.claim()
        await bench.release(claim.jobs)
        assert await bench.broker.wait([bench.queue], SOON), "released"
        await bench.claim()
        await bench.lapse()
        await bench.recover()
        assert await bench.broker.wait([bench.queue], SOON), "recovered"
        claim = await bench.claim()
        await bench.fail(claim.jobs, for_good=True)
        await bench.broker.retry(bench.queue, ids(claim.jobs))
        assert await bench.broker.wait([bench.queue], SOON), "retried"
        await bench.claim(names=frozenset({"known"}))
        assert not await bench.broker.wait([bench.queue], QUIET)
        await bench.broker.unpark([bench.queue], frozenset({"work"}), 60_000)
        assert await bench.broker.wait([bench.queue], SOON), "unparked"

    async def test_an_earlier_due_time_rings_and_a_later_one_does_not(self, bench: Bench) -> None:
        await bench.send(bench.new(delay_ms=60_000))
        assert await bench.broker.wait([bench.queue], SOON)
        await bench.claim(keep_timer_ms=1_000)
        await bench.send(bench.new(delay_ms=90_000))
        assert not await bench.broker.wait([bench.queue], QUIET)
        await bench.send(bench.new(delay_ms=30_000))
        assert await bench.broker.wait([bench.queue], SOON)

    async def test_a_worker_that_withdraws_wakes_another_one_only_where_something_is_ready(self, bench: Bench) -> None:
        await bench.broker.withdraw("worker", [bench.queue])
        assert not await bench.broker.wait([bench.queue], QUIET)
        await bench.send()
        await bench.broker.wait([bench.queue], SOON)
        await bench.broker.withdraw("worker", ["other", bench.queue])
        assert await bench.broker.wait([bench.queue], SOON)

    async def test_resuming_a_paused_queue_rings(self, bench: Bench) -> None:
        await bench.hold("queue")
        await bench.send()
        await bench.claim()
        await bench.broker.wait([bench.queue], QUIET)
        await bench.hold("queue", on=False)
        assert await bench.broker.wait([bench.queue], SOON)

    async def test_who_awaits_a_job_is_woken_by_its_end(self, bench: Bench) -> None:
        sent = await bench.send(count=3)
        waits = [asyncio.ensure_future(bench.broker.wait_end(bench.queue, one, SOON)) for one in (*sent, sent[0])]
        claim = await bench.claim(2)
        await bench.settle(claim.jobs[:1])
        await bench.fail(claim.jobs[1:], for_good=True)
        await bench.cancel(sent[2])
        ended = await asyncio.gather(*waits)
        states = [job.state for job in ended if job is not None]
        assert states == [JobState.COMPLETED, JobState.FAILED, JobState.CANCELLED, JobState.COMPLETED]

    async def test_awaiting_what_has_ended_or_is_unknown_returns_at_once(self, bench: Bench) -> None:
        [job_id] = await bench.send()
        await bench.settle((await bench.claim()).jobs)
        job = await bench.broker.wait_end(bench.queue, job_id, SOON)
        assert job is not None
        assert job.state is JobState.COMPLETED
        assert await bench.broker.wait_end(bench.queue, "nobody", SOON) is None

    async def test_awaiting_gives_up_after_its_timeout(self, bench: Bench) -> None:
        [job_id] = await bench.send()
        with pytest.raises(ResultTimeout, match="pending"):
            await bench.broker.wait_end(bench.queue, job_id, QUIET)
