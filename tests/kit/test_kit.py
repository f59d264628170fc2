"""The test kit: what is sent is recorded, runs when the test says so, and by a clock that jumps."""

from __future__ import annotations

import asyncio
import base64
import threading
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextvars import ContextVar
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from unittest.mock import ANY

import pytest

from asyncjobs import (
    App,
    AppNotOpen,
    ArgumentsError,
    BrokerUnavailable,
    Cancel,
    Discard,
    Inject,
    JobCancelled,
    JobContext,
    JobFailed,
    JobHandle,
    JobRequest,
    JobState,
    Limit,
    Middleware,
    RateLimited,
    ResultExpired,
    ResultTimeout,
    Retry,
    RetryPolicy,
    Snooze,
    Unique,
    current_job,
    current_tenant,
    job,
    resource,
    tenant_scope,
)
from asyncjobs.middleware import CallNext, Send
from asyncjobs.testing import Attempt, Kit, fake_job

pytestmark = pytest.mark.anyio

# No server is there: what reaches it would fail.
NOWHERE = "redis://127.0.0.1:1/0"
DECISIONS = {
    "retry": Retry(after=5),
    "snooze": Snooze(60),
    "cancel": Cancel("unwanted"),
    "discard": Discard("unneeded"),
    "refused": RateLimited(after=60),
}
MONDAY = datetime(2026, 3, 2, 7, 0, tzinfo=UTC)


@dataclass
class Address:
    street: str
    number: int


class Noting(Middleware):
    """Notes what passes it."""

    def __init__(self) -> None:
        self.passed: list[str] = []

    async def enqueue(self, requests: Sequence[JobRequest[Any]], send: Send) -> list[JobHandle[Any]]:
        self.passed.append("enqueue")
        handles = await send([request.with_headers({"by": "noting"}) for request in requests])
        self.passed.append("sent")
        return handles

    async def process(self, job: JobContext, call_next: CallNext) -> Any:
        self.passed.append(f"process {job.headers['by']}")
        return await call_next(job)


@job
async def job_of_no_app(number: int) -> int:
    """A job of no app."""
    return number + 1


class Shop:
    """An app with jobs, and what they did."""

    def __init__(self) -> None:
        self.layer = Noting()
        self.app = app = App(NOWHERE, middleware=[self.layer])
        self.done: list[Any] = []

        @app.job(queue="mail")
        async def send(to: str, subject: str = "Hi") -> str:
            self.done.append(to)
            return f"to {to}"

        @app.job
        async def deliver(to: Address, parts: list[str]) -> str:
            self.done.append((to, parts))
            return to.street

        @app.job(retry=RetryPolicy(max_retries=2, jitter=False))
        async def fail(number: int) -> None:
            self.done.append(current_job().attempt)
            raise ValueError(number)

        @app.job(limits=Limit("provider", running=5))
        async def decide(how: str) -> None:
            if not self.done:
                self.done.append(how)
                raise DECISIONS[how]

        @app.job
        async def parent(number: int) -> str:
            self.done.append(number)
            return (await send.with_options(queue="children").delay(f"child {number}")).id

        @app.job
        def threaded(number: int) -> int:
            self.done.append(threading.current_thread().name)
            return number * 2

        self.send, self.deliver, self.fail, self.decide = send, deliver, fail, decide
        self.parent, self.threaded = parent, threaded


@pytest.fixture
def shop() -> Shop:
    return Shop()


@pytest.fixture
def kit(shop: Shop) -> Iterator[Kit]:
    with shop.app.testing() as opened:
        yield opened


@pytest.fixture
def eager(shop: Shop) -> Iterator[Kit]:
    with shop.app.testing(eager=True) as opened:
        yield opened


def outcomes(attempts: Sequence[Attempt]) -> list[tuple[str, int, str]]:
    return [(one.name, one.number, one.outcome) for one in attempts]


# -- what was sent


async def test_nothing_runs_until_the_test_says_so(shop: Shop, kit: Kit) -> None:
    handle = await shop.send.delay("ada")

    assert shop.done == []
    assert await handle.status() is JobState.PENDING


