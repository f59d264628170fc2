"""Calls that are right: no checker may complain."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Unpack, assert_type

from asyncjobs import (
    TENANT,
    App,
    AsyncJobDefinition,
    CancelResult,
    DeadFilter,
    Debounce,
    Duration,
    EditResult,
    Health,
    HistoryEntry,
    Inject,
    Job,
    JobCall,
    JobContext,
    JobError,
    JobEvent,
    JobHandle,
    JobRequest,
    JobState,
    Limit,
    Middleware,
    Rate,
    RateLimited,
    Retry,
    RetryPolicy,
    ScheduleInfo,
    Secret,
    Settings,
    Stats,
    SyncApp,
    Unique,
    Worker,
    current_job,
    job,
    resource,
)
from asyncjobs.middleware import CallNext, DefaultTimeout, Send, Translate
from asyncjobs.telemetry import QueueGauges
from asyncjobs.testing import Attempt, Kit, SentJob, fake_job


class Layer(Middleware):
    async def enqueue(self, requests: Sequence[JobRequest[Any]], send: Send) -> list[JobHandle[Any]]:
        return await send([one.with_headers({"from": "here"}) for one in requests])

    async def process(self, job: JobContext, call_next: CallNext) -> Any:
        return await call_next(job)


app = App(
    "memory://",
    middleware=[Layer(), DefaultTimeout(60), Translate({ConnectionError: lambda error: Retry(after=5)})],
    lease=timedelta(seconds=10),
    queues=["emails"],
    durability="replicated",
)


@dataclass
class Order:
    number: int


@app.job
async def plain(to: str, count: int = 1) -> str:
    return to * count


@app.job(queue="emails", priority="high", retry=RetryPolicy(max_retries=5), timeout=timedelta(seconds=3))
async def with_options(order: Order) -> int:
    return order.number


@job
def thumbnail(path: str, *, size: int) -> bytes:
    return path.encode() * size


@app.job(unique=Unique(by=["user", "day"], until="start", within=timedelta(hours=1), on_conflict="replace"))
async def digest(user: int, day: str) -> str:
    return day


customer = Limit("customer", running=3)


@app.job(limits=[Limit("stripe", running=20, rate="50/s"), customer.by(TENANT, "user")])
async def limited(user: int, day: Annotated[str, customer]) -> str:
    raise RateLimited(customer, after="30")


@job(limits=Limit(rate=Rate(5, per=60)))
def transcode(path: str) -> str:
    return path


app.queue("mail", running=3, fair_by=TENANT, weights={"gold": 3, 42: 0.5}, fair="time")


@job(debounce=Debounce(5, by="document", at_most=timedelta(minutes=1)))
def index(document: int) -> None: ...


@job(name="other", expires=60)
def clashing(delay: int, when: str) -> None:
    """Its parameters have the names of what the verbs take."""


async def main() -> None:
    assert_type(await plain.delay("a"), JobHandle[str])
    assert_type(await plain.delay("a", count=2), JobHandle[str])
    assert_type(await (await plain.delay("a")).result(timeout=1), str)
    assert_type(await digest.delay(7, "today"), JobHandle[str])
    assert_type(await index.delay(7), JobHandle[None])
    assert_type(await (await with_options.delay(Order(1))).result(), int)
    assert_type(await (await thumbnail.delay("a", size=1)).result(), bytes)
    assert_type(await clashing.schedule_at(datetime.now(UTC), 1, when="x"), JobHandle[None])
    assert_type(await clashing.schedule_in(timedelta(seconds=1), delay=1, when="x"), JobHandle[None])
    assert_type(await plain.with_options(priority="low", max_retries=0).delay("a"), JobHandle[str])
    assert_type(await plain.with_options(app=app, tenant=None, timeout=1).delay("a"), JobHandle[str])
    assert_type(plain.request("a"), JobRequest[str])
    assert_type(plain.request("a").with_options(metadata={"a": 1}), JobRequest[str])
    assert_type(await app.enqueue_many([plain.request("a"), plain.request("b")]), list[JobHandle[str]])
    mixed = await app.enqueue_many([plain.request("a"), thumbnail.request("a", size=1), clashing.request(1, "x")])
    for one in mixed:
        assert_type(await one.status(), JobState)
    several: list[JobRequest[object]] = [plain.request("a")]
    several.append(thumbnail.request("a", size=1))
    assert_type(await app.enqueue_many(several), list[JobHandle[object]])
    anything: list[JobRequest[Any]] = [plain.request("a"), with_options.request(Order(1))]
    assert_type(await app.enqueue_many(anything), list[JobHandle[Any]])
    assert_type(await app.enqueue_many(plain.request(name) for name in "ab"), list[JobHandle[str]])
    assert_type(await app.enqueue_many((plain.request("a"), plain.request("b"))), list[JobHandle[str]])
    assert_type(await app.enqueue_for_tenant("acme", plain.request("a")), JobHandle[str])
    assert_type(await (await plain.delay("a")).status(), JobState)
    assert_type(await plain("a"), str)
    assert_type(thumbnail("a", size=1), bytes)
    async with app.worker() as worker:
        assert_type(worker, Worker)
    assert_type(current_job().attempt, int)
    assert_type(asyncio.create_task(plain.delay("a")), asyncio.Task[JobHandle[str]])
    first, second = await asyncio.gather(plain.delay("a"), thumbnail.delay("b", size=1))
    assert_type(first, JobHandle[str])
    assert_type(second, JobHandle[bytes])
    figures, found = await asyncio.gather(app.stats(), app.jobs("ready"))
    assert_type(figures, Stats)
    assert_type(found, list[Job])
    word, number = await asyncio.gather(plain("a"), with_options(Order(1)))
    assert_type(word, str)
    assert_type(number, int)


async def found_again(job_id: str) -> None:
    assert_type(plain.handle(job_id), JobHandle[str])
    assert_type(await plain.handle(job_id).result(timeout=1), str)
    assert_type(await with_options.with_options(queue="other", tenant="acme").handle(job_id).result(), int)
    assert_type(app.sync.result(thumbnail.handle(job_id)), bytes)
    assert_type(app.handle(job_id), JobHandle[Any])
    assert_type(await app.find_job(job_id), Job)
    assert_type(await app.cancel_job(job_id), CancelResult)
    assert_type(await app.edit_job(job_id, priority="low"), EditResult)
    assert_type(await app.job_history("default"), list[HistoryEntry])
    assert_type(Worker(app).health(), Health)
    assert_type(app.settings, Settings)
    assert_type(app.sync, SyncApp)
    assert_type((await app.find_job(job_id)).errors, tuple[JobError, ...])


def named(call: JobCall[[str, int], str], wait: Duration, **which: Unpack[DeadFilter]) -> AsyncJobDefinition[[], None]:
    """Types of asyncjobs in annotations of a program."""

    @app.job
    async def listed() -> None:
        await call.schedule_in(wait, "a", 1)
        await app.failed_jobs(**which)

    return listed


@resource(scope="worker")
async def pool() -> AsyncIterator[Order]:
    yield Order(1)


def patience(error: BaseException, failures: int) -> float | None:
    return failures if isinstance(error, ConnectionError) else None


@app.job(retry=patience, cron="@daily", timezone="Europe/Berlin", missed="skip")
async def injected(number: int = 1, *, order: Order = Inject(pool)) -> int:
    current_job().progress(1, 2, "half")
    return order.number


@app.job
async def annotated(number: int, order: Annotated[Order, Inject(pool)] = Inject()) -> int:
    return number + order.number


@app.on_worker_start
async def warm_up(order: Order = Inject(pool)) -> None: ...


@app.on_worker_stop
def say_goodbye() -> None: ...


class Audit(Middleware):
    async def process(self, job: JobContext, call_next: CallNext, order: Order = Inject(pool)) -> object:
        return await call_next(job)

    async def ended(self, job: Job, *, order: Annotated[Order, Inject(pool)] = Inject()) -> None:
        assert_type(job.state, JobState)


@app.job(executor="process", every=timedelta(minutes=5))
def computed() -> int:
    return 1


async def steer() -> None:
    handle = await injected.delay(2)
    async for event in handle.events(after=1):
        assert_type(event, JobEvent)
    assert_type(await handle.result(), int)
    assert_type(await (await computed.delay()).result(), int)
    assert_type(await (await annotated.delay(1)).result(), int)
    await warm_up(Order(1))
    assert_type(await app.add_schedule("one", plain.request("a"), every=60), ScheduleInfo)
    assert_type(await app.retry_failed(error="ValueError", since=datetime.now(UTC)), int)
    assert_type(await app.send("charge", [7], delay=60, priority="high"), JobHandle[Any])
    assert_type(await app.send("charge", {"order": 7}, at=datetime.now(UTC), returns=str), JobHandle[str])
    with app.override(pool, lambda: Order(2)):
        await QueueGauges().refresh(app)


async def tests_of_users(kit: Kit) -> None:
    assert_type(kit.sent(), list[SentJob[Any]])
    assert_type(kit.sent(plain), list[SentJob[str]])
    assert_type(kit.sent(plain, "a"), list[SentJob[str]])
    assert_type(kit.assert_sent(plain), SentJob[str])
    assert_type(kit.assert_sent(computed), SentJob[int])
    assert_type(await kit.assert_sent(plain, "a").handle.result(), str)
    kit.assert_not_sent(plain, "b")
    kit.assert_not_sent(computed)
    kit.kill_worker(plain, times=2)
    assert_type(await kit.run(), list[Attempt])
    assert_type(kit.run_for_sync(timedelta(hours=1), check=False), list[Attempt])
    with app.testing(eager=True, now=datetime.now(UTC)) as opened, fake_job(attempt=2, tenant="acme") as job:
        assert_type(opened, Kit)
        assert_type(job.events, list[JobEvent])


def without_a_loop() -> None:
    handle = plain.delay_sync("a")
    assert_type(handle, JobHandle[str])
    assert_type(app.sync.result(handle), str)
    assert_type(app.sync.send("charge", returns=int), JobHandle[int])
    assert_type(app.sync.retry_failed(name="plain"), int)
    assert_type(app.sync.enqueue_many([plain.request("a"), plain.request("b")]), list[JobHandle[str]])
    for one in app.sync.enqueue_many([plain.request("a"), with_options.request(Order(1))]):
        assert_type(one.id, str)
    some: JobHandle[object] = handle
    assert some


@app.job
async def charge(order: int, card: Secret[str], pin: Secret[int] | None = None) -> str:
    assert_type(card, str)
    return card


async def pay() -> None:
    assert_type(await charge.delay(7, "4111", pin=1), JobHandle[str])
