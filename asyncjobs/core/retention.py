"""How much is kept, and for how long: the numbers that both brokers go by, and the messages that they store.

The scripts of the Redis broker get them from here, by name. Times in milliseconds. A message is a template for the
``%`` operator of Python and for ``string.format`` of Lua.
"""

from __future__ import annotations

__all__ = [
    "CANCELLED_KEEP_MS",
    "CLAIM_KEEP_MS",
    "DIED_EARLY",
    "HISTORY_KEEP_MS",
    "MAX_HISTORY",
    "MAX_TENANT_HISTORY",
    "MINUTES_KEEP_MS",
    "TOMBSTONE_MS",
    "UNKNOWN_NAME",
    "WORKERS_DIED",
]

#: An ended job's id stays known for at least this long, so that a send repeated late is still recognised.
TOMBSTONE_MS = 60_000

#: The record of a job whose cancellation was under way when its worker died.
CANCELLED_KEEP_MS = 24 * 3_600_000

#: A claim can be repeated under its number for this long, and for two of its leases.
CLAIM_KEEP_MS = 60_000

#: The ends in the history of one job name, and of one tenant, in one queue.
MAX_HISTORY = 1_000
MAX_TENANT_HISTORY = 100

#: Histories, and the figures of a tenant, after the latest entry.
HISTORY_KEEP_MS = 30 * 24 * 3_600_000

#: The figures of one minute.
MINUTES_KEEP_MS = 6 * 3_600_000

#: Why a job is dead: so many workers died under it (number of deaths).
WORKERS_DIED = "%d workers died, or lost their lease, while they ran this job"

#: Why a job that was acknowledged early is dead.
DIED_EARLY = "its worker died, or lost its lease; acknowledged early, it is not run again"

#: Why a job is dead that no worker could run (job name, seconds).
UNKNOWN_NAME = "no worker has known the job name %s for %s s"
