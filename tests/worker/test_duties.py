"""What a worker's duties may count on: how they start, go on and stop."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator

import pytest

from asyncjobs import App, BrokerUnavailable, Inject, Worker, resource
from asyncjobs.worker.duty import Duty, on_duty
from tests.apps import broker_of
from tests.waiting import until

pytestmark = pytest.mark.anyio


class Told(Duty):
    """Notes what is asked of it; its first ``failures`` runs fail."""

    def __init__(self, name: str, notes: list[str], failures: int = 0) -> None:
        self._name = name
        self._notes = notes
        self._failures = failures
        self.is_running = asyncio.Event()

    async def start(self) -> None:
        self._notes.append(f"{self._name} starts")

    async def run(self) -> None:
        if self._failures:
            self._failures -= 1
            raise ValueError("by accident")
        self.is_running.set()
        try:
            await asyncio.sleep(60)
        finally:
            self._notes.append(f"{self._name} runs no more")

    async def stop(self) -> None:
        self._notes.append(f"{self._name} stops")


async def test_duties_stop_in_the_reverse_order_each_while_it_still_runs() -> None:
    notes: list[str] = []
    async with contextlib.AsyncExitStack() as stack:
        for name in ("first", "second"):
            duty = Told(name, notes)
            await stack.enter_async_context(on_duty(name, duty))
            await until(duty.is_running, "the duty runs")
    assert notes == [
        "first starts",
        "second starts",
        "second stops",
        "second runs no more",
        "first stops",
        "first runs no more",
    ]


async def test_a_duty_that_fails_runs_again_and_says_so(caplog: pytest.LogCaptureFixture) -> None:
    duty = Told("settler", [], failures=1)
    async with on_duty("settler", duty):
        await until(duty.is_running, "the duty runs")
    [record] = caplog.records
    assert record.getMessage() == "the worker's settler failed and starts again in 0.1 s"


async def test_where_a_duty_can_not_start_those_before_it_are_stopped_and_the_error_is_raised(
    app: App, monkeypatch: pytest.MonkeyPatch
) -> None:
    open_now: list[str] = []

    @resource(scope="worker")
    async def pool() -> AsyncIterator[str]:
        open_now.append("pool")
        yield "pool"
        open_now.remove("pool")

    @app.job
    async def work(pool: str = Inject(pool)) -> None: ...

    async def away(*_: object) -> None:
        assert open_now == ["pool"]
        raise BrokerUnavailable("away")

    async with app:
        monkeypatch.setattr(broker_of(app), "announce", away)
        with pytest.raises(BrokerUnavailable, match="away"):
            await Worker(app).run_until_empty()
    assert open_now == []
