"""Whatever way a handler takes to its connection, what it writes is in its tenant's schema, or its job fails."""

from __future__ import annotations

import contextlib
from collections.abc import Awaitable, Callable
from typing import Any

import psycopg
import pytest
from sqlalchemy import event, text
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncSession

from asyncjobs import ConfigurationError, TenantError, UnknownTenant
from tests.tenancy.databases import INSERT, Adapter, Admin, SqlAlchemyAdapter, scope_of

pytestmark = pytest.mark.anyio

ROW = "INSERT INTO notes (job, tenant) VALUES ('raw', 'one')"

SQLALCHEMY: dict[str, Callable[[], Adapter]] = {
    "asyncpg": lambda: SqlAlchemyAdapter("asyncpg"),
    "asyncpg-sessions": lambda: SqlAlchemyAdapter("asyncpg", sessions=True),
    "psycopg": lambda: SqlAlchemyAdapter("psycopg"),
    "psycopg-sessions": lambda: SqlAlchemyAdapter("psycopg", sessions=True),
}

on_sqlalchemy = pytest.mark.parametrize("adapter", [make() for make in SQLALCHEMY.values()], ids=list(SQLALCHEMY))
on_psycopg = pytest.mark.parametrize("adapter", ["psycopg"], indirect=True)

Way = Callable[[Any], Awaitable[None]]


async def connection_of(db: Any) -> Any:
    """Return the ``AsyncConnection``, also of a session."""
    return await db.connection() if isinstance(db, AsyncSession) else db


async def set_autocommit(db: Any) -> None:
    if isinstance(db, AsyncSession):
        await db.connection(execution_options={"isolation_level": "AUTOCOMMIT"})
    elif isinstance(db, AsyncConnection):
        await db.execution_options(isolation_level="AUTOCOMMIT")
    else:
        await db.set_autocommit(True)


async def raw_of(db: Any) -> Any:
    return await (await connection_of(db)).get_raw_connection()


async def write_raw(driver: Any) -> None:
    """Write a row through the driver's own connection; by COPY with asyncpg."""
    if hasattr(driver, "copy_records_to_table"):
        await driver.copy_records_to_table("notes", records=[("raw", "one")], columns=["job", "tenant"])
    else:
        async with driver.cursor() as cursor, cursor.copy("COPY notes (job, tenant) FROM STDIN") as copy:
            await copy.write_row(("raw", "one"))


async def by_driver_connection(db: Any) -> None:
    await write_raw((await raw_of(db)).driver_connection)


async def by_run_async(db: Any) -> None:
    connection = await connection_of(db)
    await connection.run_sync(lambda sync: sync.connection.dbapi_connection.run_async(write_raw))


async def by_cursor(db: Any) -> None:
    await (await connection_of(db)).run_sync(lambda sync: sync.connection.cursor().execute(ROW))


async def by_dbapi_cursor(db: Any) -> None:
    await (await connection_of(db)).run_sync(lambda sync: sync.connection.dbapi_connection.cursor().execute(ROW))


async def by_run_sync(db: Any) -> None:
    await (await connection_of(db)).run_sync(lambda sync: sync.exec_driver_sql(ROW))


async def by_sync_connection(db: Any) -> None:
    connection = await connection_of(db)
    await connection.run_sync(lambda _: connection.sync_connection.execute(text(ROW)))


async def by_begin_nested(db: Any) -> None:
    async with db.begin_nested():
        await db.execute(text(ROW))


async def by_stream(db: Any) -> None:
    result = await db.stream(text("SELECT job FROM notes"))
    rows = [row async for row in result]
    await db.execute(text(ROW))
    assert set(rows) <= {("raw",)}


