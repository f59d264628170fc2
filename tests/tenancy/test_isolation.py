"""Hundreds of tenants at once over few connections, some failing, some cut off: no row in a schema of another's.

Run at full length, with 20,000 jobs of 200 tenants, by ``nox -s isolation``.
"""

from __future__ import annotations

import asyncio
import os
from collections import Counter
from typing import Any

import pytest

from asyncjobs import App, Inject, JobState, RetryPolicy, current_job, current_tenant
from asyncjobs.jobs.ids import new_id
from asyncjobs.tenancy import CachedTenants, StaticTenants, Tenants
from asyncjobs.tenancy.lending import search_path
from tests import postgres
from tests.apps import wait_ended
from tests.tenancy.databases import INSERT, Adapter, Admin, PsycopgAdapter, SqlAlchemyAdapter

JOBS = int(os.environ.get("ISOLATION_JOBS", "1500"))
TENANTS = int(os.environ.get("ISOLATION_TENANTS", "100"))
CONNECTIONS = 10
CONCURRENCY = 100
WITHIN_S = 60 + JOBS / 50

#: What becomes of a job, by its number: of twenty, two fail, one times out, and one is cancelled.
FATES = ["raise", "statement", "timeout", "cancel", *["complete"] * 16]


def fate_of(number: int) -> str:
    return FATES[number % len(FATES)]


class Strangers(Exception):
    """A job has seen rows of another tenant."""


class World:
    """An app whose jobs write into their tenant's schema, and what they and the database say afterwards."""

    def __init__(self, adapter: Adapter, admin: Admin, url: str, mode: Any, redis_url: str) -> None:
        self.adapter = adapter
        self.admin = admin
        self.url = url
        self.mode = mode
        self.redis_url = redis_url
        self.states: Counter[str] = Counter()
        self.jobs: dict[str, tuple[str, str, str]] = {}

    def run(self, jobs: int = JOBS, tenants: int = TENANTS) -> None:
        """Run ``jobs`` jobs to their ends.

        In a loop of its own, which only logs what SQLAlchemy leaves in futures that nobody awaits any more: it gives
        asyncpg two seconds to close a connection whose query was cancelled.
        """
        asyncio.run(self._run(jobs, tenants))

    async def _run(self, jobs: int, tenants: int) -> None:
        names = [f"tenant_{n}" for n in range(tenants)]
        for name in names:
            self.admin.add_schema(name)
        resolver = CachedTenants(StaticTenants({name: name for name in names}))
        app = App(
            self.redis_url,
            prefix=f"isolation{new_id()[-10:]}",
            # A quarter of it passes between a cancellation and the handler's hearing of it.
            lease=1,
            middleware=[Tenants(resolver)],
            result_ttl=3600,
        )
        running: asyncio.Queue[str] = asyncio.Queue()
        async with self.adapter.open(self.url, CONNECTIONS) as pool:
            work = self._define(app, pool, running)
            async with app:
                # Every twentieth of them runs for nobody, and in public.
                requests = [work.request(n).with_options(tenant=self._tenant(n, names)) for n in range(jobs)]
                handles = await app.enqueue_many(requests)
                canceller = asyncio.create_task(_cancel_what_runs(app, running))
                try:
                    async with app.worker(concurrency=CONCURRENCY), asyncio.timeout(WITHIN_S):
                        for number, handle in enumerate(handles):
                            ended = await wait_ended(app, handle.id, queue="default", timeout=None)
                            assert ended is not None
                            self.jobs[handle.id] = ended.tenant or "public", fate_of(number), ended.state.value
                            self.states[ended.state.value] += 1
                finally:
                    canceller.cancel()

    def _tenant(self, number: int, names: list[str]) -> str | None:
        return None if number % 20 == 19 else names[number % len(names)]

    def _define(self, app: App, pool: Any, running: asyncio.Queue[str]) -> Any:
        connect, run = self.adapter.provider(pool, mode=self.mode), self.adapter.run

        @app.job(timeout=30, retry=RetryPolicy(max_retries=0))
        async def work(number: int, db: Any = Inject(connect)) -> None:
            job, fate = current_job(), fate_of(number)
            tenant = current_tenant()
            assert (tenant.tenant_schema if tenant else None) == job.tenant
            await run(db, INSERT, job=job.id, tenant=job.tenant)
            strangers = await run(
                db, "SELECT count(*) FROM notes WHERE tenant IS DISTINCT FROM :tenant", tenant=job.tenant
            )
            if strangers != [(0,)]:
                raise Strangers(f"{strangers[0][0]} rows in the schema of {job.tenant}")
            if fate == "raise":
                raise ValueError(fate)
            if fate == "statement":
                await run(db, "SELECT 1/0")
            if fate == "timeout":
                async with asyncio.timeout(0.05):
                    await run(db, "SELECT pg_sleep(60)")
            if fate == "cancel":
                running.put_nowait(job.id)
                await run(db, "SELECT pg_sleep(60)")

        return work

    def check(self) -> None:
        """Assert that each row lies where it belongs, and that each completed job has written exactly one."""
        written: Counter[str] = Counter()
        for schema in {schema for schema, _, _ in self.jobs.values()}:
            for job_id, tenant in self.admin.notes(schema):
                assert (tenant or "public") == schema == self.jobs[job_id][0]
                written[job_id] += 1
        completed = {job_id for job_id, (_, _, state) in self.jobs.items() if state == JobState.COMPLETED.value}
        assert written == Counter(completed)
        by_fate = Counter((fate, state) for _, fate, state in self.jobs.values())
        expected = {"complete": "completed", "cancel": "cancelled"}
        assert dict(by_fate.keys()) == {fate: expected.get(fate, "failed") for fate in FATES}
        assert self.adapter.foreign == []


