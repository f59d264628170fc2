"""The ways that a handler may take to its tenant's connection, and which adapters have them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncSession

from tests.tenancy.databases import Adapter, SqlAlchemyAdapter

__all__ = [
    "ROW",
    "WAYS",
    "Way",
    "by_driver_connection",
    "by_run_async",
    "connection_of",
    "on_each_way",
    "on_psycopg",
    "on_sqlalchemy",
    "raw_of",
    "set_autocommit",
    "write_raw",
]

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
