"""Handlers cut off after each step of the loop in turn: whatever was under way, the next connection is nobody's."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Any

import asyncpg
import psycopg
import pytest
from sqlalchemy.exc import SQLAlchemyError

from tests.tenancy.databases import INSERT, Adapter, Admin, scope_of
from tests.waiting import SOON

pytestmark = pytest.mark.parametrize("pg_lane", ["postgres-18"], indirect=True)

MOST_STEPS = 500

#: How a connection that has ended shows it; SQLAlchemy 2.0 doesn't translate this error of asyncpg.
ENDED = (psycopg.Error, SQLAlchemyError, asyncpg.InternalClientError)
#: What a cut may show of itself: the cancellation, what the handler raised, or the end of the connection.
EXPECTED = (asyncio.CancelledError, ZeroDivisionError, ConnectionError, *ENDED)


@pytest.mark.parametrize("cuts", ["cancel", "cancel cancel", "kill cancel"])
def test_cut_off_after_any_step_a_connection_comes_back_clean_or_not_at_all(
    adapter: Adapter, admin: Admin, pg_url: str, mode: Any, cuts: str
) -> None:
    admin.add_schema("one")

    # A loop of its own, which only logs what asyncpg leaves in futures that nobody awaits any more.
    asyncio.run(_cut_after_each_step(adapter, admin, pg_url, mode, cuts.split()))

    assert admin.notes("public") == []


async def _cut_after_each_step(adapter: Adapter, admin: Admin, url: str, mode: Any, cuts: list[str]) -> None:
    """Cut off a handler after its first step, another after its second, and so on, until one ends before."""

    async def write(pool: Any, number: int) -> None:
        async with adapter.connect(pool, mode=mode) as db:
            await adapter.run(db, INSERT, job=str(number), tenant="one")
            if number % 2:
                raise ZeroDivisionError

    # To ask a connection that was killed for its path may take the watcher forever.
    async with adapter.open(url, 1, watch=False) as pool:
        for number in range(MOST_STEPS):
            with scope_of("one"):
                task = asyncio.create_task(write(pool, number))
            await _pass(number, task)
            has_ended = task.done()
            for cut in [] if has_ended else cuts:
                task.cancel() if cut == "cancel" else admin.end_others()
                await _pass(3, task)
            with contextlib.suppress(*EXPECTED):
                await asyncio.wait_for(task, SOON)
            assert await _path(adapter, pool) == '"$user", public'
            if has_ended:
                return
    raise AssertionError(f"no handler has ended within {MOST_STEPS} steps")


async def _pass(steps: int, task: asyncio.Task[None]) -> None:
    """Let the loop make so many steps, in each third of which what is on its way from the server may arrive."""
    for step in range(steps):
        if not task.done():
            await asyncio.sleep(0.0001 if step % 3 == 2 else 0)


async def _path(adapter: Adapter, pool: Any) -> str:
    """Return the path of the pool's next connection that isn't dead."""
    for _ in range(3):
        with contextlib.suppress(*ENDED):
            async with asyncio.timeout(SOON), adapter.connect(pool) as db:
                [(path,)] = await adapter.run(db, "SHOW search_path")
                return str(path)
    raise AssertionError("the pool lends dead connections alone")
