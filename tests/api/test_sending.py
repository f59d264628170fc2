"""What a sender may write, and what is refused at the call with nothing sent."""

from __future__ import annotations

import asyncio
import gc
import threading
import warnings
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import Any

import pytest
import redis.asyncio as redis

from asyncjobs import (
    App,
    AppNotOpen,
    ArgumentsError,
    AsyncJobsError,
    BrokerUnavailable,
    DefinitionError,
    JobCancelled,
    JobFailed,
    JobState,
    PartlySent,
    ResultExpired,
    ResultTimeout,
    RetryPolicy,
    UnknownJob,
    UnknownJobName,
    Worker,
    current_job,
    job,
)
from asyncjobs.app.brokers import make_broker
from asyncjobs.ports import NewJob
from tests.apps import broker_of
from tests.waiting import SOON, until

pytestmark = pytest.mark.anyio


@job
async def of_a_library(text: str) -> str:
    return text


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda work: work.schedule_at(datetime(2026, 1, 1), "a"), "naive datetime"),  # noqa: DTZ001
        (lambda work: work.schedule_at(timedelta(1), "a"), "use schedule_in"),
        (lambda work: work.schedule_at("tomorrow", "a"), "aware datetime"),
        (lambda work: work.schedule_in(-1, "a"), "delay=-1"),
        (lambda work: work.schedule_in("5", "a"), "delay='5'"),
        (lambda work: work.with_options(priority="urgent"), "'urgent' is not a priority"),
        (lambda work: work.with_options(queue="a queue"), "queue='a queue'"),
        (lambda work: work.with_options(max_retries=-1), "max_retries=-1"),
        (lambda work: work.with_options(job_id="a b"), "job_id='a b'"),
        (lambda work: work.with_options(metadata=5), "metadata=5"),
        (lambda work: work.with_options(timeout=0), "timeout=0"),
        (lambda work: work.with_options(tenant=""), "tenant=''"),
        (lambda work: work.with_options(acks="never"), "acks='never'"),
        (lambda work: work.with_options(durability="maybe"), "durability='maybe'"),
        (lambda work: work.with_options(metadata={"a": object()}).delay("a"), "metadata can't be encoded"),
        (lambda work: work.delay(5), "argument 'text'"),
        (lambda work: work.delay(), "is missing 'text'"),
        (lambda work: work.delay("x" * 2_000_000), "max_payload"),
    ],
)
async def test_a_wrong_call_is_refused_at_the_call_and_nothing_is_sent(
    app: App, call: Callable[[Any], object], message: str
) -> None:
    @app.job
    async def work(text: str) -> None: ...

    async with app:
        with pytest.raises(ArgumentsError, match=message):
            call(work)
        assert (await app.queue_stats("default")).size == 0


async def test_options_of_the_call_win_over_the_definition_and_that_over_the_app(make_app: Callable[..., App]) -> None:
    app = make_app()

    @app.job(queue="emails", priority="high")
    async def work() -> None: ...

    @app.job
    async def plain() -> None: ...

    async with app:
        defined = await (await work.delay()).refresh()
        called = await (
            await work.with_options(queue="other", priority="low").with_options(max_retries=9).delay()
        ).refresh()
        default = await (await plain.delay()).refresh()
    assert (defined.queue, defined.priority.label) == ("emails", "high")
    assert (called.queue, called.priority.label, called.envelope.max_retries) == ("other", "low", 9)
    assert (default.queue, default.priority.label, default.envelope.max_retries) == ("default", "normal", None)


async def test_only_what_the_call_overrides_travels(app: App) -> None:
    @app.job(retry=RetryPolicy(max_retries=9), timeout=5, result_ttl=60)
    async def work() -> None: ...

    async with app:
        envelope = (await (await work.delay()).refresh()).envelope
    assert (envelope.max_retries, envelope.timeout_ms, envelope.result_ttl_ms) == (None, None, None)


def test_two_jobs_of_one_name_are_refused_and_a_reloaded_one_is_not() -> None:
    app = App("memory://")

    def define() -> None:
        @app.job(name="same")
        async def work() -> None: ...

    define()
    define()
    with pytest.raises(DefinitionError, match="two jobs are named 'same'"):

        @app.job(aliases=("same",))
        async def other() -> None: ...


