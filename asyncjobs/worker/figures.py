"""What every worker adds to the figures over time: what its runs came to, and each minute the gauges of its queues."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
from collections.abc import Callable, Sequence

from asyncjobs.errors import BrokerError
from asyncjobs.ports import Broker, GaugeReading, Gauges, QueueFigures, WorkerInfo
from asyncjobs.worker.duty import Duty
from asyncjobs.worker.execution.run_counter import RunCounter

__all__ = ["Figures", "reading_of"]

_log = logging.getLogger("asyncjobs.worker")

_SEND_EVERY_S = 5.0

# A little less than a minute, so that no minute is without a sample.
_GAUGES_EVERY_S = 55.0


class Figures(Duty):
    """Sends the counts of ``runs`` every few seconds, and samples the gauges of ``queues``, for ever.

    Of all workers, one samples a queue in each minute. What can't be sent is lost: it may have arrived, and figures are
    not worth counting twice. Maintenance meets the same error and logs it.
    """

    def __init__(
        self, broker: Broker, runs: RunCounter, *, queues: Sequence[str], monotonic: Callable[[], float]
    ) -> None:
        self._broker = broker
        self._runs = runs
        self._queues = queues
        self._monotonic = monotonic
        # How many slots of each queue were set right, when this worker looked last.
        self._repaired: dict[str, int] = {}

    async def run(self) -> None:
        """Send and sample, for ever."""
        sampled_at: float | None = None
        while True:
            await asyncio.sleep(_SEND_EVERY_S * random.uniform(0.9, 1.0))
            now = self._monotonic()
            with contextlib.suppress(BrokerError):
                await self.send()
            if sampled_at is None or now - sampled_at >= _GAUGES_EVERY_S:
                sampled_at = now
                with contextlib.suppress(BrokerError):
                    await self.sample()

    async def send(self) -> None:
        """Send what was counted since the last time."""
        if counts := self._runs.take():
            await self._broker.count_runs(counts)

    async def sample(self) -> None:
        """Sample the gauges of the queues that no other worker has sampled in this minute."""
        queues = await self._broker.begin_gauges(self._queues)
        if queues:
            workers = await self._broker.workers()
            figures = await self._broker.overview(queues)
            self._warn_of_repairs(figures)
            await self._broker.keep_gauges([reading_of(one, workers) for one in figures])

    def _warn_of_repairs(self, figures: Sequence[QueueFigures]) -> None:
        """Log what the broker has set right in its counts since this worker looked last."""
        for one in figures:
            before = self._repaired.get(one.name, one.repaired)
            self._repaired[one.name] = one.repaired
            if one.repaired > before:
                what = "%d slots of limits of the queue %s were counted wrongly, and set right; please report it"
                _log.error(what, one.repaired - before, one.name)

    async def stop(self) -> None:
        """Send what is left."""
        with contextlib.suppress(BrokerError):
            await self.send()


def reading_of(figures: QueueFigures, workers: Sequence[WorkerInfo]) -> GaugeReading:
    """Return the gauges of a queue, given the workers that are present."""
    own = [worker for worker in workers if figures.name in worker.queues]
    critical, high, normal, low = figures.ready
    gauges = Gauges(
        critical=critical,
        high=high,
        normal=normal,
        low=low,
        scheduled=figures.scheduled,
        overdue=figures.overdue,
        parked=figures.parked,
        running=figures.running,
        dead=figures.dead,
        oldest_wait_ms=figures.oldest_wait_ms,
        slots=sum(worker.concurrency for worker in own),
        workers=len(own),
    )
    ended = figures.succeeded + figures.failed + figures.cancelled
    return GaugeReading(figures.name, gauges, gauges.depth + ended)
