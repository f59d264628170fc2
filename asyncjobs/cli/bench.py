"""``asyncjobs bench``: how many jobs this machine and this server do in a second, and how soon one starts."""

from __future__ import annotations

import argparse
import asyncio
import time
from collections.abc import Awaitable, Callable

import msgspec

from asyncjobs.app import App
from asyncjobs.app.brokers import make_broker
from asyncjobs.cli.command import Commands, add_operator_command, add_short_app, limit
from asyncjobs.cli.loading import app_of
from asyncjobs.cli.output import print_tables
from asyncjobs.cli.running import on_app
from asyncjobs.cli.tables import Table
from asyncjobs.worker.worker import Worker

__all__ = ["Bench", "add_commands"]

#: What the keys begin with: always the same, so that many runs leave no more behind than one.
_PREFIX = "asyncjobs-bench"

_SINGLES = 2_000
_WAKES = 200
_PAUSE_S = 0.01

_EXAMPLES = """\
examples:
  asyncjobs bench --url redis://localhost:6379/0
  asyncjobs bench shop:app --jobs 100000 --json

Its jobs do nothing, and have keys of their own, which begin with asyncjobs-bench. The server has as much to do as with
any jobs, so ask at a quiet time. One process sends and works; more processes do more.
"""


class Bench(msgspec.Struct, frozen=True, kw_only=True):
    """What was measured."""

    jobs: int
    """How many jobs were sent together, and run."""
    singly_per_s: float
    """Jobs a second that one sender sends, one after the other; each waits for the server's answer."""
    bulk_per_s: float
    """Jobs a second that ``enqueue_many`` sends."""
    drain_per_s: float
    """Jobs a second that one worker runs."""
    start_p50_ms: float
    """From sending a job to its start by an idle worker: half take no longer, in milliseconds."""
    start_p99_ms: float
    """99 of 100 take no longer."""


def add_commands(commands: Commands) -> None:
    """Add the command."""
    text = "measure how many jobs a second this machine and this server do"
    parser = add_operator_command(commands, "bench", text, _EXAMPLES, _bench)
    add_short_app(parser)
    parser.add_argument("--jobs", type=limit, default=20_000, help="how many jobs to send and run at once (20000)")


def _bench(options: argparse.Namespace) -> int:
    server = app_of(options).settings.server
    # The results of its jobs lapse at once.
    app = App("memory://", broker=make_broker(server, _PREFIX), result_ttl=1, scheduler=False)
    found = on_app(app, lambda app: _measured(app, options.jobs))
    rows = [
        ["sent one after the other", f"{found.singly_per_s:,.0f}/s"],
        [f"sent together ({found.jobs:,})", f"{found.bulk_per_s:,.0f}/s"],
        ["run by one worker", f"{found.drain_per_s:,.0f}/s"],
        ["from sending to the start, half", f"{found.start_p50_ms:.2f} ms"],
        ["from sending to the start, 99 of 100", f"{found.start_p99_ms:.2f} ms"],
    ]
    print_tables(options, found, Table(f"Jobs on {server}", ["what", "figure"], rows))
    return 0


async def _measured(app: App, jobs: int) -> Bench:
    started, times = asyncio.Event(), [0.0]

    @app.job(queue="bench")
    async def nothing(number: int, text: str) -> None: ...

    @app.job(queue="bench-wake")
    async def start() -> None:
        times[0] = time.perf_counter()
        started.set()

    async def singly() -> None:
        for number in range(min(jobs, _SINGLES)):
            await nothing.delay(number, "one after the other")

    async def together() -> None:
        await app.enqueue_many([nothing.request(number, "together") for number in range(jobs)])

    worker = Worker(app, queues=["bench"])
    # What an earlier run has left, if it was stopped in its midst.
    await app.purge_queue("bench")
    single_s = await _seconds(singly)
    await worker.run_until_empty(signals=False)
    bulk_s = await _seconds(together)
    drain_s = await _seconds(lambda: worker.run_until_empty(signals=False))
    took_ms: list[float] = []
    async with Worker(app, queues=["bench-wake"]).running():
        for _ in range(min(jobs, _WAKES)):
            # The worker waits again by then.
            await asyncio.sleep(_PAUSE_S)
            began = time.perf_counter()
            started.clear()
            await start.delay()
            await started.wait()
            took_ms.append((times[0] - began) * 1_000)
    took_ms.sort()
    return Bench(
        jobs=jobs,
        singly_per_s=min(jobs, _SINGLES) / single_s,
        bulk_per_s=jobs / bulk_s,
        drain_per_s=jobs / drain_s,
        start_p50_ms=took_ms[len(took_ms) // 2],
        start_p99_ms=took_ms[len(took_ms) * 99 // 100],
    )


async def _seconds(work: Callable[[], Awaitable[object]]) -> float:
    began = time.perf_counter()
    await work()
    return time.perf_counter() - began
