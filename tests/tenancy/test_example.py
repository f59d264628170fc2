"""The example with two tenants runs by one command, and each tenant's rows are in its own schema."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.tenancy.databases import Admin

pytest.importorskip("fastapi")

ROOT = Path(__file__).parents[2]
WITHIN_S = 60


def run(**variables: str) -> str:
    """Run the example with these variables alone to say where its servers are; return what it printed."""
    ours = ("ASYNCJOBS_", "REDIS_", "DATABASE_URL", "PG")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(ours)}
    ended = subprocess.run(
        [sys.executable, "examples/tenants/demo.py"],
        cwd=ROOT,
        env=kept | variables,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=WITHIN_S,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    assert ended.stderr == ""
    return ended.stdout


def section(printed: str, tenant: str) -> list[str]:
    """Return the lines about a tenant, white space folded."""
    _, _, after = printed.partition(f"\n{tenant}, in the schema tenant_{tenant}:\n")
    return [" ".join(line.split()) for line in after.partition("\n\n")[0].splitlines()]


def test_the_example_starts_its_own_database_and_prints_what_lies_in_each_schema() -> None:
    printed = run()

    assert section(printed, "acme") == ["invoices Ada, Alan", "mails Ada, Alan", "jobs 4 succeeded, 0 failed"]
    assert section(printed, "globex") == [
        "invoices Grace",
        "mails Grace",
        "jobs 2 succeeded, 1 failed",
        "failed write_invoice: psycopg.errors.CheckViolation",
    ]
    assert printed.count(" 202\n") == 4
    assert "Peter token-of-initech 404" in " ".join(printed.split())
    assert "Mallory no token 401" in " ".join(printed.split())


def test_the_example_uses_the_database_and_the_broker_that_are_given(pg_url: str, admin: Admin, redis_url: str) -> None:
    printed = run(DATABASE_URL=pg_url, ASYNCJOBS_URL=redis_url)

    assert section(printed, "acme")[0] == "invoices Ada, Alan"
    assert admin.run("SELECT customer FROM tenant_acme.invoices ORDER BY 1") == [("Ada",), ("Alan",)]
    assert admin.run("SELECT customer FROM tenant_globex.mails") == [("Grace",)]
    assert admin.notes("public") == []