async def test_a_sent_job_is_found_with_its_arguments_however_they_were_passed(shop: Shop, kit: Kit) -> None:
    await shop.send.delay("ada")
    await shop.send.delay(subject="Bye", to="bob")

    assert kit.assert_sent(shop.send, to="ada", subject="Hi").arguments == {"to": "ada", "subject": "Hi"}
    assert kit.assert_sent(shop.send, "bob", "Bye").queue == "mail"
    assert kit.assert_sent(shop.send, ANY, subject="Bye").arguments["to"] == "bob"
    assert [one.arguments["to"] for one in kit.sent(shop.send)] == ["ada", "bob"]
    kit.assert_not_sent(shop.send, "ada", "Bye")
    kit.assert_not_sent(shop.deliver)


async def test_arguments_are_those_that_the_worker_gets(shop: Shop, kit: Kit) -> None:
    await shop.deliver.delay(Address("Main Street", 7), parts=["a", "b"])

    sent = kit.assert_sent(shop.deliver, Address("Main Street", 7), ["a", "b"])

    assert sent.arguments["to"] == Address("Main Street", 7)
    # As it would arrive.
    kit.assert_sent(shop.deliver, Address("Main Street", 7), ("a", "b"))  # type: ignore[arg-type]


async def test_a_wrong_argument_is_refused_where_the_job_is_sent(shop: Shop, kit: Kit) -> None:
    with pytest.raises(ArgumentsError, match="to"):
        shop.send.delay(7)  # type: ignore[arg-type]

    assert kit.sent() == []


async def test_an_assertion_that_the_handler_could_not_take_is_an_error_of_its_own(shop: Shop, kit: Kit) -> None:
    with pytest.raises(ArgumentsError, match="subjekt"):
        kit.assert_sent(shop.send, "ada", subjekt="Hi")  # type: ignore[call-overload]


async def test_a_failed_assertion_shows_what_was_sent_the_most_alike_first(shop: Shop, kit: Kit) -> None:
    await shop.threaded.delay(1)
    await shop.send.delay("bob")
    await shop.send.with_options(tenant="acme", priority="high").schedule_in(60, "ada", "Hello")

    with pytest.raises(AssertionError) as failed:
        kit.assert_sent(shop.send, "ada", "Hallo")

    assert str(failed.value).splitlines() == [
        "send(to='ada', subject='Hallo') was not sent. Sent were:",
        "  send(to='ada', subject='Hello'), in queue 'mail', with priority high, for tenant 'acme', due in 60 s",
        "  send(to='bob', subject='Hi'), in queue 'mail'",
        "  threaded(number=1)",
    ]
    with pytest.raises(AssertionError, match=r"send was sent\. Sent were:\n  send\(to='bob'"):
        kit.assert_not_sent(shop.send)


async def test_a_failed_assertion_says_that_nothing_was_sent(shop: Shop, kit: Kit) -> None:
    with pytest.raises(AssertionError, match=r"^send was not sent\. No job was sent\.$"):
        kit.assert_sent(shop.send)


async def test_every_way_to_send_is_recorded(shop: Shop, kit: Kit) -> None:
    await shop.app.enqueue_many([shop.send.request("many"), shop.threaded.request(2)])
    await shop.app.send("send", ["named"])
    await shop.app.send("elsewhere", {"to": "far"})
    await shop.app.enqueue_for_tenant("acme", shop.send.request("tenant"))
    await job_of_no_app.delay(1)

    assert [str(one).partition(",")[0] for one in kit.sent()] == [
        "send(to='many'",
        "threaded(number=2)",
        "send(to='named'",
        "elsewhere(to='far')",
        "send(to='tenant'",
        "job_of_no_app(number=1)",
    ]
    assert kit.assert_sent(shop.send, "tenant").tenant == "acme"


async def test_a_job_sent_twice_under_one_id_is_there_once(shop: Shop, kit: Kit) -> None:
    for _ in range(2):
        await shop.send.with_options(job_id="welcome-7").delay("ada")

    assert [one.id for one in kit.sent()] == ["welcome-7"]


