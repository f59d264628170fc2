"""``asyncjobs stats``: queues, workers and totals, or one tenant's figures."""

from __future__ import annotations

import argparse
from typing import Any

import msgspec

from asyncjobs.app import App
from asyncjobs.app.stats import Stats, TenantQueueStats, TenantStats
from asyncjobs.cli.loading import load_app
from asyncjobs.cli.running import run
from asyncjobs.cli.tables import Table, show

__all__ = ["add_parser", "totals"]

_EXAMPLES = """\
examples:
  asyncjobs stats                                  (where the environment says)
  asyncjobs stats --url redis://localhost:6379/0
  asyncjobs stats shop:app --json
  asyncjobs stats shop:app --tenant acme
"""


def add_parser(commands: Any) -> None:
    """Add the command to ``commands``, an argparse subparsers object."""
    parser = commands.add_parser(
        "stats",
        help="show queues, workers and totals",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("app", nargs="?", help="module:app, where the App is")
    parser.add_argument("--url", help="the broker, instead of an app")
    parser.add_argument("--tenant", help="what the jobs of this tenant came to, instead")
    parser.add_argument("--json", action="store_true", help="all figures, as JSON")
    parser.set_defaults(run=_run)


def _run(options: argparse.Namespace) -> int:
    app = load_app(options.app) if options.app else App(options.url) if options.url else App()
    if options.tenant is not None:
        return _tenant(app, options)
    figures = run(_figures(app))
    if options.json:
        print(msgspec.json.format(msgspec.json.encode(figures)).decode())
        return 0
    show(_queues(figures))
    show(_workers(figures))
    show(totals(figures))
    return 0


def _tenant(app: App, options: argparse.Namespace) -> int:
    async def work() -> TenantStats:
        async with app:
            return await app.tenant_stats(options.tenant)

    figures = run(work())
    if options.json:
        print(msgspec.json.format(msgspec.json.encode(figures)).decode())
        return 0
    columns = ["queue", "succeeded", "failed", "cancelled", "retried", "dead", "p50 ms", "p99 ms"]
    rows = [_ends(one.queue_name + (" (paused)" if one.paused else ""), one) for one in figures.queues]
    show(Table(f"Tenant {figures.tenant}", columns, [*rows, _ends("all", figures)]))
    return 0


def _ends(where: str, figures: TenantStats | TenantQueueStats) -> list[str]:
    return [
        where,
        str(figures.succeeded_total),
        str(figures.failed_total),
        str(figures.cancelled_total),
        str(figures.retried_total),
        str(figures.failed),
        _number(figures.p50_duration_ms),
        _number(figures.p99_duration_ms),
    ]


async def _figures(app: App) -> Stats:
    async with app:
        return await app.stats()


def _queues(figures: Stats) -> Table:
    columns = ["queue", "pending", "scheduled", "parked", "running", "failed", "succeeded"]
    columns += ["p50 ms", "p99 ms", "oldest s"]
    rows = [
        [
            queue.queue_name + (" (paused)" if queue.paused else ""),
            str(queue.pending),
            str(queue.scheduled),
            str(queue.parked),
            str(queue.running),
            str(queue.failed),
            str(queue.succeeded_total),
            _number(queue.p50_duration_ms),
            _number(queue.p99_duration_ms),
            f"{queue.oldest_wait_ms / 1000:.1f}",
        ]
        for queue in figures.queues
    ]
    return Table("Queues", columns, rows)


def _workers(figures: Stats) -> Table:
    rows = [
        [worker.id, worker.status, f"{len(worker.running)} of {worker.concurrency}", ", ".join(worker.queues)]
        for worker in figures.workers
    ]
    return Table("Workers", ["worker", "status", "slots", "queues"], rows)


def totals(figures: Stats) -> Table:
    """Return the totals as a table."""
    row = [str(figures.total_processed), str(figures.total_succeeded), str(figures.total_failed)]
    return Table("Totals", ["processed", "succeeded", "failed"], [row])


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.1f}"
