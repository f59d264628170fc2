"""Handlers that treat their connection roughly: no other schema is touched, and the next one sees nothing of it."""

from __future__ import annotations

import contextlib
from typing import Any

import psycopg
import pytest
import sqlalchemy
from sqlalchemy.exc import SQLAlchemyError

from asyncjobs import ConfigurationError, TenantError, UnknownTenant
from tests.tenancy.databases import INSERT, Adapter, Admin, lent_in_one, scope_of

pytestmark = pytest.mark.anyio


on_sqlalchemy = pytest.mark.parametrize(
    "adapter", ["sqlalchemy-asyncpg", "sqlalchemy-asyncpg-sessions", "sqlalchemy-psycopg"], indirect=True
)


@on_sqlalchemy
async def test_after_a_switch_that_failed_nothing_more_is_done_on_the_connection(
    adapter: Adapter, admin: Admin, pg_url: str
) -> None:
    admin.run("INSERT INTO public.notes VALUES ('1', 'nobody')")
    seen: list[Any] = []

    async def read_all_the_same(pool: Any) -> None:
        async with adapter.connect(pool, mode="transaction") as db:
            for _ in range(2):
                with contextlib.suppress(UnknownTenant):
                    seen.extend(await adapter.run(db, "SELECT job FROM notes"))

    async with adapter.open(pg_url, 1) as pool:
        with scope_of("gone"), pytest.raises(UnknownTenant):
            await read_all_the_same(pool)

    assert seen == []
    assert adapter.foreign == []


@on_sqlalchemy
async def test_a_path_that_one_transaction_left_behind_is_not_taken_for_the_pools_by_the_next(
    adapter: Adapter, admin: Admin, pg_url: str
) -> None:
    admin.add_schema("one")
    admin.add_schema("two")
    async with adapter.open(pg_url, 1) as pool:
        with scope_of("one"):
            async with adapter.connect(pool, mode="transaction") as db:
                await adapter.run(db, "SET search_path TO two")
                with pytest.raises(TenantError, match="no longer as it was set"):
                    await db.commit()
                await db.rollback()
                await adapter.run(db, INSERT, job="1", tenant="one")
        async with adapter.connect(pool) as db:
            assert await adapter.run(db, "SHOW search_path") == [('"$user", public',)]
    assert admin.notes("one") == [("1", "one")]
    assert adapter.foreign == []


# SQLAlchemy says so where a session rolls back on a closed connection.
@pytest.mark.filterwarnings("ignore:transaction already deassociated")
@on_sqlalchemy
async def test_a_path_that_a_handler_commits_before_it_closes_its_connection_is_not_the_next_ones(
    adapter: Adapter, admin: Admin, pg_url: str, mode: Any
) -> None:
    admin.add_schema("one")
    async with adapter.open(pg_url, 1, watch=False) as pool:
        with scope_of("one"), contextlib.suppress(SQLAlchemyError):
            async with adapter.connect(pool, mode=mode) as db:
                await adapter.run(db, "SET search_path TO one")
                with contextlib.suppress(TenantError):
                    await db.commit()
                await adapter.close(db)
        async with adapter.connect(pool) as db:
            assert await adapter.run(db, "SHOW search_path") == [('"$user", public',)]


@on_sqlalchemy
async def test_an_engine_that_commits_each_statement_by_itself_is_refused_in_transaction_mode(
    adapter: Adapter, admin: Admin, pg_url: str
) -> None:
    admin.add_schema("one")

    async def write(pool: Any) -> None:
        async with adapter.connect(pool, mode="transaction") as db:
            await adapter.run(db, INSERT, job="1", tenant="one")

    async with adapter.open(pg_url, 1, isolation_level="AUTOCOMMIT") as pool:
        with scope_of("one"), pytest.raises(ConfigurationError, match="AUTOCOMMIT"):
            await write(pool)

    assert admin.notes("public") == []


