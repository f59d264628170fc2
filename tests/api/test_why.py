"""Why a job doesn't run: each reason as figures and as a sentence."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest

from asyncjobs import App, JobError, RetryPolicy, UnknownJob, Why, Worker
from asyncjobs.app.stats import queue_stats
from asyncjobs.app.why import why
from asyncjobs.core.job import Envelope, Job
from asyncjobs.core.priority import Priority
from asyncjobs.core.states import JobState
from asyncjobs.ports import ClaimRequest, Hold, JobLocation, QueueFigures, WorkerInfo
from tests.apps import broker_of
from tests.waiting import until

NOW = datetime(2026, 11, 26, 3, 12, 7, tzinfo=UTC)
SENT_MS = round((NOW - timedelta(hours=1)).timestamp() * 1000)


def a_job(**fields: Any) -> Job:
    given: dict[str, Any] = {
        "id": "01M8ACMRE8BQS6ESV9AZR20027",
        "name": "charge",
        "queue": "payments",
        "priority": Priority.NORMAL,
        "state": JobState.PENDING,
        "envelope": Envelope(created_at_ms=SENT_MS),
    }
    return Job(**{**given, **fields})


def a_worker(**fields: Any) -> WorkerInfo:
    given: dict[str, Any] = {
        "id": "w-7",
        "host": "web-3",
        "pid": 4411,
        "started_at_ms": SENT_MS,
        "queues": ("payments",),
        "concurrency": 3,
        "status": "running",
        "running": (),
        "handlers": {"shop": ("charge",)},
    }
    return WorkerInfo(**{**given, **fields})


def told(
    job: Job,
    location: JobLocation | None = None,
    *workers: WorkerInfo,
    max_retries: int | None = None,
    running: int = 0,
) -> Why:
    nothing: dict[str, Any] = dict.fromkeys(QueueFigures.__struct_fields__, 0)
    given = {
        **nothing,
        "name": "payments",
        "held": (),
        "parked_for": (),
        "ready": (0, 0, 0, 0),
        "histogram": {},
        "limit": None,
        "running": running,
    }
    queue = queue_stats(QueueFigures(**given))
    return why(job, location, queue, workers, now=NOW, max_retries=max_retries)


IN_LINE = JobLocation("ready", None, 0)


@pytest.mark.parametrize(
    ("job", "location", "workers", "kinds", "sentence"),
    [
        (a_job(), IN_LINE, [], ["no worker"], "No worker serves the queue payments."),
        (a_job(), IN_LINE, [a_worker(status="stopping")], ["no worker"], "No worker serves"),
        (a_job(), IN_LINE, [a_worker(queues=("emails",))], ["no worker"], "No worker serves"),
        (
            a_job(),
            IN_LINE,
            [a_worker(running=("a", "b"))],
            ["should run"],
            "It should be running: 1 slot is free, and nothing stands before it.",
        ),
        (
            a_job(name="refund"),
            IN_LINE,
            [a_worker()],
            ["no worker of its name"],
            "No worker of its queue has a handler of refund.",
        ),
        (
            a_job(name="refund"),
            JobLocation("parked", Hold("name", "refund")),
            [a_worker()],
            ["unknown name"],
            "It is set aside: no worker of its queue has a handler of refund.",
        ),
        (
            a_job(version=9),
            JobLocation("parked", Hold("version", "9")),
            [a_worker()],
            ["newer version"],
            "It is set aside: asyncjobs has written it with version 9 of its records, which no worker can read.",
        ),
        (
            a_job(),
            JobLocation("ready", None, 48_200),
            [a_worker(running=("a", "b", "c"))],
            ["no free slot"],
            "All 3 slots of its workers are taken, and 48,200 jobs start before it. More workers, or more slots",
        ),
        (
            a_job(),
            IN_LINE,
            [a_worker(concurrency=1, running=("a",))],
            ["no free slot"],
            "The only slot of its worker is taken. More workers, or more slots of each, let it start sooner.",
        ),
        (
            a_job(),
            JobLocation("ready", None, 1),
            [a_worker(running=("a", "b"))],
            ["in line"],
            "It waits its turn: 1 job starts before it.",
        ),
        (
            a_job(),
            IN_LINE,
            [a_worker()],
            ["should run"],
            "It should be running: 3 slots are free, and nothing stands before it.",
        ),
        (
            a_job(envelope=Envelope(created_at_ms=round(NOW.timestamp() * 1000) - 500)),
            IN_LINE,
            [a_worker()],
            ["in line"],
            "It waits its turn, and starts within seconds.",
        ),
        # A worker tells a hundred of its jobs, and may run more.
        (
            a_job(),
            IN_LINE,
            [a_worker(concurrency=300, running=tuple(map(str, range(100))))],
            ["in line"],
            "It waits its turn.",
        ),
        # So far in line that the broker doesn't count.
        (a_job(), JobLocation("ready"), [a_worker()], ["in line"], "It waits its turn."),
        # Workers of early versions don't say what they know.
        (a_job(name="refund"), IN_LINE, [a_worker(handlers={})], ["should run"], "It should be running"),
        (
            a_job(due_at_ms=round((NOW + timedelta(minutes=3)).timestamp() * 1000)),
            JobLocation("other"),
            [a_worker()],
            ["due later"],
            "Its time has not come: it starts at 2026-11-26 03:15:07 UTC.",
        ),
        (
            a_job(state=JobState.RUNNING, worker="w-7", started_at_ms=SENT_MS),
            JobLocation("other"),
            [a_worker()],
            ["runs"],
            "It runs on the worker w-7 since 2026-11-26 02:12:07 UTC.",
        ),
        (
            a_job(state=JobState.CANCELLED, finished_at_ms=SENT_MS, reason="enough"),
            JobLocation("other"),
            [],
            ["ended"],
            "It has ended: it was cancelled at 2026-11-26 02:12:07 UTC: enough.",
        ),
    ],
)
def test_a_reason_is_told_from_the_figures(
    job: Job, location: JobLocation, workers: list[WorkerInfo], kinds: list[str], sentence: str
) -> None:
    found = told(job, location, *workers)
    assert [one.kind for one in found.reasons] == kinds
    assert str(found).startswith(sentence)


@pytest.mark.parametrize(
    ("workers", "running", "kind", "free"),
    [
        # What the workers tell is some seconds old.
        ([a_worker()], 3, "no free slot", 0),
        ([a_worker()], 2, "should run", 1),
        ([a_worker(concurrency=300, running=tuple(map(str, range(100))))], 300, "no free slot", 0),
        # They run jobs of another queue as well.
        ([a_worker(running=("a", "b", "c"))], 1, "no free slot", 0),
        # The slots of a worker without a handler of the job are no use to it.
        ([a_worker(running=("a", "b")), a_worker(id="w-8", handlers={"shop": ("other",)})], 2, "should run", 1),
        ([a_worker(), a_worker(id="w-8", handlers={"shop": ("other",)})], 6, "no free slot", 0),
        # One that is stopping goes on with its jobs, and takes no others.
        ([a_worker(running=("a",)), a_worker(id="w-8", status="stopping", running=("b", "c"))], 3, "should run", 2),
        ([a_worker(), a_worker(id="w-8", status="stopping", running=("b", "c"))], 5, "no free slot", 0),
        ([a_worker(), a_worker(id="w-8", status="stopping")], 3, "no free slot", 0),
        (
            [
                a_worker(running=("a",)),
                a_worker(id="w-8", status="stopping", concurrency=300, running=tuple(map(str, range(100)))),
            ],
            301,
            "should run",
            2,
        ),
        # Jobs of a worker that was killed run until their leases lapse.
        ([a_worker(running=("a",))], 4, "in line", None),
    ],
)
def test_slots_are_taken_as_soon_as_jobs_run_in_them(
    workers: list[WorkerInfo], running: int, kind: str, free: int | None
) -> None:
    [reason] = told(a_job(), IN_LINE, *workers, running=running).reasons
    assert (reason.kind, reason.free_slots) == (kind, free)


RUNNING = a_job(state=JobState.RUNNING, worker="w-7", started_at_ms=SENT_MS, seen_at_ms=round(NOW.timestamp() * 1000))
LEASED = JobLocation("running", leased_until_ms=round((NOW + timedelta(seconds=9)).timestamp() * 1000))


def heard(seconds_ago: float, **fields: Any) -> WorkerInfo:
    return a_worker(beat_at_ms=round((NOW - timedelta(seconds=seconds_ago)).timestamp() * 1000), **fields)


@pytest.mark.parametrize(
    ("workers", "kinds", "sentence"),
    [
        ([heard(6)], ["runs"], " since 2026-11-26 02:12:07 UTC."),
        (
            [heard(15), heard(1, id="w-8")],
            ["runs", "worker silent"],
            "at 2026-11-26 03:11:52 UTC. If it is dead, another one takes the job back by 2026-11-26 03:12:17 UTC.",
        ),
        (
            [heard(1, id="w-8")],
            ["runs", "worker silent"],
            "not present any more. If it is dead, another one takes the job back by 2026-11-26 03:12:17 UTC.",
        ),
        ([], ["runs", "worker silent", "no worker"], "No worker serves the queue payments."),
        ([heard(1, id="w-8", queues=("emails",))], ["runs", "worker silent", "no worker"], ""),
    ],
)
def test_a_worker_that_is_silent_is_told_with_when_its_job_comes_back(
    workers: list[WorkerInfo], kinds: list[str], sentence: str
) -> None:
    found = told(RUNNING, LEASED, *workers)
    assert [one.kind for one in found.reasons] == kinds
    assert str(found).endswith(sentence)


def test_a_retry_tells_its_number_and_how_long_it_waits() -> None:
    failed_ms = round((NOW - timedelta(seconds=20)).timestamp() * 1000)
    job = a_job(
        state=JobState.RETRYING,
        failures=2,
        errors=(JobError("OSError", "no", "", 2, failed_ms),),
        due_at_ms=failed_ms + 120_000,
    )
    found = told(job, JobLocation("other"), a_worker(), max_retries=5)
    assert str(found) == "It waits for retry 2 of 5, at 2026-11-26 03:13:47 UTC, 120 s after the last attempt."
    assert (found.reasons[0].retry, found.reasons[0].max_retries) == (2, 5)


def test_a_dead_job_tells_what_it_died_of() -> None:
    error = JobError("ConnectionError", "refused\nand more", "", 3, SENT_MS)
    job = a_job(state=JobState.FAILED, failures=3, errors=(error,), finished_at_ms=SENT_MS)
    found = str(told(job, JobLocation("other"), max_retries=2))
    assert "all 3 attempts failed; the last error is ConnectionError: refused." in found
    assert "2 of its attempts" in str(told(msgspec.structs.replace(job, failures=2), None, max_retries=None))


@pytest.fixture
def work(app: App) -> Any:
    @app.job(queue="payments", name="charge", retry=RetryPolicy(max_retries=5, initial=120, jitter=False))
    async def work() -> None:
        raise LookupError("no")

    return work


@pytest.mark.anyio
async def test_holds_are_told_with_their_reasons_first(app: App, work: Any) -> None:
    async with app:
        [job, other] = await app.enqueue_many([work.with_options(tenant="acme").request() for _ in range(2)])
        await app.pause("payments", why="bank migration")
        await app.suspend_name("charge", queue="payments")
        await app.suspend_tenant("acme", queue="payments")
        found = await app.why(other.id)
        assert [one.kind for one in found.reasons[:4]] == [
            "queue paused",
            "name suspended",
            "tenant suspended",
            "no worker",
        ]
        assert "bank migration" in str(found)
        assert job.id != other.id


@pytest.mark.anyio
async def test_a_retry_and_a_job_of_an_unknown_name_are_told_beside_a_worker(app: App, work: Any) -> None:
    @app.job(queue="payments", name="gone")
    async def gone() -> None: ...

    async def kind(job_id: str) -> str:
        return (await app.why(job_id)).reasons[0].kind

    async with app:
        retrying, unknown = await work.delay(), await gone.delay()
        # Code that has lost a job.
        del app.registry._jobs["gone"]
        async with Worker(app, queues=["payments"], concurrency=1).running():

            async def are_set_aside() -> bool:
                return (await kind(retrying.id), await kind(unknown.id)) == ("due later", "unknown name")

            await until(are_set_aside, "one waits for its retry, and no worker knows the other")
            found = (await app.why(retrying.id)).reasons[0]
            assert (found.retry, found.max_retries) == (1, 5)
        waiting = await work.delay()
        assert await kind(waiting.id) == "no worker"
        with pytest.raises(UnknownJob):
            await app.why("unknown")


@pytest.mark.anyio
async def test_a_job_whose_worker_was_killed_tells_when_another_one_takes_it_back(app: App) -> None:
    @app.job(queue="payments")
    async def pay() -> None: ...

    async with app:
        handle = await pay.delay()
        of_the_killed = ClaimRequest(worker="killed", number=1, queues=["payments"], limit=1, lease_ms=60_000)
        claim = await broker_of(app).claim(of_the_killed)
        found = await app.why(handle.id)
        assert [one.kind for one in found.reasons] == ["runs", "worker silent", "no worker"]
        assert found.reasons[1].due_at is None
        async with Worker(app, queues=["payments"]).running():
            [runs, silent] = (await app.why(handle.id)).reasons
            assert (runs.kind, silent.kind) == ("runs", "worker silent")
            assert silent.due_at == datetime.fromtimestamp((claim.now_ms + 61_000) / 1000, UTC)
