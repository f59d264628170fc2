"""How much is kept, and for how long: the numbers that both brokers go by, and the messages that they store.

The scripts of the Redis broker get both from here, by name. Times are in milliseconds. A message is a template for the
``%`` operator of Python and for ``string.format`` of Lua.
"""

from __future__ import annotations

__all__ = [
    "CANCELLED_KEEP_MS",
    "CLAIM_KEEP_MS",
    "DIED_EARLY",
    "GROUP_ID_SIZE",
    "GROUP_KEEP_MS",
    "HISTORY_KEEP_MS",
    "HOURS_KEEP_MS",
    "HOUR_MS",
    "MAX_ARRIVALS_GAP",
    "MAX_AUDITS",
    "MAX_CATALOGUE",
    "MAX_DEPLOYS",
    "MAX_GROUPS",
    "MAX_HISTORY",
    "MAX_PARKED_SHOWN",
    "MAX_NAMES",
    "MAX_PASSED",
    "MAX_RING_PASSES",
    "MAX_TENANT_HISTORY",
    "MINUTES_KEEP_MS",
    "MINUTE_MS",
    "OTHER_GROUP",
    "QUEUE_KEEP_MS",
    "RUNS_KEEP_MS",
    "SERVED_KEEP_MS",
    "TOMBSTONE_MS",
    "UNGROUPED",
    "UNKNOWN_NAME",
    "UNKNOWN_NAME_GROUP",
    "WORKERS_DIED",
    "WORKERS_DIED_GROUP",
]

#: How long the id of an ended job stays known at least, so that a send repeated late is still recognised.
TOMBSTONE_MS = 60_000

#: How long the record of a job is kept whose cancellation was under way when its worker died.
CANCELLED_KEEP_MS = 24 * 3_600_000

#: How long a claim can be repeated under its number; two of its leases, if those are longer.
CLAIM_KEEP_MS = 60_000

#: How many jobs that it may not take a claim passes over at most, to find others behind them.
MAX_PASSED = 1_000

#: Of how many names, tenants and versions a queue's figures tell the parked jobs.
MAX_PARKED_SHOWN = 100

#: How often the wake-up token is passed on, after a job was parked, by workers that may not take parked jobs: another
#: one may.
MAX_RING_PASSES = 16

#: How many ends the history of one job name, and of one tenant, holds in one queue.
MAX_HISTORY = 1_000
MAX_TENANT_HISTORY = 100

#: How long a history, and the figures of a tenant, are kept after the latest entry.
HISTORY_KEEP_MS = 30 * 24 * 3_600_000

#: The periods of figures over time.
MINUTE_MS = 60_000
HOUR_MS = 3_600_000

#: How long the figures of one minute are kept, those of one hour, and those of the job names in one hour.
MINUTES_KEEP_MS = 6 * HOUR_MS
HOURS_KEEP_MS = 90 * 24 * HOUR_MS
RUNS_KEEP_MS = 14 * 24 * HOUR_MS

#: How many job names are told apart in one hour of a queue.
MAX_NAMES = 200

#: How many minutes apart two samples may be at most, for what came in between to be counted.
MAX_ARRIVALS_GAP = 5
#: How many characters the id of a group of dead jobs has.
GROUP_ID_SIZE = 16
#: How many groups of dead jobs a queue has at most; the jobs of further ones are all in one more, with this id.
MAX_GROUPS = 500
OTHER_GROUP = "other"
#: What stands for the dead jobs in no group, those of an earlier asyncjobs, where a group is chosen.
UNGROUPED = "-"
#: How long the heading of a group that has become empty is kept after its last death; a full queue keeps it for less.
GROUP_KEEP_MS = 30 * 24 * 3_600_000

#: How long a queue that holds nothing is listed, with its figures, after it was last sent to; at most twice as long.
QUEUE_KEEP_MS = HISTORY_KEEP_MS

#: How long a queue that holds nothing is listed after a worker last served it; at most twice as long.
SERVED_KEEP_MS = 3_600_000

#: Why a job is dead under which too many workers died; takes the number of deaths.
WORKERS_DIED = "%d workers died, or lost their lease, while they ran this job"

#: What the group of such jobs is called.
WORKERS_DIED_GROUP = "workers died, or lost their lease, while they ran this job"

#: Why a job that was acknowledged early is dead.
DIED_EARLY = "its worker died, or lost its lease; acknowledged early, it is not run again"

#: Why a job is dead that no worker could run; takes the job name and the seconds.
UNKNOWN_NAME = "no worker has known the job name %s for %s s"

#: How many records of what was done by hand are kept.
MAX_AUDITS = 10_000

#: Of how many job names it is kept how they are defined.
MAX_CATALOGUE = 5_000

#: Of how many deploys it is kept when they began.
MAX_DEPLOYS = 100

#: What the group of such jobs is called.
UNKNOWN_NAME_GROUP = "no worker has known the job name"
