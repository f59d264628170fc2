"""Every key name in Redis.

All keys of a queue share the hash tag ``{queue}``, so a queue is one slot of a Cluster and each script is legal there.
The scripts get these names from here (``prelude.py``). No prefix and no queue has a brace in it, so the first ones of a
key tell where both end, and no two apps share a key, whatever prefixes, ids and names they choose.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Literal

from asyncjobs.core.priority import Priority

__all__ = [
    "BY_NAME",
    "BY_TENANT",
    "BY_VERSION",
    "ENDED_CHANNEL",
    "FAMILIES",
    "HELD_QUEUE",
    "KEY_NAMES",
    "NO_LIMIT",
    "Family",
    "GlobalKeys",
    "QueueKeys",
]

#: The channel on which the end of an awaited job and news of its events are published, behind the base of the queue.
ENDED_CHANNEL = "ended"

#: The labels of holds, and of lists of parked jobs: that of the queue, and what stands before a job name, a tenant, or
#: the version that can't read the jobs.
HELD_QUEUE = "queue"
BY_NAME = "name:"
BY_TENANT = "tenant:"
BY_VERSION = "version:"

#: The limit of a queue that has none (``include/limit.lua``).
NO_LIMIT = "0 0 0 0"

Family = Literal[
    "cancel_news",
    "claim",
    "deleted_job",
    "events",
    "flow",
    "hour",
    "group",
    "groups",
    "job",
    "line",
    "minute",
    "name_history",
    "names",
    "parked_jobs",
    "runs",
    "tenant_dead",
    "tenant_history",
    "tenant_stats",
    "turn",
    "wait",
]

#: The keys that end with an id or a name: what stands between the base of the queue and that part.
FAMILIES: dict[Family, str] = {
    "cancel_news": "cancel-news:",
    "claim": "claim:",
    "deleted_job": "deleted:",
    "events": "events:",
    "flow": "flow:",
    "hour": "hour:",
    "group": "group:",
    "groups": "groups:",
    "job": "job:",
    "line": "line:",
    "minute": "minute:",
    "name_history": "history:",
    "names": "names:",
    "parked_jobs": "parked:",
    "runs": "runs:",
    "tenant_dead": "tenant-dead:",
    "tenant_history": "tenant-history:",
    "tenant_stats": "tenant-stats:",
    "turn": "turn:",
    "wait": "wait:",
}


class QueueKeys:
    """The keys of one queue. Scripts can ask for the annotated ones by name."""

    ready: list[str]
    """Lists of ids, one a priority, first in first out."""
    scheduled: str
    """Sorted set: ``priority:id`` by due time."""
    leased: str
    """Sorted set: ``fence:priority:id`` by the end of the lease."""
    fences: str
    """Hash: id of each leased job to the fence of its lease, the time of the claim and the worker."""
    tries: str
    """Hash: id to failures, deaths and errors; only for jobs that have any."""
    gone: str
    """Hash: entries of the lists that no longer count."""
    dead: str
    """Sorted set: id by the time of its death."""
    deleted: str
    """Sorted set: id of jobs whose deletion can be undone, by the deletion."""
    deletions: str
    """Hash: id of each of them to what it was, and where."""
    unique: str
    """Hash: unique key to the job that holds it, or has held it."""
    cfg: str
    """Hash: holds, the fence, the worker that keeps the timer, the last recovery, until when events last, how often the
    token may be passed on, the last sample of gauges, the last minute that was added to its hour, and how far unique
    keys were looked at."""
    bell: str
    """List: at most one wake-up token."""
    stats: str
    """Hash: counters, and the histogram of durations."""
    waiters: str
    """Hash: ids whose end or events are awaited."""
    cancels: str
    """Hash: running jobs that are to be cancelled (as in ``leased``), with the reason."""
    parked: str
    """Hash: label of a list of parked jobs to the time since which it exists."""
    numbers: str
    """Hash: id to the number of its last event; only for jobs that have any."""
    tenant_ends: str
    """Sorted set: tenant by the minute in which its figures last rose, numbered since 1970."""
    schedules: str
    """Hash: ``d:<id>`` to the data of a schedule, ``l:<id>`` to its last tick that fired, ``j:<id>`` to its job."""
    ticks: str
    """Sorted set: id of a schedule by its next tick; without paused schedules."""

    def __init__(self, prefix: str, queue: str) -> None:
        self.queue = queue
        self.base = f"{prefix}:{{{queue}}}:"
        for name in KEY_NAMES:
            setattr(self, name, self.base + name)
        self.ready = [f"{self.base}ready:{priority.value}" for priority in Priority]
        self.barrier = f"{self.base}barrier"
        self.ended_channel = self.base + ENDED_CHANNEL
        # A cache of this instance, which is freed with it.
        self.named = functools.cache(self._named)

    def of(self, family: Family, part: str | int) -> str:
        """Return the key of ``family`` for an id, a name, a tenant, a label, a minute or an hour."""
        return f"{self.base}{FAMILIES[family]}{part}"

    def _named(self, names: Sequence[str]) -> list[str]:
        """Return the keys of ``names`` as a script takes them; ``ready`` stands for four keys."""
        keys: list[str] = []
        for name in names:
            key = getattr(self, name)
            keys += key if isinstance(key, list) else [key]
        return keys


#: The names of the keys that scripts can ask for.
KEY_NAMES = tuple(QueueKeys.__annotations__)


class GlobalKeys:
    """The keys that belong to no queue."""

    def __init__(self, prefix: str) -> None:
        self.prefix = prefix
        self.meta = f"{prefix}:meta"
        self.queues = f"{prefix}:queues"
        self.workers = f"{prefix}:workers"
        # Of the two keys behind it; the empty braces are no hash tag, and no queue has that name.
        self._base = f"{prefix}:{{}}:"
        self.audit = f"{prefix}:audit"
        self.catalogue = f"{prefix}:catalogue"
        self.deploys = f"{prefix}:deploys"
        # A cache of this instance, which is freed with it.
        self.queue = functools.cache(lambda name: QueueKeys(prefix, name))

    def worker(self, worker_id: str) -> str:
        """Return the key of the record of one worker."""
        return f"{self._base}worker:{worker_id}"

    def names(self, digest: str, queue: str | None) -> str:
        """Return the key of a set of job names: for all queues, or in a Cluster, where a script needs it, for one."""
        return f"{self._base}{FAMILIES['names']}{digest}" if queue is None else self.queue(queue).of("names", digest)
