"""What a worker says of its own health."""

from __future__ import annotations

import asyncio
import json
import os
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from asyncjobs import App, BrokerUnavailable, Inject, Worker, resource
from asyncjobs.testing import ManualClock
from asyncjobs.worker.liveness import probes as probes_module
from asyncjobs.worker.liveness.health import Health, health_file
from asyncjobs.worker.liveness.probes import probe_server
from tests.apps import broker_of
from tests.waiting import SOON, until

pytestmark = pytest.mark.anyio


async def test_a_worker_is_ready_while_it_claims_or_waits(app: App) -> None:
    worker = Worker(app)
    assert not worker.health().is_ready
    async with app, worker.running():
        await until(lambda: worker.health(within=2).is_ready, "the worker is healthy")
    assert not worker.health().is_ready


async def test_a_worker_whose_broker_is_away_is_not_healthy(app: App, monkeypatch: pytest.MonkeyPatch) -> None:
    async def away(*_: object) -> None:
        raise BrokerUnavailable("away")

    worker = Worker(app)
    async with app, worker.running():
        monkeypatch.setattr(broker_of(app), "claim", away)
        await until(lambda: not worker.health(within=0.5).is_ready, "the worker is not healthy")


@pytest.mark.parametrize("interval", ["poll_interval", "scheduler_interval"])
async def test_a_worker_that_waits_as_long_as_its_settings_say_is_ready(
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
        assert worker.health().is_ready
        clock.advance(35_000)
        assert worker.health().is_ready
        assert not worker.health(within=15).is_ready
        clock.advance(10_000)
        assert not worker.health().is_ready
        clock.advance(-45_000)
        release.set()


def get(port: int, path: str = "/readyz") -> tuple[int, dict[str, object]]:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=SOON) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        with error:
            return error.code, json.load(error)


async def test_the_probes_answer_200_or_503() -> None:
    now = Health(is_ready=True, reason="", idle_s=0.1, running=3)
    with probe_server(lambda: now, 0, "127.0.0.1") as port:
        status, body = await asyncio.to_thread(get, port)
        assert (status, body["idle_s"], body["running"]) == (200, 0.1, 3)
        now = Health()
        assert (await asyncio.to_thread(get, port))[0] == 503
        assert (await asyncio.to_thread(get, port, "/livez"))[0] == 200
        now = Health(is_live=False)
        assert (await asyncio.to_thread(get, port, "/livez"))[0] == 503


