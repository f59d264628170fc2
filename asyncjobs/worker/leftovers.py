"""Lets a worker that ends with its queues wait for the jobs of workers that were killed, and for rates."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from asyncjobs.ports import Broker, QueueFigures
from asyncjobs.worker.claimer import Claimer

__all__ = ["Leftovers"]

# Recovery finds an expired lease within this time.
_FOUND_WITHIN_S = 1.0

# How often the leases are counted. It is no latency: a recovered job ends the wait.
_COUNT_EVERY_S = 0.5

# How many gates of a rule are looked at, those before which most lines wait.
_MOST_GATES = 100


class Leftovers:
    """What is left in ``queues`` where a claim gets nothing; ``lease_s`` is how long a lease lasts, in seconds.

    The lease of a killed worker expires within ``lease_s``, and then maintenance recovers its jobs. A living worker
    extends its leases, so a wait for these would have no end. A wait for a rate ends with it.
    """

    def __init__(self, broker: Broker, claimer: Claimer, queues: Sequence[str], lease_s: float) -> None:
        self._broker = broker
        self._claimer = claimer
        self._queues = queues
        self._longest_s = lease_s + _FOUND_WITHIN_S
        self._ends_at: float | None = None
        # A job may be recovered between a claim that got none and the look at the leases.
        self._may_be_ready = True
        self._claimed = 0

    async def wait(self) -> bool:
        """Wait a little for a job that is recovered or may start. Call it only while this worker holds no lease.

        Returns:
            Whether to claim again. If not, no job is leased, or the leases that are left belong to living workers.

        Raises:
            BrokerError: The broker can't be reached.
        """
        if self._claimed != self._claimer.claimed:
            # From the end of what was claimed since on, others are waited for anew.
            self._claimed = self._claimer.claimed
            self._ends_at = None
            self._may_be_ready = True
        queues = await self._broker.overview(self._queues)
        if any(map(_waits_for_its_rate, queues)) or await self._waits_for_a_gate(queues):
            self._may_be_ready = True
            await self._claimer.wait(_COUNT_EVERY_S)
            return True
        if not any(figures.running for figures in queues):
            may_be_ready, self._may_be_ready = self._may_be_ready, False
            return may_be_ready
        self._may_be_ready = True
        now = asyncio.get_running_loop().time()
        if self._ends_at is None:
            self._ends_at = now + self._longest_s
        if now >= self._ends_at:
            return False
        await self._claimer.wait(min(_COUNT_EVERY_S, self._ends_at - now))
        return True

    async def _waits_for_a_gate(self, queues: Sequence[QueueFigures]) -> bool:
        """Return whether a queue has jobs that may start once the rate of a gate allows it, or a closed gate opens."""
        for figures in queues:
            if figures.closed_lines and not figures.paused:
                gates = await self._broker.gates(figures.name, _MOST_GATES)
                if any(gate.lines and gate.opens_at_ms is not None for gate in gates):
                    return True
        return False


def _waits_for_its_rate(figures: QueueFigures) -> bool:
    """Return whether a queue has jobs that may start once its rate allows it."""
    is_used_up = figures.limit is not None and figures.limit.opens_at_ms is not None
    return is_used_up and any(figures.ready) and not figures.paused
