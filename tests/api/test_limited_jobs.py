"""Jobs with limits, and queues whose jobs take turns, as workers run them."""

from __future__ import annotations

import asyncio
import logging
import time
from collections import Counter
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest

from asyncjobs import TENANT, App, ArgumentsError, Limit, Rate, RateLimited, Worker, acting, tenant_scope
from asyncjobs.core.lines import short_value
from tests.waiting import SOON, Notes, until
from tests.worker import process_handlers as handlers

pytestmark = pytest.mark.anyio

customer = Limit("customer", running=2)


class Gauge:
    """How many handlers run by key, and have run at most at once."""

    def __init__(self) -> None:
        self.now: Counter[object] = Counter()
        self.most: Counter[object] = Counter()
        self.began: Notes[tuple[object, float]] = Notes()
        self.may_end = asyncio.Event()

    async def run(self, key: object) -> None:
        self.began.append((key, time.monotonic()))
        for one in (key, "all"):
            self.now[one] += 1
            self.most[one] = max(self.most[one], self.now[one])
        try:
            await self.may_end.wait()
        finally:
            for one in (key, "all"):
                self.now[one] -= 1

    @property
    def keys(self) -> list[object]:
        return [key for key, _ in self.began]


@pytest.fixture
def gauge() -> Gauge:
    return Gauge()


def with_work(app: App, gauge: Gauge, limits: Any = ()) -> Any:
    @app.job(limits=limits)
    async def work(key: int) -> None:
        await gauge.run(key)

    return work


async def test_of_each_value_and_of_all_no_more_run_than_their_limits_let(app: App, gauge: Gauge) -> None:
    work = with_work(app, gauge, [Limit("all", running=5), customer.by("key")])
    async with app, app.worker(concurrency=20):
        handles = await app.enqueue_many([work.request(number % 4) for number in range(40)])
        await gauge.began.reach(5)
        stats = {gate.gate: gate for gate in await app.gates("default")}
        assert (stats["all"].in_use, stats["all"].running) == (5, 5)
        gauge.may_end.set()
        for handle in handles:
            await handle.result(timeout=30)
    assert gauge.most["all"] == 5
    assert max(gauge.most[key] for key in range(4)) == 2


async def test_a_job_that_ends_while_the_worker_claims_is_followed_by_the_next(make_app: Callable[..., App]) -> None:
    app = make_app(poll_interval=60)

    @app.job(limits=Limit("wide", running=1_000).by("key"))
    async def quick(key: str) -> str:
        return key

    async with app, app.worker(concurrency=1):
        handles = await app.enqueue_many([quick.request("one") for _ in range(100)])
        # Together, not each: the worker looks again by itself after some seconds.
        async with asyncio.timeout(SOON):
            for handle in handles:
                assert await handle.result(None) == "one"


async def test_a_worker_that_ends_with_its_queues_waits_for_the_rates_of_limits(app: App) -> None:
    asked: list[int] = []

    @app.job(limits=Limit("mail", rate=Rate(5, burst=1)).by("host"))
    async def send(host: str, number: int) -> int:
        asked.append(number)
        if number == 2 and asked.count(2) == 1:
            raise RateLimited(after=1.5)
        return number

    async with app:
        handles = await app.enqueue_many([send.request("example.com", number) for number in range(5)])
        async with asyncio.timeout(SOON):
            await Worker(app, concurrency=2).run_until_empty()
        assert [await handle.result(0) for handle in handles] == [0, 1, 2, 3, 4]


async def test_a_closed_value_holds_nobody_else_up(app: App, gauge: Gauge) -> None:
    work = with_work(app, gauge, customer.by("key"))
    async with app, app.worker(concurrency=10):
        await app.enqueue_many([work.request(1) for _ in range(500)])
        await gauge.began.reach(2)
        await work.delay(2)
        await gauge.began.reach(3)
        assert gauge.keys == [1, 1, 2]
        gauge.may_end.set()
        await gauge.began.reach(501)


