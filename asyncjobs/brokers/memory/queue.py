"""What there is of one queue, and the ends that several verbs bring about: ``lua/queue.lua`` and ``lua/ending.lua``.

The verbs are functions on it: plain, synchronous, with time as an argument. Each does what the Redis script of its name
does, in the same order. ``way`` has those of a job's way, ``upkeep`` those by which workers keep the queue in order,
``store`` those on jobs by their id.
"""

from __future__ import annotations

from asyncjobs.brokers.memory.books import Books
from asyncjobs.brokers.memory.claims import ClaimMemory
from asyncjobs.brokers.memory.dead import DeadLetters
from asyncjobs.brokers.memory.events import EventStreams
from asyncjobs.brokers.memory.expiring import ExpiringRecords
from asyncjobs.brokers.memory.leases import Leases
from asyncjobs.brokers.memory.parking import Parking
from asyncjobs.brokers.memory.records import as_cancelled, name_of, tenant_of
from asyncjobs.brokers.memory.schedules import Schedules
from asyncjobs.brokers.memory.timer import Timer
from asyncjobs.brokers.memory.timetable import Timetable
from asyncjobs.brokers.memory.waiting import WaitingList
from asyncjobs.brokers.memory.waking import Awaited, Bell
from asyncjobs.core.record.envelope import JobError
from asyncjobs.core.record.tries import Tries, pack_tries, unpack_tries
from asyncjobs.core.settlement import HistoryEntry
from asyncjobs.core.stored import read_placed

__all__ = ["QueueState"]


class QueueState:
    """One queue. Every live id is in exactly one of ready, parking, timetable, leases and dead.

    ``live`` and ``ended``: the records. ``ready``: a list a priority. ``tries``: of those that have failed, what the
    core remembers. ``fence``: the last that was given.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self.paused = False
        self.live: dict[str, bytes] = {}
        self.ended = ExpiringRecords()
        self.tries: dict[str, bytes] = {}
        self.ready: tuple[WaitingList, ...] = tuple(WaitingList() for _ in range(4))
        self.parking = Parking()
        self.timetable = Timetable()
        self.timer = Timer(self.timetable)
        self.leases = Leases()
        self.dead = DeadLetters()
        self.books = Books()
        self.events = EventStreams()
        self.schedules = Schedules()
        self.bell = Bell()
        self.awaited = Awaited()
        self.claims = ClaimMemory()
        self.fence = 0
        self.recovered_at_ms: int | None = None
        self.recover_from_ms = 0

    # -- ends without a run

    def bury(self, job_id: str, name: bytes, tries: Tries, error: JobError, now_ms: int) -> None:
        """Send a live job, in none of the places any more, to the dead letter queue."""
        tenant = tenant_of(self.live[job_id])
        self.dead.bury(job_id, tenant, now_ms)
        self.tries[job_id] = pack_tries(Tries(tries.failures, tries.deaths, (*tries.errors, error)))
        what = f"{error.type}: {error.message}"
        self.books.enter_unrun(name, tenant, HistoryEntry(job_id, "failed", error.attempt, now_ms, 0, what), now_ms)
        self.awaited.tell(job_id)

    def exhume(self, job_id: str) -> None:
        """Take a job out of the dead letter queue."""
        self.dead.exhume(job_id, tenant_of(self.live[job_id]))

    def end_cancelled(self, job_id: str, record: bytes, reason: str, now_ms: int, keep_ms: int) -> None:
        """End a live job, in none of the places any more, and keep its record for ``keep_ms``."""
        del self.live[job_id]
        self.ended.put(job_id, as_cancelled(record, reason, now_ms), now_ms + keep_ms)
        so_far = unpack_tries(self.tries.pop(job_id, None))
        self.events.end(job_id)
        entry = HistoryEntry(job_id, "cancelled", so_far.failures + so_far.deaths + 1, now_ms, 0, reason)
        self.books.enter_unrun(name_of(record), tenant_of(record), entry, now_ms)
        self.awaited.tell(job_id)

    # -- the whole queue

    def waiting(self) -> tuple[tuple[int, int, int, int], int, int]:
        """Return how many jobs are ready, by priority, parked and scheduled."""
        critical, high, normal, low = (waiting.count for waiting in self.ready)
        return (critical, high, normal, low), self.parking.count, len(self.timetable)

    def oldest_wait_ms(self, now_ms: int) -> int:
        """Return for how long the oldest ready job has waited, by its id if that tells the time."""
        heads = [waiting.ids[0] for waiting in self.ready if waiting.ids and waiting.ids[0] in self.live]
        if not heads:
            return 0
        oldest = min(heads)
        created_at_ms = read_placed(oldest, self.name, self.live[oldest], None, None).created_at_ms
        return max(0, now_ms - created_at_ms)

    def has_ready(self) -> bool:
        """Say whether a claim may find something."""
        return any(waiting.ids for waiting in self.ready)

    def ring(self) -> None:
        """Wake a worker if something is ready."""
        if self.has_ready():
            self.bell.ring()

    def resume(self) -> None:
        """Let jobs be claimed again."""
        self.paused = False
        self.bell.ring()

    def suspend(self, entry: bytes, on: bool, now_ms: int) -> bool:
        """Suspend a name (``n<name>``) or a tenant (``t<tenant>``), or resume it; say whether that changed anything."""
        if not self.parking.suspend(entry, on, now_ms):
            return False
        self.bell.ring()
        return True