async def _cancel_what_runs(app: App, running: asyncio.Queue[str]) -> None:
    while True:
        await app.cancel_job(await running.get(), queue="default", reason="enough")


@pytest.mark.parametrize("pg_lane", ["postgres-18"], indirect=True)
@pytest.mark.parametrize("adapter", ["psycopg", "sqlalchemy-asyncpg", "sqlalchemy-psycopg"], indirect=True)
def test_no_row_of_any_tenant_lands_in_or_is_read_from_another_schema(
    adapter: Adapter, admin: Admin, pg_url: str, mode: Any, redis_url: str
) -> None:
    world = World(adapter, admin, pg_url, mode, redis_url)
    world.run()
    world.check()


@pytest.mark.skipif(postgres.PGBOUNCER is None, reason="no pgbouncer on the PATH")
@pytest.mark.parametrize("pg_lane", ["postgres-18"], indirect=True)
@pytest.mark.parametrize("adapter", ["psycopg", "sqlalchemy-asyncpg", "sqlalchemy-psycopg"], indirect=True)
def test_the_same_holds_behind_a_proxy_that_pools_transactions(
    adapter: Adapter, admin: Admin, pg_lane: postgres.Postgres, redis_url: str
) -> None:
    with postgres.pgbouncer(pg_lane, connections=CONNECTIONS // 2) as url:
        world = World(adapter, admin, url, "transaction", redis_url)
        world.run()
    world.check()


@pytest.mark.parametrize("pg_lane", ["postgres-18"], indirect=True)
@pytest.mark.parametrize("kind", [PsycopgAdapter, lambda: SqlAlchemyAdapter("asyncpg")])
def test_without_the_reset_the_check_finds_foreign_paths(
    kind: Any, admin: Admin, pg_url: str, redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    adapter: Adapter = kind()
    without = search_path._RESTORE.replace("set_config('search_path', :path, false)", ":path")
    monkeypatch.setattr(search_path, "_RESTORE", without)

    world = World(adapter, admin, pg_url, "session", redis_url)
    world.run(jobs=200, tenants=20)

    assert adapter.foreign != []
