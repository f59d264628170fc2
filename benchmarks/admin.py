"""What each page of the dashboard and each route of the admin API costs on a full server.

``python -m benchmarks.admin [ready] [dead]`` seeds a Valkey with a million ready and 100,000 dead jobs, in ten queues
with 20 workers, and prints for each address: the round trips to the server, the CPU time of the server, the time until
the reply, and its size, plain and as gzip. What is over its budget is marked, and the exit code is 1 then.
"""

from __future__ import annotations

import asyncio
import gzip
import sys
import time
from collections.abc import Awaitable, Callable
from typing import Any, NamedTuple

import msgspec
import redis

from asyncjobs import App
from asyncjobs.admin import Access, admin_api, dashboard
from asyncjobs.brokers.redis.line import Line
from asyncjobs.core.job import JobError, start_job
from asyncjobs.core.retry import RetryPolicy
from asyncjobs.core.settlement import Failed, settle
from asyncjobs.core.stored import read_live
from asyncjobs.ports import Broker, Claimed, ClaimRequest, RunningJob, WorkerInfo
from tests.servers import server
from tests.web import fetch

__all__ = ["main"]

_QUEUES = ["bulk", "payments", *(f"queue-{number}" for number in range(8))]
_WORKERS = 20
_ROUNDS = 5
_MAX_KB, _MAX_GZIP_KB = 60.0, 12.0

_ERRORS = [
    JobError(
        kind,
        message,
        f'Traceback (most recent call last):\n  File "/srv/shop/pay.py", line 12, in charge\n{kind}: {message}\n',
        3,
        1_000,
    )
    for kind, message in (
        ("ConnectionError", "connection to 10.0.3.7:5432 refused"),
        ("TimeoutError", "the bank did not answer within 10 s"),
        ("LookupError", "no such order: 4711"),
        ("ValueError", "card of order 1007 was declined"),
        ("KeyError", "'amount'"),
        ("OSError", "no space left on device"),
    )
]


class Budget(NamedTuple):
    """How much an address may cost at most."""

    target: str
    """Its path, and what stands behind the question mark."""
    server_ms: float
    """For how long the server may work, in milliseconds."""
    trips: int
    """How many round trips it may take."""


class Cost(NamedTuple):
    """What an address has cost."""

    status: int
    trips: int
    server_ms: float
    ms: float
    kb: float
    gzip_kb: float


# Times are those of the design, at a million ready and 100,000 dead. Of round trips there are as many as steps that
# depend on each other (docs/decisions/0023), and one more, since some steps may miss the round trip of the others.
_PAGES = [
    Budget("/", 15, 9),
    Budget("/queues", 15, 3),
    Budget("/queues/bulk", 15, 3),
    Budget("/jobs", 10, 4),
    Budget("/jobs?queue=bulk", 10, 4),
    Budget("/jobs?queue=bulk&text=user900000@", 300, 25),
    Budget("/jobs?name=nothing", 300, 25),
    Budget("/jobs?state=failed", 10, 4),
    Budget("/jobs?state=ended&name=shop.charge", 10, 3),
    Budget("/jobs/first?queue=bulk", 5, 4),
    Budget("/jobs/last?queue=bulk", 5, 4),
    Budget("/dead", 10, 4),
    Budget("/dead?group={group}", 10, 4),
    Budget("/names", 10, 3),
    Budget("/schedules", 10, 4),
    Budget("/workers", 10, 3),
    Budget("/tenants", 30, 5),
    Budget("/audit", 10, 2),
    Budget("/server", 10, 4),
]
_ROUTES = [
    Budget("/jobs/stats", 15, 3),
    Budget("/jobs/failed", 10, 3),
    Budget("/jobs", 10, 4),
    Budget("/jobs?text=user900000@&queue=bulk", 300, 25),
    Budget("/queues/bulk/sample", 13, 1),
    Budget("/jobs/last/why?queue=bulk", 5, 4),
    Budget("/problems", 15, 9),
    Budget("/dead/groups", 10, 3),
    Budget("/queues", 15, 3),
    Budget("/workers", 10, 3),
    Budget("/tenants", 30, 5),
]

