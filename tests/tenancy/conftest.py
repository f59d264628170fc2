"""PostgreSQL servers, and an empty database for each test."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests import postgres
from tests.tenancy.databases import ADAPTERS, Adapter, Admin


@pytest.fixture(scope="session", params=[lane.name for lane in postgres.LANES])
def pg_lane(request: pytest.FixtureRequest) -> Iterator[postgres.Postgres]:
    """A server of each lane in turn."""
    lane = next(lane for lane in postgres.LANES if lane.name == request.param)
    if lane.programs is None:
        pytest.skip(f"lane {lane.name}: {lane.absent}")
    with postgres.postgres(lane) as server:
        yield server


@pytest.fixture
def pg_url(pg_lane: postgres.Postgres, admin: Admin) -> str:
    """The URL of a database that is empty but for ``public.notes``."""
    return pg_lane.url


@pytest.fixture
def admin(pg_lane: postgres.Postgres) -> Iterator[Admin]:
    """A connection that sees all schemas; ``public`` has a table of the name that tenants' schemas have."""
    found = Admin(pg_lane.url)
    found.empty()
    found.add_schema("public")
    try:
        yield found
    finally:
        found.close()


@pytest.fixture(params=["transaction", "session"])
def mode(request: pytest.FixtureRequest) -> Any:
    """Both ways to set the schema."""
    return request.param


@pytest.fixture(params=list(ADAPTERS))
def adapter(request: pytest.FixtureRequest) -> Adapter:
    """Each way to a database."""
    return ADAPTERS[request.param]()
