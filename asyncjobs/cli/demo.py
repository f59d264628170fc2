"""``asyncjobs demo``: shows the jobs of a small shop on their way, on the embedded broker or on a server."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import logging
import os
import subprocess
import time
from collections.abc import AsyncIterator

from asyncjobs.app import App
from asyncjobs.cli.command import Commands, add_command
from asyncjobs.cli.demo_dashboard import show_dashboard
from asyncjobs.cli.demo_shop import Shop
from asyncjobs.cli.output import print_error, print_table, print_text
from asyncjobs.cli.running import on_app, run
from asyncjobs.cli.stats import totals_table
from asyncjobs.cli.supervisor import die_with_supervisor
from asyncjobs.cli.tables import Table, drawn, rich_console
from asyncjobs.core.job import Job
from asyncjobs.core.options import DEFAULT_QUEUE, UNSET
from asyncjobs.core.states import ENDED, JobState
from asyncjobs.errors import AsyncJobsError
from asyncjobs.jobs.handle import JobHandle
from asyncjobs.jobs.ids import new_id
from asyncjobs.worker.processes.interpreter import command_of
from asyncjobs.worker.worker import Worker

__all__ = ["add_commands"]

# Jobs at once: few, so that some are seen to wait.
_CONCURRENCY = 3
_LOOK_EVERY_S = 0.1
_MAX_SHOW_S = 28.0
_QUEUES = ["payments", "emails", "images", "reports", "exports", DEFAULT_QUEUE]
_STYLES = {
    JobState.PENDING: "dim",
    JobState.RUNNING: "bold cyan",
    JobState.RETRYING: "yellow",
    JobState.COMPLETED: "green",
    JobState.FAILED: "bold red",
    JobState.CANCELLED: "magenta",
}

#: What to call each job that was sent, and its handle.
Sent = list[tuple[str, JobHandle[object]]]


def add_commands(commands: Commands) -> None:
    """Add the command."""
    parser = add_command(commands, "demo", "watch a small shop's jobs; needs no server", None, _demo)
    where = parser.add_mutually_exclusive_group()
    where.add_argument("--redis", metavar="URL", help="use this server, with the worker in a process of its own")
    where.add_argument("--dashboard", action="store_true", help="go on until Ctrl-C, and show it in a browser")
    parser.add_argument("--prefix", default=f"asyncjobs-demo-{new_id()[-8:].lower()}", help=argparse.SUPPRESS)
    parser.add_argument("--as-worker-of", type=int, help=argparse.SUPPRESS)


def _demo(options: argparse.Namespace) -> int:
    # The demo shows the failures of its jobs itself.
    logging.getLogger("asyncjobs").setLevel(logging.CRITICAL)
    is_worker = options.as_worker_of is not None
    app = App(UNSET if is_worker else options.redis or "memory://", prefix=options.prefix, poll_interval=0.5)
    if is_worker:
        Shop(app)
        die_with_supervisor(options.as_worker_of)
        run(Worker(app, queues=_QUEUES, concurrency=_CONCURRENCY).run())
        return 0
    if options.dashboard:
        return on_app(App("memory://", shutdown_timeout=1), show_dashboard)
    shop = Shop(app)
    return on_app(app, lambda _: _show(app, shop, options))


async def _show(app: App, shop: Shop, options: argparse.Namespace) -> int:
    server = app.settings.server
    is_embedded = server.scheme == "memory"
    where = "the embedded broker (memory://), no server needed" if is_embedded else server
    print_text(f"A small shop's jobs, on {where}.")
    working = _worker_process(options) if not is_embedded else app.worker(queues=_QUEUES, concurrency=_CONCURRENCY)
    async with working:
        sent = await shop.take_orders()
        all_ended = await _watch(sent)
    print_table(_dead_table(await app.failed_jobs()))
    print_table(totals_table(await app.stats()))
    if not is_embedded:
        await _clean_up(app, sent)
    print_text("", "Go on, and look at it in a browser: asyncjobs demo --dashboard")
    if not all_ended:
        print_error("not every job has ended in time")
    return 0 if all_ended else 1


@contextlib.asynccontextmanager
async def _worker_process(options: argparse.Namespace) -> AsyncIterator[None]:
    """Run a worker in a process of its own for as long as the block."""
    command = command_of("asyncjobs.cli.main", "demo", "--prefix", options.prefix, "--as-worker-of", str(os.getpid()))
    # All users of the machine see the arguments of a process, and the URL may have a password in it.
    environ = {**os.environ, "ASYNCJOBS_URL": options.redis}
    # The worker ends once the pipe on its standard input is closed, as it is when this process dies.
    process = await asyncio.create_subprocess_exec(*command, stdin=subprocess.PIPE, start_new_session=True, env=environ)
    try:
        yield
    finally:
        process.terminate()
        await process.wait()


async def _watch(sent: Sent) -> bool:
    """Show the jobs until the last has ended or died, or ``_MAX_SHOW_S`` are over; return whether all have."""
    until = time.monotonic() + _MAX_SHOW_S
    console = rich_console()
    if console is None:
        return await _watch_plainly(sent, until)
    from rich.live import Live

    with Live(console=console, refresh_per_second=12) as live:
        while True:
            jobs = await _jobs(sent)
            live.update(drawn(_jobs_table(sent, jobs)), refresh=True)
            if _all_ended(jobs) or time.monotonic() > until:
                return _all_ended(jobs)
            await asyncio.sleep(_LOOK_EVERY_S)


async def _watch_plainly(sent: Sent, until: float) -> bool:
    """Print a line for each change of a job's state, and the table once at the end."""
    began = time.monotonic()
    printed: dict[str, tuple[JobState, int]] = {}
    while True:
        jobs = await _jobs(sent)
        for (label, handle), job in zip(sent, jobs, strict=True):
            now = job.state, job.attempt
            if printed.get(handle.id) != now:
                printed[handle.id] = now
                line = f"{time.monotonic() - began:5.1f} s  {job.state.value:<9}  {label}  {_note(job)}"
                print_text(line.rstrip())
        if _all_ended(jobs) or time.monotonic() > until:
            print_table(_jobs_table(sent, jobs))
            return _all_ended(jobs)
        await asyncio.sleep(_LOOK_EVERY_S)


async def _jobs(sent: Sent) -> list[Job]:
    return list(await asyncio.gather(*(handle.refresh() for _, handle in sent)))


def _all_ended(jobs: list[Job]) -> bool:
    return all(job.state in ENDED or job.state is JobState.FAILED for job in jobs)


def _jobs_table(sent: Sent, jobs: list[Job]) -> Table:
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
        return _last_error(job)
    return "scheduled, waits for its time" if job.due_at_ms is not None else ""


def _dead_table(jobs: list[Job]) -> Table:
    rows = [[job.name, str(job.attempt), _last_error(job)] for job in jobs if job.errors]
    return Table("Dead letter queue", ["job", "attempts", "last error"], rows, ["red"] * len(rows))


def _last_error(job: Job) -> str:
    error = job.errors[-1]
    return f"{error.type}: {error.message}"


async def _clean_up(app: App, sent: Sent) -> None:
    """Delete the demo's jobs from the server; of its keys only a few counters remain, and what expires by itself."""
    for _, handle in sent:
        with contextlib.suppress(AsyncJobsError):
            await app.delete_job(handle.id, queue=handle.queue)