async def test_a_unique_job_is_there_once_as_the_last_call_has_left_it(shop: Shop, kit: Kit) -> None:
    @shop.app.job(unique=Unique(by="user", on_conflict="replace"))
    async def sync(user: int, reason: str) -> None:
        shop.done.append(reason)

    for reason in ("clicked", "clicked again"):
        await sync.delay(7, reason)

    assert [one.arguments for one in kit.sent(sync)] == [{"user": 7, "reason": "clicked again"}]
    await kit.run()
    assert shop.done == ["clicked again"]


async def test_a_sent_job_leads_to_its_result(shop: Shop, kit: Kit) -> None:
    await shop.send.with_options(metadata={"order": 7}).delay("ada")
    await kit.run()

    sent = kit.assert_sent(shop.send, "ada")

    assert await sent.handle.result() == "to ada"
    assert sent.metadata == {"order": 7}
    assert sent.headers == {"by": "noting"}


async def test_encrypted_arguments_are_found_as_what_they_are() -> None:
    app = App(NOWHERE, encryption_keys=[base64.b64encode(bytes(range(32))).decode()])

    @app.job
    async def pay(card: str) -> str:
        return card

    with app.testing() as kit:
        await pay.delay("4111 1111")
        sent = kit.assert_sent(pay, "4111 1111")
        await kit.run()
        assert await sent.handle.result() == "4111 1111"


# -- running


async def test_a_run_runs_everything_with_what_it_sends_retries_and_jobs_of_later(shop: Shop, kit: Kit) -> None:
    began = kit.now
    await shop.parent.delay(1)
    await shop.send.schedule_in(timedelta(days=1), "late")
    await shop.fail.delay(7)

    attempts = await kit.run(check=False)

    assert outcomes(attempts) == [
        ("parent", 1, "completed"),
        ("fail", 1, "retrying"),
        ("send", 1, "completed"),
        ("fail", 2, "retrying"),
        ("fail", 3, "failed"),
        ("send", 1, "completed"),
    ]
    assert [(one.at - began).total_seconds() for one in attempts] == [0, 0, 0, 1, 3, 86_400]
    assert kit.now - began == timedelta(days=1)
    assert shop.done == [1, 1, "child 1", 2, 3, "late"]


async def test_what_a_job_died_of_is_raised_at_the_end_of_the_run(shop: Shop, kit: Kit) -> None:
    await shop.fail.delay(7)
    await shop.send.schedule_in(60, "ada")

    with pytest.raises(ValueError, match="7") as raised:
        await kit.run()

    assert shop.done == [1, 2, 3, "ada"]
    assert "(fail) at attempt 3" in raised.value.__notes__[0]


async def test_several_dead_jobs_are_raised_as_a_group(shop: Shop, kit: Kit) -> None:
    await shop.fail.delay(1)
    await shop.fail.delay(2)

    with pytest.raises(ExceptionGroup, match="2 jobs failed") as raised:
        await kit.run()

    assert [str(one) for one in raised.value.exceptions] == ["1", "2"]


@pytest.mark.parametrize(
    ("how", "expected"),
    [
        ("retry", [("decide", 1, "retrying"), ("decide", 2, "completed")]),
        ("snooze", [("decide", 1, "snoozed"), ("decide", 1, "completed")]),
        ("refused", [("decide", 1, "snoozed"), ("decide", 1, "completed")]),
        ("cancel", [("decide", 1, "cancelled")]),
        ("discard", [("decide", 1, "failed")]),
    ],
)
async def test_what_a_handler_decides_itself_is_no_error_of_the_test(
    shop: Shop, kit: Kit, how: str, expected: list[Any]
) -> None:
    await shop.decide.delay(how)

    assert outcomes(await kit.run()) == expected


async def test_a_time_passes_in_which_only_what_is_due_runs(shop: Shop, kit: Kit) -> None:
    began = kit.now
    await shop.send.schedule_in(60, "minute")
    await shop.send.schedule_in(3600, "hour")

    await kit.run_for(59)
    assert shop.done == []
    await kit.run_for(1)
    assert shop.done == ["minute"]
    assert kit.now - began == timedelta(seconds=60)
    await kit.run_for(timedelta(hours=1))
    assert shop.done == ["minute", "hour"]


