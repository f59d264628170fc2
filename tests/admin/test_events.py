"""What a running job tells, over the API and on its page: long poll and stream, on both brokers."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

import msgspec
import pytest

from asyncjobs import App, JobDefinition, UnknownJob, Worker, current_job
from asyncjobs.admin import admin_api, dashboard, stream
from tests.admin.test_api import role_of
from tests.servers import free_port
from tests.waiting import SOON, until, until_sync
from tests.web import Reply, fetch

pytestmark = pytest.mark.anyio

STREAM = {"accept": "text/event-stream"}
WEB = """
from starlette.applications import Starlette
from starlette.routing import Mount
from asyncjobs import App
from asyncjobs.admin import Access, admin_api, dashboard

app = App("memory://")

@app.job
async def work() -> None: ...

async def lifespan(web):
    async with app:
        await work.with_options(job_id="waits").delay()
        yield

who = lambda request: Access("ada", "admin")
web = Starlette(
    lifespan=lifespan, routes=[Mount("/api", admin_api(app, authorize=who)), Mount("/", dashboard(app, authorize=who))]
)
"""


@pytest.fixture
def go() -> asyncio.Event:
    """Lets the job end."""
    return asyncio.Event()


@pytest.fixture
def work(app: App, go: asyncio.Event) -> JobDefinition[[], Any]:
    @app.job
    async def work() -> str:
        job = current_job()
        job.progress(1, 4, "<b>first</b>")
        job.log.info("half of %d", 4)
        job.emit({"secret": 7})
        await go.wait()
        job.log.info("last\u202e")
        return "done"

    return work


async def get(web: Any, target: str, role: str = "admin", **headers: str) -> Reply:
    return await fetch(web, target, headers={"x-role": role, **{k.replace("_", "-"): v for k, v in headers.items()}})


def lines_of(reply: Reply) -> list[tuple[str, str, Any]]:
    """Return the events of a stream: id, kind, data."""
    found = []
    for block in reply.body.decode().split("\n\n"):
        fields = dict(line.split(": ", 1) for line in block.split("\n") if not line.startswith(":") and line)
        if "event" in fields:
            found.append((fields.get("id", ""), fields["event"], msgspec.json.decode(fields["data"])))
    return found


async def test_events_are_read_by_long_poll_and_go_on_where_they_were(
    app: App, work: JobDefinition[[], Any], go: asyncio.Event
) -> None:
    web = admin_api(app, authorize=role_of)
    async with app, Worker(app, queues=["default"]).running():
        handle = await work.with_options(job_id="a/b?").delay()
        at = f"/jobs/{quote(handle.id, safe='')}/events"
        found: list[Any] = []
        after = 0
        while len(found) < 3:
            page = (await get(web, f"{at}?after={after}&wait=10")).json
            assert page["is_over"] is False
            found += page["events"]
            after = page["next"]
        assert [(one["number"], one["kind"]) for one in found] == [(1, "progress"), (2, "log"), (3, "data")]
        assert (await get(web, f"{at}?after=3")).json == {"events": [], "next": 3, "is_over": False}
        waiting = asyncio.ensure_future(get(web, f"{at}?after=3&wait=10"))
        go.set()
        assert (await waiting).json["events"][0]["data"]["message"] == "last\u202e"
        await handle.result(SOON)
        assert (await get(web, f"{at}?after=4&wait=10")).json == {"events": [], "next": 4, "is_over": True}


async def test_a_stream_tells_all_to_the_end_and_goes_on_after_the_last_event(
    app: App, work: JobDefinition[[], Any], go: asyncio.Event
) -> None:
    web = admin_api(app, authorize=role_of)
    async with app, Worker(app, queues=["default"]).running():
        handle = await work.delay()
        following = asyncio.ensure_future(get(web, f"/jobs/{handle.id}/events", **STREAM))
        go.set()
        reply = await asyncio.wait_for(following, SOON)
        assert reply.headers["content-type"].startswith("text/event-stream")
        assert reply.headers["x-accel-buffering"] == "no"
        assert b"retry: 500\n" in reply.body
        assert [(number, kind) for number, kind, _ in lines_of(reply)] == [
            ("1", "progress"), ("2", "log"), ("3", "data"), ("4", "log"), ("", "end"),
        ]  # fmt: skip
        again = await get(web, f"/jobs/{handle.id}/events", **STREAM, last_event_id="3")
        assert [number for number, _, _ in lines_of(again)] == ["4", ""]
        for wrong in ("x", "-1", "9" * 40):
            assert (await get(web, f"/jobs/{handle.id}/events", **STREAM, last_event_id=wrong)).status == 400


async def test_a_stream_ends_by_itself(app: App, work: JobDefinition[[], Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stream, "STREAM_S", 0.2)
    async with app:
        handle = await work.delay()
        reply = await asyncio.wait_for(
            get(admin_api(app, authorize=role_of), f"/jobs/{handle.id}/events", **STREAM), SOON
        )
        assert lines_of(reply) == []


async def test_the_page_of_a_job_follows_its_progress_and_its_log_as_text(
    app: App, work: JobDefinition[[], Any], go: asyncio.Event
) -> None:
    web = dashboard(app, authorize=role_of)
    async with app, Worker(app, queues=["default"]).running():
        handle = await work.delay()
        page = await get(web, f"/jobs/{handle.id}")
        assert f'data-follow="/jobs/{handle.id}/live?queue=default"'.encode() in page.body
        go.set()
        await handle.result(SOON)
        told = lines_of(await get(web, f"/jobs/{handle.id}/live", **STREAM))
        assert told[0][2] == {"done": 1, "total": 4, "text": "1 of 4 (25%) <b>first</b>"}
        assert [line["text"] for _, kind, line in told if kind == "line"][::2] == [
            "info: half of 4",
            "info: last\\u202e",
        ]


async def test_events_are_for_those_who_may_see_the_job_and_data_for_those_who_may_see_values(
    app: App, work: JobDefinition[[], Any], go: asyncio.Event
) -> None:
    go.set()
    api, pages = admin_api(app, authorize=role_of), dashboard(app, authorize=role_of)
    async with app, Worker(app, queues=["default"]).running():
        handle = await work.delay()
        await handle.result(SOON)
        for web, last in ((api, "events"), (pages, "live")):
            at = f"/jobs/{handle.id}/{last}"
            assert (await fetch(web, at, headers=STREAM)).status == 401
            assert (await get(web, at, x_queues="other", **STREAM)).status == 404
            assert (await get(web, f"/jobs/nobody/{last}", **STREAM)).status == 404
            assert b"secret" in (await get(web, at, **STREAM)).body
            assert b"secret" not in (await get(web, at, "viewer", **STREAM)).body
        for wrong in ("wait=11", "wait=-1", "after=-1", "after=x", "wait=nan"):
            assert (await get(api, f"/jobs/{handle.id}/events?{wrong}")).status == 400


async def test_next_events_waits_for_the_first_and_says_when_it_is_over(
    app: App, work: JobDefinition[[], Any], go: asyncio.Event
) -> None:
    async with app:
        handle = await work.delay()
        assert (await handle.next_events()).events == []
        waiting = asyncio.ensure_future(handle.next_events(timeout=SOON))
        async with Worker(app, queues=["default"]).running():
            first = await waiting
            assert [one.number for one in first.events][:1] == [1]
            go.set()
            await handle.result(SOON)
            rest = await handle.next_events(first.next)
            assert first.next + len(rest.events) == rest.next == 4
            assert (await handle.next_events(4)).is_over
        with pytest.raises(UnknownJob):
            await app.handle("nobody").next_events()


# -- with a server


@pytest.fixture
def server(tmp_path: Any) -> Iterator[tuple[subprocess.Popen[bytes], int]]:
    """A web app with a dashboard, in a process of its own, and its port."""
    (tmp_path / "web.py").write_text(WEB)
    port = free_port()
    command = [sys.executable, "-m", "uvicorn", "web:web", "--port", str(port), "--log-level", "warning"]
    environ = {**os.environ, "PYTHONPATH": f"{tmp_path}:{os.getcwd()}"}
    with subprocess.Popen(command, env=environ, cwd=tmp_path) as process:
        try:

            def answers() -> bool:
                with contextlib.suppress(OSError):
                    socket.create_connection(("127.0.0.1", port), 1).close()
                    return True
                return False

            until_sync(answers, "uvicorn answers")
            yield process, port
        finally:
            process.kill()


async def test_a_server_with_three_open_tabs_ends_within_eleven_seconds(
    server: tuple[subprocess.Popen[bytes], int],
) -> None:
    process, port = server
    tabs = []
    for target in ("/jobs/waits/live", "/jobs/waits/live", "/api/jobs/waits/events"):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(f"GET {target} HTTP/1.1\r\nHost: localhost\r\nAccept: text/event-stream\r\n\r\n".encode())
        assert b"200" in await asyncio.wait_for(reader.readline(), SOON)
        await asyncio.wait_for(reader.readuntil(b"retry: 500"), SOON)
        tabs.append(writer)
    process.send_signal(signal.SIGTERM)
    began = time.monotonic()
    await until(lambda: process.poll() is not None, "the server has ended", within=11)
    assert time.monotonic() - began < 11
    for writer in tabs:
        writer.close()
