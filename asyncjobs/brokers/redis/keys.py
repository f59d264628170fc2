"""Every key name in Redis.

All keys of a queue share the hash tag ``{queue}``, so a queue is one slot of a Cluster and each script is legal there.
"""

from __future__ import annotations

import functools

from asyncjobs.core.priority import Priority

__all__ = ["GlobalKeys", "QueueKeys"]


class QueueKeys:
    """The keys of one queue; ``fixed`` lists those that every script is given, in the order of ``lua/queue.lua``."""

    def __init__(self, prefix: str, queue: str) -> None:
        self.queue = queue
        self.base = f"{prefix}:{{{queue}}}:"
        self.ready = [f"{self.base}ready:{priority.value}" for priority in Priority]
        self.scheduled = f"{self.base}scheduled"
        self.leased = f"{self.base}leased"
        self.tries = f"{self.base}tries"
        self.gone = f"{self.base}gone"
        self.dead = f"{self.base}dead"
        self.cfg = f"{self.base}cfg"
        self.bell = f"{self.base}bell"
        self.stats = f"{self.base}stats"
        self.waiters = f"{self.base}waiters"
        self.cancels = f"{self.base}cancels"
        self.parked = f"{self.base}parked"
        self.numbers = f"{self.base}numbers"
        self.schedules = f"{self.base}schedules"
        self.ticks = f"{self.base}ticks"
        self.ended_channel = f"{self.base}ended"
        self.fixed = [
            *self.ready,
            self.scheduled,
            self.leased,
            self.tries,
            self.gone,
            self.dead,
            self.cfg,
            self.bell,
            self.stats,
            self.waiters,
            self.cancels,
            self.parked,
            self.numbers,
        ]

    def history(self, name: str) -> str:
        """The list of how the last jobs of ``name`` ended."""
        return f"{self.base}history:{name}"

    # A label that begins with a space is a tenant's: no job name does, and no minute.

    def tenant_history(self, tenant: str) -> str:
        """The list of how the last jobs of ``tenant`` ended."""
        return f"{self.base}history: {tenant}"

    def tenant_stats(self, tenant: str) -> str:
        """The counters of ``tenant`` and the histogram of its durations."""
        return f"{self.base}stats: {tenant}"

    def tenant_dead(self, tenant: str) -> str:
        """The dead of ``tenant``, as in ``dead``."""
        return f"{self.base}dead: {tenant}"


class GlobalKeys:
    """The keys that belong to no queue."""

    def __init__(self, prefix: str) -> None:
        self.prefix = prefix
        self.meta = f"{prefix}:meta"
        self.queues = f"{prefix}:queues"
        self.workers = f"{prefix}:workers"
        # Bound to the instance, so that the cache goes with it.
        self.queue = functools.cache(lambda name: QueueKeys(prefix, name))

    def worker(self, worker_id: str) -> str:
        """The record of one worker that is present."""
        return f"{self.prefix}:worker:{worker_id}"
