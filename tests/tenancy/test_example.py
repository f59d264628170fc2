"""The example with two tenants runs by one command, and each tenant's rows are in its own schema."""

from __future__ import annotations

import pytest

from tests.examples import run_example
from tests.tenancy.databases import Admin

pytest.importorskip("fastapi")


def run(**variables: str) -> str:
    """Run the example to its end; return what it printed."""
    ended = run_example("tenants/demo.py", **variables)
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
