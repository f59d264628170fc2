"""What an operator sees of one tenant, and does to it, whatever else is in the queues."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import msgspec
import pytest

from asyncjobs import App, ArgumentsError, JobCancelled, JobDefinition, JobState, RetryPolicy, Worker
from asyncjobs.app.tenants import TenantList
from asyncjobs.app.verbs import sweeping
from asyncjobs.app.verbs import tenants as verbs_of_tenants
from asyncjobs.brokers.memory.broker import MemoryBroker
from asyncjobs.testing.clock import ManualClock
from tests.waiting import SOON, until

pytestmark = pytest.mark.anyio


@pytest.fixture
def work(app: App) -> JobDefinition[..., Any]:
    @app.job
    async def work(number: int = 1) -> int:
        return number

    return work


@pytest.fixture
def fail(app: App) -> JobDefinition[..., Any]:
    @app.job(queue="second", retry=RetryPolicy(max_retries=0))
    async def fail() -> None:
        raise LookupError("no")

    return fail


def _of(tenant: str, definition: Any, **options: Any) -> Any:
    return definition.with_options(tenant=tenant, **options)


async def _run_all(app: App) -> None:
    await Worker(app, queues=["default", "second"]).run_until_empty()


async def test_the_statistics_of_a_tenant_are_those_of_its_queues_and_their_sum(app: App, work: Any, fail: Any) -> None:
    async with app:
        for tenant in ("acme", "globex", "acme"):
            await _of(tenant, work).delay()
            await _of(tenant, fail).delay()
        await _of("acme", work, queue="second").delay()
        await work.delay()
        await _run_all(app)
        await app.suspend_tenant("acme", queue="default")
        figures = await app.tenant_stats("acme")
        nobodys = await app.tenant_stats("nobody")
        assert [one.queue_name for one in (await app.tenant_stats("acme", queue="second")).queues] == ["second"]
        assert (await app.tenant_stats("acme", queue=["other"])).processed_total == 0
    assert (figures.tenant, figures.succeeded_total, figures.failed_total, figures.failed) == ("acme", 3, 2, 2)
    assert (figures.processed_total, figures.cancelled_total, figures.retried_total) == (5, 0, 0)
    assert figures.avg_duration_ms is not None
    first, second = figures.queues
    assert (first.queue_name, first.paused, first.succeeded_total, first.failed) == ("default", True, 2, 0)
    assert (second.queue_name, second.paused, second.succeeded_total, second.failed) == ("second", False, 1, 2)
    assert (nobodys.processed_total, nobodys.p50_duration_ms, nobodys.queues) == (0, None, [])


async def test_the_tenants_are_listed_with_what_waits_runs_is_dead_and_has_ended(
    app: App, work: Any, fail: Any
) -> None:
    held = asyncio.Event()

    @app.job(queue="third")
    async def hold() -> None:
        await held.wait()

    async def runs() -> bool:
        return (await app.queue_stats("third")).running == 1

    async with app:
        assert (await app.tenants()).tenants == []
        for tenant in ("acme", "globex", "acme", "initech"):
            await _of(tenant, work).delay()
        await _of("acme", fail).delay()
        await _run_all(app)
        await _of("globex", work).delay()
        await _of("globex", work).schedule_in(3600)
        await _of("hooli", work).delay()
        await work.delay()
        await app.suspend_tenant("umbrella", queue="second")
        async with app.worker(queues=["third"]):
            await _of("initech", hold).delay()
            await until(runs, "a job runs")
            found = await app.tenants()
            of_second = await app.tenants(queue="second")
            first = await app.tenants(limit=2)
            held.set()
    assert (found.waiting, found.running, found.looked_at, found.is_exact) == (4, 1, 5, True)
    assert [(one.tenant, one.waiting, one.running) for one in found.tenants] == [
        ("globex", 2, 0),
        ("hooli", 1, 0),
        ("initech", 0, 1),
        ("umbrella", 0, 0),
        ("acme", 0, 0),
    ]
    globex, hooli, initech, umbrella, acme = found.tenants
    assert (acme.succeeded_total, acme.failed_total, acme.failed, acme.processed_total) == (2, 1, 1, 3)
    assert (globex.succeeded_total, initech.succeeded_total, hooli.processed_total) == (1, 1, 0)
    assert acme.ended_at is not None
    assert (hooli.ended_at, hooli.p95_duration_ms, hooli.run_ms) == (None, None, 0)
    assert (umbrella.suspended_in, acme.suspended_in) == (("second",), ())
    assert [(one.tenant, one.failed) for one in of_second.tenants] == [("umbrella", 0), ("acme", 1)]
    assert [one.tenant for one in first.tenants] == ["globex", "hooli"]


async def test_of_very_many_jobs_a_sample_tells_what_waits_of_each_tenant(
    app: App, work: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(verbs_of_tenants, "_SAMPLED", 100)
    async with app:
        # Each seventh job is of another tenant.
        await app.enqueue_many([_of("globex" if n % 7 else "acme", work).request(n) for n in range(1_000)])
        found = await app.tenants()
    assert (found.waiting, found.is_exact) == (1_000, False)
    assert 100 <= found.looked_at <= 200
    globex, acme = found.tenants
    assert (globex.tenant, acme.tenant) == ("globex", "acme")
    assert 750 <= globex.waiting <= 950
    assert 50 <= acme.waiting <= 250


@pytest.mark.parametrize("limit", [1, 2, 3, 5, 20])
async def test_all_tenants_are_listed_page_by_page_each_once(app: App, work: Any, fail: Any, limit: int) -> None:
    async with app:
        # Of three, jobs have ended in both queues; of two, jobs wait too.
        for number in range(9):
            await _of(f"ended-{number}", work).delay()
            if number < 3:
                await _of(f"ended-{number}", fail).delay()
        await _run_all(app)
        for tenant, count in (("ended-8", 3), ("ended-0", 1), ("waits-b", 2), ("waits-a", 2)):
            for _ in range(count):
                await _of(tenant, work).delay()
        await app.suspend_tenant("held", queue="default")
        pages = [await app.tenants(limit=limit)]
        while pages[-1].next:
            pages.append(await app.tenants(limit=limit, after=pages[-1].next))
        whole = await app.tenants()
    listed = [one for page in pages for one in page.tenants]
    assert listed == whole.tenants
    assert [one.tenant for one in listed[:5]] == ["ended-8", "waits-a", "waits-b", "ended-0", "held"]
    assert sorted(one.tenant for one in listed[5:]) == [f"ended-{number}" for number in range(1, 8)]
    assert [one.failed for one in listed if one.tenant in ("ended-0", "ended-1", "ended-2")] == [1, 1, 1]
    assert all(len(page.tenants) == limit for page in pages[:-1])
    assert pages[-1].tenants


async def _pages(app: App, limit: int, between: Callable[[], Awaitable[Any]] | None = None) -> list[TenantList]:
    pages = [await app.tenants(limit=limit)]
    while pages[-1].next:
        if between is not None:
            await between()
        pages.append(await app.tenants(limit=limit, after=pages[-1].next))
    return pages


def _ids(*pages: TenantList) -> list[str]:
    return [one.tenant for page in pages for one in page.tenants]


@pytest.mark.parametrize(("limit", "ranked"), [(3, 100), (10, 100), (10, 2), (30, 100)])
async def test_of_a_sample_the_first_tenants_are_by_numbers_and_all_others_behind_them_each_once(
    app: App, work: Any, monkeypatch: pytest.MonkeyPatch, limit: int, ranked: int
) -> None:
    monkeypatch.setattr(verbs_of_tenants, "_MAX_RANKED", ranked)
    monkeypatch.setattr(verbs_of_tenants, "_SAMPLED", 100)
    monkeypatch.setattr(verbs_of_tenants, "_LEAST_SAMPLED", 20)
    ended = {f"ended-{number:02}" for number in range(20)}
    async with app:
        await app.enqueue_many([_of(one, work).request() for one in sorted(ended)])
        await _run_all(app)
        await app.enqueue_many([_of(one, work).request() for two in sorted(ended) for one in (two, "flood")] * 10)
        for one in ("held-1", "held-2"):
            await app.suspend_tenant(one, queue="second")

        async def some_come() -> None:
            await app.enqueue_many([_of("ended-03", work).request() for _ in range(30)])

        first, *others = await _pages(app, limit, some_come)
    assert not any(page.is_exact for page in (first, *others))
    listed = _ids(first, *others)
    assert listed[0] == "flood"
    assert sorted(listed) == sorted([*ended, "flood", "held-1", "held-2"])
    # All ended in the same minute, in which the ids decide.
    behind = {*listed[min(limit, ranked) :]}
    assert listed[min(limit, ranked) :] == [*sorted(behind & ended, reverse=True), *sorted(behind - ended)]
    assert all(len(page.tenants) == limit for page in (first, *others)[:-1])


async def test_a_list_that_fits_on_one_page_has_no_other_though_it_is_of_a_sample(
    app: App, work: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(verbs_of_tenants, "_SAMPLED", 100)
    async with app:
        await _of("ended", work).delay()
        await _run_all(app)
        await app.enqueue_many([_of("acme", work).request() for _ in range(200)])
        page = await app.tenants(limit=2)
    assert (_ids(page), page.is_exact, page.next) == (["acme", "ended"], False, "")


@pytest.mark.parametrize("begins", ["exact", "sampled"])
async def test_none_is_missed_where_a_list_becomes_a_sample_or_ceases_to_be_one(
    app: App, work: Any, monkeypatch: pytest.MonkeyPatch, begins: str
) -> None:
    sizes = (1_000, 100) if begins == "exact" else (100, 1_000)
    async with app:
        await app.enqueue_many([_of(f"ended-{number}", work).request() for number in range(9)])
        await _run_all(app)
        jobs = ["flood", "ended-7", "flood", "ended-1", "flood", "ended-4", "flood", "ended-2"]
        await app.enqueue_many([_of(one, work).request() for one in jobs * 50])
        for turn in range(1, 4):
            monkeypatch.setattr(verbs_of_tenants, "_SAMPLED", sizes[0])
            pages = [await app.tenants(limit=3)]
            while pages[-1].next:
                if len(pages) == turn:
                    monkeypatch.setattr(verbs_of_tenants, "_SAMPLED", sizes[1])
                pages.append(await app.tenants(limit=3, after=pages[-1].next))
            assert {one.is_exact for one in pages} == {True, False}
            listed = _ids(*pages)
            assert {*listed} == {"flood", *(f"ended-{number}" for number in range(9))}
            # Those by numbers that were all counted come again by their ends, where there is a sample then.
            assert begins == "exact" or len(listed) == 10


async def test_a_page_is_empty_but_not_the_last_where_many_were_listed_before(
    app: App, work: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(verbs_of_tenants, "_MAX_READS", 1)
    async with app:
        tenants = [f"tenant-{number}" for number in range(9)]
        await app.enqueue_many([_of(one, work).request() for one in tenants])
        await _run_all(app)
        # All but the first of them wait too, so those are listed before; a read finds two.
        await app.enqueue_many([_of(one, work).request() for one in tenants[1:]])
        pages = await _pages(app, 1)
    assert _ids(*pages) == [*tenants[1:], "tenant-0"]
    empty = [page for page in pages if not page.tenants]
    assert empty
    assert all(page.next for page in empty)


async def test_a_tenant_whose_jobs_end_in_one_queue_is_not_listed_again_by_another() -> None:
    clock = ManualClock()
    app = App("memory://", broker=MemoryBroker(clock))

    @app.job
    async def work() -> None: ...

    async with app:
        for queue, tenants in (("default", "abc"), ("second", "ab"), ("default", "ecd")):
            for tenant in tenants:
                await _of(tenant, work, queue=queue).delay()
            await _run_all(app)
            clock.advance(120_000)
        pages = [await app.tenants(limit=1)]
        while pages[-1].next:
            pages.append(await app.tenants(limit=1, after=pages[-1].next))
    assert [[one.tenant for one in page.tenants] for page in pages] == [["e"], ["d"], ["c"], ["b"], ["a"]]


@pytest.mark.parametrize(
    "after", ["x", "5", "5 -", "5 - ", "-1 - acme", "1 x acme", "9" * 16 + " - acme", "* * acme", "1 *abc ", 5]
)
async def test_what_is_no_cursor_of_a_list_of_tenants_is_refused(app: App, after: Any) -> None:
    async with app:
        with pytest.raises(ArgumentsError, match="after="):
            await app.tenants(after=after)


@pytest.mark.parametrize("limit", [0, 1_001, "5"])
async def test_a_list_of_tenants_has_a_limit(app: App, limit: Any) -> None:
    async with app:
        with pytest.raises(ArgumentsError, match="limit"):
            await app.tenants(limit=limit)


async def test_the_figures_of_a_tenant_are_whole_where_a_queue_has_many_tenants(app: App, work: Any) -> None:
    async with app:
        await _of("acme", work).delay()
        await _run_all(app)
        for number in range(3):
            await _of(f"tenant-{number}", work).delay()
        await _run_all(app)
        # Of the queue, the last two tenants are told, and it has ended jobs of a third.
        await _of("acme", work).delay()
        found = await app.tenants(limit=2)
    assert [(one.waiting, one.succeeded_total) for one in found.tenants] == [(1, 1), (0, 1)]
    assert found.tenants[0].tenant == "acme"


async def test_the_history_is_by_name_by_tenant_or_by_both(app: App, work: Any, fail: Any) -> None:
    async with app:
        plain = await work.delay()
        done = await _of("acme", work).delay()
        failed = await _of("acme", fail).delay()
        await _run_all(app)
        of_tenant = await app.job_history(tenant="acme")
        of_both = await app.job_history("work", tenant="acme")
        of_name = await app.job_history("work")
        with pytest.raises(ArgumentsError, match="needs a name, tenant=…, or both"):
            await app.job_history()
    assert {(one.id, one.name, one.state) for one in of_tenant} == {
        (done.id, "work", "completed"),
        (failed.id, "fail", "failed"),
    }
    assert [one.id for one in of_both] == [done.id]
    assert {(one.id, one.name) for one in of_name} == {(plain.id, "work"), (done.id, "work")}


async def test_jobs_are_listed_by_tenant_wherever_they_are(app: App, work: Any, fail: Any) -> None:
    async with app:
        dead = await _of("acme", fail).delay()
        await _of("globex", fail).delay()
        await _run_all(app)
        await work.delay()
        ready = [await _of("acme", work).delay(number) for number in range(3)]
        later = await _of("acme", work).schedule_in(60)
        await _of("globex", work).schedule_in(60)
        assert [job.id for job in await app.jobs("ready", tenant="acme", limit=2)] == [one.id for one in ready[:2]]
        assert [job.id for job in await app.jobs("scheduled", tenant="acme")] == [later.id]
        assert [job.id for job in await app.jobs("failed", tenant="acme")] == [dead.id]
        assert [job.id for job in await app.failed_jobs(tenant="acme", error="LookupError")] == [dead.id]
        assert await app.jobs("ready", tenant="nobody") == []


async def test_the_dead_of_one_tenant_are_retried_and_forgotten(app: App, fail: Any) -> None:
    async with app:
        for tenant in ("acme", "globex", "acme"):
            await _of(tenant, fail).delay()
        await _run_all(app)
        assert await app.retry_failed(tenant="globex") == 1
        assert await app.delete_failed(tenant="acme") == 2
        assert (await app.tenant_stats("acme")).failed == 0
        assert await app.failed_jobs() == []


async def test_a_tenant_is_suspended_in_queues_too_to_which_nothing_was_sent_yet(app: App) -> None:
    @app.job(queue="exports")
    async def export() -> str:
        return "done"

    async with app:
        await app.suspend_tenant("acme")
        held = await _of("acme", export).delay()
        free = await export.delay()
        await Worker(app, queues=["exports"]).run_until_empty()
        assert (await free.status(), await held.status()) == (JobState.COMPLETED, JobState.PENDING)
        await app.resume_tenant("acme")
        await Worker(app, queues=["exports"]).run_until_empty()
        assert await held.status() is JobState.COMPLETED


async def test_the_jobs_of_a_suspended_tenant_wait_until_it_is_resumed(app: App, work: Any) -> None:
    async with app, app.worker(queues=["default"]):
        await (await work.delay()).result(SOON)
        await app.suspend_tenant("acme")
        held = await _of("acme", work).delay(5)
        await (await _of("globex", work).delay()).result(SOON)
        assert await held.status() is JobState.PENDING
        assert [job.id for job in await app.jobs("parked", tenant="acme")] == [held.id]
        assert (await app.suspended_tenants())["default"] == ["acme"]
        assert await app.suspended_names() == {}
        await app.resume_tenant("acme")
        assert await held.result(SOON) == 5
        assert await app.suspended_tenants() == {}


async def test_a_purge_takes_everything_of_one_tenant_and_nothing_else(app: App, work: Any, fail: Any) -> None:
    started, stopped = asyncio.Event(), asyncio.Event()

    @app.job
    async def hang() -> None:
        started.set()
        try:
            await asyncio.sleep(60)
        finally:
            stopped.set()

    async with app:
        await _of("acme", fail).delay()
        await _of("globex", fail).delay()
        await _run_all(app)
        async with app.worker(queues=["default"]):
            running = await _of("acme", hang).delay()
            await until(started, "the handler has started")
            await app.suspend_tenant("acme", queue="default")
            parked = await _of("acme", work).delay()
            await (await work.delay()).result(SOON)
            later = await _of("acme", work).schedule_in(60)
            ready = await _of("acme", work, queue="second").delay()
            kept = [await _of("globex", work, queue="second").delay(), await work.schedule_in(60)]
            assert await app.purge_tenant("acme") == 5
            for handle in (parked, later, ready, running):
                with pytest.raises(JobCancelled, match="the jobs of tenant 'acme' were purged"):
                    await handle.result(SOON)
            assert stopped.is_set()
        assert [await handle.status() for handle in kept] == [JobState.PENDING] * 2
        assert [job.tenant for job in await app.failed_jobs()] == ["globex"]
        assert (await app.tenant_stats("acme")).cancelled_total == 4
        assert await app.purge_tenant("acme") == 0


async def test_a_purge_may_keep_to_one_queue(app: App, work: Any) -> None:
    async with app:
        await _of("acme", work).delay()
        other = await _of("acme", work, queue="second").delay()
        assert await app.purge_tenant("acme", queue="default") == 1
        assert await other.status() is JobState.PENDING


async def test_a_purge_needs_one_pass_where_nothing_moves_however_many_pages_there_are(
    app: App, work: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sweeping, "_MAX_PASSES", 1)
    acme, globex = _of("acme", work), _of("globex", work)
    async with app:
        await app.enqueue_many([definition.request(1) for _ in range(700) for definition in (acme, globex)])
        later = [definition.request(1) for _ in range(700) for definition in (acme, globex)]
        await app.enqueue_many([msgspec.structs.replace(one, delay_ms=60_000) for one in later])
        assert await app.purge_tenant("acme") == 1_400
        left = [*await app.jobs("ready", limit=2_000), *await app.jobs("scheduled", limit=2_000)]
    assert [job.tenant for job in left] == ["globex"] * 1_400


async def test_a_purge_finds_what_moves_while_it_looks(app: App, work: Any) -> None:
    async with app:
        await app.enqueue_many([_of("acme", work).request(number) for number in range(3_000)])
        async with app.worker(queues=["default"]):
            await app.purge_tenant("acme")
            assert await app.jobs("ready", tenant="acme") == []
        figures = await app.tenant_stats("acme")
    assert figures.succeeded_total + figures.cancelled_total == 3_000


@pytest.mark.parametrize(
    "verb",
    [
        lambda app: app.tenant_stats(""),
        lambda app: app.suspend_tenant(""),
        lambda app: app.resume_tenant("a\nb"),
        lambda app: app.purge_tenant("x" * 256),
        lambda app: app.jobs("ready", tenant=""),
        lambda app: app.job_history(tenant=5),
    ],
)
async def test_what_cannot_be_a_tenant_is_refused(app: App, verb: Callable[[App], Awaitable[object]]) -> None:
    async with app:
        with pytest.raises(ArgumentsError, match="tenant="):
            await verb(app)


def test_the_verbs_are_there_without_an_event_loop(redis_url: str) -> None:
    app = App(redis_url)

    @app.job
    async def work() -> None: ...

    sent = work.with_options(tenant="acme").delay_sync()
    app.sync.suspend_tenant("acme")
    assert app.sync.suspended_tenants()["default"] == ["acme"]
    app.sync.resume_tenant("acme")
    assert [job.id for job in app.sync.jobs("ready", tenant="acme")] == [sent.id]
    assert app.sync.purge_tenant("acme") == 1
    assert app.sync.tenant_stats("acme").cancelled_total == 1
    assert [entry.id for entry in app.sync.job_history(tenant="acme")] == [sent.id]
    assert app.sync.failed_jobs(tenant="acme") == []
