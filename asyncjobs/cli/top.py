"""``asyncjobs top``: throughput, queues and what runs, live on a terminal."""

from __future__ import annotations

import argparse
import contextlib
from datetime import UTC, datetime

import msgspec

from asyncjobs.app import App
from asyncjobs.app.load import QueueLoad
from asyncjobs.app.stats import QueueStats, Stats
from asyncjobs.app.worker_stats import WorkerJob, WorkerStats
from asyncjobs.cli.command import Commands, add_operator_command, add_short_app, bounded_count
from asyncjobs.cli.live import show_live
from asyncjobs.cli.loading import app_of
from asyncjobs.cli.output import print_tables
from asyncjobs.cli.running import on_app
from asyncjobs.cli.tables import Table, duration_cell, is_terminal
from asyncjobs.core.package import install_command

__all__ = ["add_commands"]

_EXAMPLES = f"""\
examples:
  asyncjobs top --app shop:app
  asyncjobs top --every 5 --url redis://localhost:6379/0
  asyncjobs top --once

It needs rich to draw on a terminal: {install_command("cli")}. Ctrl-C ends it. Into a pipe, with --once and with
--json it prints once.
"""

# How many columns a terminal has, from which on the figures of an hour are shown, too.
_WIDE = 110
_BARRED = 15
_BARS = "▁▂▃▄▅▆▇█"

# What else stands on the screen than rows: titles, headers, lines between.
_AROUND = 11


class Top(msgspec.Struct, frozen=True, kw_only=True):
    """What ``--json`` prints."""

    queues: list[QueueLoad]
    """The load of each queue."""
    stats: Stats
    """The state of queues and workers."""


def add_commands(commands: Commands) -> None:
    """Add the command."""
    parser = add_operator_command(commands, "top", "watch throughput, queues and what runs", _EXAMPLES, _top)
    add_short_app(parser)
    parser.add_argument("--queue", action="append", help="only this queue; may be given more than once")
    parser.add_argument("--once", action="store_true", help="print once and end")
    parser.add_argument(
        "--every",
        type=bounded_count(1, 3600),
        default=2,
        metavar="SECONDS",
        help="how often to look, in seconds (default: 2)",
    )


def _top(options: argparse.Namespace) -> int:
    app = app_of(options)
    if options.once or options.json or not is_terminal():
        seen = on_app(app, lambda app: _look(app, options.queue))
        print_tables(options, seen, *_tables(seen, width=_WIDE, height=None, has_bars=False))
        return 0

    async def watch(app: App) -> None:
        async def draw(width: int, height: int) -> list[Table]:
            return _tables(await _look(app, options.queue), width=width, height=height, has_bars=True)

        await show_live(draw, options.every)

    # The usual way to end it.
    with contextlib.suppress(KeyboardInterrupt):
        on_app(app, watch)
    return 0


async def _look(app: App, queues: list[str] | None) -> Top:
    stats = await app.stats()
    if queues is not None:
        wanted = [one for one in stats.queues if one.queue_name in queues]
        workers = [one for one in stats.workers if set(queues).intersection(one.queues)]
        stats = msgspec.structs.replace(stats, queues=wanted, workers=workers)
    return Top(queues=await app.queue_loads([one.queue_name for one in stats.queues]), stats=stats)


def _tables(seen: Top, *, width: int, height: int | None, has_bars: bool) -> list[Table]:
    """Return the tables that fit a terminal; ``height`` is ``None`` where all rows are wanted."""
    room = None if height is None else max(2, height - _AROUND)
    queues = _queues(seen, is_wide=width >= _WIDE, has_bars=has_bars)
    if room is not None:
        queues = queues._replace(rows=_cut(queues.rows, max(1, room - min(5, room // 2))))
        room = max(1, room - len(queues.rows))
    running = _running(seen.stats.workers, seen.stats.queues, is_wide=width >= _WIDE)
    return [_totals(seen), queues, running if room is None else running._replace(rows=_cut(running.rows, room))]


def _cut(rows: list[list[str]], most: int) -> list[list[str]]:
    """Return the first rows, and say how many more there are."""
    if len(rows) <= most:
        return rows
    more = f"… {len(rows) - most + 1} more"
    return [*rows[: most - 1], [more, *[""] * (len(rows[0]) - 1)]]


def _totals(seen: Top) -> Table:
    workers, loads = seen.stats.workers, seen.queues
    row = [
        datetime.now(UTC).strftime("%H:%M:%S UTC"),
        str(len(workers)),
        f"{sum(len(one.running) for one in workers)} of {sum(one.concurrency for one in workers)}",
        str(sum(one.backlog for one in loads)),
        f"{sum(one.ended_per_minute for one in loads):,.0f}",
        str(sum(one.died_last_hour for one in loads)),
        str(sum(one.failed for one in seen.stats.queues)),
    ]
    return Table("asyncjobs", ["time", "workers", "slots in use", "in line", "ended/min", "died/h", "dead"], [row])


def _queues(seen: Top, *, is_wide: bool, has_bars: bool) -> Table:
    columns = ["queue", "in line", "oldest", "running", "ended/min", "died/h", "empty in"]
    columns += ["wait p95", "run p95"] if is_wide else []
    columns += [f"{_BARRED} min"] if is_wide and has_bars else []
    stats = {one.queue_name: one for one in seen.stats.queues}
    rows, styles = [], []
    for load in sorted(seen.queues, key=lambda one: (-one.backlog, one.queue)):
        row = [
            f"{load.queue} (paused)" if load.paused else load.queue,
            str(stats[load.queue].pending),
            duration_cell(load.oldest_wait_s * 1000 if load.backlog else None),
            f"{load.running}/{load.slots}",
            f"{load.ended_per_minute:,.0f}",
            str(load.died_last_hour),
            _drain_cell(load),
        ]
        row += [duration_cell(load.p95_wait_ms), duration_cell(load.p95_run_ms)] if is_wide else []
        row += [_bars(load.ended[-_BARRED:])] if is_wide and has_bars else []
        rows.append(row)
        styles.append("red" if load.backlog and load.drain_s is None else "yellow" if load.died_last_hour else "")
    return Table("Queues", columns, rows, styles)


def _drain_cell(load: QueueLoad) -> str:
    if not load.backlog:
        return "-"
    return "never" if load.drain_s is None else duration_cell(load.drain_s * 1000)


def _bars(values: list[int]) -> str:
    most = max([*values, 1])
    return "".join(_BARS[round(value / most * (len(_BARS) - 1))] for value in values)


def _running(workers: list[WorkerStats], queues: list[QueueStats], *, is_wide: bool) -> Table:
    shown = {one.queue_name for one in queues}
    now = datetime.now(UTC)
    running = sorted(
        ((job, worker) for worker in workers for job in worker.jobs if job.queue in shown),
        key=lambda one: one[0].started_at,
    )
    columns = ["runs for", "name", "job", "queue", *(["attempt", "worker"] if is_wide else []), "progress"]
    rows = []
    for job, worker in running:
        ms = max(0.0, (now - job.started_at).total_seconds() * 1000)
        place = [str(job.attempt), f"{worker.host}:{worker.pid}"] if is_wide else []
        rows.append([duration_cell(ms), job.name or "?", job.id, job.queue, *place, _progress(job)])
    return Table("Running", columns, rows)


def _progress(job: WorkerJob) -> str:
    if job.progress is None:
        return "-"
    done, total, note = job.progress
    share = f"{done:g}" if total is None else f"{done:g}/{total:g}"
    return f"{share} {note}" if note else share