async def test_jobs_of_a_limit_start_no_faster_than_its_rate(app: App, gauge: Gauge) -> None:
    work = with_work(app, gauge, Limit("slowly", rate=Rate(40, burst=4)).by("key"))
    gauge.may_end.set()
    async with app, app.worker(concurrency=20):
        await app.enqueue_many([work.request(key) for key in (1, 2) for _ in range(24)])
        await gauge.began.reach(48)
    for key in (1, 2):
        began = [at for one, at in gauge.began if one == key]
        # 20 after the burst of 4, one each 25 ms.
        assert 0.4 <= began[-1] - began[0] <= 4


async def test_the_same_limit_of_two_jobs_is_one(app: App, gauge: Gauge) -> None:
    first = with_work(app, gauge, customer)

    @app.job(limits=customer)
    async def second(key: int) -> None:
        await gauge.run(key)

    async with app, app.worker(concurrency=10):
        for key in range(3):
            await first.delay(key)
            await second.delay(key)
        await gauge.began.reach(2)
        gauge.may_end.set()
        await gauge.began.reach(6)
    assert gauge.most["all"] == 2


async def test_numbers_are_changed_and_reset_while_workers_run(app: App, gauge: Gauge) -> None:
    work = with_work(app, gauge, customer.by("key"))
    async with app, app.worker(concurrency=20):
        await app.enqueue_many([work.request(key) for key in (1, 2) for _ in range(8)])
        await gauge.began.reach(4)
        with acting("ada@example.com"):
            await app.set_limit("default", customer, 1, running=3)
        await gauge.began.reach(5)
        await app.set_limit("default", "customer=1", running=4)
        await gauge.began.reach(6)
        assert Counter(gauge.keys) == {1: 4, 2: 2}
        await app.set_limit("default", customer, running=5)
        await gauge.began.reach(9)
        assert Counter(gauge.keys) == {1: 4, 2: 5}
        # What isn't given stays as it is.
        await app.set_limit("default", customer, 1, rate="1000/s")
        told = {gate.gate: gate for gate in await app.gates("default")}
        assert (told["customer=1"].running, told["customer=1"].rate) == (4, "1000/s")
        assert (told["customer=1"].is_set, told["customer"].running, told["customer"].is_set) == (True, 5, True)
        await app.reset_limit("default", customer, 1)
        await gauge.began.reach(10)
        await app.reset_limit("default", "customer")
        told = {gate.gate: gate for gate in await app.gates("default")}
        assert (told["customer"].running, told["customer"].is_set) == (2, False)
        gauge.may_end.set()
        await gauge.began.reach(16)
        entries = [(entry.verb, entry.queue, entry.note) for entry in await app.audit()]
    assert ("set_limit", "default", "customer=1: 4 at once, 1000/s") in entries
    assert ("reset_limit", "default", "customer=1") in entries


async def test_the_program_that_starts_last_declares_limits_and_says_so(
    make_app: Callable[..., App], gauge: Gauge, caplog: pytest.LogCaptureFixture
) -> None:
    old, new = make_app(), make_app()
    with_work(old, gauge, [Limit("work", running=1), Limit("mail", running=1)])
    with_work(new, gauge, Limit("work", running=3))
    old.queue("default", fair_by="key", weights={1: 3})
    with caplog.at_level(logging.WARNING, "asyncjobs.worker"):
        async with old, old.worker():
            assert not caplog.records
            async with new, new.worker():
                told = {gate.gate: gate.limit for gate in await new.gates("default")}
                assert told == {"work": "3 at once"}
    text = caplog.text
    assert "the limit 'work' of the queue default is 3 at once now, as this program says; it was 1 at once" in text
    assert "the limit 'mail' of the queue default is no limit now, as this program says; it was 1 at once" in text
    assert "the weight of '1' of the queue default is 1 now, as this program says; it was 3" in text


