"""What a worker says of its own health."""

from __future__ import annotations

import asyncio
import json
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path

import pytest

from asyncjobs import App, BrokerUnavailable, Worker
from asyncjobs.testing import ManualClock
from asyncjobs.worker.liveness.health import Health, health_file, health_server
from tests.apps import broker_of
from tests.waiting import SOON, until

pytestmark = pytest.mark.anyio


async def test_a_worker_is_healthy_while_it_claims_or_waits(app: App) -> None:
    worker = Worker(app)
    assert not worker.health().is_healthy
    async with app, worker.running():
        await until(lambda: worker.health(within=2).is_healthy, "the worker is healthy")
    assert not worker.health().is_healthy


async def test_a_worker_whose_broker_is_away_is_not_healthy(app: App, monkeypatch: pytest.MonkeyPatch) -> None:
    async def away(*_: object) -> None:
        raise BrokerUnavailable("away")

    worker = Worker(app)
    async with app, worker.running():
        monkeypatch.setattr(broker_of(app), "claim", away)
        await until(lambda: not worker.health(within=0.5).is_healthy, "the worker is not healthy")


@pytest.mark.parametrize("interval", ["poll_interval", "scheduler_interval"])
async def test_a_worker_that_waits_as_long_as_its_settings_say_is_healthy(
    make_app: Callable[..., App], interval: str
) -> None:
    app = make_app(**{interval: 30})
    started, release = asyncio.Event(), asyncio.Event()

    @app.job
    async def work() -> None:
        started.set()
        await release.wait()

    clock = ManualClock()
    worker = Worker(app, concurrency=1, clock=clock)
    async with app, worker.running():
        if interval == "scheduler_interval":
            # This is how long a worker waits whose slots are all taken.
            await work.delay()
            await until(started, "the handler has started")
        assert worker.health().is_healthy
        clock.advance(35_000)
        assert worker.health().is_healthy
        assert not worker.health(within=15).is_healthy
        clock.advance(10_000)
        assert not worker.health().is_healthy
        clock.advance(-45_000)
        release.set()


def get(port: int) -> tuple[int, dict[str, object]]:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=SOON) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        with error:
            return error.code, json.load(error)


async def test_the_probe_answers_200_or_503() -> None:
    now = Health(True, 0.1, 3)
    async with health_server(lambda: now, 0, "127.0.0.1") as port:
        assert await asyncio.to_thread(get, port) == (200, {"is_healthy": True, "idle_s": 0.1, "running": 3})
        now = Health(False, None, 0)
        assert (await asyncio.to_thread(get, port))[0] == 503


async def test_the_file_is_there_while_the_worker_is(tmp_path: Path) -> None:
    path = tmp_path / "health"
    async with health_file(lambda: Health(True, 0.1, 0), path):
        await until(lambda: path.read_text() == "healthy\n", "the file says so")
    assert not path.exists()
