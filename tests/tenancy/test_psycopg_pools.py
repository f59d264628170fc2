"""Pools of psycopg whose connections are set up in ways of their own, and handlers that set up theirs."""

from __future__ import annotations

from typing import Any

import psycopg
import pytest
from psycopg.rows import dict_row
from psycopg_pool import AsyncConnectionPool

from asyncjobs.tenancy import psycopg as on_psycopg
from tests.tenancy.databases import Admin, scope_of

pytestmark = pytest.mark.anyio

INSERT = "INSERT INTO notes (job, tenant) VALUES ('1', 'one')"


@pytest.mark.parametrize("cursor_factory", [psycopg.AsyncRawCursor, psycopg.AsyncClientCursor])
async def test_connections_may_have_cursors_and_rows_of_another_kind(
    admin: Admin, pg_url: str, mode: Any, cursor_factory: Any
) -> None:
    admin.add_schema("one")
    kwargs = {"cursor_factory": cursor_factory, "row_factory": dict_row}
    async with AsyncConnectionPool(pg_url, min_size=1, open=False, kwargs=kwargs) as pool:
        with scope_of("one"):
            async with on_psycopg.connect(pool, mode=mode) as db:
                await db.execute(INSERT)

    assert admin.notes("one") == [("1", "one")]


async def test_a_pool_that_lends_connections_inside_a_transaction_loses_no_work(
    admin: Admin, pg_url: str, mode: Any
) -> None:
    async def check(connection: Any) -> None:
        await connection.execute("SELECT 1")

    admin.add_schema("one")
    async with AsyncConnectionPool(pg_url, min_size=1, open=False, check=check) as pool:
        with scope_of("one"):
            async with on_psycopg.connect(pool, mode=mode) as db:
                await db.execute(INSERT)

    assert admin.notes("one") == [("1", "one")]


async def test_a_pool_that_lends_connections_inside_a_transaction_hides_no_table_from_a_job_without_a_tenant(
    admin: Admin, pg_url: str
) -> None:
    async def check(connection: Any) -> None:
        await connection.execute("SELECT 1")

    admin.add_schema("one")
    async with AsyncConnectionPool(pg_url, min_size=1, max_size=1, open=False, check=check) as pool:
        with scope_of("one"):
            async with on_psycopg.connect(pool) as db:
                await db.execute("CREATE TEMPORARY TABLE notes AS SELECT 'secret' AS job")
        async with on_psycopg.connect(pool) as db:
            assert await (await db.execute("SELECT job FROM notes")).fetchall() == []


async def test_a_handler_that_sets_autocommit_sets_it_for_nobody_else(admin: Admin, pg_url: str) -> None:
    admin.add_schema("one")
    async with AsyncConnectionPool(pg_url, min_size=1, max_size=1, open=False) as pool:
        with scope_of("one"):
            async with on_psycopg.connect(pool, mode="session") as db:
                await db.set_autocommit(True)
        async with on_psycopg.connect(pool) as db:
            assert db.autocommit is False