def test_an_unknown_option_of_the_decorator_is_refused_with_the_nearest() -> None:
    with pytest.raises(DefinitionError, match="Did you mean 'priority'"):
        App("memory://").job(prioritty="high")  # type: ignore[call-overload]


def test_an_unknown_name_is_told_with_the_nearest() -> None:
    app = App("memory://")

    @app.job
    async def send_email() -> None: ...

    with pytest.raises(UnknownJobName, match="Did you mean 'send_email'"):
        app.registry.get("send_emial")


async def test_the_decorated_function_stays_callable(app: App) -> None:
    @app.job
    async def work(number: int) -> int:
        """Say what it does."""
        return number + 1

    @app.job
    def sync_work(number: int) -> int:
        return number + 2

    assert (await work(1), sync_work(1), work.__name__, work.__doc__) == (2, 3, "work", "Say what it does.")


async def test_a_forgotten_await_warns_with_the_jobs_name_and_the_line(app: App) -> None:
    @app.job
    async def work() -> None: ...

    async with app:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            work.delay()
            gc.collect()
        assert (await app.queue_stats("default")).size == 0
    [warning] = [str(one.message) for one in caught if issubclass(one.category, RuntimeWarning)]
    assert "'work' at" in warning
    assert "test_sending.py:" in warning


async def test_a_sending_may_be_gathered_or_be_a_task_and_awaited_once(app: App) -> None:
    @app.job
    async def work() -> None: ...

    async with app:
        await asyncio.gather(work.delay(), work.delay())
        await asyncio.create_task(work.delay())
        sending = work.delay()
        await sending
        with pytest.raises(RuntimeError, match="awaited before"):
            await sending
        assert (await app.queue_stats("default")).size == 4


async def test_many_concurrent_sends_are_all_accepted_in_few_round_trips(app: App) -> None:
    @app.job
    async def work(number: int) -> None: ...

    async with app:
        handles = await asyncio.gather(*(work.delay(number) for number in range(500)))
        assert len({handle.id for handle in handles}) == 500
        assert (await app.queue_stats("default")).size == 500


async def test_a_librarys_job_needs_exactly_one_open_app_or_a_name() -> None:
    with pytest.raises(AppNotOpen, match="no app is open"):
        of_a_library.delay("x")
    async with App("memory://") as one:
        assert await (await of_a_library.delay("x")).status() is JobState.PENDING
        async with App("memory://") as other:
            with pytest.raises(AppNotOpen, match=r"2 apps are open.*with_options\(app=app\)"):
                of_a_library.delay("x")
            await of_a_library.with_options(app=other).delay("x")
            assert [(await app.queue_stats("default")).size for app in (one, other)] == [1, 1]


async def test_an_app_that_is_opened_twice_at_once_is_open_once(app: App, make_app: Callable[..., App]) -> None:
    async def use(one: App, passes: int) -> None:
        for _ in range(passes):
            async with one:
                await asyncio.sleep(0)
                await of_a_library.with_options(app=one).delay("x")

    await asyncio.gather(*(use(app, passes) for passes in range(1, 8)))
    with pytest.raises(AppNotOpen, match="no app is open"):
        of_a_library.delay("x")
    async with app:
        await of_a_library.delay("x")
        assert (await app.queue_stats("default")).size == 29


async def test_a_broker_that_several_apps_open_at_once_is_closed_after_the_last(redis_url: str) -> None:
    # Apps of other tests open and close connections too, to another database.
    broker = make_broker(App(redis_url.replace("/0", "/7")).settings.server, "shared")
    first, second = App("memory://", broker=broker), App("memory://", broker=broker)
    async with redis.from_url(redis_url) as client:

        async def is_closed() -> bool:
            return all(one["db"] != "7" for one in await client.client_list())

        await asyncio.gather(first.__aenter__(), second.__aenter__())
        assert not await is_closed()
        await first.__aexit__(None, None, None)
        assert not await is_closed()
        await second.__aexit__(None, None, None)
        await until(is_closed, "the server has no connection of the broker")


async def test_an_app_that_is_not_open_says_so_at_the_call(app: App) -> None:
    @app.job
    async def work() -> None: ...

    with pytest.raises(AppNotOpen, match="async with app"):
        work.delay()
    with pytest.raises(AppNotOpen):
        await app.stats()


