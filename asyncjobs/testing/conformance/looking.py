"""Figures, history and presence."""

from __future__ import annotations

from asyncjobs.core.histogram import bucket_of
from asyncjobs.core.priority import Priority
from asyncjobs.ports import WorkerInfo
from asyncjobs.testing.conformance.kit import Bench
from asyncjobs.testing.conformance.theme import Theme

__all__ = ["Looking"]


class Looking(Theme):
    """What ``figures``, ``history``, ``queues`` and the presence of workers promise."""

    async def test_figures_count_every_place_and_every_end(self, bench: Bench) -> None:
        await bench.send(bench.new(priority=Priority.HIGH), *(bench.new() for _ in range(5)))
        claim = await bench.claim(5)
        await bench.settle(claim.jobs[:2], duration_us=2_000)
        await bench.fail(claim.jobs[2:3])
        await bench.fail(claim.jobs[3:4], for_good=True)
        await bench.send(bench.new(priority=Priority.LOW), bench.new(delay_ms=60_000))
        [gone] = await bench.send()
        await bench.cancel(gone)
        figures = await bench.figures()
        assert (figures.ready, figures.parked, figures.scheduled) == ((0, 0, 1, 1), 0, 2)
        assert (figures.running, figures.dead, figures.tried) == (1, 1, 2)
        assert (figures.succeeded, figures.failed, figures.cancelled, figures.retried) == (2, 1, 1, 1)
        assert (figures.duration_us, figures.histogram) == (4_000, {bucket_of(2_000): 2})
        assert await bench.waiting() == 4

    async def test_figures_of_an_unused_queue_are_zero(self, bench: Bench) -> None:
        figures = await bench.figures("unused")
        assert (figures.ready, figures.running, figures.succeeded, figures.histogram) == ((0, 0, 0, 0), 0, 0, {})
        assert await bench.broker.queues() == []

    async def test_the_oldest_wait_is_since_the_first_ready_job_was_sent(self, bench: Bench) -> None:
        assert (await bench.figures()).oldest_wait_ms == 0
        await bench.send()
        now_ms = (await bench.claim(0)).now_ms
        # The bench's jobs claim to have been sent a millisecond after 1970 began.
        assert (await bench.figures()).oldest_wait_ms >= now_ms - 1

    async def test_the_history_tells_the_latest_ends_first(self, bench: Bench) -> None:
        sent = await bench.send(count=3)
        await bench.settle((await bench.claim(1)).jobs)
        await bench.fail((await bench.claim(1)).jobs, for_good=True)
        await bench.cancel(sent[2])
        history = await bench.broker.history(bench.queue, 10, name="work")
        assert [(entry.id, entry.state) for entry in history] == [
            (sent[2], "cancelled"),
            (sent[1], "failed"),
            (sent[0], "completed"),
        ]
        assert history[1].error == "ValueError: no"
        assert await bench.broker.history(bench.queue, 1, name="work") == history[:1]
        assert await bench.broker.history(bench.queue, 10, name="other") == []

    async def test_the_history_is_capped(self, bench: Bench) -> None:
        for _ in range(3):
            await bench.send(count=400)
            await bench.settle((await bench.claim(400)).jobs)
        assert len(await bench.broker.history(bench.queue, 5_000, name="work")) == 1_000

    async def test_a_worker_is_present_until_it_withdraws_or_is_silent_too_long(self, bench: Bench) -> None:
        def info(worker_id: str) -> WorkerInfo:
            return WorkerInfo(
                id=worker_id,
                host="host",
                pid=1,
                started_at_ms=1_000,
                queues=("served",),
                concurrency=10,
                status="idle",
                running=("job-1",),
            )

        await bench.broker.announce(info("b"), 10_000)
        await bench.broker.announce(info("a"), 60_000)
        assert await bench.broker.workers() == [info("a"), info("b")]
        await bench.kit.advance(10_001)
        assert await bench.broker.workers() == [info("a")]
        await bench.broker.withdraw("a", [])
        assert await bench.broker.workers() == []
        assert await bench.broker.queues() == ["served"]