WAYS: dict[str, Way] = {
    name.removeprefix("by_"): way for name, way in list(globals().items()) if name.startswith("by_")
}
on_each_way = pytest.mark.parametrize("way", list(WAYS.values()), ids=list(WAYS))


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
    async with adapter.open(pg_url, 1) as engine:
        with scope_of("one"):
            async with adapter.connect(engine, mode=mode) as db:
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
    async with adapter.open(pg_url, 1) as engine:
        with scope_of("one"):
            async with adapter.connect(engine) as db:
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
    async with adapter.open(pg_url, 1) as engine:
        with scope_of("one"):
            async with adapter.connect(engine) as db:
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
    async with adapter.open(pg_url, 1) as engine:
        with scope_of("one"):
            async with adapter.connect(engine) as db:
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
    async with adapter.open(pg_url, 1) as engine:
        with scope_of("one"):
            async with adapter.connect(engine, mode=mode) as db:
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
    async with adapter.open(pg_url, 1) as engine:
        with scope_of("one"):
            async with adapter.connect(engine) as db:
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
    async with adapter.open(pg_url, 1) as pool:
        with scope_of("one"):
            async with adapter.connect(pool, mode=mode) as db:
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
    async with adapter.open(pg_url, 1) as pool:
        with scope_of("one"):
            async with adapter.connect(pool) as db:
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
    async with adapter.open(pg_url, 1) as pool:
        with scope_of("one"):
            async with adapter.connect(pool, mode="session") as db:
                await db.execute(ROW)
                await db.commit()
                await db.execute(ROW)
                await db.rollback()
                await db.set_autocommit(True)
                await db.execute(ROW)

    assert admin.notes("public") == []
    assert admin.notes("one") == [("raw", "one")] * 2
    assert adapter.foreign == []


@on_sqlalchemy
async def test_the_engine_of_a_tenants_connection_has_no_other_one(
    adapter: Adapter, admin: Admin, pg_url: str, mode: Any
) -> None:
    admin.add_schema("one")
    async with adapter.open(pg_url, 2) as engine:
        with scope_of("one"):
            async with adapter.connect(engine, mode=mode) as db:
                connection = await connection_of(db)
                within = connection.engine
                for other in (within, within.execution_options(logging_token="x")):
                    with pytest.raises(TenantError, match="use connect"):
                        await other.connect().start()
                    with pytest.raises(TenantError, match="use connect"):
                        await other.raw_connection()
                with pytest.raises(TenantError, match="use connect"):
                    await connection.run_sync(lambda sync: sync.engine.pool.connect())
                await adapter.run(db, INSERT, job="1", tenant="one")

    assert admin.notes("public") == []
    assert admin.notes("one") == [("1", "one")]


@on_sqlalchemy
async def test_the_pool_of_all_tenants_is_out_of_reach(adapter: Adapter, admin: Admin, pg_url: str, mode: Any) -> None:
    admin.add_schema("one")
    async with adapter.open(pg_url, 1) as engine:
        with scope_of("one"):
            async with adapter.connect(engine, mode=mode) as db:
                connection = await connection_of(db)
                with pytest.raises(TenantError, match="pool of all tenants"):
                    await connection.engine.dispose()
                with pytest.raises(TenantError, match="pool of all tenants"):
                    await connection.run_sync(lambda sync: sync.engine.pool.recreate())
                with pytest.raises(TenantError, match="detached"):
                    await connection.run_sync(lambda sync: sync.detach())
                await adapter.run(db, INSERT, job="1", tenant="one")

    assert admin.notes("one") == [("1", "one")]
    assert adapter.foreign == []


@on_sqlalchemy
async def test_a_cursor_that_is_used_beyond_its_transaction_writes_nothing_and_is_an_error(
    adapter: Adapter, admin: Admin, pg_url: str
) -> None:
    admin.add_schema("one")

    async def write(engine: Any, *, goes_on: bool) -> None:
        async with adapter.connect(engine) as db:
            connection = await connection_of(db)
            cursors: list[Any] = []
            event.listen(
                connection.sync_connection, "before_cursor_execute", lambda _, cursor, *__: cursors.append(cursor)
            )
            await db.execute(text("SELECT 1"))
            await db.commit()
            await connection.run_sync(lambda _: cursors[0].execute(ROW))
            if goes_on:
                await adapter.run(db, INSERT, job="1", tenant="one")

    async with adapter.open(pg_url, 1) as engine:
        for goes_on in (False, True):
            with scope_of("one"), pytest.raises(TenantError):
                await write(engine, goes_on=goes_on)

    assert admin.notes("public") == admin.notes("one") == []
    assert adapter.foreign == []


