"""What ``asyncjobs check`` finds before a deploy."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import make_dataclass
from typing import Any

import pytest

from asyncjobs import App
from asyncjobs.app.deploy_check import check_jobs
from tests.apps import broker_of
from tests.security.keys import key

pytestmark = pytest.mark.anyio


def _define(app: App, *fields: tuple[str, type]) -> Any:
    order = make_dataclass("Order", fields)

    async def ship(order: Any) -> None: ...

    ship.__annotations__["order"] = order
    return app.job(ship), order


async def test_a_type_that_has_changed_under_its_name_is_found(make_app: Callable[..., App]) -> None:
    old, new = make_app(), make_app()
    ship, order = _define(old, ("number", int))
    _define(new, ("number", int), ("street", str))
    async with old:
        await ship.delay(order(7))
        assert await check_jobs(old) == ([], 1)
    async with new:
        [problem], _ = await check_jobs(new)
    assert "street" in problem.reason


async def test_an_alias_can_run_what_was_sent_under_the_earlier_name(make_app: Callable[..., App]) -> None:
    old, new = make_app(), make_app()

    @old.job
    async def work(number: int) -> None: ...

    @new.job(name="toil", aliases=("work",))
    async def toil(number: int) -> None: ...

    async with old:
        await work.delay(7)
    async with new:
        assert await check_jobs(new) == ([], 1)


async def test_a_schedule_that_can_not_be_read_is_a_problem_among_others(app: App) -> None:
    @app.job
    async def work(number: int) -> None: ...

    async with app:
        await work.delay(7)
        await broker_of(app).put_schedule("default", "broken", b"no schedule", 1)
        [problem], looked_at = await check_jobs(app)
    assert (problem.example, problem.reason, looked_at) == ("broken", "its record can't be read", 2)


async def test_a_name_that_this_code_does_not_know_is_told_with_the_workers_that_do(
    make_app: Callable[..., App],
) -> None:
    here, elsewhere = make_app(), make_app()

    @elsewhere.job
    async def known() -> None: ...

    async with here, elsewhere:
        await here.send("known", delay=60)
        await here.send("unknown", delay=60)
        async with elsewhere.worker() as worker:
            problems, _ = await check_jobs(here)
        reasons = {one.name: one.reason for one in problems}
        assert reasons["known"].endswith(f"The running worker {worker.id} can run it.")
        assert reasons["unknown"].endswith("No worker that is running knows it either.")
        problems, _ = await check_jobs(here)
        assert all(one.reason.endswith("No worker that is running knows it either.") for one in problems)


async def test_the_schedules_of_the_code_are_no_problem_since_its_workers_store_them_anew(
    make_app: Callable[..., App],
) -> None:
    old, new = make_app(), make_app(encryption_keys=[key(1)], encryption="required")

    @old.job(name="report", every=3600)
    async def report() -> None: ...

    @new.job(name="report", every=3600)
    async def later_report(unit: str = "day") -> None: ...

    async with old, new:
        async with old.worker():
            pass
        assert await check_jobs(new) == ([], 1)
        await old.add_schedule("by-hand", report.request(), every=3600)
        [problem], looked_at = await check_jobs(new)
    assert (problem.example, looked_at) == ("by-hand", 2)
    assert "not encrypted" in problem.reason
