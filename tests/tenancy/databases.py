"""One face for the database adapters, so that one test asks the same of each."""

from __future__ import annotations

import contextlib
import logging
import re
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, AbstractContextManager
from typing import Any

import psycopg
from psycopg import sql
from psycopg_pool import AsyncConnectionPool
from sqlalchemy import event, text
from sqlalchemy.ext.asyncio import create_async_engine

from asyncjobs import tenant_scope
from asyncjobs.core.tenancy import TenantContext
from asyncjobs.tenancy import psycopg as on_psycopg
from asyncjobs.tenancy import sqlalchemy as on_sqlalchemy

__all__ = ["ADAPTERS", "INSERT", "Adapter", "Admin", "PsycopgAdapter", "SqlAlchemyAdapter", "lent_in_one", "scope_of"]

#: Writes a note into the schema that the path of the connection names first.
INSERT = "INSERT INTO notes (job, tenant) VALUES (:job, :tenant)"

_DEFAULT_PATH = '"$user", public'


class Admin:
    """A connection that sees everything, for arranging and for looking afterwards."""

    def __init__(self, url: str) -> None:
        self._connection = psycopg.connect(url, autocommit=True)

    def run(self, statement: Any, *parameters: Any) -> list[Any]:
        cursor = self._connection.execute(statement, parameters or None)
        return cursor.fetchall() if cursor.description else []

    def end_others(self) -> None:
        """End every other connection."""
        self.run(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
            "WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()"
        )

    def empty(self) -> None:
        """Drop all schemas but the system's own, and end what is still at work in them."""
        self.end_others()
        for (name,) in self.run(
            "SELECT nspname FROM pg_namespace WHERE nspname NOT LIKE 'pg\\_%' AND nspname <> 'information_schema'"
        ):
            self.run(sql.SQL("DROP SCHEMA {} CASCADE").format(sql.Identifier(name)))

    def add_schema(self, name: str) -> None:
        """Make a schema with a table ``notes``, whose rows tell which schema they lie in."""
        quoted = sql.Identifier(name)
        self.run(sql.SQL("CREATE SCHEMA IF NOT EXISTS {}").format(quoted))
        self.run(
            sql.SQL("CREATE TABLE {}.notes (job text, tenant text, place text DEFAULT {})").format(
                quoted, sql.Literal(name)
            )
        )

    def notes(self, schema: str) -> list[Any]:
        """Return (job, tenant) of the notes in a schema."""
        return self.run(sql.SQL("SELECT job, tenant FROM {}.notes").format(sql.Identifier(schema)))

    def close(self) -> None:
        self._connection.close()


class PsycopgAdapter:
    """psycopg 3 with its pool."""

    name = "psycopg"

    @contextlib.asynccontextmanager
    async def open(self, url: str, size: int, *, watch: bool = True, **settings: Any) -> AsyncIterator[Any]:
        """Open a pool; ``foreign`` counts connections back with a path of somebody's, if ``watch``."""
        self.foreign: list[str] = []

        async def check(connection: Any) -> None:
            await connection.set_autocommit(True)
            found = await (await connection.execute("SHOW search_path")).fetchone()
            await connection.set_autocommit(False)
            if found != (_DEFAULT_PATH,):
                self.foreign.append(found[0])

        logging.getLogger("psycopg.pool").setLevel(logging.CRITICAL)
        # A proxy that pools transactions knows no statements prepared elsewhere.
        kwargs = {"prepare_threshold": None, **settings}
        async with AsyncConnectionPool(
            url, min_size=1, max_size=size, timeout=60, open=False, reset=check if watch else None, kwargs=kwargs
        ) as pool:
            yield pool

    def connect(self, source: Any, **options: Any) -> AbstractAsyncContextManager[Any]:
        return on_psycopg.connect(source, **options)

    def provider(self, source: Any, **options: Any) -> Callable[..., Any]:
        return on_psycopg.connection(source, **options)

    def resolver(self, source: Any, query: str) -> Any:
        return on_psycopg.SqlTenants(source, self.statement(query))

    def statement(self, text: str) -> Any:
        return re.sub(r"(?<!:):(\w+)", r"%(\1)s", text)

    async def close(self, db: Any) -> None:
        await db.close()

    async def run(self, db: Any, statement: str, **parameters: Any) -> list[Any]:
        cursor = await db.execute(self.statement(statement), parameters or None)
        return await cursor.fetchall() if cursor.description else []