@on_sqlalchemy
@pytest.mark.parametrize("end", ["close", "invalidate"])
@pytest.mark.parametrize("goes_on", [False, True])
async def test_a_raw_connection_that_is_closed_is_an_error_for_what_was_written_is_lost(
    adapter: Adapter, admin: Admin, pg_url: str, mode: Any, end: str, goes_on: bool
) -> None:
    admin.add_schema("one")

    async def write(engine: Any) -> None:
        async with adapter.connect(engine, mode=mode) as db:
            raw = await raw_of(db)
            await (await connection_of(db)).run_sync(lambda _: raw.cursor().execute(ROW))
            await (await connection_of(db)).run_sync(lambda _: getattr(raw, end)())
            if goes_on:
                await adapter.run(db, INSERT, job="1", tenant="one")

    async with adapter.open(pg_url, 1) as engine:
        with scope_of("one"), pytest.raises((TenantError, SQLAlchemyError), match=r"lost|Can't reconnect"):
            await write(engine)
        async with adapter.connect(engine) as db:
            assert await adapter.run(db, "SHOW search_path") == [('"$user", public',)]

    assert admin.notes("public") == admin.notes("one") == []


@on_sqlalchemy
async def test_a_listener_of_the_pool_that_begins_a_transaction_loses_no_work(
    adapter: Adapter, admin: Admin, pg_url: str, mode: Any
) -> None:
    admin.add_schema("one")

    def check(connection: Any, record: Any, proxy: Any) -> None:
        connection.cursor().execute("SELECT 1")

    async with adapter.open(pg_url, 1) as engine:
        event.listen(engine.sync_engine, "checkout", check)
        with scope_of("one"):
            async with adapter.connect(engine, mode=mode) as db:
                await adapter.run(db, INSERT, job="1", tenant="one")

    assert admin.notes("one") == [("1", "one")]
    assert adapter.foreign == []


@on_sqlalchemy
async def test_transactions_may_be_of_another_isolation_level_and_stay_in_the_schema(
    adapter: Adapter, admin: Admin, pg_url: str, mode: Any
) -> None:
    admin.add_schema("one")
    async with adapter.open(pg_url, 1) as engine:
        with scope_of("one"):
            async with adapter.connect(engine, mode=mode) as db:
                if mode == "transaction":
                    await by_driver_connection(db)
                    await db.commit()
                options = {"isolation_level": "SERIALIZABLE", "postgresql_readonly": False}
                if isinstance(db, AsyncSession):
                    await db.connection(execution_options=options)
                else:
                    await db.execution_options(**options)
                assert await adapter.run(db, "SHOW transaction_isolation") == [("serializable",)]
                await by_driver_connection(db)
            async with adapter.connect(engine, mode=mode) as db:
                assert await adapter.run(db, "SHOW transaction_isolation") == [("read committed",)]

    assert admin.notes("public") == []
    assert admin.notes("one") == [("raw", "one")] * (2 if mode == "transaction" else 1)
    assert adapter.foreign == []


@on_sqlalchemy
async def test_a_handler_that_asks_for_autocommit_is_refused_in_transaction_mode_and_served_in_session_mode(
    adapter: Adapter, admin: Admin, pg_url: str, mode: Any
) -> None:
    admin.add_schema("one")

    async def write(engine: Any) -> None:
        async with adapter.connect(engine, mode=mode) as db:
            await set_autocommit(db)
            await adapter.run(db, INSERT, job="1", tenant="one")

    refused = pytest.raises(ConfigurationError, match="AUTOCOMMIT")
    async with adapter.open(pg_url, 1) as engine:
        with scope_of("one"), refused if mode == "transaction" else contextlib.nullcontext():
            await write(engine)
        async with adapter.connect(engine) as db:
            assert await adapter.run(db, "SHOW transaction_isolation") == [("read committed",)]

    assert admin.notes("public") == []
    assert admin.notes("one") == ([] if mode == "transaction" else [("1", "one")])
    assert adapter.foreign == []


