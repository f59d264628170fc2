"""Figures for Prometheus, under the names by which OpenTelemetry's exporter writes those of ``asyncjobs.telemetry``.

They are what the broker counts for all workers together, so one process is enough to scrape.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

from starlette.responses import Response

from asyncjobs.admin.api.limits import GatesQuery, limits
from asyncjobs.admin.api.queues import StatsReply, stats
from asyncjobs.admin.api.route import Call, InQueue
from asyncjobs.admin.problem import HEADERS, Problem
from asyncjobs.app.gates import GateStats
from asyncjobs.app.limited import QueueLimits
from asyncjobs.app.stats import QueueStats
from asyncjobs.app.worker_stats import WorkerStats
from asyncjobs.core.package import install_command

__all__ = ["exposition"]

_QUEUE, _STATE, _LIMIT = "messaging_destination_name", "asyncjobs_state", "asyncjobs_limit_name"


class _Metric(NamedTuple):
    name: str
    description: str
    figure: Callable[[QueueStats], float]


_GAUGES = (
    _Metric("asyncjobs_queue_retrying", "Jobs that failed and will be tried again.", lambda queue: queue.retrying),
    _Metric("asyncjobs_queue_overdue", "Scheduled jobs whose time is past.", lambda queue: queue.overdue),
    _Metric(
        "asyncjobs_queue_oldest_wait_seconds",
        "Since the first job in line was sent.",
        lambda queue: queue.oldest_wait_ms / 1000,
    ),
    _Metric("asyncjobs_queue_paused", "Whether the queue is paused: 1 or 0.", lambda queue: queue.paused),
)

_COUNTERS = (
    _Metric("asyncjobs_completions", "Jobs that completed.", lambda queue: queue.succeeded_total),
    _Metric("asyncjobs_deaths", "Jobs that went to the dead letter queue.", lambda queue: queue.failed_total),
    _Metric("asyncjobs_cancellations", "Jobs that were cancelled.", lambda queue: queue.cancelled_total),
    _Metric("asyncjobs_limit_repairs", "Slots that were counted wrongly.", lambda queue: queue.repaired_total),
    _Metric("asyncjobs_retries", "Failed attempts that are tried again.", lambda queue: queue.retried_total),
    _Metric(
        "asyncjobs_recoveries", "Attempts taken over from a worker that died.", lambda queue: queue.recovered_total
    ),
)


class _LimitMetric(NamedTuple):
    name: str
    description: str
    figure: Callable[[GateStats], float | None]


_LIMITS = (
    _LimitMetric("asyncjobs_limit_in_use", "Slots of the limit that are taken.", lambda gate: gate.in_use),
    _LimitMetric("asyncjobs_limit_slots", "Jobs that may run at once.", lambda gate: gate.running),
    _LimitMetric("asyncjobs_limit_waiting", "Jobs that wait for the limit.", lambda gate: gate.waiting),
    _LimitMetric("asyncjobs_limit_waiting_lines", "Lines that wait for the limit.", lambda gate: gate.waiting_lines),
)


class _Collector:
    """What one scrape reads, as ``prometheus_client`` collects it."""

    def __init__(
        self,
        families: Any,
        queues: Sequence[QueueStats],
        workers: Sequence[WorkerStats],
        limits: Sequence[QueueLimits],
    ) -> None:
        self._families = families
        self._queues = queues
        self._limits = limits
        self._workers = workers

    def collect(self) -> Iterator[Any]:
        """Yield the families of metrics."""
        gauge, counter = self._families.GaugeMetricFamily, self._families.CounterMetricFamily
        depth = gauge("asyncjobs_queue_depth", "Jobs by state.", labels=[_QUEUE, _STATE])
        for queue in self._queues:
            for state, count in queue.by_state.items():
                depth.add_metric([queue.queue_name, state], count)
        yield depth
        for make, metrics in ((gauge, _GAUGES), (counter, _COUNTERS)):
            for metric in metrics:
                family = make(metric.name, metric.description, labels=[_QUEUE])
                for queue in self._queues:
                    family.add_metric([queue.queue_name], metric.figure(queue))
                yield family
        yield from self._of_limits()
        workers = gauge("asyncjobs_workers", "Workers that serve the queue.", labels=[_QUEUE])
        slots = gauge("asyncjobs_slots", "Jobs that these workers can run at once.", labels=[_QUEUE])
        for queue in self._queues:
            own = [worker for worker in self._workers if queue.queue_name in worker.queues]
            workers.add_metric([queue.queue_name], len(own))
            slots.add_metric([queue.queue_name], sum(worker.concurrency for worker in own))
        yield from (workers, slots)

    def _of_limits(self) -> Iterator[Any]:
        """Yield the families of limits by name, of all values of one together."""
        for metric in _LIMITS:
            family = self._families.GaugeMetricFamily(metric.name, metric.description, labels=[_QUEUE, _LIMIT])
            for queue in self._limits:
                for gate in queue.gates:
                    value = metric.figure(gate) if gate.gate == gate.rule else None
                    if value is not None:
                        family.add_metric([queue.queue, gate.rule], value)
            yield family


async def exposition(call: Call[InQueue]) -> Response:
    """Return the figures of the queues that the caller may see, or of one.

    Raises:
        Problem: ``prometheus_client`` is not installed.
    """
    try:
        import prometheus_client
        from prometheus_client import core
    except ImportError:
        raise Problem(
            501, f"/metrics needs the package prometheus-client: {install_command('metrics')} on this server"
        ) from None
    found: StatsReply
    found, limited = await asyncio.gather(stats(call), limits(call.asking(GatesQuery(limit=1))))
    own = [one for one in limited.queues if call.query.queue in (None, one.queue)]
    # One of its own, with nothing in it of this process or of the program around.
    registry = prometheus_client.CollectorRegistry(auto_describe=False)
    registry.register(_Collector(core, found.queues, found.workers, own))
    text = prometheus_client.generate_latest(registry)
    return Response(text, headers={**HEADERS, "Content-Type": prometheus_client.CONTENT_TYPE_LATEST})
