"""Gauges of the queues: figures fetched on the event loop, read by the SDK's own thread."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable
from datetime import timedelta
from typing import NamedTuple, Protocol

from opentelemetry.metrics import CallbackOptions, MeterProvider, Observation, get_meter_provider
from opentelemetry.util.types import AttributeValue

from asyncjobs import GateStats, QueueStats, Stats
from asyncjobs.errors import BrokerError
from asyncjobs.settings import to_ms
from asyncjobs.telemetry import names

__all__ = ["HasStats", "QueueGauges"]

Figure = Callable[[QueueStats], float]

_log = logging.getLogger("asyncjobs.telemetry")


class HasStats(Protocol):
    """What the gauges need of an ``App``."""

    def stats(self) -> Awaitable[Stats]:
        """Return the figures of all queues."""
        ...

    def gates(self, queue: str, *, limit: int = 100) -> Awaitable[list[GateStats]]:
        """Return the limits by name of a queue."""
        ...


class QueueGauges:
    """Reports what the broker counts of each queue, for all workers together.

    - ``asyncjobs.queue.depth``: jobs by ``asyncjobs.state``, which is pending, scheduled, parked, running or failed.
    - ``asyncjobs.queue.retrying``: jobs that have failed before and wait to be tried again.
    - ``asyncjobs.queue.oldest_wait``: seconds since the first job in line was sent.
    - ``asyncjobs.limit.in_use``, ``asyncjobs.limit.waiting``, ``asyncjobs.limit.waiting_lines``: slots that are taken,
      jobs that wait, and in how many lines, by ``asyncjobs.limit.name``; of a limit by value, those of all values.
    - ``asyncjobs.limit.slots``: how many jobs may run at once; of a limit by value, for each of them.
    - ``asyncjobs.limit.repairs``: slots that were counted wrongly and set right, which is to stay 0; a counter.
    - ``asyncjobs.retries``, ``asyncjobs.deaths``, ``asyncjobs.recoveries``: failed attempts that were tried again, jobs
      that went to the dead letter queue, and attempts taken over from a worker that died; counters.

    An exporter reads its gauges in a thread of its own, where the broker can't be asked; so ``refresh`` keeps the
    figures for it. All processes would report the same: run it in one of them, or take the maximum over the instances
    and not the sum.

    Args:
        meter_provider: The global one by default, also if it is set only later.

    Example:
        ```python
        gauges = QueueGauges()

        async with app:
            refreshing = asyncio.create_task(gauges.keep_refreshed(app, every=15))
        ```
    """

    def __init__(self, meter_provider: MeterProvider | None = None) -> None:
        self._queues: tuple[QueueStats, ...] = ()
        self._limits: tuple[tuple[QueueStats, GateStats], ...] = ()
        meter = (meter_provider or get_meter_provider()).get_meter(names.SCOPE, schema_url=names.SCHEMA_URL)
        meter.create_observable_gauge(names.DEPTH, [self._depths], "{job}", "Jobs by state.")
        for gauge in _GAUGES:
            meter.create_observable_gauge(gauge.name, [self._each(gauge.figure)], gauge.unit, gauge.description)
        for limit in _LIMITS:
            meter.create_observable_gauge(limit.name, [self._each_limit(limit.figure)], limit.unit, limit.description)
        for counter in _COUNTERS:
            meter.create_observable_counter(
                counter.name, [self._each(counter.figure)], counter.unit, counter.description
            )

    async def refresh(self, app: HasStats) -> None:
        """Fetch the figures of all queues, for the exporter to read.

        Args:
            app: An app that is open.

        Raises:
            BrokerError: The figures can't be fetched; none are reported until the next time.
        """
        try:
            queues = (await app.stats()).queues
            gates = await asyncio.gather(*(app.gates(one.queue_name, limit=1) for one in queues))
        except BaseException:
            # Better a gap than figures that no longer hold.
            self._forget()
            raise
        self._queues = tuple(queues)
        self._limits = tuple(
            (queue, gate) for queue, own in zip(queues, gates, strict=True) for gate in own if gate.gate == gate.rule
        )

    def _forget(self) -> None:
        self._queues, self._limits = (), ()

    async def keep_refreshed(self, app: HasStats, every: float | timedelta = 15.0) -> None:
        """Refresh again and again, until it is cancelled; while the broker is away it goes on trying.

        Args:
            app: An app that is open.
            every: The time between two refreshes, in seconds or as a ``timedelta``; 15 s by default.

        Raises:
            ArgumentsError: ``every`` is no duration, or shorter than a millisecond.
        """
        seconds = to_ms("every", every, least_ms=1) / 1000
        is_away = False
        try:
            while True:
                try:
                    await self.refresh(app)
                    is_away = False
                except BrokerError as error:
                    if not is_away:
                        _log.warning("the gauges of the queues have no figures: %s", error)
                    is_away = True
                await asyncio.sleep(seconds)
        finally:
            self._forget()

    def _depths(self, options: CallbackOptions) -> Iterable[Observation]:
        for queue in self._queues:
            for state, count in queue.by_state.items():
                yield Observation(count, {**_attributes(queue), names.STATE: state})

    def _each(self, figure: Figure) -> Callable[[CallbackOptions], Iterable[Observation]]:
        def observe(options: CallbackOptions) -> Iterable[Observation]:
            for queue in self._queues:
                yield Observation(figure(queue), _attributes(queue))

        return observe

    def _each_limit(
        self, figure: Callable[[GateStats], float | None]
    ) -> Callable[[CallbackOptions], Iterable[Observation]]:
        def observe(options: CallbackOptions) -> Iterable[Observation]:
            for queue, gate in self._limits:
                value = figure(gate)
                if value is not None:
                    yield Observation(value, {**_attributes(queue), names.LIMIT: gate.rule})

        return observe


class _Metric(NamedTuple):
    name: str
    unit: str
    description: str
    figure: Figure


_GAUGES = (
    _Metric(names.RETRYING, "{job}", "Jobs that failed and will be tried again.", lambda queue: queue.retrying),
    _Metric(names.OLDEST_WAIT, "s", "Since the first job in line was sent.", lambda queue: queue.oldest_wait_ms / 1000),
)


class _LimitMetric(NamedTuple):
    name: str
    unit: str
    description: str
    figure: Callable[[GateStats], float | None]


_LIMITS = (
    _LimitMetric(names.LIMIT_IN_USE, "{slot}", "Slots of the limit that are taken.", lambda gate: gate.in_use),
    _LimitMetric(names.LIMIT_SLOTS, "{slot}", "Jobs that may run at once.", lambda gate: gate.running),
    _LimitMetric(names.LIMIT_WAITING, "{job}", "Jobs that wait for the limit.", lambda gate: gate.waiting),
    _LimitMetric(names.LIMIT_LINES, "{line}", "Lines that wait for the limit.", lambda gate: gate.waiting_lines),
)

_COUNTERS = (
    _Metric(names.REPAIRS, "{slot}", "Slots that were counted wrongly.", lambda queue: queue.repaired_total),
    _Metric(names.RETRIES, "{attempt}", "Failed attempts that are tried again.", lambda queue: queue.retried_total),
    _Metric(names.DEATHS, "{job}", "Jobs that went to the dead letter queue.", lambda queue: queue.failed_total),
    _Metric(
        names.RECOVERIES,
        "{attempt}",
        "Attempts taken over from a worker that died.",
        lambda queue: queue.recovered_total,
    ),
)


def _attributes(queue: QueueStats) -> dict[str, AttributeValue]:
    return {names.SYSTEM: names.SYSTEM_NAME, names.DESTINATION: queue.queue_name}
