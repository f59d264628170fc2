"""``asyncjobs queues`` and ``workers``: what waits and stands still, and who works."""

from __future__ import annotations

import argparse
import asyncio
from collections.abc import Iterator

from asyncjobs.app import App
from asyncjobs.app.load import QueueLoad
from asyncjobs.app.stats import HoldStats, QueueStats
from asyncjobs.app.worker_stats import WorkerJob, WorkerStats
from asyncjobs.cli.command import Commands, add_operator_command, add_short_app
from asyncjobs.cli.loading import app_of
from asyncjobs.cli.output import print_tables
from asyncjobs.cli.running import on_app
from asyncjobs.cli.tables import Table, seconds_cell, size_cell, time_cell

__all__ = ["add_commands"]

_QUEUES = """\
examples:
  asyncjobs queues shop:app
  asyncjobs queues --url redis://localhost:6379/0 --json
"""
_WORKERS = """\
examples:
  asyncjobs workers shop:app
  asyncjobs workers --url redis://localhost:6379/0 --json
"""


def add_commands(commands: Commands) -> None:
    """Add the commands."""
    text = "show what waits in each queue, what is overdue, set aside or dead, and what is paused by whom and why"
    add_short_app(add_operator_command(commands, "queues", text, _QUEUES, _queues))
    text = "show the workers that are present, what they run, and how they are"
    add_short_app(add_operator_command(commands, "workers", text, _WORKERS, _workers))


def _queues(options: argparse.Namespace) -> int:
    queues, loads = on_app(app_of(options), _read)
    columns = ["queue", "waiting", "by priority", "oldest", "scheduled", "overdue", "parked", "running", "dead"]
    columns += ["ended/min", "died/h", "wait p95", "run p95", "empty in", "state"]
    rows = [[*_numbers(one), *_rates(loads.get(one.queue_name)), _state(one)] for one in queues]
    styles = ["yellow" if one.paused or one.overdue or one.parked else "" for one in queues]
    held = [[one.queue_name, *_hold(hold)] for one in queues for hold in one.holds if hold.kind != "queue"]
    parked = [
        [one.queue_name, group.which, str(group.size), group.reason, time_cell(group.since)]
        for one in queues
        for group in one.parked_for
    ]
    tables = [Table("Queues", columns, rows, styles)]
    if held:
        tables.append(Table("Suspended", ["queue", "kind", "which", "since (UTC)", "by", "why"], held))
    if parked:
        tables.append(Table("Parked (set aside)", ["queue", "which", "jobs", "reason", "since (UTC)"], parked))
    print_tables(options, queues, *tables)
    return 0


async def _read(app: App) -> tuple[list[QueueStats], dict[str, QueueLoad]]:
    stats, loads = await asyncio.gather(app.stats(), app.queue_loads())
    return stats.queues, {one.queue: one for one in loads}


def _rates(load: QueueLoad | None) -> list[str]:
    if load is None:
        return ["-"] * 5
    drain = "never" if load.drain_s is None else f"{load.drain_s:,.0f} s" if load.backlog else "-"
    return [
        f"{load.ended_per_minute:,.0f}",
        str(load.died_last_hour),
        seconds_cell(load.p95_wait_ms),
        seconds_cell(load.p95_run_ms),
        drain,
    ]


def _numbers(queue: QueueStats) -> list[str]:
    levels = [f"{count} {name}" for name, count in queue.pending_by_priority.items() if count]
    oldest = f"{queue.oldest_wait_ms / 1000:.1f} s" if queue.pending else "-"
    numbers = (queue.scheduled, queue.overdue, queue.parked, queue.running, queue.failed)
    return [queue.queue_name, str(queue.pending), ", ".join(levels) or "-", oldest, *map(str, numbers)]


def _state(queue: QueueStats) -> str:
    if queue.pause is None:
        return "open"
    _, _, since, by, why = _hold(queue.pause)
    told = f"paused by {by} since {since}" if queue.pause.since else "paused"
    return f"{told}: {why}" if queue.pause.why else told


def _hold(hold: HoldStats) -> list[str]:
    return [hold.kind, hold.which, time_cell(hold.since), hold.by or "-", hold.why or "-"]


def _workers(options: argparse.Namespace) -> int:
    workers = on_app(app_of(options), App.stats).workers
    columns = ["worker", "host", "process", "state", "slots", "queues", "since (UTC)", "deploy", "version"]
    columns += ["memory", "lag", "last beat (UTC)"]
    rows = [_worker(one) for one in workers]
    jobs = ["job", "name", "queue", "tenant", "attempt", "began (UTC)", "progress", "worker"]
    running = [row for one in workers for row in _jobs(one)]
    print_tables(options, workers, Table("Workers", columns, rows), Table("Running", jobs, running))
    return 0


def _worker(worker: WorkerStats) -> list[str]:
    return [
        worker.id,
        worker.host,
        str(worker.pid),
        worker.status,
        f"{len(worker.running)} of {worker.concurrency}",
        ", ".join(worker.queues),
        time_cell(worker.started_at),
        worker.deploy or "-",
        worker.version or "?",
        size_cell(worker.rss) if worker.rss else "-",
        f"{worker.lag_ms} ms",
        time_cell(worker.beat_at),
    ]


def _jobs(worker: WorkerStats) -> Iterator[list[str]]:
    for job in worker.jobs:
        cells = [job.id, job.name, job.queue, job.tenant or "-", str(job.attempt), time_cell(job.started_at)]
        yield [*cells, _progress(job), worker.id]


def _progress(job: WorkerJob) -> str:
    if job.progress is None:
        return "-"
    done, total, note = job.progress
    told = f"{done:g}" if total is None else f"{done:g} of {total:g}"
    return f"{told} {note}".rstrip()