async def test_a_verb_may_be_awaited_in_another_threads_loop(app: App) -> None:
    @app.job
    async def work() -> str:
        return "done"

    async with app, app.worker():
        found: list[Any] = []

        async def elsewhere() -> None:
            found.append(await (await work.delay()).result(SOON))
            found.append((await app.stats()).total_succeeded)

        thread = threading.Thread(target=lambda: asyncio.run(elsewhere()))
        thread.start()
        await asyncio.to_thread(thread.join)
    assert found == ["done", 1]


async def test_a_handle_tells_what_became_of_the_job(app: App) -> None:
    @app.job(retry=RetryPolicy(max_retries=0))
    async def fail() -> None:
        raise ValueError("no")

    @app.job(result_ttl=0)
    async def unkept() -> int:
        return 1

    @app.job
    async def work() -> int:
        return current_job().attempt

    async with app:
        waiting = await work.schedule_in(3600)
        with pytest.raises(ResultTimeout):
            await waiting.result(timeout=0.02)
        assert await waiting.cancel("enough")
        with pytest.raises(JobCancelled, match="enough"):
            await waiting.result(SOON)
        failed, without = await fail.delay(), await unkept.delay()
        await Worker(app).run_until_empty()
        with pytest.raises(JobFailed) as caught:
            await failed.result(SOON)
        assert (caught.value.error_type, caught.value.error_message) == ("ValueError", "no")
        with pytest.raises(ResultExpired, match="result_ttl is 0"):
            await without.result(SOON)
        await app.delete_job(without.id, queue="default")
        with pytest.raises(ResultExpired):
            await without.result(SOON)
        with pytest.raises(UnknownJob):
            await app.handle("nobody").result(SOON)
        with pytest.raises(UnknownJob):
            await app.retry_job("nobody")
        assert await app.retry_job(failed.id)
        assert await failed.status() is JobState.PENDING


async def test_statistics_have_the_names_that_programs_rely_on(app: App) -> None:
    @app.job(queue="emails")
    async def work() -> None: ...

    async with app, app.worker(queues=["emails"]) as worker:
        await (await work.delay()).result(SOON)
        stats = await app.stats()
        [queue] = [queue for queue in stats.queues if queue.queue_name == "emails"]
        [present] = stats.workers
        history = await app.job_history("work", 10)
    assert (stats.total_processed, stats.total_succeeded, stats.total_failed) == (1, 1, 0)
    assert (queue.size, queue.processed_total, queue.succeeded_total, queue.failed_total) == (0, 1, 1, 0)
    assert queue.avg_duration_ms is not None
    assert (present.id, present.queues) == (worker.id, ("emails",))
    assert [entry.state for entry in history] == ["completed"]


async def test_a_bulk_send_that_breaks_off_says_which_jobs_were_sent(
    make_app: Callable[..., App], monkeypatch: pytest.MonkeyPatch
) -> None:
    # Time enough for the first thousand, on a busy machine too.
    app = make_app(send_timeout=1)

    @app.job
    async def work(number: int) -> None: ...

    async with app:
        real, calls = broker_of(app).enqueue, []

        async def enqueue(jobs: Sequence[NewJob], *, replicated: bool = False) -> list[bool]:
            calls.append(len(jobs))
            if len(calls) > 1:
                raise BrokerUnavailable("away")
            return await real(jobs)

        monkeypatch.setattr(broker_of(app), "enqueue", enqueue)
        with pytest.raises(PartlySent, match="1000 jobs were sent, 500 were not") as caught:
            await app.enqueue_many([work.request(number) for number in range(1_500)])
        assert (len(caught.value.sent), len(caught.value.unsent)) == (1_000, 500)
        assert (await app.queue_stats("default")).size == 1_000


def test_outside_a_job_there_is_no_current_one() -> None:
    with pytest.raises(LookupError, match="outside a job"):
        current_job()


def test_all_errors_have_one_root_save_those_that_a_handler_raises_on_purpose() -> None:
    import asyncjobs
    from asyncjobs.jobs.steering import Steering

    errors = [value for value in vars(asyncjobs).values() if isinstance(value, type) and issubclass(value, Exception)]
    assert errors
    assert all(issubclass(error, AsyncJobsError | Steering) for error in errors)