# What a retry of 2,000 jobs of a group may cost, in four portions of a few trips each.
_RETRIED, _A_PORTION = 2_000, 500
_RETRY = Budget("POST /jobs/retry, 2,000 of a group", 200, 17)


def make_app(url: str) -> App:
    """Return an app with the jobs that are sent."""
    app = App(url)

    @app.job(name="shop.send_email")
    async def send_email(to: str, subject: str) -> None: ...

    @app.job(name="shop.charge", queue="payments")
    async def charge(order: int) -> None: ...

    return app


async def seed(app: App, ready: int, dead: int) -> None:
    """Send jobs into ten queues, most of them into one, bury some, and announce workers."""
    send_email, charge = app.registry.get("shop.send_email"), app.registry.get("shop.charge")
    await send_email.with_options(queue="bulk", job_id="first").delay("a@example.com", "Hi")
    others = ready // 100
    for queue in _QUEUES[2:]:
        mail = send_email.with_options(queue=queue)
        await app.enqueue_many([mail.request(f"user{number}@example.com", "News") for number in range(others)])
    mail = send_email.with_options(queue="bulk")
    for start in range(0, ready - 8 * others, 10_000):
        await app.enqueue_many(
            [mail.request(f"user{number}@example.com", "News of November") for number in range(start, start + 10_000)]
        )
    await send_email.with_options(queue="bulk", job_id="last").delay("z@example.com", "Hi")
    broker: Broker = app._connection.broker
    for start in range(0, dead, 1_000):
        await app.enqueue_many([charge.request(number) for number in range(start, start + 1_000)])
        await _bury(broker, start // 1_000 + 1)
    for number in range(_WORKERS):
        await broker.announce(_worker(number), 3_600_000)


async def _bury(broker: Broker, number: int) -> None:
    """Let a worker fail all jobs that wait in the queue of payments."""
    request = ClaimRequest(worker="seed", number=number, queues=["payments"], limit=1_000, lease_ms=60_000)
    claimed = (await broker.claim(request)).jobs
    await broker.settle([_dead(one, _ERRORS[at % len(_ERRORS)]) for at, one in enumerate(claimed)])


def _dead(claimed: Claimed, error: JobError) -> Any:
    job = start_job(read_live(claimed, claimed.body, claimed.tries), claimed.fence, 1_000)
    outcome = Failed(error, retryable=False)
    return settle(job, outcome, RetryPolicy(max_retries=0), 2_000, 0.5, body=claimed.body, result_ttl_ms=60_000)


def _worker(number: int) -> WorkerInfo:
    jobs = tuple(
        RunningJob(id=f"run-{number}-{at}", queue="bulk", name="shop.send_email", attempt=1, started_at_ms=1_000)
        for at in range(20)
    )
    return WorkerInfo(
        id=f"web-{number}",
        host=f"web-{number}",
        pid=number,
        started_at_ms=time.time_ns() // 1_000_000,
        queues=tuple(_QUEUES[:2]),
        concurrency=50,
        status="running",
        running=tuple(job.id for job in jobs),
        handlers={"shop": ("shop.send_email", "shop.charge")},
        jobs=jobs,
    )


def counted() -> Callable[[], int]:
    """Count the round trips from now on; return what tells how many there were since it was asked last."""
    trips = 0
    send: Callable[..., Awaitable[Any]] = Line.send

    async def counting(self: Line, *args: Any, **given: Any) -> Any:
        nonlocal trips
        trips += 1
        return await send(self, *args, **given)

    Line.send = counting  # type: ignore[method-assign, assignment]

    def since() -> int:
        nonlocal trips
        found, trips = trips, 0
        return found

    return since


async def measure(web: Any, target: str, client: redis.Redis, trips: Callable[[], int]) -> Cost:
    """Ask for ``target`` some times, and return what the middle one of the replies has cost."""
    costs = []
    for _ in range(_ROUNDS):
        trips()
        before_us, began = _server_us(client), time.perf_counter()
        reply = await fetch(web, target, headers={"x-role": "admin"})
        ms = (time.perf_counter() - began) * 1000
        server_ms = (_server_us(client) - before_us) / 1000
        sizes = len(reply.body) / 1024, len(gzip.compress(reply.body)) / 1024
        costs.append(Cost(reply.status, trips(), server_ms, ms, *sizes))
    return sorted(costs, key=lambda cost: cost.ms)[_ROUNDS // 2]


async def measure_retry(web: Any, group: str, client: redis.Redis, trips: Callable[[], int]) -> Cost:
    """Retry jobs of a group portion by portion, and return what all of them have cost together."""
    trips()
    before_us, began, size, cursor = _server_us(client), time.perf_counter(), 0, ""
    headers = {"x-role": "admin", "content-type": "application/json"}
    for _ in range(_RETRIED // _A_PORTION):
        body = {"filter": {"group": group}, "limit": _A_PORTION, "cursor": cursor}
        reply = await fetch(web, "/jobs/retry", "POST", headers, msgspec.json.encode(body))
        size, cursor = size + len(reply.body), reply.json["next"]
    ms = (time.perf_counter() - began) * 1000
    return Cost(reply.status, trips(), (_server_us(client) - before_us) / 1000, ms, size / 1024, 0)


def _server_us(client: redis.Redis) -> float:
    """Return how much CPU time the thread of the server has used that runs commands, in microseconds."""
    told: Any = client.info("cpu")
    return 1e6 * float(told["used_cpu_user_main_thread"] + told["used_cpu_sys_main_thread"])


async def run(url: str, ready: int, dead: int) -> bool:
    """Seed, measure and print; return whether each address kept to its budget."""
    app = make_app(url)
    client = redis.Redis.from_url(url)
    access = Access("bench", "admin")
    is_fine = True
    async with app:
        began = time.perf_counter()
        await seed(app, ready, dead)
        memory = int(client.info("memory")["used_memory"]) >> 20  # type: ignore[index]
        print(f"{ready:,} ready, {dead:,} dead: seeded in {time.perf_counter() - began:.0f} s, {memory:,} MB")
        group = (await app.failed_groups())[0].id
        trips = counted()
        for title, web, budgets, is_page in (
            ("pages", dashboard(app, authorize=lambda request: access), _PAGES, True),
            ("routes", admin_api(app, authorize=lambda request: access), _ROUTES, False),
        ):
            print(f"\n{title:<44}{'trips':>6}{'server ms':>11}{'ms':>9}{'kB':>8}{'gzip kB':>9}")
            for budget in budgets:
                cost = await measure(web, budget.target.format(group=group), client, trips)
                is_fine = _print(budget, cost, is_page) and is_fine
        is_fine = _print(_RETRY, await measure_retry(web, group, client, trips), is_page=False) and is_fine
    client.close()
    return is_fine


def _print(budget: Budget, cost: Cost, is_page: bool) -> bool:
    """Print what an address has cost; return whether it kept to its budget."""
    over = _over(budget, cost, is_page)
    figures = f"{cost.trips:>6}{cost.server_ms:>11.1f}{cost.ms:>9.1f}{cost.kb:>8.1f}{cost.gzip_kb:>9.1f}"
    print(f"{budget.target[:42]:<44}{figures}  {', '.join(over)}".rstrip())
    return not over


def _over(budget: Budget, cost: Cost, is_page: bool) -> list[str]:
    """Return what of an address is over its budget, in words."""
    over = []
    if cost.status != 200:
        over.append(f"STATUS {cost.status}")
    if cost.trips > budget.trips:
        over.append(f"over {budget.trips} trips")
    if cost.server_ms > budget.server_ms:
        over.append(f"over {budget.server_ms:g} ms")
    if is_page and (cost.kb > _MAX_KB or cost.gzip_kb > _MAX_GZIP_KB):
        over.append(f"over {_MAX_KB:g} kB ({_MAX_GZIP_KB:g} kB gzip)")
    return over


def main() -> int:
    """Measure and print; return 1 if an address is over its budget."""
    ready = int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000
    dead = int(sys.argv[2]) if len(sys.argv) > 2 else 100_000
    with server() as running:
        return 0 if asyncio.run(run(running.url, ready, dead)) else 1


if __name__ == "__main__":
    sys.exit(main())
