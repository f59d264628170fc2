"""Whatever way a handler takes to its connection, what it writes is in its tenant's schema, or its job fails."""

from __future__ import annotations

import contextlib
from typing import Any

import psycopg
import pytest
from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError

from asyncjobs import TenantError
from tests.tenancy.databases import INSERT, Adapter, Admin, lent_in_one, scope_of
from tests.tenancy.ways import (
    ROW,
    WAYS,
    Way,
    by_driver_connection,
    by_run_async,
    connection_of,
    on_each_way,
    on_psycopg,
    on_sqlalchemy,
    raw_of,
    write_raw,
)

pytestmark = pytest.mark.anyio


@on_sqlalchemy
@on_each_way
async def test_any_way_leads_into_the_schema_also_after_a_commit_and_a_rollback(
    adapter: Adapter, admin: Admin, pg_url: str, mode: Any, way: Way
) -> None:
    admin.add_schema("one")
    async with adapter.open(pg_url, 1) as engine:
        with scope_of("one"):
            async with adapter.connect(engine, mode=mode) as db:
                await way(db)
            async with adapter.connect(engine, mode=mode) as db:
                await way(db)
                await db.commit()
                await way(db)
                await db.rollback()
                await way(db)

    # Without a transaction that SQLAlchemy has begun, asyncpg itself commits what it writes.
    is_kept = "asyncpg" in adapter.name and mode == "session" and way in (by_driver_connection, by_run_async)
    assert admin.notes("public") == []
    assert admin.notes("one") == [("raw", "one")] * (4 if is_kept else 3)
    assert adapter.foreign == []


@on_sqlalchemy
async def test_a_drivers_connection_that_is_kept_stays_in_the_schema_through_transactions(
    adapter: Adapter, admin: Admin, pg_url: str, mode: Any
) -> None:
    admin.add_schema("one")
    async with lent_in_one(adapter, pg_url, mode=mode) as db:
        driver = (await raw_of(db)).driver_connection
        await db.commit()
        await write_raw(driver)
        await adapter.run(db, INSERT, job="1", tenant="one")
        await db.commit()
        await write_raw(driver)

    assert admin.notes("public") == []
    assert sorted(admin.notes("one")) == [("1", "one"), ("raw", "one"), ("raw", "one")]
    assert adapter.foreign == []


@on_sqlalchemy
async def test_a_raw_connection_that_is_kept_through_a_commit_leads_into_the_schema_or_says_how_to_get_another(
    adapter: Adapter, admin: Admin, pg_url: str
) -> None:
    admin.add_schema("one")
    async with lent_in_one(adapter, pg_url) as db:
        raw = await raw_of(db)
        await db.commit()
        with pytest.raises(TenantError, match="get it anew"):
            await write_raw(raw.driver_connection)
        connection = await connection_of(db)
        await connection.run_sync(lambda _: raw.cursor().execute(ROW))
        await write_raw(raw.driver_connection)

    assert admin.notes("public") == []
    assert admin.notes("one") == [("raw", "one")] * 2


@on_sqlalchemy
async def test_after_a_commit_no_transaction_is_open_until_it_is_needed(
    adapter: Adapter, admin: Admin, pg_url: str
) -> None:
    admin.add_schema("one")
    async with lent_in_one(adapter, pg_url) as db:
        [(pid,)] = await adapter.run(db, "SELECT pg_backend_pid()")
        await db.commit()
        assert admin.run("SELECT state FROM pg_stat_activity WHERE pid = %s", pid) == [("idle",)]
        await adapter.run(db, INSERT, job="1", tenant="one")

    assert admin.notes("one") == [("1", "one")]


@on_sqlalchemy
async def test_a_handler_goes_on_after_a_loss_between_two_transactions(
    adapter: Adapter, admin: Admin, pg_url: str
) -> None:
    admin.add_schema("one")
    async with lent_in_one(adapter, pg_url) as db:
        await adapter.run(db, INSERT, job="1", tenant="one")
        await db.commit()
        admin.end_others()
        with pytest.raises(SQLAlchemyError):
            await adapter.run(db, INSERT, job="lost", tenant="one")
        await db.rollback()
        await adapter.run(db, INSERT, job="2", tenant="one")

    assert admin.notes("public") == []
    assert admin.notes("one") == [("1", "one"), ("2", "one")]
    assert adapter.foreign == []


@on_sqlalchemy
async def test_what_is_written_through_the_driver_is_rolled_back_with_what_fails(
    adapter: Adapter, admin: Admin, pg_url: str
) -> None:
    admin.add_schema("one")

    async def fail(engine: Any) -> None:
        async with adapter.connect(engine) as db:
            await by_driver_connection(db)
            raise ValueError("by hand")

    async with adapter.open(pg_url, 1) as engine:
        with scope_of("one"), pytest.raises(ValueError, match="by hand"):
            await fail(engine)

    assert admin.notes("one") == admin.notes("public") == []
    assert adapter.foreign == []


@on_sqlalchemy
async def test_without_a_tenant_what_is_written_through_the_driver_does_not_vanish(
    adapter: Adapter, admin: Admin, pg_url: str, mode: Any
) -> None:
    async with adapter.open(pg_url, 1) as engine, adapter.connect(engine, mode=mode) as db:
        await by_driver_connection(db)

    assert admin.notes("public") == [("raw", "one")]


