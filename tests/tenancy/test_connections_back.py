"""What becomes of a tenant's connection that is lost, closed or asked about: never somebody else's schema."""

from __future__ import annotations

from typing import Any

import pytest

from asyncjobs.tenancy import psycopg as on_psycopg
from asyncjobs.tenancy import sqlalchemy as on_sqlalchemy
from tests.tenancy.databases import Adapter, Admin, scope_of

pytestmark = pytest.mark.anyio

INSERT = "INSERT INTO notes (job, tenant) VALUES (:job, :tenant)"


@pytest.fixture(params=["transaction", "session"])
def mode(request: pytest.FixtureRequest) -> Any:
    """Both ways to set the schema."""
    return request.param


async def test_after_a_transaction_a_server_that_tells_its_path_by_itself_is_not_asked_for_it(
    adapter: Adapter, admin: Admin, pg_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    admin.add_schema("one")
    [(version,)] = admin.run("SELECT current_setting('server_version_num')::int")
    asked: list[str] = []
    for module in (on_psycopg, on_sqlalchemy):

        async def asking(lent: Any, expected: str, *more: Any, ask: Any = module._is_path) -> bool:
            asked.append(expected)
            return bool(await ask(lent, expected, *more))

        monkeypatch.setattr(module, "_is_path", asking)

    async with adapter.open(pg_url, 1) as pool:
        with scope_of("one"):
            async with adapter.connect(pool) as db:
                await adapter.run(db, INSERT, job="1", tenant="one")
            assert asked == ([] if version >= 180_000 else ['"$user", public'])
            async with adapter.connect(pool) as db:
                await adapter.run(db, "SET search_path TO one")
            assert asked[-1:] == ['"$user", public']
    assert adapter.foreign == []