async def test_limits_are_told_of_in_the_queues_of_their_jobs_and_where_they_are_used(app: App, gauge: Gauge) -> None:
    work = with_work(app, gauge, customer.by("key"))

    @app.job(queue="mail", limits=[Limit("mail", rate="50/s"), Limit("shared", running=5)])
    async def send() -> None: ...

    @app.job(limits=Limit("shared", running=5))
    async def other() -> None: ...

    async def told(queue: str) -> set[str]:
        return {gate.gate for gate in await app.gates(queue)}

    async with app, Worker(app, queues=["default", "mail"], concurrency=5).running():
        assert await told("default") == {"customer", "shared"}
        assert await told("mail") == {"mail", "shared"}
        # A job that is sent elsewhere has its limits there.
        for _ in range(3):
            await work.with_options(queue="mail").delay(1)
        await gauge.began.reach(2)
        assert await told("mail") == {"mail", "shared", "customer", "customer=1"}
        gauge.may_end.set()
        await gauge.began.reach(3)
    assert gauge.most[1] == 2


async def test_groups_take_turns_by_their_weights(app: App) -> None:
    app.queue("default", fair_by="plan", weights={"gold": 3})
    order: list[str] = []

    @app.job
    async def report(plan: str) -> None:
        order.append(plan)

    async with app:
        await app.enqueue_many([report.request(plan) for plan in ("tin", "gold") for _ in range(100)])
        await report.delay("late")
        await Worker(app, concurrency=1).run_until_empty()
    assert order.index("late") < 4
    assert 58 <= order[:80].count("gold") <= 61
    assert Counter(order) == {"tin": 100, "gold": 100, "late": 1}


async def test_one_job_of_a_tenant_waits_for_a_turn_and_not_for_the_jobs_of_another(app: App) -> None:
    app.queue("default", fair_by=TENANT)
    order: list[int] = []

    @app.job
    async def work(number: int) -> None:
        order.append(number)

    async with app:
        with tenant_scope("acme"):
            await app.enqueue_many([work.request(number) for number in range(500)])
        with tenant_scope("globex"):
            await work.delay(1_000)
        await work.delay(2_000)
        await Worker(app, concurrency=1).run_until_empty()
    assert order.index(1_000) <= 3
    assert order.index(2_000) <= 3
    assert [number for number in order if number < 1_000] == list(range(500))


async def test_groups_share_the_time_that_their_jobs_run(app: App, monkeypatch: pytest.MonkeyPatch) -> None:
    app.queue("default", fair_by="millis", fair="time")
    order: list[int] = []

    @app.job
    async def run(millis: int) -> None:
        order.append(millis)
        # A busy machine would make short runs as long as the others.
        clock.now_ns += millis * 1_000_000

    clock = SimpleNamespace(now_ns=0, perf_counter_ns=lambda: clock.now_ns)
    monkeypatch.setattr("asyncjobs.worker.execution.pipeline.time", clock)
    async with app:
        await app.enqueue_many([run.request(millis) for millis in (10, 50) for _ in range(60)])
        async with app.worker(concurrency=1):
            await until(lambda: len(order) >= 60, "enough have run")
    # Five of the short ones for each long one.
    assert 48 <= order[:60].count(10) <= 52


async def test_a_limit_that_a_handler_has_closed_lets_no_other_job_of_its_value_start(app: App) -> None:
    began: Notes[tuple[int, float]] = Notes()

    @app.job(limits=[Limit("all", running=1), customer.by("key")])
    async def work(key: int) -> None:
        began.append((key, time.monotonic()))
        if len(began) == 1:
            raise RateLimited(customer, after=1)

    async with app:
        handles = await app.enqueue_many([work.request(key) for key in (1, 1, 1, 2, 2)])
        async with app.worker(concurrency=5):
            await began.reach(3)
            [gate] = [one for one in await app.gates("default") if one.gate == "customer=1"]
            assert gate.is_closed
            found = await app.why(handles[1].id)
            assert "customer=1" in str(found)
            for handle in handles:
                await handle.result(timeout=30)
    assert [key for key, _ in began] == [1, 2, 2, 1, 1, 1]
    assert all(at - began[0][1] >= 0.9 for _, at in began[3:])


