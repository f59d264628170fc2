"""Limits of queues: as programs declare them and operators change them, and how workers keep to them."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import logging
import time
from collections.abc import Callable
from typing import Any

import pytest

from asyncjobs import App, ArgumentsError, DefinitionError, Limit, Rate, Worker, acting
from tests.servers import Server
from tests.waiting import Notes, until

pytestmark = pytest.mark.anyio


class Gauge:
    """How many handlers run, and have run at most at once."""

    def __init__(self) -> None:
        self.now = self.most = 0
        self.began: Notes[float] = Notes()
        self.may_end = asyncio.Event()

    async def run(self) -> None:
        self.began.append(time.monotonic())
        self.now += 1
        self.most = max(self.most, self.now)
        try:
            await self.may_end.wait()
        finally:
            self.now -= 1


@pytest.fixture
def gauge() -> Gauge:
    return Gauge()


def with_work(app: App, gauge: Gauge) -> Any:
    @app.job(queue="mail")
    async def work() -> None:
        await gauge.run()

    return work


async def test_no_more_jobs_of_a_queue_run_than_declared_on_two_workers(
    make_app: Callable[..., App], gauge: Gauge
) -> None:
    apps = [make_app(), make_app()]
    works = [with_work(app, gauge) for app in apps]
    for app in apps:
        app.queue("mail", running=3)
    async with apps[0], apps[1], apps[0].worker(concurrency=10), apps[1].worker(concurrency=10):
        handles = [await works[0].delay() for _ in range(12)]
        await gauge.began.reach(3)
        await until(lambda: gauge.now == 3, "three run")
        stats = await apps[0].queue_stats("mail")
        assert stats.limit is not None
        assert (stats.running, stats.pending, stats.limit.running) == (3, 9, 3)
        gauge.may_end.set()
        for handle in handles:
            await handle.result(timeout=20)
    assert gauge.most == 3


async def test_jobs_start_no_faster_than_the_rate_of_their_queue(app: App, gauge: Gauge) -> None:
    work = with_work(app, gauge)
    gauge.may_end.set()
    app.queue("mail", rate=Rate(40, burst=4))
    async with app:
        await app.enqueue_many([work.request() for _ in range(40)])
        async with app.worker(concurrency=40):
            await gauge.began.reach(40)
    began = sorted(gauge.began)
    took = began[-1] - began[0]
    # 36 after the burst of 4, one each 25 ms.
    assert 0.8 <= took <= 4
    for first in range(0, 40, 3):
        for last in range(first, 40):
            # A handler begins some time after the claim, by which the broker counts: a busy loop may be late with one.
            assert last - first + 1 <= 4 + (began[last] - began[first] + 0.2) * 40 + 1


async def test_a_limit_is_changed_and_reset_while_workers_run(app: App, gauge: Gauge) -> None:
    work = with_work(app, gauge)
    app.queue("mail", running=1)
    async with app, app.worker(concurrency=10):
        for _ in range(6):
            await work.delay()
        await gauge.began.reach(1)
        with acting("ada@example.com"):
            await app.set_limit("mail", running=4)
        await gauge.began.reach(4)
        limit = (await app.queue_stats("mail")).limit
        assert limit is not None
        assert (limit.running, limit.is_set, limit.set_by, limit.declared) == (4, True, "ada@example.com", "1 at once")
        assert str(limit) == "4 at once"
        # What isn't given stays as it is.
        await app.set_limit("mail", rate="100/s")
        limit = (await app.queue_stats("mail")).limit
        assert limit is not None
        assert (limit.running, limit.rate, limit.burst) == (4, "100/s", 10)
        await app.set_limit("mail", running=None, rate=None)
        await gauge.began.reach(6)
        await app.reset_limit("mail")
        limit = (await app.queue_stats("mail")).limit
        assert limit is not None
        assert (str(limit), limit.is_set) == ("1 at once", False)
        gauge.may_end.set()
    entries = [(entry.verb, entry.subject, entry.note) for entry in await _audit(app)]
    assert ("set_limit", "mail", "4 at once") in entries
    assert ("reset_limit", "mail", "") in entries


async def _audit(app: App) -> list[Any]:
    async with app:
        return await app.audit()


async def test_a_limit_is_of_all_that_was_sent_before_too(app: App, gauge: Gauge) -> None:
    work = with_work(app, gauge)
    async with app:
        await app.enqueue_many([work.request() for _ in range(8)])
        await app.set_limit("mail", running=2)
        async with app.worker(concurrency=10):
            await gauge.began.reach(2)
            found = await app.why((await app.jobs("ready", queue="mail"))[-1].id)
            assert [one.kind for one in found.reasons] == ["queue full"]
            assert "The queue mail runs at most 2 jobs at once, and does" in str(found)
            assert len(gauge.began) == 2
            gauge.may_end.set()
            await gauge.began.reach(8)


async def test_a_job_that_waits_for_the_rate_says_until_when(app: App, gauge: Gauge) -> None:
    work = with_work(app, gauge)
    gauge.may_end.set()
    app.queue("mail", rate="1/h")
    async with app, app.worker(concurrency=10):
        first, second = await work.delay(), await work.delay()
        await first.result(timeout=20)
        found = await app.why(second.id)
        assert [one.kind for one in found.reasons] == ["rate used up"]
        assert found.reasons[0].due_at is not None
        assert "The rate of the queue mail, 1/h, is used up until" in str(found)


async def test_the_program_that_starts_last_declares_the_limit_and_says_so(
    make_app: Callable[..., App], gauge: Gauge, caplog: pytest.LogCaptureFixture
) -> None:
    old, new, none = make_app(), make_app(), make_app()
    for app in (old, new, none):
        with_work(app, gauge)
    old.queue("mail", running=1)
    new.queue("mail", running=2)
    async with contextlib.AsyncExitStack() as stack, old:
        for app in (old, new):
            await stack.enter_async_context(app)
            with caplog.at_level(logging.WARNING, "asyncjobs.worker"):
                await stack.enter_async_context(app.worker())
        assert "the limit of the queue mail is 2 at once now, as this program says; it was 1 at once" in caplog.text
        limit = (await old.queue_stats("mail")).limit
        assert limit is not None
        assert limit.running == 2
        await stack.enter_async_context(none)
        await stack.enter_async_context(none.worker())
        assert (await old.queue_stats("mail")).limit is None


async def test_a_burst_ends_once_the_rate_has_let_all_through(app: App, gauge: Gauge) -> None:
    work = with_work(app, gauge)
    gauge.may_end.set()
    app.queue("mail", rate=Rate(20, burst=2))
    async with app:
        await app.enqueue_many([work.request() for _ in range(8)])
        await Worker(app, queues=["mail"], concurrency=4).run_until_empty()
        assert len(gauge.began) == 8


async def test_run_once_runs_one_job_and_says_so_where_it_waits_for_the_rate(app: App, gauge: Gauge) -> None:
    work = with_work(app, gauge)
    gauge.may_end.set()
    app.queue("mail", rate=Rate(10, burst=1))
    async with app:
        await app.enqueue_many([work.request() for _ in range(4)])
        worker = Worker(app, queues=["mail"], concurrency=4)
        for count in range(1, 4):
            assert await worker.run_once()
            assert len(gauge.began) == count


async def test_a_limit_that_the_server_has_lost_is_declared_again(
    redis_server: Server, redis_url: str, gauge: Gauge
) -> None:
    app = App(redis_url)
    with_work(app, gauge)
    app.queue("mail", running=1)
    async with app, app.worker():
        with contextlib.closing(redis_server.client()) as client:
            client.flushall()

        async def is_declared_again() -> bool:
            limit = (await app.queue_stats("mail")).limit
            return limit is not None and limit.running == 1

        await until(is_declared_again, "the limit is there again")


async def test_a_worker_that_starts_writes_nothing_to_a_queue_without_a_limit(
    redis_server: Server, redis_url: str, gauge: Gauge
) -> None:
    app = App(redis_url)
    with_work(app, gauge)
    async with app, app.worker():
        with contextlib.closing(redis_server.client()) as client:
            fields = client.hkeys("asyncjobs:{mail}:cfg")
        assert not [one for one in fields if one.startswith(b"limit")]


async def test_slots_that_are_taken_leave_no_job_of_a_limited_queue_claimed_ahead(app: App, gauge: Gauge) -> None:
    quick_ran = 0

    @app.job(queue="quick")
    async def quick() -> None:
        nonlocal quick_ran
        quick_ran += 1

    work = with_work(app, gauge)
    app.queue("mail", running=5)
    async with app:
        # Many short jobs let the worker claim ahead.
        await app.enqueue_many([quick.request() for _ in range(300)])
        async with Worker(app, queues=["quick", "mail"], concurrency=2).running():
            await app.enqueue_many([work.request() for _ in range(10)])
            await gauge.began.reach(2)
            # The other slots of the limit are for workers that have room.
            assert (await app.queue_stats("mail")).running == 2
            gauge.may_end.set()
            await gauge.began.reach(10)
    assert quick_ran == 300


def test_a_declaration_without_a_number_or_with_two_is_refused() -> None:
    app = App("memory://")
    app.queue("mail", running=2, rate="10/s")
    app.queue("mail", running=2, rate=Rate(10))
    with pytest.raises(DefinitionError, match="declared twice: with 2 at once, 10/s, and now with 3 at once"):
        app.queue("mail", running=3)
    with pytest.raises(ArgumentsError, match=r"app.queue\('other'\) got no running, rate or fair_by"):
        app.queue("other")
    with pytest.raises(ArgumentsError, match="queue"):
        app.queue("", running=1)


async def test_a_change_without_a_number_or_with_a_wrong_one_is_refused_and_changes_nothing(app: App) -> None:
    async with app:
        with pytest.raises(ArgumentsError, match="neither running nor rate"):
            await app.set_limit("mail")
        wrong: list[Any] = [0, -1, "3", True, 1.5]
        for running in wrong:
            with pytest.raises(ArgumentsError, match="running"):
                await app.set_limit("mail", running=running)
        with pytest.raises(ArgumentsError, match="rate='fast'"):
            await app.set_limit("mail", running=1, rate="fast")
        assert (await app.queue_stats("mail")).limit is None


async def test_a_slip_in_the_name_of_a_queue_or_a_limit_is_refused_with_what_there_is(
    make_app: Callable[..., App],
) -> None:
    app, operator = make_app(), make_app()
    stripe, other = Limit("stripe", running=3), Limit("other", running=3)

    @app.job(queue="mail", limits=[stripe, Limit("customer", running=2).by("key")])
    async def charge(key: int) -> None: ...

    async with app, operator:
        # No worker has declared them yet, but the app's code has them.
        await app.set_limit("mail", "stripe", running=1)
        await app.reset_limit("mail", "stripe")
        with pytest.raises(ArgumentsError, match=r"there is no queue 'mial' on .*Did you mean 'mail'\?"):
            await app.set_limit("mial", running=1)
        # Nor does an app without this code know the queue, until something was sent there.
        async with app.worker(queues=["mail"]):
            pass
        for verb in (functools.partial(operator.set_limit, running=1), operator.reset_limit):
            for slip in ("stirpe", "stirpe=42"):
                with pytest.raises(ArgumentsError) as caught:
                    await verb("mail", slip)
                assert str(caught.value) == (
                    "the queue 'mail' has no limit 'stirpe': its workers and jobs have customer, stripe. Did you mean "
                    "'stripe'? To set one ahead of its workers, give its Limit, or use an app in which a job of this "
                    "queue has it."
                )
            with pytest.raises(ArgumentsError, match="there is no queue 'mial'"):
                await verb("mial")
        await operator.set_limit("mail", "stripe", running=1)
        await operator.set_limit("mail", "customer=42", running=1)
        # A limit of code to come, which its ``Limit`` says.
        await operator.set_limit("mail", other, running=1)
        await operator.set_limit("mail", "other", running=2)
        told = {gate.gate: gate.running for gate in await operator.gates("mail")}
    assert told == {"customer": 2, "customer=42": 1, "other": 2, "stripe": 1}


@pytest.mark.parametrize("is_served", [False, True])
async def test_the_name_of_a_limit_of_other_queues_alone_is_refused_and_not_told(
    make_app: Callable[..., App], is_served: bool
) -> None:
    deal = Limit("secret-deal", running=2)

    def with_jobs(app: App) -> App:
        @app.job(queue="payments", limits=deal)
        async def pay() -> None: ...

        @app.job(queue="mail", limits=Limit("smtp", running=2))
        async def mail() -> None: ...

        return app

    worked, app = with_jobs(make_app()), with_jobs(make_app())
    async with worked, app:
        if is_served:
            async with worked.worker(queues=["mail", "payments"]):
                pass
        for slip in ("secret-dael", "x"):
            with pytest.raises(ArgumentsError, match="its workers and jobs have smtp") as caught:
                await app.set_limit("mail", slip, running=3)
            assert "secret-deal" not in str(caught.value)
        for verb in (functools.partial(app.set_limit, running=3), app.reset_limit):
            with pytest.raises(ArgumentsError, match="the queue 'mail' has no limit 'secret-deal'"):
                await verb("mail", "secret-deal")
        await app.set_limit("payments", "secret-deal", running=1)
        assert [gate.gate for gate in await app.gates("mail")] == (["smtp"] if is_served else [])
        # By the ``Limit`` it is meant; from then on the queue has it.
        await app.set_limit("mail", deal, running=3)
        await app.set_limit("mail", "secret-deal", running=4)
        assert {gate.gate: gate.running for gate in await app.gates("mail")}["secret-deal"] == 4
        await app.reset_limit("mail", "secret-deal")
        with pytest.raises(ArgumentsError, match="To limit it ahead of its workers, use an app that names it"):
            await app.set_limit("later", deal, running=3)
        app.queue("later", running=9)
        await app.set_limit("later", deal, running=3)


async def test_two_who_change_one_number_each_lose_none(app: App, gauge: Gauge) -> None:
    with_work(app, gauge)
    app.queue("mail", running=5)
    async with app:
        for number in range(10):
            await asyncio.gather(
                app.set_limit("mail", running=number + 1), app.set_limit("mail", rate=f"{number + 1}/m")
            )
            assert str((await app.queue_stats("mail")).limit) == f"{number + 1} at once, {number + 1}/m"
