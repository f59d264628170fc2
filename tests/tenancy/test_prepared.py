"""Statements that a driver has prepared on a connection mean the tables of whoever has the connection now."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from typing import Any

import pytest
from psycopg_pool import AsyncConnectionPool
from sqlalchemy.ext.asyncio import create_async_engine

from tests.tenancy.databases import INSERT, Adapter, Admin, scope_of

pytestmark = pytest.mark.anyio


@contextlib.asynccontextmanager
async def preparing(adapter: Adapter, url: str) -> AsyncIterator[Any]:
    """Open one connection whose driver prepares each statement at once, and uses it again."""
    if adapter.name == "psycopg":
        async with AsyncConnectionPool(
            url, min_size=1, max_size=1, open=False, kwargs={"prepare_threshold": 0}
        ) as pool:
            yield pool
        return
    driver = "asyncpg" if "asyncpg" in adapter.name else "psycopg"
    arguments: dict[str, Any] = {"prepare_threshold": 0} if driver == "psycopg" else {}
    engine = create_async_engine(
        url.replace("postgresql", f"postgresql+{driver}"), pool_size=1, max_overflow=0, connect_args=arguments
    )
    try:
        yield engine
    finally:
        await engine.dispose()


@pytest.mark.parametrize("mode", ["transaction", "session"])
async def test_a_prepared_statement_reads_and_writes_the_tables_of_the_tenant_of_the_moment(
    adapter: Adapter, admin: Admin, pg_url: str, mode: Any
) -> None:
    for name in ("one", "two"):
        admin.add_schema(name)
    async with preparing(adapter, pg_url) as source:
        for turn in range(4):
            for name in ("one", "two"):
                with scope_of(name):
                    async with adapter.connect(source, mode=mode) as db:
                        await adapter.run(db, INSERT, job="1", tenant=name)
                        [(count, tenant)] = await adapter.run(db, "SELECT count(*), min(tenant) FROM notes")
                        assert (count, tenant) == (turn + 1, name)
        prepared = await _prepared(adapter, source)

    assert any("INSERT INTO notes" in statement for statement in prepared)
    assert admin.notes("one") == [("1", "one")] * 4
    assert admin.notes("two") == [("1", "two")] * 4
    assert admin.notes("public") == []


async def _prepared(adapter: Adapter, source: Any) -> list[str]:
    async with adapter.connect(source) as db:
        return [statement for (statement,) in await adapter.run(db, "SELECT statement FROM pg_prepared_statements")]
