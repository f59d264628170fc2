"""What a handler can't do with its connection: reach the pool, outlive a block or a loss, leave it changed."""

from __future__ import annotations

import contextlib
from typing import Any

import pytest
from sqlalchemy import event, text
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncSession

from asyncjobs import ConfigurationError, TenantError, UnknownTenant
from tests.tenancy.databases import INSERT, Adapter, Admin, scope_of
from tests.tenancy.ways import (
    ROW,
    by_driver_connection,
    connection_of,
    on_sqlalchemy,
    raw_of,
    set_autocommit,
    write_raw,
)

pytestmark = pytest.mark.anyio


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