@on_sqlalchemy
@pytest.mark.parametrize("end", ["commit", "rollback"])
async def test_the_ends_of_a_transaction_that_the_raw_connections_offer_lead_into_the_next_one_in_the_schema(
    adapter: Adapter, admin: Admin, pg_url: str, mode: Any, end: str
) -> None:
    admin.add_schema("one")
    async with lent_in_one(adapter, pg_url, mode=mode) as db:
        connection = await connection_of(db)
        for raw in ("connection", "connection.dbapi_connection"):

            def write(sync: Any, raw: str = raw) -> None:
                found = sync.connection if raw == "connection" else sync.connection.dbapi_connection
                found.cursor().execute(ROW)
                getattr(found, end)()

            await connection.run_sync(write)
            await by_driver_connection(db)

    # Without a transaction that SQLAlchemy has begun, asyncpg itself commits what it writes.
    rolled_back = 2 if "asyncpg" in adapter.name and mode == "session" else 1
    assert admin.notes("public") == []
    assert admin.notes("one") == [("raw", "one")] * (4 if end == "commit" else rolled_back)
    assert adapter.foreign == []


@pytest.mark.parametrize("adapter", ["sqlalchemy-psycopg"], indirect=True)
@pytest.mark.parametrize("end", ["commit", "rollback"])
async def test_a_transaction_that_the_driver_would_end_behind_sqlalchemys_back_is_refused(
    adapter: Adapter, admin: Admin, pg_url: str, end: str
) -> None:
    admin.add_schema("one")
    async with lent_in_one(adapter, pg_url) as db:
        driver = (await raw_of(db)).driver_connection
        await write_raw(driver)
        with pytest.raises(psycopg.ProgrammingError, match="forbidden"):
            await getattr(driver, end)()
        with pytest.raises(psycopg.ProgrammingError, match="can't change"):
            await driver.set_autocommit(True)
        await write_raw(driver)

    assert admin.notes("public") == []
    assert admin.notes("one") == [("raw", "one")] * 2


@on_sqlalchemy
@pytest.mark.parametrize("statement", ["COMMIT", "ROLLBACK"])
async def test_after_a_statement_that_ends_the_transaction_nothing_more_is_done(
    adapter: Adapter, admin: Admin, pg_url: str, statement: str
) -> None:
    admin.add_schema("one")

    async def write(engine: Any, then: Way | None) -> None:
        async with adapter.connect(engine) as db:
            await db.execute(text(statement))
            if then:
                with contextlib.suppress(TenantError):
                    await then(db)

    async with adapter.open(pg_url, 1) as engine:
        for then in (None, *WAYS.values()):
            with scope_of("one"), pytest.raises(TenantError):
                await write(engine, then)

    assert admin.notes("public") == admin.notes("one") == []
    assert adapter.foreign == []


@on_psycopg
@pytest.mark.parametrize("statement", ["COMMIT", "ROLLBACK"])
async def test_what_psycopg_writes_after_such_a_statement_is_rolled_back_and_an_error(
    adapter: Adapter, admin: Admin, pg_url: str, statement: str
) -> None:
    admin.add_schema("one")

    async def write(pool: Any) -> None:
        async with adapter.connect(pool) as db:
            await db.execute(statement)
            await db.execute(ROW)

    async with adapter.open(pg_url, 1) as pool:
        with scope_of("one"), pytest.raises(TenantError, match="no longer as it was set"):
            await write(pool)

    assert admin.notes("public") == admin.notes("one") == []
    assert adapter.foreign == []


@on_psycopg
async def test_psycopgs_own_ways_lead_into_the_schema(adapter: Adapter, admin: Admin, pg_url: str, mode: Any) -> None:
    admin.add_schema("one")
    async with lent_in_one(adapter, pg_url, mode=mode) as db:
        await write_raw(db)
        async with db.pipeline():
            await db.execute(ROW)
        async with db.cursor("named") as cursor:
            await cursor.execute("SELECT job FROM notes")
            assert await cursor.fetchall() == [("raw",)] * 2
        async with db.transaction():
            await db.execute(ROW)

    assert admin.notes("public") == []
    assert admin.notes("one") == [("raw", "one")] * 3
    assert adapter.foreign == []


@on_psycopg
async def test_psycopgs_one_transaction_can_be_neither_ended_nor_left(
    adapter: Adapter, admin: Admin, pg_url: str
) -> None:
    admin.add_schema("one")
    async with lent_in_one(adapter, pg_url) as db:
        for call in (db.commit, db.rollback, lambda: db.set_autocommit(True)):
            with pytest.raises(psycopg.ProgrammingError):
                await call()
        await db.execute(ROW)

    assert admin.notes("public") == []
    assert admin.notes("one") == [("raw", "one")]


@on_psycopg
async def test_psycopg_in_session_mode_writes_into_the_schema_with_autocommit_and_after_a_commit(
    adapter: Adapter, admin: Admin, pg_url: str
) -> None:
    admin.add_schema("one")
    async with lent_in_one(adapter, pg_url, mode="session") as db:
        await db.execute(ROW)
        await db.commit()
        await db.execute(ROW)
        await db.rollback()
        await db.set_autocommit(True)
        await db.execute(ROW)

    assert admin.notes("public") == []
    assert admin.notes("one") == [("raw", "one")] * 2
    assert adapter.foreign == []
