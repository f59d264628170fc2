"""``asyncjobs demo``: a small shop's jobs on their way, on the embedded broker or on a server."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import logging
import os
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from typing import Any

from asyncjobs.app import App
from asyncjobs.cli.running import run
from asyncjobs.cli.shop import open_shop
from asyncjobs.cli.stats import totals
from asyncjobs.cli.supervisor import die_with_supervisor
from asyncjobs.cli.tables import Table, drawn, rich_console, show
from asyncjobs.core.job import Job
from asyncjobs.core.options import DEFAULT_QUEUE
from asyncjobs.core.states import ENDED, JobState
from asyncjobs.errors import AsyncJobsError
from asyncjobs.jobs.handle import JobHandle
from asyncjobs.jobs.ids import new_id
from asyncjobs.worker.worker import Worker

__all__ = ["add_parser"]

# Few, so that jobs are seen to wait for one another.
_SLOTS = 3
_LOOK_S = 0.1
_AT_MOST_S = 28.0
_QUEUES = ["payments", "emails", "images", "reports", "exports", DEFAULT_QUEUE]
_STYLES = {
    JobState.PENDING: "dim",
    JobState.RUNNING: "bold cyan",
    JobState.RETRYING: "yellow",
    JobState.COMPLETED: "green",
    JobState.FAILED: "bold red",
    JobState.CANCELLED: "magenta",
}

Sent = list[tuple[str, JobHandle[object]]]


def add_parser(commands: Any) -> None:
    """Add the command to ``commands``, an argparse subparsers object."""
    parser = commands.add_parser("demo", help="watch a small shop's jobs; needs no server")
    parser.add_argument("--redis", metavar="URL", help="on this server, with the worker in a process of its own")
    parser.add_argument("--prefix", default=f"asyncjobs-demo-{new_id()[-8:].lower()}", help=argparse.SUPPRESS)
    parser.add_argument("--as-worker-of", type=int, help=argparse.SUPPRESS)
    parser.set_defaults(run=_run)


def _run(options: argparse.Namespace) -> int:
    # The jobs' failures are part of the show, which tells of them itself.
    logging.getLogger("asyncjobs").setLevel(logging.CRITICAL)
    app = App(options.redis or "memory://", prefix=options.prefix, poll_interval=0.5)
    if options.as_worker_of is not None:
        open_shop(app)
        die_with_supervisor(options.as_worker_of)
        run(Worker(app, queues=_QUEUES, concurrency=_SLOTS).run())
        return 0
    return run(_show(app, options))


async def _show(app: App, options: argparse.Namespace) -> int:
    shop = open_shop(app)
    async with app:
        where = options.redis or "the embedded broker (memory://), no server needed"
        print(f"A small shop's jobs, on {where}.")
        working = _worker_process(options) if options.redis else app.worker(queues=_QUEUES, concurrency=_SLOTS)
        async with working:
            sent = await shop.take_orders()
            is_over = await _watch(app, sent)
        await _tell_the_dead(app)
        show(totals(await app.stats()))
        if options.redis:
            await _clean_up(app, sent)
    if not is_over:
        print("asyncjobs: not every job has ended in time", file=sys.stderr)
    return 0 if is_over else 1


@contextlib.asynccontextmanager
async def _worker_process(options: argparse.Namespace) -> AsyncIterator[None]:
    arguments = ["demo", "--redis", options.redis, "--prefix", options.prefix, "--as-worker-of", str(os.getpid())]
    # By the pipe on its standard input it notices that we are gone.
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "asyncjobs", *arguments, stdin=subprocess.PIPE, start_new_session=True
    )
    try:
        yield
    finally:
        process.terminate()
        await process.wait()


async def _watch(app: App, sent: Sent) -> bool:
    """Show the jobs' states until the last has ended; return whether all have."""
    until = time.monotonic() + _AT_MOST_S
    console = rich_console()
    if console is None:
        return await _watch_plainly(sent, until)
    from rich.live import Live

    with Live(console=console, refresh_per_second=12) as live:
        while True:
            jobs = await _jobs(sent)
            live.update(drawn(_table(sent, jobs)), refresh=True)
            if all(_is_over(job) for job in jobs):
                return True
            if time.monotonic() > until:
                return False
            await asyncio.sleep(_LOOK_S)


async def _watch_plainly(sent: Sent, until: float) -> bool:
    """Print the table once at the end, and one line for each change of a state on the way."""
    began = time.monotonic()
    told: dict[str, tuple[JobState, int]] = {}
    while True:
        jobs = await _jobs(sent)
        for (label, handle), job in zip(sent, jobs, strict=True):
            now = job.state, job.attempt
            if told.get(handle.id) != now:
                told[handle.id] = now
                line = f"{time.monotonic() - began:5.1f} s  {job.state.value:<9}  {label}  {_note(job)}"
                print(line.rstrip(), flush=True)
        if all(_is_over(job) for job in jobs) or time.monotonic() > until:
            show(_table(sent, jobs))
            return all(_is_over(job) for job in jobs)
        await asyncio.sleep(_LOOK_S)


async def _jobs(sent: Sent) -> list[Job]:
    return list(await asyncio.gather(*(handle.refresh() for _, handle in sent)))


def _is_over(job: Job) -> bool:
    return job.state in ENDED or job.state is JobState.FAILED


def _table(sent: Sent, jobs: list[Job]) -> Table:
    rows = [
        [label, job.queue, job.priority.label, job.state.value, str(job.attempt), _note(job)]
        for (label, _), job in zip(sent, jobs, strict=True)
    ]
    styles = [_STYLES[job.state] for job in jobs]
    return Table("Jobs", ["job", "queue", "priority", "state", "attempt", "note"], rows, styles)


def _note(job: Job) -> str:
    if job.state is JobState.COMPLETED:
        return f"took {job.duration_ms or 0:.0f} ms"
    if job.errors:
        last = job.errors[-1]
        return f"{last.type}: {last.message}"
    return "scheduled, waits for its time" if job.due_at_ms is not None else ""


async def _tell_the_dead(app: App) -> None:
    rows = [
        [job.name, str(job.attempt), f"{error.type}: {error.message}"]
        for job in await app.failed_jobs()
        for error in job.errors[-1:]
    ]
    show(Table("Dead letter queue", ["job", "attempts", "last error"], rows, ["red"] * len(rows)))


async def _clean_up(app: App, sent: Sent) -> None:
    """Forget the demo's jobs on the server; what is left of its keys expires or is a few counters."""
    for _, handle in sent:
        with contextlib.suppress(AsyncJobsError):
            await app.delete_job(handle.id, queue=handle.queue)
