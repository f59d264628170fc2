"""Unique and debounced jobs, as a program sends them."""

from __future__ import annotations

import asyncio
import datetime as dt
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import pytest
import redis

from asyncjobs import (
    AlreadySent,
    App,
    ArgumentsError,
    Debounce,
    DefinitionError,
    Inject,
    JobDefinition,
    JobState,
    PartlySent,
    RetryPolicy,
    Unique,
    Worker,
    tenant_scope,
)
from tests.security.keys import NEW
from tests.servers import Server
from tests.waiting import SOON, Notes, until

pytestmark = pytest.mark.anyio


@dataclass
class Place:
    street: str
    tags: set[str]


@pytest.fixture
def sync(app: App) -> JobDefinition[..., Any]:
    @app.job(unique=Unique(by="user"))
    async def sync(user: int, reason: str = "asked") -> str:
        return f"{user} {reason}"

    return sync


# -- which calls count as one


async def test_a_second_call_is_given_the_handle_of_the_first(app: App, sync: Any) -> None:
    async with app:
        first = await sync.delay(7)
        second = await sync.delay(7, reason="again")
        other = await sync.delay(8)
        assert (first.is_new, second.is_new, other.is_new) == (True, False, True)
        assert second.id == first.id != other.id
        await Worker(app).run_until_empty()
        assert await second.result(SOON) == "7 asked"
        assert (await sync.delay(7)).is_new
        job = await app.find_job(first.id)
        assert job.unique_key == (await app.find_job((await sync.delay(7)).id)).unique_key != ""


async def test_ten_thousand_calls_at_once_make_one_job(app: App, sync: Any) -> None:
    async with app:
        handles = await asyncio.gather(*(sync.delay(7) for _ in range(10_000)))
        assert len({handle.id for handle in handles}) == 1
        assert sum(handle.is_new for handle in handles) == 1
        assert (await app.queue_stats("default")).size == 1
        many = await app.enqueue_many([sync.request(number % 10) for number in range(5_000)])
        assert sum(handle.is_new for handle in many) == 9


async def test_calls_are_equal_by_values_and_not_by_how_they_are_passed(make_app: Callable[..., App]) -> None:
    app = make_app()

    @app.job(unique=Unique())
    async def visit(place: Place, when: dt.datetime, who: UUID | None = None, *more: str, count: int = 1) -> None: ...

    @app.job(unique=Unique(by=[]))
    async def alone(number: int) -> None: ...

    @app.job(unique=Unique(by=("names", "options")))
    async def rest(*names: str, **options: int) -> None: ...

    when = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
    names = [f"tag-{number}" for number in range(50)]
    backwards: set[str] = set()
    backwards.update(names[::-1])
    async with app:
        first = await visit.delay(Place("Here", set(names)), when)
        assert (await visit.delay(when=when, place=Place("Here", backwards), count=1)).id == first.id
        assert (await visit.delay(Place("Here", set(names)), when, None)).id == first.id
        assert (await visit.delay(Place("Here", {"tag-1"}), when)).is_new
        plain = {"place": {"street": "Here", "tags": names}, "when": when.isoformat()}
        assert (await app.send("visit", plain)).id == first.id
        assert [(await alone.delay(number)).is_new for number in range(3)] == [True, False, False]
        assert (await rest.delay("a", "b", x=1, y=2)).is_new
        assert not (await rest.delay("a", "b", y=2, x=1)).is_new
        assert (await rest.delay("a", x=1, y=2)).is_new


async def test_jobs_of_other_names_and_tenants_are_others(app: App, sync: Any) -> None:
    @app.job(unique=Unique(by="user"))
    async def other(user: int) -> None: ...

    async with app:
        handles = [await sync.delay(7), await other.delay(7)]
        for tenant in ("acme", "globex"):
            with tenant_scope(tenant):
                handles += [await sync.delay(7), await sync.delay(7)]
        assert [handle.is_new for handle in handles] == [True, True, True, False, True, False]
        assert not (await app.enqueue_for_tenant("acme", sync.request(7))).is_new


async def test_what_is_injected_does_not_count(app: App) -> None:
    @app.job(unique=Unique())
    async def work(number: int, *, db: str = Inject(lambda: "db")) -> None: ...

    async with app:
        assert [(await work.delay(1)).is_new for _ in range(2)] == [True, False]


# -- what a call does that meets another