async def test_the_clock_moves_without_running_anything(shop: Shop, kit: Kit) -> None:
    handle = await shop.send.with_options(expires=30).delay("too late")

    kit.advance(31)
    assert shop.done == []
    await kit.run()

    assert shop.done == []
    with pytest.raises(JobCancelled, match="expired"):
        await handle.result()


async def test_results_lapse_when_the_test_moves_the_clock_and_not_by_a_run(shop: Shop, kit: Kit) -> None:
    first = await shop.send.delay("ada")
    await shop.send.schedule_in(timedelta(days=7), "bob")
    await kit.run()

    assert await first.result() == "to ada"
    assert await first.status() is JobState.COMPLETED
    kit.advance(1)
    with pytest.raises(ResultExpired):
        await first.result()


async def test_a_result_that_is_removed_when_it_is_read_is_gone(shop: Shop, kit: Kit) -> None:
    handle = await shop.send.delay("ada")
    await kit.run()
    assert await handle.result(forget=True) == "to ada"
    with pytest.raises(ResultExpired):
        await handle.result()


async def test_a_job_that_is_sent_later_expires_later(shop: Shop, kit: Kit) -> None:
    kit.advance(timedelta(days=2))
    await shop.send.with_options(expires=30).delay("in time")

    await kit.run()

    assert shop.done == ["in time"]


async def test_schedules_fire_at_their_times(shop: Shop) -> None:
    @shop.app.job(cron="0 8 * * 1-5", timezone="UTC")
    async def report() -> None:
        shop.done.append(current_job().tick)

    with shop.app.testing(now=MONDAY) as kit:
        attempts = await kit.run_for(timedelta(days=7))

        assert [one.at for one in attempts] == [MONDAY + timedelta(days=day, hours=1) for day in range(5)]
        assert shop.done == [one.at for one in attempts]
        assert len(kit.sent(report)) == 5


async def test_schedules_fire_only_while_a_time_passes(shop: Shop, kit: Kit) -> None:
    await shop.send.schedule_in(2 * 3600, "bob")
    await kit.run()
    assert shop.done == ["bob"]

    await shop.app.add_schedule("hourly", shop.send.request("ada"), every=3600)
    await kit.run_for(2 * 3600)

    assert shop.done == ["bob", "ada", "ada"]


