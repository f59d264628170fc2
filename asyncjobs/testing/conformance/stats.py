"""``JobStats``: figures, history, and the workers that are present."""

from __future__ import annotations

import msgspec

from asyncjobs.core.histogram import bucket_of
from asyncjobs.core.priority import Priority
from asyncjobs.core.record.envelope import Envelope, encode
from asyncjobs.ports import Hold, NewJob, RunningJob, WorkerInfo
from asyncjobs.testing.conformance.bench import Bench
from asyncjobs.testing.conformance.theme import Theme

__all__ = ["Stats"]

THIRTY_DAYS_MS = 30 * 24 * 3_600_000


class Stats(Theme):
    """What ``overview``, ``history``, ``queues`` and the presence of workers promise."""

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

    async def test_scheduled_jobs_whose_time_has_come_are_overdue_until_a_claim(self, bench: Bench) -> None:
        soon = [bench.new(delay_ms=1_000) for _ in range(3)]
        await bench.send(*soon, bench.new(delay_ms=60_000), bench.new(delay_ms=120_000))
        assert ((await bench.figures()).scheduled, (await bench.figures()).overdue) == (5, 0)
        await bench.kit.advance(1_001)
        assert ((await bench.figures()).scheduled, (await bench.figures()).overdue) == (5, 3)
        await bench.cancel(soon[0].id)
        assert (await bench.figures()).overdue == 2
        await bench.kit.advance(59_000)
        assert (await bench.figures()).overdue == 3
        await bench.claim(0)
        assert (await bench.figures()).overdue == 0

    async def test_figures_of_an_unused_queue_are_zero(self, bench: Bench) -> None:
        figures = await bench.figures("unused")
        assert (figures.ready, figures.running, figures.succeeded, figures.histogram) == ((0, 0, 0, 0), 0, 0, {})
        assert await bench.broker.queues() == []

    async def test_the_oldest_wait_is_since_the_first_ready_job_was_sent(self, bench: Bench) -> None:
        assert (await bench.figures()).oldest_wait_ms == 0
        await bench.send()
        now_ms = (await bench.claim(0)).now_ms
        # By their records, the bench's jobs were sent 1 ms after 1970 began.
        assert (await bench.figures()).oldest_wait_ms >= now_ms - 1

    async def test_nothing_has_waited_where_nothing_is_ready(self, bench: Bench) -> None:
        [cancelled] = await bench.send()
        await bench.cancel(cancelled, keep_ms=1_000)
        assert (await bench.figures()).oldest_wait_ms == 0
        # Its record has expired, and its entry may still be in a list.
        await bench.kit.advance(1_001)
        assert (await bench.figures()).oldest_wait_ms == 0
        [put_off] = await bench.send()
        await bench.broker.edit(bench.queue, put_off, priority=None, delay_ms=60_000, due_at_ms=None)
        assert (await bench.figures()).oldest_wait_ms == 0
        await bench.send(NewJob(bench.queue, "damaged", "work", b"\xc1"))
        figures = await bench.figures()
        assert (sum(figures.ready), figures.oldest_wait_ms) == (1, 0)

    async def test_the_oldest_wait_is_that_of_a_job_behind_many_that_were_cancelled(self, bench: Bench) -> None:
        cancelled = await bench.send(count=120)
        now_ms = (await bench.claim(0)).now_ms
        sent = encode(Envelope(arguments=msgspec.Raw(encode([])), created_at_ms=now_ms - 5_000))
        await bench.send(NewJob(bench.queue, "waiting", "work", sent))
        await bench.broker.cancel(bench.queue, cancelled, "enough", 1_000)
        for _ in range(2):
            assert 5_000 <= (await bench.figures()).oldest_wait_ms < 60_000
            await bench.kit.advance(1_001)

    async def test_the_oldest_wait_is_by_time_whatever_the_ids(self, bench: Bench) -> None:
        now_ms = (await bench.claim(0)).now_ms
        for priority, (job_id, age_ms) in enumerate([("b", 1_000), ("@tenant:a", 9_000), ("0", 5_000)]):
            sent = encode(Envelope(arguments=msgspec.Raw(encode([])), created_at_ms=now_ms - age_ms))
            await bench.send(NewJob(bench.queue, job_id, "work", sent, priority))
        assert 9_000 <= (await bench.figures()).oldest_wait_ms < 60_000

    async def test_a_tried_job_that_runs_is_told_from_one_that_waits(self, bench: Bench) -> None:
        async def tried() -> tuple[int, int, int]:
            figures = await bench.figures()
            return figures.running, figures.tried, figures.tried_running

        await bench.send(count=3)
        jobs = (await bench.claim()).jobs
        assert await tried() == (3, 0, 0)
        await bench.fail(jobs[:2])
        await bench.fail(jobs[2:], for_good=True)
        assert await tried() == (0, 3, 0)
        await bench.kit.advance(1_001)
        [again] = (await bench.claim(1)).jobs
        assert await tried() == (1, 3, 1)
        await bench.settle([again])
        assert await tried() == (0, 2, 0)

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

    async def test_an_overview_has_the_figures_of_each_queue_in_the_order_asked_for(self, bench: Bench) -> None:
        await bench.send(bench.new(queue="other"), bench.new(queue="third"), bench.new(queue="third"))
        overview = await bench.broker.overview(["third", "unused", "other"])
        assert [(one.name, one.ready) for one in overview] == [
            ("third", (0, 0, 2, 0)),
            ("unused", (0, 0, 0, 0)),
            ("other", (0, 0, 1, 0)),
        ]
        assert await bench.broker.overview([]) == []

    async def test_a_worker_is_present_until_it_withdraws_or_is_silent_too_long(self, bench: Bench) -> None:
        assert not await bench.broker.announce(_worker("b", "served"), 10_000)
        assert not await bench.broker.announce(_worker("a", "served"), 60_000)
        assert await bench.broker.announce(_worker("b", "served"), 10_000)
        assert await bench.broker.announce(_worker("a", "other"), 60_000)
        assert await bench.broker.announce(_worker("a", "served"), 60_000)
        assert await _present(bench) == [_worker("a", "served"), _worker("b", "served")]
        await bench.kit.advance(10_001)
        assert await _present(bench) == [_worker("a", "served")]
        assert not await bench.broker.announce(_worker("b", "served"), 10_000)
        await bench.broker.withdraw("b", [])
        await bench.broker.withdraw("a", [])
        assert await bench.broker.workers() == []
        assert await bench.broker.queues() == ["other", "served"]

    async def test_the_last_beat_of_a_worker_is_known_though_it_announces_the_same_again(self, bench: Bench) -> None:
        await bench.broker.announce(_worker("a", "served"), 60_000)
        await bench.kit.advance(20_000)
        await bench.broker.announce(_worker("b", "served"), 30_000)
        first, second = await bench.broker.workers()
        assert 19_000 <= second.beat_at_ms - first.beat_at_ms <= 21_000
        await bench.broker.announce(_worker("a", "served"), 60_000)
        first, second = await bench.broker.workers()
        assert 0 <= first.beat_at_ms - second.beat_at_ms <= 1_000

    async def test_a_queue_that_only_a_worker_served_is_forgotten_some_hours_later(self, bench: Bench) -> None:
        await bench.broker.announce(_worker("a", "served"), 10_000)
        assert await bench.broker.queues() == ["served"]
        await bench.kit.advance(3_590_000)
        assert await bench.broker.queues() == ["served"]
        await bench.kit.advance(3_610_000)
        assert await bench.broker.queues() == []

    async def test_an_empty_queue_is_forgotten_with_its_counters_long_after_it_was_last_sent_to(
        self, bench: Bench
    ) -> None:
        await bench.send(count=2)
        await bench.settle((await bench.claim(1)).jobs)
        await bench.send(bench.new(queue="other"))
        await bench.hold("name", "work", on=True)
        await bench.broker.hold("first", Hold("queue"), on=True)
        await bench.broker.put_schedule("second", "nightly", b"data", 1)
        await bench.broker.announce(_worker("a", bench.queue), 10_000)
        for _ in range(2):
            await bench.kit.advance(THIRTY_DAYS_MS)
            assert await bench.broker.queues() == [bench.queue, "first", "other", "second"]
        await bench.hold("name", "work", on=False)
        await bench.broker.unpark([bench.queue], frozenset({"work"}), 1_000)
        await bench.settle((await bench.claim(1)).jobs)
        await bench.settle((await bench.claim(1, queues=["other"])).jobs)
        await bench.broker.hold("first", Hold("queue"), on=False)
        await bench.broker.remove_schedule("second", "nightly")
        assert await bench.broker.queues() == [bench.queue, "first", "other", "second"]
        assert (await bench.figures()).succeeded == 2
        for _ in range(2):
            await bench.kit.advance(THIRTY_DAYS_MS)
        await bench.broker.announce(_worker("a", "other"), 10_000)
        assert await bench.broker.queues() == ["other"]
        assert (await bench.figures()).succeeded == 0

    async def test_an_empty_queue_is_forgotten_though_entries_of_cancelled_jobs_are_left(self, bench: Bench) -> None:
        [ready] = await bench.send()
        [parked] = await bench.send(bench.new("other"))
        while (claim := await bench.claim(1, names=frozenset({"work"}))).again:
            pass
        await bench.release(claim.jobs)
        for job_id in (ready, parked):
            assert await bench.cancel(job_id) == "cancelled"
        for _ in range(2):
            await bench.kit.advance(THIRTY_DAYS_MS)
        assert await bench.broker.queues() == []
        [again] = await bench.send(bench.new(job_id=ready))
        assert await bench.claim_ids() == [again]


async def _present(bench: Bench) -> list[WorkerInfo]:
    """Return the workers that are present as they announced themselves."""
    return [msgspec.structs.replace(worker, beat_at_ms=0) for worker in await bench.broker.workers()]


def _worker(worker_id: str, queue: str) -> WorkerInfo:
    return WorkerInfo(
        id=worker_id,
        host="host",
        pid=1,
        started_at_ms=1_000,
        queues=(queue,),
        concurrency=10,
        status="idle",
        running=("job-1",),
        handlers={"shop.jobs": ("work", "other")},
        jobs=(
            RunningJob(id="job-1", queue=queue, name="work", attempt=2, started_at_ms=5, progress=(1, 3.5, "a third")),
        ),
        version="1.2.3",
        deploy="9f3c1e7",
        rss=1 << 26,
        lag_ms=20,
    )