async def test_a_call_can_be_refused_with_the_id_of_the_other_job(app: App) -> None:
    @app.job(unique=Unique(by="order", on_conflict="raise"))
    async def charge(order: int) -> None: ...

    async with app:
        first = await charge.delay(7)
        with pytest.raises(AlreadySent, match=f"charge was sent already: job {first.id} in queue 'default'") as refused:
            await charge.delay(7)
        assert (refused.value.job_id, refused.value.queue) == (first.id, "default")
        with pytest.raises(PartlySent) as partly:
            await app.enqueue_many([charge.request(8), charge.request(7), charge.request(9)])
        assert len(partly.value.sent) == 2
        assert isinstance(partly.value.__cause__, AlreadySent)


async def test_a_call_can_replace_the_arguments_of_a_job_that_waits(app: App) -> None:
    @app.job(unique=Unique(by="user", on_conflict="replace"))
    async def tell(user: int, text: str) -> str:
        return text

    async with app:
        first, second = await tell.delay(7, "one"), await tell.delay(7, "two")
        await Worker(app).run_until_empty()
        assert await first.result(SOON) == await second.result(SOON) == "two"


async def test_a_debounced_job_runs_once_with_the_last_arguments(app: App) -> None:
    ran: Notes[str] = Notes()

    @app.job(debounce=Debounce(0.5, by="document"))
    async def index(document: int, text: str) -> None:
        ran.append(text)

    async with app, app.worker():
        handles = [await index.delay(7, text) for text in ("a", "b", "c")]
        assert len({handle.id for handle in handles}) == 1
        assert (await handles[0].refresh()).due_at_ms is not None
        await handles[2].result(SOON)
        assert ran == ["c"]
        assert (await index.delay(7, "d")).is_new


async def test_a_debounced_job_has_no_time_of_its_own(app: App) -> None:
    @app.job(debounce=Debounce(5))
    async def index() -> None: ...

    async with app:
        with pytest.raises(ArgumentsError, match="index is debounced, so it starts 5 s after its last call"):
            await index.schedule_in(60)
        with pytest.raises(ArgumentsError, match="index is debounced, which would put off each tick"):
            await app.add_schedule("nightly", index.request(), every=60)


async def test_a_schedule_makes_no_job_while_that_of_its_last_tick_runs(make_app: Callable[..., App]) -> None:
    app = make_app(scheduler_interval=0.1)
    began: Notes[float] = Notes()
    go_on = asyncio.Event()

    @app.job(every=1, unique=Unique())
    async def slow() -> None:
        began.append(asyncio.get_running_loop().time())
        await go_on.wait()

    @app.job(every=1)
    async def other() -> None:
        began.append(0)

    async with app, app.worker():
        await until(lambda: began.count(0) >= 4, "four ticks of the other schedule")
        assert len([one for one in began if one]) == 1
        [schedule] = [one for one in await app.schedules() if one.id == "slow"]
        assert schedule.last_run is not None
        assert schedule.last_run.state is JobState.RUNNING
        go_on.set()
        await until(lambda: len([one for one in began if one]) >= 2, "a tick after the first job has ended")


async def test_a_trigger_of_a_schedule_meets_the_job_that_is_there(app: App, sync: Any) -> None:
    async with app:
        await app.add_schedule("nightly", sync.request(7), every=86_400)
        first = await app.trigger_schedule("nightly")
        assert not (await app.trigger_schedule("nightly")).is_new
        assert (await sync.delay(7)).id == first.id


async def test_encrypted_arguments_can_be_replaced_moved_and_sent_by_a_schedule(make_app: Callable[..., App]) -> None:
    app = make_app(encryption_keys=[NEW], queues=["default", "slow"])

    @app.job(unique=Unique(by="user", on_conflict="replace"))
    async def tell(user: int, text: str = "tick") -> str:
        return text

    @app.job(debounce=Debounce(0.2, by="user"))
    async def index(user: int, text: str) -> str:
        return text

    async with app:
        await tell.delay(7, "one")
        replaced = await tell.delay(7, "two")
        assert not replaced.is_new
        moved = await tell.delay(8, "moved")
        assert await app.edit_job(moved.id, queue="default", to_queue="slow") == "edited"
        await app.add_schedule("nightly", tell.request(9), every=86_400)
        ticked = await app.trigger_schedule("nightly")
        await index.delay(7, "a")
        debounced = await index.delay(7, "b")
        async with app.worker():
            assert await replaced.result(SOON) == "two"
            assert await app.handle(moved.id, queue="slow").result(SOON) == "moved"
            assert await ticked.result(SOON) == "tick"
            assert await debounced.result(SOON) == "b"


# -- what becomes of the key