async def test_a_job_that_never_ends_is_told(shop: Shop, kit: Kit, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("asyncjobs.testing.running._MAX_ATTEMPTS", 20)

    @shop.app.job
    async def poll() -> None:
        raise Snooze(60)

    await poll.delay()

    with pytest.raises(RuntimeError, match=r"20 attempts have run.*poll.*kit\.run_for"):
        await kit.run()
    assert len(await kit.run_for(600)) == 10


async def test_a_run_that_needs_too_many_attempts_says_how_to_make_it_shorter(
    shop: Shop, kit: Kit, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("asyncjobs.testing.running._MAX_ATTEMPTS", 20)
    await shop.app.add_schedule("often", shop.send.request("ada"), every=5)

    with pytest.raises(RuntimeError, match=r"20 attempts have run.*send.*shorter time"):
        await kit.run_for(3600)


async def test_jobs_with_limits_run_at_the_times_that_those_allow(shop: Shop, kit: Kit) -> None:
    ran: list[tuple[int, datetime]] = []

    @shop.app.job(limits=[Limit("one", running=1), Limit("account", rate="10/s").by("account")])
    async def book(account: int) -> None:
        ran.append((account, kit.now))
        if len(ran) == 1:
            raise RateLimited("account", after=5)

    await shop.app.enqueue_many([book.request(account) for account in (1, 1, 2, 2)])
    began = kit.now
    await kit.run()

    assert [(account, (at - began) / timedelta(milliseconds=100)) for account, at in ran] == [
        (1, 0),
        (2, 0),
        (2, 1),
        (1, 50),
        (1, 51),
    ]


async def test_jobs_of_a_queue_with_a_rate_run_at_the_times_that_it_allows(shop: Shop, kit: Kit) -> None:
    @shop.app.job(queue="bank")
    async def charge(order: int) -> None:
        shop.done.append(order)

    shop.app.queue("bank", rate="10/s")
    for order in range(5):
        await charge.delay(order)

    some = await kit.run_for(0.2)
    rest = await kit.run()

    assert shop.done == [0, 1, 2, 3, 4]
    assert [(one.at - some[0].at).total_seconds() for one in [*some, *rest]] == [0.0, 0.1, 0.2, 0.3, 0.4]


async def test_jobs_run_one_after_the_other_in_the_order_of_production(shop: Shop, kit: Kit) -> None:
    at_once = [0, 0]

    @shop.app.job
    async def slow(number: int) -> None:
        at_once[0] += 1
        at_once[1] = max(at_once)
        await asyncio.sleep(0)
        at_once[0] -= 1
        shop.done.append(number)

    for number in range(5):
        await slow.delay(number)
    await slow.with_options(priority="high").delay(9)
    await kit.run()

    assert shop.done == [9, 0, 1, 2, 3, 4]
    assert at_once[1] == 1


async def test_jobs_that_wait_for_each_other_need_slots(shop: Shop) -> None:
    @shop.app.job(retry=RetryPolicy(max_retries=0))
    async def waiting() -> str:
        return await (await shop.send.delay("child")).result(timeout=10)

    with shop.app.testing() as kit:
        await waiting.delay()
        with pytest.raises(ResultTimeout, match=r"concurrency=2"):
            await kit.run()
    with shop.app.testing(concurrency=2) as kit:
        handle = await waiting.delay()
        await kit.run()
        assert await handle.result() == "to child"


async def test_a_wait_for_a_job_that_nothing_runs_is_refused_at_once(shop: Shop, kit: Kit) -> None:
    handle = await shop.send.delay("ada")

    with pytest.raises(ResultTimeout, match=r"await kit\.run\(\)"):
        await handle.result()
    with pytest.raises(ResultTimeout, match=r"await kit\.run\(\)"):
        async for _ in handle.events():
            pass


async def test_timeouts_and_results_that_cannot_be_kept_fail_as_in_production(shop: Shop, kit: Kit) -> None:
    @shop.app.job(timeout=0.05, retry=RetryPolicy(max_retries=0))
    async def hang() -> None:
        await asyncio.Event().wait()

    await hang.delay()

    with pytest.raises(JobFailed, match="TimeoutError"):
        await kit.run()


async def test_the_middleware_is_passed(shop: Shop, kit: Kit) -> None:
    await shop.send.delay("ada")
    assert shop.layer.passed == ["enqueue", "sent"]

    await kit.run()

    assert shop.layer.passed == ["enqueue", "sent", "process noting"]


async def test_resources_are_opened_and_closed_and_can_be_replaced(shop: Shop, kit: Kit) -> None:
    @resource(scope="worker")
    async def pool() -> AsyncIterator[str]:
        shop.done.append("opened")
        yield "pool"
        shop.done.append("closed")

    @shop.app.job
    async def use(pool: str = Inject(pool)) -> None:
        shop.done.append(pool)

    await use.delay()
    await kit.run()
    assert shop.done == ["opened", "pool", "closed"]

    await use.delay()
    with shop.app.override(pool, lambda: "fake"):
        await kit.run()
    assert shop.done == ["opened", "pool", "closed", "fake"]


async def test_the_tenant_goes_along(shop: Shop, kit: Kit) -> None:
    @shop.app.job
    async def tell_tenant() -> None:
        tenant = current_tenant()
        shop.done.append(tenant and tenant.tenant_id)

    with tenant_scope("acme"):
        await tell_tenant.delay()
        await kit.run()
    await tell_tenant.delay()
    await kit.run()

    assert shop.done == ["acme", None]


async def test_handlers_do_not_see_what_holds_where_a_job_is_sent(shop: Shop, eager: Kit) -> None:
    request: ContextVar[str] = ContextVar("request", default="none")

    @shop.app.job
    async def look() -> str:
        return request.get()

    request.set("of the web")

    assert await (await look.delay()).result() == "none"


async def test_a_running_job_can_be_cancelled(shop: Shop) -> None:
    begun = asyncio.Event()

    @shop.app.job
    async def hang() -> None:
        begun.set()
        await asyncio.Event().wait()

    with shop.app.testing() as kit:
        handle = await hang.delay()
        running = asyncio.create_task(kit.run())
        async with asyncio.timeout(10):
            await begun.wait()
            await handle.cancel()
            assert outcomes(await running) == [("hang", 1, "cancelled")]


# -- eager


async def test_an_eager_job_runs_before_its_send_returns(shop: Shop, eager: Kit) -> None:
    handle = await shop.send.delay("ada")

    assert shop.done == ["ada"]
    assert await handle.result() == "to ada"
    # Not inside of the middleware of sending, which would take an error of the handler for one of the broker.
    assert shop.layer.passed == ["enqueue", "sent", "process noting"]


async def test_an_eager_job_raises_what_its_handler_raised(shop: Shop, eager: Kit) -> None:
    with pytest.raises(ValueError, match="7"):
        await shop.fail.delay(7)

    assert shop.done == [1]
    # It is to be tried again, as in production.
    with pytest.raises(ValueError, match="7"):
        await eager.run()
    assert shop.done == [1, 2, 3]


@pytest.mark.parametrize("how", ["retry", "snooze", "cancel", "discard", "refused"])
async def test_what_an_eager_handler_decides_does_not_come_through(shop: Shop, eager: Kit, how: str) -> None:
    await shop.decide.delay(how)


async def test_eager_jobs_run_inside_of_each_other(shop: Shop, eager: Kit) -> None:
    await shop.parent.delay(1)

    assert shop.done == [1, "child 1"]
    assert outcomes(eager.attempts) == [("send", 1, "completed"), ("parent", 1, "completed")]


async def test_eager_jobs_sent_at_once_each_run_once(shop: Shop, eager: Kit) -> None:
    handles = await asyncio.gather(*(shop.send.delay(str(number)) for number in range(10)))
    await shop.app.enqueue_many([shop.send.request(str(number)) for number in range(10, 20)])

    assert sorted(map(int, shop.done)) == list(range(20))
    assert [await handle.result() for handle in handles] == [f"to {number}" for number in range(10)]


async def test_an_eager_job_of_later_waits_for_its_time(shop: Shop, eager: Kit) -> None:
    await shop.send.schedule_in(60, "later")
    assert shop.done == []

    await eager.run_for(60)

    assert shop.done == ["later"]


@pytest.mark.parametrize("is_async", [True, False])
async def test_what_a_hook_sends_is_left_to_its_worker(shop: Shop, eager: Kit, is_async: bool) -> None:
    def hook(to: str) -> Callable[[], Any]:
        async def send() -> None:
            await shop.send.delay(to)

        def send_sync() -> None:
            shop.send.delay_sync(to)

        return send if is_async else send_sync

    shop.app.on_worker_start(hook("at the start"))
    shop.app.on_worker_stop(hook("at the end"))

    await shop.send.delay("ada")

    assert shop.done == ["ada", "at the start"]
    eager.assert_sent(shop.send, "at the end")


async def test_what_a_resource_of_the_worker_sends_is_left_to_it(shop: Shop, eager: Kit) -> None:
    @resource(scope="worker")
    async def warm() -> AsyncIterator[str]:
        await shop.send.delay("warm")
        yield "warm"

    @shop.app.job
    async def use(it: str = Inject(warm)) -> None:
        shop.done.append(it)

    await use.delay()

    assert sorted(shop.done) == ["warm", "warm"]


# -- the app, its loops and threads


async def test_the_app_is_the_own_one_again_afterwards(shop: Shop) -> None:
    with shop.app.testing() as kit:
        await shop.send.delay("ada")
        await job_of_no_app.delay(1)

    with pytest.raises(AppNotOpen):
        await shop.send.delay("bob")
    with pytest.raises(AppNotOpen):
        await job_of_no_app.delay(1)
    assert len(kit.sent()) == 2


async def test_each_kit_has_its_own_jobs_and_clear_forgets_them(shop: Shop) -> None:
    with shop.app.testing() as kit:
        await shop.send.delay("ada")
        kit.clear()
        assert kit.sent() == []
        assert await kit.run() == []
    with shop.app.testing() as kit:
        assert await kit.run() == []


async def test_a_kit_is_entered_once(shop: Shop) -> None:
    with shop.app.testing() as kit:
        pass
    with pytest.raises(RuntimeError, match=r"app\.testing\(\)"), kit:
        pass


async def test_an_app_that_is_open_elsewhere_is_swapped_and_comes_back() -> None:
    app = App("memory://")

    @app.job
    async def add(number: int) -> int:
        return number + 1

    async with app, app.worker():
        with app.testing() as kit:
            await add.delay(1)
            await job_of_no_app.delay(1)
            assert len(kit.sent()) == 2
            assert len(await kit.run()) == 2
        async with asyncio.timeout(10):
            assert await (await add.delay(1)).result() == 2
            assert await (await job_of_no_app.delay(1)).result() == 2


async def test_a_kit_that_is_not_opened_finds_a_forgotten_lifespan(shop: Shop) -> None:
    with shop.app.testing(opened=False) as kit:
        with pytest.raises(AppNotOpen, match="lifespan"):
            await shop.send.delay("ada")
        async with shop.app:
            await shop.send.delay("ada")
        with pytest.raises(AppNotOpen):
            await shop.send.delay("bob")
        assert len(kit.sent()) == 1


def test_loops_may_come_and_go(shop: Shop, kit: Kit) -> None:
    async def send() -> None:
        await shop.send.delay("ada")

    for _ in range(2):
        asyncio.run(send())
    asyncio.run(kit.run())

    assert shop.done == ["ada", "ada"]


def test_code_without_a_loop_sends_and_runs_sync_handlers_in_its_own_thread(shop: Shop, kit: Kit) -> None:
    handle = shop.threaded.delay_sync(3)
    shop.app.sync.enqueue_many([shop.send.request("ada")])

    assert outcomes(kit.run_sync()) == [("threaded", 1, "completed"), ("send", 1, "completed")]
    assert shop.done == [threading.current_thread().name, "ada"]
    assert shop.app.sync.result(handle) == 6
    shop.done.clear()
    shop.app.sync.enqueue_many([shop.threaded.request(number) for number in range(20)])
    kit.run_sync()
    assert set(shop.done) == {threading.current_thread().name}


def test_code_without_a_loop_sends_for_its_tenant(shop: Shop, kit: Kit) -> None:
    request = shop.send.request("ada")

    with tenant_scope("acme"):
        shop.app.sync.enqueue_many([request])

    assert [one.tenant for one in kit.sent()] == ["acme"]


def test_a_sync_handler_that_waits_for_a_job_behind_it_is_told(shop: Shop, kit: Kit) -> None:
    @shop.app.job
    def wait() -> str:
        return shop.app.sync.result(shop.send.delay_sync("ada"))

    wait.delay_sync()

    with pytest.raises(ResultTimeout, match=r"testing\(concurrency=2\)"):
        kit.run_sync()


def test_eager_jobs_of_code_without_a_loop_raise_there(shop: Shop, eager: Kit) -> None:
    @shop.app.job
    def outer() -> None:
        shop.threaded.delay_sync(4)
        raise LookupError("gone")

    with pytest.raises(LookupError, match="gone"):
        outer.delay_sync()

    assert shop.done == [threading.current_thread().name]
    assert eager.run_for_sync(0) == []


async def test_a_synchronous_call_inside_a_loop_names_the_other_one(shop: Shop, kit: Kit) -> None:
    with pytest.raises(AppNotOpen, match=r"await kit\.run\(\)"):
        kit.run_sync()


@pytest.mark.parametrize(
    ("options", "problem"),
    [({"now": datetime(2026, 1, 1)}, "aware"), ({"now": 5}, "aware"), ({"concurrency": 0}, "concurrency=0")],  # noqa: DTZ001
)
def test_a_wrong_option_is_refused(shop: Shop, options: Any, problem: str) -> None:
    with pytest.raises(ArgumentsError, match=problem):
        shop.app.testing(**options)


# -- faults


async def test_a_broker_that_is_away_fails_at_once(shop: Shop, kit: Kit) -> None:
    handle = await shop.send.delay("before")

    with kit.broker_away():
        for call in (lambda: shop.send.delay("ada"), handle.status, shop.app.stats, kit.run):
            with pytest.raises(BrokerUnavailable, match="broker_away"):
                await call()
    await kit.run()

    assert shop.done == ["before"]


async def test_a_lost_reply_leaves_the_job_sent(shop: Shop, kit: Kit) -> None:
    with kit.lost_replies(), pytest.raises(BrokerUnavailable):
        await shop.send.with_options(job_id="once").delay("ada")
    handle = await shop.send.with_options(job_id="once").delay("ada")
    await kit.run()

    assert not handle.is_new
    assert shop.done == ["ada"]


async def test_a_killed_worker_lets_the_handler_run_twice(shop: Shop, kit: Kit) -> None:
    began = kit.now
    kit.kill_worker(shop.send)
    await shop.threaded.delay(1)
    handle = await shop.send.delay("ada")

    attempts = await kit.run()

    assert outcomes(attempts) == [
        ("threaded", 1, "completed"),
        ("send", 1, "killed"),
        ("send", 2, "completed"),
    ]
    lease = shop.app.settings.lease
    assert lease <= (kit.now - began).total_seconds() <= 1.5 * lease
    assert await handle.result() == "to ada"
    assert (await handle.refresh()).deaths == 1


async def test_a_job_that_kills_its_workers_dies(shop: Shop, kit: Kit) -> None:
    kit.kill_worker(times=10)
    await shop.send.delay("ada")

    with pytest.raises(JobFailed):
        await kit.run()

    assert shop.done == ["ada"] * shop.app.settings.max_deaths


# -- a made-up running job


async def test_a_handler_is_called_as_a_plain_function_with_a_made_up_job(shop: Shop) -> None:
    @shop.app.job
    async def export(path: str) -> str:
        context = current_job()
        context.progress(1, 2, path)
        context.emit({"path": path})
        context.log.info("exported %s", path)
        tenant = current_tenant()
        return f"{context.attempt} {context.metadata} {context.id} {tenant and tenant.tenant_id}"

    with fake_job(attempt=3, metadata={"order": 7}, tenant="acme", job_id="export-1") as made_up:
        assert await export("a.csv") == "3 {'order': 7} @acme:export-1 acme"

    assert [event.kind for event in made_up.events] == ["progress", "data", "log"]
    assert made_up.events[1].data == {"path": "a.csv"}
    assert made_up.last_progress == (1, 2, "a.csv")
    with pytest.raises(LookupError):
        current_job()


async def test_a_made_up_job_sends_with_the_open_app(shop: Shop, kit: Kit) -> None:
    with fake_job():
        await job_of_no_app.delay(1)
        await shop.send.delay("ada")

    assert len(kit.sent()) == 2


async def test_a_made_up_job_without_an_open_app_says_so() -> None:
    with fake_job(), pytest.raises(AppNotOpen, match="job_of_no_app"):
        await job_of_no_app.delay(1)


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({"attempt": 0}, "attempt=0"),
        ({"priority": "soon"}, "soon"),
        ({"tenant": ""}, "tenant"),
        ({"deadline": datetime(2026, 1, 1)}, "aware"),  # noqa: DTZ001
    ],
)
def test_a_wrong_option_of_a_made_up_job_is_refused(options: Any, problem: str) -> None:
    with pytest.raises(ArgumentsError, match=problem), fake_job(**options):
        pass
