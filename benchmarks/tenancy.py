"""What tenants cost: ``python -m benchmarks.tenancy``, on a PostgreSQL and a Valkey that it starts itself.

Resolution: from an id to its schema, asked of the database and of the cache. Switching: a connection in a tenant's
schema beside one as the pool has it, both for one SELECT. Whole: an attempt of a job that does one INSERT, with
resolution and switching, beside the same job without tenants. The sides take turns; an overhead is the difference of
their percentiles.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import functools
import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Any, cast

import psycopg
from psycopg import AsyncConnection
from psycopg_pool import AsyncConnectionPool
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection as AlchemyConnection
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from asyncjobs import App, Inject, JobContext, Middleware, TenantContext, Worker, tenant_scope
from asyncjobs.middleware.base import CallNext
from asyncjobs.ports import TenantResolver
from asyncjobs.tenancy import CachedTenants, Tenants
from asyncjobs.tenancy import psycopg as on_psycopg
from asyncjobs.tenancy import sqlalchemy as on_sqlalchemy
from asyncjobs.tenancy.schemas import Mode
from benchmarks.child import run
from tests.postgres import Postgres, postgres
from tests.servers import Server, server

TENANTS = 20
CONNECTIONS = 10
MODES: tuple[Mode, ...] = ("transaction", "session")
QUERY = "SELECT schema_name AS schema, slug, suspended FROM public.tenants WHERE id = "

Lend = Callable[[], AbstractAsyncContextManager[Any]]


class PsycopgSide:
    """psycopg 3 with its pool."""

    name = "psycopg"

    @contextlib.asynccontextmanager
    async def open(self, url: str) -> AsyncIterator[None]:
        pool: AsyncConnectionPool[Any] = AsyncConnectionPool(
            url, min_size=CONNECTIONS, max_size=CONNECTIONS, open=False
        )
        async with pool:
            await pool.wait()
            self.pool = pool
            yield

    def resolver(self) -> TenantResolver:
        return on_psycopg.SqlTenants(self.pool, cast("Any", QUERY + "%s"))

    def plain(self) -> AbstractAsyncContextManager[Any]:
        return self.pool.connection()

    def switched(self, mode: Mode) -> AbstractAsyncContextManager[Any]:
        return on_psycopg.connect(self.pool, mode=mode)

    async def execute(self, db: Any, statement: str) -> None:
        await db.execute(statement)

    def insert(self, app: App, provider: Callable[..., Any]) -> Any:
        @app.job
        async def insert(n: int, db: AsyncConnection[Any] = Inject(provider)) -> None:
            await db.execute("INSERT INTO notes VALUES (%s)", (n,))

        return insert


class SqlAlchemySide:
    """SQLAlchemy's asyncio over ``driver``."""

    def __init__(self, driver: str) -> None:
        self.name = f"sqlalchemy + {driver}"
        self._driver = driver

    @contextlib.asynccontextmanager
    async def open(self, url: str) -> AsyncIterator[None]:
        url = url.replace("postgresql", f"postgresql+{self._driver}")
        self.engine: AsyncEngine = create_async_engine(url, pool_size=CONNECTIONS, max_overflow=0)
        # All connections are made now, so that none is made in what is measured.
        async with contextlib.AsyncExitStack() as stack:
            for _ in range(CONNECTIONS):
                await stack.enter_async_context(self.engine.connect())
        try:
            yield
        finally:
            await self.engine.dispose()

    def resolver(self) -> TenantResolver:
        return on_sqlalchemy.SqlTenants(self.engine, QUERY + ":tenant_id")

    @contextlib.asynccontextmanager
    async def plain(self) -> AsyncIterator[AlchemyConnection]:
        async with self.engine.connect() as lent:
            yield lent
            await lent.commit()

    def switched(self, mode: Mode) -> AbstractAsyncContextManager[Any]:
        return on_sqlalchemy.connect(self.engine, mode=mode)

    async def execute(self, db: Any, statement: str) -> None:
        await db.execute(text(statement))

    def insert(self, app: App, provider: Callable[..., Any]) -> Any:
        @app.job
        async def insert(n: int, db: AlchemyConnection = Inject(provider)) -> None:
            await db.execute(text("INSERT INTO notes VALUES (:n)"), {"n": n})

        return insert


Side = PsycopgSide | SqlAlchemySide