async def test_a_loop_that_is_blocked_is_not_live_and_the_probes_say_so_at_once(app: App) -> None:
    told: list[tuple[float, int, int, str]] = []

    @app.job
    async def block() -> None:
        until_s = time.monotonic() + 12
        while time.monotonic() < until_s:
            began = time.monotonic()
            (live, body), (ready, _) = get(port, "/livez"), get(port, "/readyz")
            told.append((time.monotonic() - began, live, ready, str(body["reason"])))
            time.sleep(0.2)

    worker = Worker(app)
    async with app, worker.running():
        with probe_server(worker.health, 0, "127.0.0.1") as port:
            await until(lambda: worker.health().is_ready, "the worker is ready")
            await (await block.delay()).result(SOON)
            await until(lambda: worker.health().is_ready, "the worker is ready again")
    assert told[0][1:] == (200, 200, "")
    assert told[-1][1:3] == (503, 503)
    assert "the event loop has been blocked for " in told[-1][3]
    # Both of them, on a machine that runs other tests too; the loop would answer after seconds.
    assert sorted(took for took, *_ in told)[len(told) // 2] < 0.5


async def test_a_worker_that_starts_or_stops_is_live_but_not_ready(app: App) -> None:
    opened, release = asyncio.Event(), asyncio.Event()

    @resource(scope="worker")
    async def slow() -> str:
        opened.set()
        await release.wait()
        return "slow"

    @app.job
    async def stay(of: str = Inject(slow)) -> None:
        await asyncio.sleep(60)

    worker = Worker(app)
    async with app:
        running = asyncio.create_task(worker.run(signals=False))
        await until(opened, "a resource opens")
        assert (worker.health().is_live, worker.health().reason) == (True, "the worker is starting")
        release.set()
        await until(lambda: worker.health().is_ready, "the worker is ready")
        await stay.delay()
        await until(lambda: worker.health().running == 1, "the job runs")
        worker.stop()
        assert (worker.health().is_live, worker.health().reason) == (True, "the worker is stopping")
        worker.stop()
        await running


HEALTHY = Health(is_ready=True, reason="", idle_s=0.1, running=3)


async def ask(port: int, request: bytes, host: str = "127.0.0.1") -> bytes:
    """Send ``request``, and return all that comes back until the server closes the connection."""
    reader, writer = await asyncio.open_connection(host, port)
    try:
        writer.write(request)
        return await asyncio.wait_for(reader.read(), SOON)
    except (BrokenPipeError, ConnectionResetError):
        return b""
    finally:
        writer.close()


@pytest.mark.parametrize(
    ("request_line", "status", "has_body"),
    [
        (b"GET /readyz HTTP/1.1", b"200 OK", True),
        (b"GET /livez?x=1 HTTP/1.0", b"200 OK", True),
        (b"GET /health HTTP/1.1", b"404 Not Found", False),
        (b"HEAD /readyz HTTP/1.1", b"200 OK", False),
        (b"no request", b"400 Bad Request", False),
        (b"\xff\x00 / HTTP/1.1", b"400 Bad Request", False),
    ],
)
async def test_the_probe_speaks_http(request_line: bytes, status: bytes, has_body: bool) -> None:
    with probe_server(lambda: HEALTHY, 0, "127.0.0.1") as port:
        head, _, body = (await ask(port, request_line + b"\r\nHost: x\r\n\r\n")).partition(b"\r\n\r\n")
    assert head.split(b"\r\n")[0] == b"HTTP/1.1 " + status
    assert bool(body) == has_body


@pytest.mark.parametrize("line", [b"GET /" + b"x" * 1_000_000, b"GET / HTTP/1.1\r\n" + b"A: b\r\n" * 100_000])
async def test_a_request_that_has_no_end_is_cut_off(line: bytes) -> None:
    with probe_server(lambda: HEALTHY, 0, "127.0.0.1") as port:
        assert (await ask(port, line))[:12] in (b"", b"HTTP/1.1 431")
        assert (await asyncio.to_thread(get, port))[0] == 200


async def test_connections_that_say_nothing_keep_no_probe_from_its_answer_and_take_few_descriptors() -> None:
    me = psutil.Process()
    with probe_server(lambda: HEALTHY, 0, "127.0.0.1") as port:
        before = me.num_fds()
        idle = [await asyncio.open_connection("127.0.0.1", port) for _ in range(250)]
        try:
            # Each of ours is one descriptor; what is above that is the server's.
            await until(lambda: me.num_fds() - before - len(idle) <= 20, "most of them are closed", within=3)
            assert (await asyncio.to_thread(get, port))[0] == 200
        finally:
            for _, writer in idle:
                writer.close()


async def test_a_probe_that_is_not_done_in_time_is_cut_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(probes_module, "_REQUEST_S", 0.2)
    with probe_server(lambda: HEALTHY, 0, "127.0.0.1") as port:
        assert await ask(port, b"GET / HTTP/1.1\r\n") == b""


async def test_the_probe_may_be_on_another_address() -> None:
    with probe_server(lambda: HEALTHY, 0, "::1") as port:
        assert (await ask(port, b"GET /livez HTTP/1.1\r\n\r\n", "::1")).startswith(b"HTTP/1.1 200 OK")


async def test_the_end_of_the_server_closes_what_is_connected() -> None:
    with probe_server(lambda: HEALTHY, 0, "127.0.0.1") as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        assert (await asyncio.to_thread(get, port))[0] == 200
    try:
        assert await asyncio.wait_for(reader.read(), SOON) == b""
    except ConnectionResetError:
        pass
    writer.close()


def make_link(path: Path, other: Path) -> None:
    path.symlink_to(other)


def make_pipe(path: Path, other: Path) -> None:
    os.mkfifo(path)


def make_folder(path: Path, other: Path) -> None:
    path.mkdir()


@pytest.mark.parametrize("make", [make_link, make_pipe, make_folder])
async def test_the_file_is_written_through_no_link_and_into_no_pipe(
    tmp_path: Path, make: Callable[[Path, Path], None]
) -> None:
    path, other = tmp_path / "health", tmp_path / "other"
    other.write_text("of somebody else")
    make(path, other)
    with pytest.raises(OSError, match="health"):
        async with health_file(lambda: HEALTHY, path):
            pass
    assert other.read_text() == "of somebody else"
    assert os.path.lexists(path)


async def test_a_file_that_can_not_be_written_for_a_while_is_written_again(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    path = folder / "health"
    async with health_file(lambda: HEALTHY, path):
        path.unlink()
        folder.rename(tmp_path / "away")
        await until(lambda: "can't be written" in caplog.text, "the failure is logged")
        (tmp_path / "away").rename(folder)
        await until(path.exists, "the file is there again")


async def test_the_file_is_there_while_the_worker_is(tmp_path: Path) -> None:
    path = tmp_path / "health"
    async with health_file(lambda: Health(is_ready=True, reason="", idle_s=0.1), path):
        await until(lambda: path.read_text() == "ready\n", "the file says so")
    assert not path.exists()
