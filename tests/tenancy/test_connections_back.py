"""What becomes of a tenant's connection that is lost, closed or asked about: never somebody else's schema."""

from __future__ import annotations

import contextlib
from typing import Any

import psycopg
import pytest
from sqlalchemy.exc import DBAPIError, ResourceClosedError, SQLAlchemyError

from asyncjobs import TenantError
from asyncjobs.tenancy.lending import block, search_path
from tests.tenancy.databases import INSERT, Adapter, Admin, scope_of

pytestmark = pytest.mark.anyio


async def test_after_a_transaction_a_server_that_tells_its_path_by_itself_is_not_asked_for_it(
    adapter: Adapter, admin: Admin, pg_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    admin.add_schema("one")
    [(version,)] = admin.run("SELECT current_setting('server_version_num')::int")
    asked: list[Any] = []
    ask = block._ask

    async def asking(*asked_for: Any) -> Any:
        found = await ask(*asked_for)
        asked.append(found)
        return found

    monkeypatch.setattr(block, "_ask", asking)

    async with adapter.open(pg_url, 1) as pool:
        with scope_of("one"):
            async with adapter.connect(pool) as db:
                await adapter.run(db, INSERT, job="1", tenant="one")
            unchanged = ('"$user", public', "postgres", "none")
            assert asked == ([] if version >= 180_000 else [unchanged])
            async with adapter.connect(pool) as db:
                await adapter.run(db, "SET SESSION AUTHORIZATION pg_monitor")
            # The user that the handler has set; the connection is closed.
            assert asked[-1:] == [('"$user", public', "pg_monitor", "none")]
        async with adapter.connect(pool) as db:
            assert await adapter.run(db, "SELECT session_user::text") == [("postgres",)]
    assert adapter.foreign == []


async def test_a_connection_whose_path_is_another_after_it_was_restored_is_closed(
    adapter: Adapter, admin: Admin, pg_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    admin.add_schema("one")
    elsewhere = search_path._RESTORE.replace(":path", "'one' || left(:path, 0)")
    monkeypatch.setattr(search_path, "_RESTORE", elsewhere)

    async with adapter.open(pg_url, 1) as pool:
        with scope_of("one"):
            async with adapter.connect(pool, mode="session") as db:
                await adapter.run(db, INSERT, job="1", tenant="one")
        async with adapter.connect(pool) as db:
            assert await adapter.run(db, "SHOW search_path") == [('"$user", public',)]

    assert admin.notes("one") == [("1", "one")]
    assert adapter.foreign == []


async def test_a_handler_that_goes_on_after_its_connection_was_lost_writes_nowhere_else(
    adapter: Adapter, admin: Admin, pg_url: str, mode: Any
) -> None:
    admin.add_schema("one")

    async def write(pool: Any) -> None:
        async with adapter.connect(pool, mode=mode) as db:
            [(pid,)] = await adapter.run(db, "SELECT pg_backend_pid()")
            admin.run("SELECT pg_terminate_backend(%s)", pid)
            with pytest.raises(Exception, match=r"terminat|clos|connection"):
                await adapter.run(db, INSERT, job="lost", tenant="one")
            # Some drivers connect anew from here on, and that connection is in nobody's schema.
            await db.rollback()
            await adapter.run(db, INSERT, job="later", tenant="one")

    async with adapter.open(pg_url, 1) as pool:
        # Which of them tell of it and which go on, in the tenant's schema, is the driver's affair.
        with scope_of("one"), contextlib.suppress(TenantError, psycopg.OperationalError):
            await write(pool)
        async with adapter.connect(pool) as db:
            assert await adapter.run(db, "SHOW search_path") == [('"$user", public',)]

    assert admin.notes("public") == []
    assert admin.notes("one") == ([("later", "one")] if "sqlalchemy" in adapter.name and mode == "transaction" else [])
    assert adapter.foreign == []


async def test_what_is_lost_with_the_connection_is_an_error_also_for_a_handler_that_says_nothing(
    adapter: Adapter, admin: Admin, pg_url: str, mode: Any
) -> None:
    admin.add_schema("one")

    async def write(pool: Any) -> None:
        async with adapter.connect(pool, mode=mode) as db:
            await adapter.run(db, INSERT, job="lost", tenant="one")
            [(pid,)] = await adapter.run(db, "SELECT pg_backend_pid()")
            admin.run("SELECT pg_terminate_backend(%s)", pid)
            with contextlib.suppress(psycopg.Error, DBAPIError):
                await adapter.run(db, "SELECT 1")

    async with adapter.open(pg_url, 1) as pool:
        with scope_of("one"), pytest.raises((psycopg.Error, SQLAlchemyError)):
            await write(pool)

    assert admin.notes("one") == []


async def test_a_handler_that_closes_its_connection_itself_leaves_nobody_its_schema(
    adapter: Adapter, admin: Admin, pg_url: str, mode: Any
) -> None:
    admin.add_schema("one")

    async def close(pool: Any) -> None:
        async with adapter.connect(pool, mode=mode) as db:
            await adapter.run(db, "SET search_path TO one")
            await db.close()

    async with adapter.open(pg_url, 1) as pool:
        with scope_of("one"), contextlib.suppress(psycopg.OperationalError, ResourceClosedError):
            await close(pool)
        async with adapter.connect(pool) as db:
            assert await adapter.run(db, "SHOW search_path") == [('"$user", public',)]

    assert adapter.foreign == []