async def test_a_job_that_is_moved_to_another_queue_leaves_its_key(make_app: Callable[..., App]) -> None:
    app = make_app(queues=["default", "slow"])

    @app.job(unique=Unique())
    async def work() -> None: ...

    async with app:
        first = await work.delay()
        there = await work.with_options(queue="slow").delay()
        assert there.is_new
        assert await app.edit_job(first.id, queue="default", to_queue="slow") == "edited"
        assert (await app.find_job(first.id, queue="slow")).state is JobState.PENDING
        assert (await work.delay()).is_new


async def test_the_next_call_runs_after_a_job_that_died_was_deleted_or_was_lost(redis_server: Server) -> None:
    client = redis_server.client()
    client.flushall()
    app = App(redis_server.url)

    @app.job(unique=Unique(by="number"), retry=RetryPolicy(max_retries=0))
    async def work(number: int, fails: bool) -> None:
        if fails:
            raise LookupError("no")

    async with app:
        dead = await work.delay(1, True)
        await Worker(app).run_until_empty()
        assert await dead.status() is JobState.FAILED
        assert (await work.delay(1, False)).is_new
        deleted = await work.delay(2, True)
        await Worker(app).run_until_empty()
        await app.delete_job(deleted.id)
        assert (await work.delay(2, False)).is_new
        lost = await work.delay(3, False)
        # As a server that has lost its last writes.
        client.delete(f"asyncjobs:{{default}}:job:{lost.id}")
        assert (await work.delay(3, False)).is_new
        await Worker(app).run_until_empty()
        assert client.hkeys("asyncjobs:{default}:unique") == []
    client.close()


async def test_a_key_that_something_else_has_written_refuses_nobody(redis_server: Server) -> None:
    client: redis.Redis = redis_server.client()
    client.flushall()
    app = App(redis_server.url)

    @app.job(unique=Unique())
    async def work() -> None: ...

    async with app:
        first = await work.delay()
        key = (await app.find_job(first.id)).unique_key
        for junk in ("junk", "1 2", "99999999999999999999 0 nobody", f"0 0 {'x' * 300}"):
            client.hset("asyncjobs:{default}:unique", key, junk)
            handle = await work.delay()
            assert handle.is_new == (not junk.startswith("9")), junk
    client.close()


# -- what is refused where the job is defined


def refused(**options: Any) -> str:
    with pytest.raises((ArgumentsError, DefinitionError)) as error:

        @App("memory://").job(**options)
        async def sync(user_id: int, filters: object = object, *rest: int) -> None: ...

    return str(error.value)


def test_by_names_parameters_of_the_job() -> None:
    told = refused(unique=Unique(by="user_ids"))
    assert "job 'sync': unique has by='user_ids'" in told
    assert "user_id, filters, rest" in told
    assert "Did you mean 'user_id'?" in told
    assert "job 'sync': debounce has by='user'" in refused(debounce=Debounce(5, by="user"))


def test_a_default_that_can_not_be_written_does_not_count() -> None:
    assert "unique goes by 'filters', whose default can't be written" in refused(unique=Unique())


def test_a_job_is_unique_or_debounced_and_no_schedule_is_debounced() -> None:
    assert "job 'sync' has both unique and debounce" in refused(unique=Unique(by=[]), debounce=Debounce(5, by=[]))
    assert "has both a schedule and debounce" in refused(debounce=Debounce(5, by=[]), every=60)
    assert refused(unique="user_id").startswith("unique='user_id': expected a Unique")
    assert refused(debounce=5).startswith("debounce=5: expected a Debounce")


@pytest.mark.parametrize(
    ("make", "told"),
    [
        (lambda: Unique(by=7), "by=7: expected the name of a parameter"),
        (lambda: Unique(by=["a", 7]), "by=\\['a', 7\\]: expected the name of a parameter"),
        (lambda: Unique(until="ended"), "until='ended': expected 'end' or 'start'"),
        (lambda: Unique(within=0), "within=0: expected at least 0.001 s"),
        (lambda: Unique(within=-1), "within=-1: expected at least 0.001 s"),
        (lambda: Unique(within="soon"), "within='soon': expected seconds"),
        (lambda: Unique(on_conflict="drop"), "on_conflict='drop': expected 'keep', 'replace' or 'raise'"),
        (lambda: Debounce(0), "wait=0: expected at least 0.001 s"),
        (lambda: Debounce("soon"), "wait='soon': expected seconds"),
        (lambda: Debounce(5, by=7), "by=7: expected the name of a parameter"),
        (lambda: Debounce(5, at_most=1), "at_most=1: expected as long as wait=5 or longer"),
    ],
)
def test_a_wrong_value_is_refused_where_it_is_written(make: Callable[[], Any], told: str) -> None:
    with pytest.raises(ArgumentsError, match=told):
        make()