class SqlAlchemyAdapter:
    """SQLAlchemy's asyncio over ``driver``, with connections or with sessions."""

    def __init__(self, driver: str, *, sessions: bool = False) -> None:
        self.name = f"sqlalchemy-{driver}" + ("-sessions" if sessions else "")
        self._driver = driver
        self._sessions = sessions

    @contextlib.asynccontextmanager
    async def open(self, url: str, size: int, *, watch: bool = True, **settings: Any) -> AsyncIterator[Any]:
        """Open an engine; ``foreign`` counts connections back with a path of somebody's, if ``watch``."""
        self.foreign: list[str] = []
        # A proxy that pools transactions knows no statements prepared elsewhere. A timeout while asyncpg asks for TLS
        # leaves an error in a future that nothing awaits.
        driver: dict[str, Any] = (
            {"prepare_threshold": None} if self._driver == "psycopg" else {"statement_cache_size": 0, "ssl": False}
        )
        engine = create_async_engine(
            url.replace("postgresql", f"postgresql+{self._driver}"),
            pool_size=size,
            max_overflow=0,
            pool_timeout=60,
            connect_args=driver,
            **settings,
        )

        def check(connection: Any, record: Any) -> None:
            if connection is None:
                return
            cursor = connection.cursor()
            cursor.execute("SHOW search_path")
            found = cursor.fetchone()
            cursor.close()
            connection.rollback()
            if tuple(found) != (_DEFAULT_PATH,):
                self.foreign.append(found[0])

        if watch:
            event.listen(engine.sync_engine, "checkin", check)
        try:
            yield engine
        finally:
            await engine.dispose()

    def connect(self, source: Any, **options: Any) -> AbstractAsyncContextManager[Any]:
        return (on_sqlalchemy.open_session if self._sessions else on_sqlalchemy.connect)(source, **options)

    def provider(self, source: Any, **options: Any) -> Callable[..., Any]:
        return (on_sqlalchemy.session if self._sessions else on_sqlalchemy.connection)(source, **options)

    def resolver(self, source: Any, query: str) -> Any:
        return on_sqlalchemy.SqlTenants(source, query)

    def statement(self, text_: str) -> Any:
        return text(text_)

    async def close(self, db: Any) -> None:
        """Close the connection, also that of a session, which does not do so by itself."""
        await (await db.connection() if self._sessions else db).close()

    async def run(self, db: Any, statement: str, **parameters: Any) -> list[Any]:
        result = await db.execute(self.statement(statement), parameters)
        return list(map(tuple, result.fetchall())) if result.returns_rows else []


Adapter = PsycopgAdapter | SqlAlchemyAdapter

ADAPTERS: dict[str, Callable[[], Adapter]] = {
    "psycopg": PsycopgAdapter,
    "sqlalchemy-asyncpg": lambda: SqlAlchemyAdapter("asyncpg"),
    "sqlalchemy-asyncpg-sessions": lambda: SqlAlchemyAdapter("asyncpg", sessions=True),
    "sqlalchemy-psycopg": lambda: SqlAlchemyAdapter("psycopg"),
}


def scope_of(schema: str, tenant_id: str = "") -> AbstractContextManager[None]:
    """Return the scope of a tenant that is resolved, to ``schema``; its id is that too, by default."""
    return tenant_scope(TenantContext(tenant_id or schema, schema, schema))


@contextlib.asynccontextmanager
async def lent_in_one(adapter: Adapter, url: str, **options: Any) -> AsyncIterator[Any]:
    """Lend a connection, or a session, in the scope of the schema ``one``, from a pool of one connection."""
    async with adapter.open(url, 1) as pool:
        with scope_of("one"):
            async with adapter.connect(pool, **options) as db:
                yield db
