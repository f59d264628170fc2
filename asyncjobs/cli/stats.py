"""``asyncjobs stats``: queues, workers and totals, or one tenant's figures."""

from __future__ import annotations

import argparse

from asyncjobs.app import App
from asyncjobs.app.stats import QueueStats, Stats
from asyncjobs.app.tenants import TenantQueueStats, TenantStats
from asyncjobs.cli.command import Commands, add_operator_command, add_short_app
from asyncjobs.cli.loading import app_of
from asyncjobs.cli.output import print_tables
from asyncjobs.cli.running import on_app
from asyncjobs.cli.tables import Table

__all__ = ["add_commands", "totals_table"]

_EXAMPLES = """\
examples:
  asyncjobs stats                                  (the broker that the environment names)
  asyncjobs stats --url redis://localhost:6379/0
  asyncjobs stats --app shop:app --json
  asyncjobs stats --app shop:app --tenant acme
"""


def add_commands(commands: Commands) -> None:
    """Add the command."""
    parser = add_operator_command(commands, "stats", "show queues, workers and totals", _EXAMPLES, _stats)
    add_short_app(parser)
    parser.add_argument("--tenant", help="show the figures of this tenant instead")


def _stats(options: argparse.Namespace) -> int:
    if options.tenant is not None:
        figures = on_app(app_of(options), lambda app: app.tenant_stats(options.tenant))
        print_tables(options, figures, _tenant_table(figures))
    else:
        all_figures = on_app(app_of(options), App.stats)
        tables = [_queues_table(all_figures), _workers_table(all_figures), totals_table(all_figures)]
        print_tables(options, all_figures, *tables)
    return 0


def _queues_table(figures: Stats) -> Table:
    columns = ["queue", "pending", "scheduled", "parked", "running", "failed", "succeeded"]
    columns += ["p50 ms", "p99 ms", "oldest s"]
    rows = [
        [
            _queue_cell(queue),
            str(queue.pending),
            str(queue.scheduled),
            str(queue.parked),
            str(queue.running),
            str(queue.failed),
            str(queue.succeeded_total),
            _ms_cell(queue.p50_duration_ms),
            _ms_cell(queue.p99_duration_ms),
            f"{queue.oldest_wait_ms / 1000:.1f}",
        ]
        for queue in figures.queues
    ]
    return Table("Queues", columns, rows)


def _workers_table(figures: Stats) -> Table:
    rows = [
        [worker.id, worker.status, f"{len(worker.running)} of {worker.concurrency}", ", ".join(worker.queues)]
        for worker in figures.workers
    ]
    return Table("Workers", ["worker", "status", "slots", "queues"], rows)


def totals_table(figures: Stats) -> Table:
    """Return the totals of all queues as a table."""
    row = [str(figures.total_processed), str(figures.total_succeeded), str(figures.total_failed)]
    return Table("Totals", ["processed", "succeeded", "failed"], [row])


def _tenant_table(figures: TenantStats) -> Table:
    columns = ["queue", "succeeded", "failed", "cancelled", "retried", "dead", "p50 ms", "p99 ms"]
    rows = [_tenant_row(_queue_cell(queue), queue) for queue in figures.queues]
    return Table(f"Tenant {figures.tenant}", columns, [*rows, _tenant_row("all", figures)])


def _tenant_row(where: str, figures: TenantStats | TenantQueueStats) -> list[str]:
    return [
        where,
        str(figures.succeeded_total),
        str(figures.failed_total),
        str(figures.cancelled_total),
        str(figures.retried_total),
        str(figures.failed),
        _ms_cell(figures.p50_duration_ms),
        _ms_cell(figures.p99_duration_ms),
    ]


def _queue_cell(queue: QueueStats | TenantQueueStats) -> str:
    return f"{queue.queue_name} (paused)" if queue.paused else queue.queue_name


def _ms_cell(duration_ms: float | None) -> str:
    return "-" if duration_ms is None else f"{duration_ms:.1f}"