@on_sqlalchemy
async def test_after_a_loss_the_raw_connection_is_in_the_schema_or_refused(
    adapter: Adapter, admin: Admin, pg_url: str, mode: Any
) -> None:
    admin.add_schema("one")

    async def write(engine: Any) -> None:
        async with adapter.connect(engine, mode=mode) as db:
            admin.end_others()
            with contextlib.suppress(SQLAlchemyError):
                await adapter.run(db, INSERT, job="lost", tenant="one")
            await db.rollback()
            await by_driver_connection(db)

    async with adapter.open(pg_url, 1) as engine:
        lost = pytest.raises(TenantError, match="was lost")
        with scope_of("one"), lost if mode == "session" else contextlib.nullcontext():
            await write(engine)

    assert admin.notes("public") == []
    assert admin.notes("one") == ([] if mode == "session" else [("raw", "one")])
    assert adapter.foreign == []


@on_sqlalchemy
async def test_a_schema_that_is_gone_after_a_commit_is_an_error_of_the_next_use_and_not_of_the_commit(
    adapter: Adapter, admin: Admin, pg_url: str
) -> None:
    admin.add_schema("one")
    admin.run("CREATE TABLE public.left_over (job text)")

    async def leave(engine: Any, *, use: bool) -> None:
        async with adapter.connect(engine) as db:
            await adapter.run(db, "INSERT INTO public.left_over VALUES ('1')")
            await adapter.run(db, "DROP SCHEMA one CASCADE")
            await db.commit()
            if use:
                await adapter.run(db, "SELECT 1")

    async with adapter.open(pg_url, 1) as engine:
        with scope_of("one"):
            await leave(engine, use=False)
            admin.add_schema("one")
            with pytest.raises(TenantError, match="not in the database"):
                await leave(engine, use=True)
            with pytest.raises(UnknownTenant):
                await leave(engine, use=True)

    assert admin.run("SELECT count(*) FROM public.left_over") == [(2,)]
    assert adapter.foreign == []


@on_sqlalchemy
async def test_a_connection_that_is_kept_beyond_its_block_can_do_nothing_more(
    adapter: Adapter, admin: Admin, pg_url: str, mode: Any
) -> None:
    admin.add_schema("one")
    async with adapter.open(pg_url, 1) as engine:
        with scope_of("one"):
            async with adapter.connect(engine, mode=mode) as db:
                connection = await connection_of(db)
                raw = await connection.get_raw_connection()
        with pytest.raises(SQLAlchemyError, match="closed"):
            await connection.execute(text(ROW))
        with pytest.raises(TenantError, match="end of its block"):
            await write_raw(raw.driver_connection)
        with pytest.raises(TenantError, match="end of its block"):
            await connection.engine.connect().start()

    assert admin.notes("public") == admin.notes("one") == []


@pytest.mark.parametrize(
    "statement",
    [
        "RESET ALL",
        "DISCARD ALL",
        "SET search_path TO public",
        "SET SESSION AUTHORIZATION pg_monitor",
        "SET ROLE pg_monitor",
    ],
)
@pytest.mark.parametrize("is_raw", [False, True])
async def test_in_session_mode_a_handler_that_resets_its_connection_fails_and_nobody_else_has_it(
    adapter: Adapter, admin: Admin, pg_url: str, statement: str, is_raw: bool
) -> None:
    admin.add_schema("one")

    async def reset(pool: Any) -> None:
        async with adapter.connect(pool, mode="session") as db:
            if is_raw and adapter.name != "psycopg":
                driver = (await raw_of(db)).driver_connection
                if hasattr(driver, "set_autocommit"):
                    await driver.set_autocommit(True)
                await driver.execute(statement)
            else:
                # DISCARD ALL can't be executed in a transaction.
                await set_autocommit(db)
                await adapter.run(db, statement)

    async with adapter.open(pg_url, 1) as pool:
        with scope_of("one"), pytest.raises(TenantError, match="no longer as it was set"):
            await reset(pool)
        async with adapter.connect(pool) as db:
            found = await adapter.run(
                db, "SELECT current_setting('search_path'), session_user::text, current_user::text"
            )
            assert found == [('"$user", public', "postgres", "postgres")]
    assert adapter.foreign == []