async def test_a_handler_in_a_process_closes_a_limit_too(app: App) -> None:
    refused = app.job(executor="process", limits=customer.by("key"))(handlers.refused.function)
    async with app, app.worker():
        handle = await refused.delay(7)
        await until(lambda: is_closed(app, "customer=7"), "the limit is closed")
        assert await handle.cancel()


async def is_closed(app: App, name: str) -> bool:
    return any(gate.gate == name and gate.is_closed for gate in await app.gates("default"))


async def test_a_moved_job_takes_its_limits_along(app: App, gauge: Gauge) -> None:
    work = with_work(app, gauge, customer.by("key"))
    async with app:
        moved = [await work.delay(1) for _ in range(3)]
        for handle in moved:
            await app.edit_job(handle.id, to_queue="other")
        async with Worker(app, queues=["other"], concurrency=5).running():
            await gauge.began.reach(2)
            assert (await app.queue_stats("other")).pending == 1
            gauge.may_end.set()
            await gauge.began.reach(3)


async def test_a_job_that_was_sent_without_its_limits_is_told_of_once(
    make_app: Callable[..., App], gauge: Gauge, caplog: pytest.LogCaptureFixture
) -> None:
    app, elsewhere = make_app(), make_app()
    with_work(app, gauge, [Limit("all", running=5), customer.by("key")])
    gauge.may_end.set()
    async with elsewhere, app:
        handles = [await elsewhere.send("work", [number]) for number in range(3)]
        with caplog.at_level(logging.WARNING, "asyncjobs.worker"):
            async with app.worker():
                for handle in handles:
                    await handle.result(timeout=20)
    assert caplog.text.count("were sent without their limits (all, customer)") == 1


async def test_retries_and_ticks_keep_to_limits(app: App, gauge: Gauge) -> None:
    gauge.may_end.set()

    @app.job(limits=Limit("one", running=1), every=3_600, at_start=True)
    async def tick(key: int = 1) -> None:
        await gauge.run(key)
        await asyncio.sleep(0.01)
        if len(gauge.began) <= 6:
            raise LookupError("not yet")

    async with app, app.worker(concurrency=5):
        for key in range(2, 6):
            await tick.delay(key)
        await gauge.began.reach(11)
    assert gauge.most["all"] == 1


async def test_a_limit_is_set_for_a_gate_that_a_job_can_have(app: App) -> None:
    @app.job(limits=[customer.by("key"), Limit("pair", running=1).by("key", "other")])
    async def work(key: str, other: str = "") -> None: ...

    async with app:
        odd = ["~x", "~a\x1fb", "~" + "x" * 21, "~" + "x" * 23, "~" + "ü" * 22]
        for value in odd:
            await app.set_limit("default", f"customer={value}", running=9)
        await app.set_limit("default", "customer=~\ud800", running=9)
        told = {one.gate for one in await app.gates("default") if one.running == 9}
        assert told == {f"customer={short_value(value)}" for value in (*odd, "~\ud800")}
        # What is told may be given again.
        for gate in told:
            await app.reset_limit("default", gate)
        assert {one.running for one in await app.gates("default")} <= {1, 2, 3}
        pair = Limit("pair", running=1).by("key", "other")
        for limit, value, expected in (
            ("customer", (), "one or more"),
            (pair, ("a",), "as many as"),
            (pair, "a", "as"),
        ):
            with pytest.raises(ArgumentsError, match=rf"value=.* values of the limit .* expected {expected}"):
                await app.set_limit("default", limit, value, running=9)
        await app.set_limit("default", pair, ("a", "b"), running=9)
        assert "pair=a,b" in {one.gate for one in await app.gates("default")}
