"""Leaves a text in each place of a broker that takes one: jobs in all states, schedules, tenants, workers, holds."""

from __future__ import annotations

import re
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from unittest.mock import patch

import anyio

from asyncjobs import App, Limit, RetryPolicy, Worker, current_job
from asyncjobs.ports import RunCounts
from tests.apps import broker_of
from tests.waiting import SOON

__all__ = ["HOSTILE", "sown"]

HOSTILE = [
    "<img src=x onerror=alert(1)>",
    '"><svg onload=alert(1)>',
    "'><script>alert(1)</script>",
    "</pre></bdi></td></table></main><h1><marquee>",
    "{{ 1234567*3 }}{% raw %}",
    "javascript:alert(1)",
    "\x1b[31m\x07\x9b",
    "gnp.\u202eexe\u2066",
    "line\nfeed\r\nSet-Cookie: a=b",
    "&lt;b&gt;",
    "../../../static/x?y=1#z",
    "%2e%2e%2f%00",
    "漢字テスト" * 12,
    "W" * 120,
]
"""Texts that harm a page that isn't careful."""


@asynccontextmanager
async def sown(app: App, text: str) -> AsyncIterator[None]:
    """Fill an app that is open; a worker runs for as long as the block.

    Args:
        app: The app.
        text: What stands in every field, as far as the field takes it.
    """
    name = re.sub(r"[\x00-\x20\x7f-\x9f]", "", text).encode()[:180].decode(errors="ignore")
    odd_queue = f"odd:queue.x_{'y' * 60}"

    @app.job(name=f"fails{name}", retry=RetryPolicy(max_retries=0))
    async def fails(given: str, secret: str = "") -> None:
        job = current_job()
        job.log.info("%s", given)
        raise type(text.replace("\x00", "") or "E", (Exception,), {"__module__": name})(given)

    # One runs, and the next one waits for it.
    @app.job(name=f"runs{name}", limits=Limit("given", running=1).by("given"))
    async def runs(given: str) -> str:
        job = current_job()
        job.progress(1, 2, given)
        job.log.warning("%s", given)
        job.emit({given: given})
        running.set()
        await done.wait()
        return given

    @app.job(name=f"works{name}")
    async def works(given: str) -> str:
        return given

    @app.job(name=f"rests{name}", queue=odd_queue)
    async def rests(given: str) -> None: ...

    running, done = anyio.Event(), anyio.Event()
    with patch.object(socket, "gethostname", lambda: name):
        worker = Worker(app, queues=["default"])
    async with worker.running(), _set_at_the_end(done):
        for number in range(3):
            await fails.with_options(job_id=f"{name}{number}", tenant=name, metadata={text: text}).delay(text, text)
        ended = await works.with_options(job_id=f"ended{name}", tenant=name, metadata={"a": text}).delay(text)
        await ended.result(SOON)
        gone = await rests.with_options(job_id=f"cancelled{name}").delay(text)
        await gone.cancel(text)
        await rests.with_options(job_id=f"waits{name}", tenant=name, metadata={text: [text]}).delay(text)
        await rests.with_options(tenant=name).schedule_in(3600, text)
        await app.add_schedule(f"s{name}", rests.request(text), every=3600)
        await app.trigger_schedule(f"s{name}")
        await app.pause_schedule(f"s{name}")
        await app.pause(odd_queue)
        await app.suspend_name(f"works{name}")
        await works.delay(text)
        await runs.with_options(job_id=f"runs{name}", tenant=name).delay(text)
        await runs.with_options(job_id=f"held{name}", tenant=name).delay(text)
        # As the worker does every few seconds.
        await broker_of(app).count_runs({"default": [RunCounts(name=f"works{name}", succeeded=1)]})
        with anyio.fail_after(SOON):
            await running.wait()
            while (await app.queue_stats("default")).failed < 3:
                await anyio.sleep(0.01)
        yield


@asynccontextmanager
async def _set_at_the_end(event: anyio.Event) -> AsyncIterator[None]:
    try:
        yield
    finally:
        event.set()