SIDES: tuple[Side, ...] = (PsycopgSide(), SqlAlchemySide("asyncpg"), SqlAlchemySide("psycopg"))


class Timed(Middleware):
    """Notes how long each attempt takes; outermost."""

    def __init__(self) -> None:
        self.took_ms: list[float] = []

    async def process(self, job: JobContext, call_next: CallNext) -> Any:
        began = time.perf_counter()
        try:
            return await call_next(job)
        finally:
            self.took_ms.append((time.perf_counter() - began) * 1000)


def percentiles(took_ms: Sequence[float]) -> tuple[float, float]:
    """Return p50 and p99."""
    ordered = sorted(took_ms)
    return ordered[len(ordered) // 2], ordered[min(len(ordered) - 1, int(len(ordered) * 0.99))]


def show(what: str, took_ms: Sequence[float], plain_ms: Sequence[float] | None = None, more: str = "") -> None:
    """Print a row: percentiles, and what is left of them without those of ``plain_ms``."""
    p50, p99 = percentiles(took_ms)
    row = f"  {what:42} {p50:9.4f} {p99:9.4f}"
    if plain_ms is not None:
        without50, without99 = percentiles(plain_ms)
        row += f"   {p50 - without50:+9.4f} {p99 - without99:+9.4f}"
    print(row + ("" if plain_ms is not None or not more else " " * 22) + more, flush=True)


def head(title: str, goal: str) -> None:
    print(f"\n{title}, ms (goal: {goal})\n  {'':42} {'p50':>9} {'p99':>9}   {'more p50':>9} {'more p99':>9}")


def prepare(url: str) -> None:
    """Make the tenants: a row each in ``public.tenants``, and a schema with a table; and the table in ``public``."""
    with psycopg.connect(url, autocommit=True) as db:
        db.execute("CREATE TABLE public.notes (n int)")
        db.execute("CREATE TABLE public.tenants (id text PRIMARY KEY, schema_name text, slug text, suspended bool)")
        for n in range(TENANTS):
            db.execute("INSERT INTO public.tenants VALUES (%s, %s, %s, false)", (f"t{n}", f"tenant_{n}", f"slug-{n}"))
            db.execute(f"CREATE SCHEMA tenant_{n}")  # type: ignore[arg-type]
            db.execute(f"CREATE TABLE tenant_{n}.notes (n int)")  # type: ignore[arg-type]


async def timed(calls: Sequence[Callable[[int], Awaitable[Any]]], times: int) -> list[list[float]]:
    """Return how long each of ``calls`` took, each time; they take turns, and the first times don't count."""
    took_ms: list[list[float]] = [[] for _ in calls]
    for n in range(-20, times):
        for call, took in zip(calls, took_ms, strict=True):
            began = time.perf_counter()
            await call(n % TENANTS)
            if n >= 0:
                took.append((time.perf_counter() - began) * 1000)
    return took_ms


async def resolution(url: str, times: int) -> None:
    head("resolution", "under 5")

    async def one(what: str, resolver: TenantResolver, times: int) -> None:
        [took_ms] = await timed([lambda n: resolver.resolve(f"t{n}")], times)
        show(what, took_ms)

    for side in SIDES:
        async with side.open(url):
            await one(f"{side.name}, asked", side.resolver(), times)
    by_url = on_psycopg.SqlTenants(url, cast("Any", QUERY + "%s"))
    await one("psycopg by URL, a connection each", by_url, times // 4)
    await one("cached", CachedTenants(by_url), times * 10)


async def switching(running: Postgres, times: int) -> None:
    head("switching", "under 1")
    for side in SIDES:
        lends = {"plain": side.plain, **{mode: functools.partial(side.switched, mode) for mode in MODES}}
        calls = [functools.partial(select, side, lend) for lend in lends.values()]
        async with side.open(running.url):
            took_ms = await timed(calls, times)
            for name, call, took in zip(lends, calls, took_ms, strict=True):
                statements = await counted(running, call)
                plain = None if name == "plain" else took_ms[0]
                show(f"{side.name}, {name}", took, plain, f"   {statements} statements")


async def select(side: Side, lend: Lend, n: int) -> None:
    """Do one SELECT for the tenant of this number."""
    with tenant_scope(TenantContext(f"t{n}", f"slug-{n}", f"tenant_{n}")):
        async with lend() as db:
            await side.execute(db, "SELECT 1")


async def counted(running: Postgres, call: Callable[[int], Awaitable[None]]) -> int:
    """Return how many statements the server sees in a call, those that begin and end transactions among them."""
    async with await AsyncConnection.connect(running.url, autocommit=True) as admin:

        async def log(what: str) -> None:
            await admin.execute(f"ALTER SYSTEM SET log_statement = '{what}'")  # type: ignore[arg-type]
            await admin.execute("SELECT pg_reload_conf()")
            # The server's processes take it over between two statements, soon after the signal.
            await asyncio.sleep(0.3)

        await log("all")
        start = (running.folder / "log").stat().st_size
        await call(0)
        # Before the others are told, so that no statement of this connection is counted.
        seen = (running.folder / "log").read_bytes()[start:]
        await log("none")
    return seen.count(b"LOG:  statement: ") + seen.count(b"LOG:  execute ")


async def whole(url: str, valkey: Server, jobs: int) -> None:
    head("whole overhead of a job, one at a time", "under 10")
    rows: list[tuple[str, dict[str, float]]] = []
    for side in SIDES:
        took: dict[str, list[float]] = {}
        rates: dict[str, list[float]] = {}
        async with side.open(url):
            for _ in range(5):
                for name in ("plain", *MODES):
                    took_ms, _ = await drained(side, name, valkey, jobs // 5, concurrency=1)
                    took.setdefault(name, []).extend(took_ms)
                    _, rate = await drained(side, name, valkey, jobs // 5, concurrency=CONNECTIONS)
                    rates.setdefault(name, []).append(rate)
        for name in took:
            show(f"{side.name}, {name}", took[name], took["plain"] if name != "plain" else None)
        rows.append((side.name, {name: sorted(found)[len(found) // 2] for name, found in rates.items()}))
    print(f"\n{CONNECTIONS} jobs at once over {CONNECTIONS} connections, jobs a second\n  {'':20}", end="")
    print("".join(f"{name:>22}" for name in ("plain", *MODES)))
    for name, found in rows:
        shares = {kind: f"{rate:,.0f} ({rate / found['plain']:.0%})" for kind, rate in found.items()}
        print(f"  {name:20}" + "".join(f"{shares[kind]:>22}" for kind in ("plain", *MODES)))


async def drained(side: Side, name: str, valkey: Server, jobs: int, *, concurrency: int) -> tuple[list[float], float]:
    """Run ``jobs`` jobs in a worker, with tenants unless the side is plain; return times of attempts, and jobs/s."""
    client = valkey.client()
    client.flushall()
    client.close()
    clock = Timed()
    with_tenants = name != "plain"
    layers: list[Middleware] = [clock]
    if with_tenants:
        layers.append(Tenants(CachedTenants(side.resolver())))
    app = App(valkey.url, middleware=layers)
    insert = side.insert(app, provider(side, name))
    async with app:
        for tenant in range(TENANTS):
            with tenant_scope(f"t{tenant}" if with_tenants else None):
                await app.enqueue_many([insert.request(n) for n in range(jobs // TENANTS)])
        began = time.perf_counter()
        await Worker(app, concurrency=concurrency).run_until_empty()
        took = time.perf_counter() - began
        assert await app.failed_jobs() == []
    return clock.took_ms, len(clock.took_ms) / took


def provider(side: Side, name: str) -> Callable[..., Any]:
    """Return what a handler injects: a connection as it is, or one in its tenant's schema."""
    if name == "plain":
        lend: Lend = side.plain

        async def plain() -> AsyncIterator[Any]:
            async with lend() as db:
                yield db

        return plain
    mode = cast("Mode", name)
    if isinstance(side, PsycopgSide):
        return on_psycopg.connection(side.pool, mode=mode)
    return on_sqlalchemy.connection(side.engine, mode=mode)


async def main(times: int, jobs: int) -> None:
    with postgres() as running, server() as valkey:
        prepare(running.url)
        await resolution(running.url, times)
        await switching(running, times)
        await whole(running.url, valkey, jobs)


if __name__ == "__main__":
    logging.getLogger("asyncjobs").setLevel(logging.ERROR)
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--times", type=int, default=2_000, help="how often each thing is resolved or switched")
    parser.add_argument("--jobs", type=int, default=2_000, help="jobs of each kind in all rounds, a multiple of 100")
    given = parser.parse_args()
    run(main(given.times, given.jobs))