async def test_a_handler_that_closes_its_connection_gives_it_to_nobody_else(
    adapter: Adapter, admin: Admin, pg_url: str, mode: Any
) -> None:
    admin.add_schema("one")
    async with adapter.open(pg_url, 1) as pool:
        for _ in range(2):
            with scope_of("one"), contextlib.suppress(Exception):
                async with adapter.connect(pool, mode=mode) as db:
                    await adapter.run(db, INSERT, job="1", tenant="one")
                    await adapter.close(db)
            async with adapter.connect(pool) as db:
                assert await adapter.run(db, "SHOW search_path") == [('"$user", public',)]
    assert adapter.foreign == []


# SQLAlchemy says so where a session rolls back on a closed connection.
@pytest.mark.filterwarnings("ignore:transaction already deassociated")
async def test_a_handler_that_closes_its_connection_fails_for_what_it_wrote_is_lost(
    adapter: Adapter, admin: Admin, pg_url: str, mode: Any
) -> None:
    admin.add_schema("one")

    async def write(pool: Any) -> None:
        async with adapter.connect(pool, mode=mode) as db:
            await adapter.run(db, INSERT, job="1", tenant="one")
            await adapter.close(db)

    async with adapter.open(pg_url, 1) as pool:
        with scope_of("one"), pytest.raises((psycopg.OperationalError, SQLAlchemyError)):
            await write(pool)

    assert admin.notes("one") == []


@pytest.mark.parametrize("adapter", ["sqlalchemy-asyncpg"], indirect=True)
async def test_a_pool_is_watched_once_whatever_engines_share_it_and_however_often_it_is_disposed(
    adapter: Adapter, admin: Admin, pg_url: str
) -> None:
    admin.add_schema("one")
    async with adapter.open(pg_url, 1) as engine:
        for _ in range(3):
            for shares in (engine, engine.execution_options(logging_token="x")):
                with scope_of("one"):
                    async with adapter.connect(shares) as db:
                        await adapter.run(db, "SELECT 1")
            await engine.dispose()
        assert len(list(engine.sync_engine.pool.dispatch.reset)) == 1


@pytest.mark.parametrize("adapter", ["sqlalchemy-psycopg"], indirect=True)
async def test_a_transaction_of_two_phases_is_refused_before_it_writes_in_public(
    adapter: Adapter, admin: Admin, pg_url: str, mode: Any
) -> None:
    admin.add_schema("one")

    def write(db: Any) -> None:
        with db.begin_twophase():
            db.execute(adapter.statement("INSERT INTO notes (job) VALUES ('1')"))

    # Before 2.1 it is an ordinary one that may be prepared, and begins with the schema like others.
    is_ordinary = sqlalchemy.__version__ < "2.1"
    async with lent_in_one(adapter, pg_url, mode=mode) as db:
        with contextlib.nullcontext() if is_ordinary else pytest.raises(ConfigurationError, match="two phases"):
            await db.run_sync(write)

    assert admin.notes("one") == ([("1", None)] if is_ordinary else [])
    assert admin.notes("public") == []
    assert adapter.foreign == []


@pytest.mark.parametrize("is_idle", [False, True])
async def test_what_a_handler_raised_is_what_its_job_fails_with_though_the_connection_is_dead(
    adapter: Adapter, admin: Admin, pg_url: str, mode: Any, is_idle: bool
) -> None:
    admin.add_schema("one")

    async def fail(pool: Any) -> None:
        async with adapter.connect(pool, mode=mode) as db:
            [(pid,)] = await adapter.run(db, "SELECT pg_backend_pid()")
            if is_idle and mode == "session":
                await db.commit()
            admin.run("SELECT pg_terminate_backend(%s)", pid)
            raise ValueError("by hand")

    async with adapter.open(pg_url, 1) as pool:
        with scope_of("one"), pytest.raises(ValueError, match="by hand"):
            await fail(pool)
        async with adapter.connect(pool) as db:
            assert await adapter.run(db, "SHOW search_path") == [('"$user", public',)]
