"""One queue: its jobs, the place that each of them is in, and every move between places.

All of it is plain and synchronous, with time as an argument; the broker calls it under its lock. The verbs are
functions on it, in modules named after their callers: ``intake``, ``work``, ``upkeep`` and ``store``.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from asyncjobs.brokers.memory.calendar import Calendar
from asyncjobs.brokers.memory.entry import Entry
from asyncjobs.brokers.memory.events import EventStreams
from asyncjobs.brokers.memory.lapsing import Lapsing
from asyncjobs.brokers.memory.ledger import Ledger
from asyncjobs.brokers.memory.parking import Parked
from asyncjobs.brokers.memory.places import Dead, Listed, Ready, Running
from asyncjobs.brokers.memory.schedules import Schedules
from asyncjobs.brokers.memory.timetable import Scheduled, Timer
from asyncjobs.brokers.memory.waking import Bell, Watchers
from asyncjobs.core.settlement import Settlement, Verdict
from asyncjobs.core.states import JobState
from asyncjobs.ports import Hold

__all__ = ["Queue"]

_QUEUE = Hold("queue")

#: How many expired records a call clears away at most, beside two for each of its jobs.
_MIN_CLEARED = 16

# Members of enumerations as constants: Python 3.11 looks them up slowly, and this is done for each job.
_COMPLETE, _COMPLETED = Verdict.COMPLETE, JobState.COMPLETED


class Queue:
    """One queue. Each job that is known has an entry in ``jobs``, and each entry is in exactly one place.

    An entry moves by leaving its place and entering another one. Each kind of move has one method here, which does all
    that goes with the move: rings the bell (the wake-up token of workers), wakes those that wait for news of the job.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self.jobs: dict[str, Entry] = {}
        self.ready = Ready()
        self.scheduled = Scheduled()
        self.parked = Parked()
        self.running = Running()
        self.dead = Dead()
        self.listed: Mapping[str, Listed] = {
            "ready": self.ready,
            "scheduled": self.scheduled,
            "parked": self.parked,
            "running": self.running,
            "dead": self.dead,
        }
        self.ended = Calendar()
        self._places: Mapping[str, Listed | Calendar] = {**self.listed, "ended": self.ended}
        self.tried = 0
        """How many jobs, living or dead, have tries."""
        self.fence = 0
        """The number of the last claim that got something."""
        self.claims: Lapsing[str, tuple[int, int, list[Entry]]] = Lapsing()
        """Of each worker, the number, the fence and the jobs of its last claim that got something."""
        self.recovered_at_ms: int | None = None
        self.recover_from_ms = 0
        self.bell = Bell()
        self.timer = Timer()
        self.watchers = Watchers()
        self.events = EventStreams()
        self.ledger = Ledger()
        self.schedules = Schedules()

    @property
    def paused(self) -> bool:
        """Whether no job may be claimed."""
        return _QUEUE in self.parked.holds

    def get(self, job_id: str, now_ms: int) -> Entry | None:
        """Return the entry of a job, ``None`` if there is no record of it, or none any longer."""
        entry = self.jobs.get(job_id)
        return None if entry is None or (entry.place == "ended" and entry.at_ms <= now_ms) else entry

    def leased(self, job_id: str, fence: int) -> Entry | None:
        """Return the entry of a job that runs under the claim ``fence``, ``None`` if it does not."""
        entry = self.jobs.get(job_id)
        return entry if entry is not None and entry.fence == fence and entry.place == "running" else None

    def ring(self) -> None:
        """Wake a worker if something is startable."""
        if self.ready:
            self.bell.ring()

    # -- moves

    def leave(self, entry: Entry) -> None:
        """Take ``entry`` out of its place."""
        self._places[entry.place].remove(entry)
        entry.place = ""

    def make_ready(self, entries: Sequence[Entry], *, first: bool = False) -> None:
        """Let jobs be claimed: behind the others of their priority, or before them."""
        if entries:
            self._enter_ready(entries, first=first)
            self.bell.ring()

    def promote(self, now_ms: int, limit: int) -> None:
        """Make up to ``limit`` jobs ready that are due; the claim for which this is done rings for what it leaves."""
        self._enter_ready(self.scheduled.due(now_ms, limit), first=False)

    def _enter_ready(self, entries: Sequence[Entry], *, first: bool) -> None:
        for entry in entries:
            if entry.place:
                self.leave(entry)
            entry.place = "ready"
        if first:
            self.ready.prepend(entries)
        else:
            self.ready.append(entries)

    def schedule(self, later: Sequence[tuple[Entry, int]]) -> None:
        """Let jobs wait, each until its due time."""
        if not later:
            return
        earliest = self.scheduled.earliest()
        for entry, due_at_ms in later:
            if entry.place:
                self.leave(entry)
            entry.place = "scheduled"
            self.scheduled.add(entry, due_at_ms)
        first = self.scheduled.earliest()
        if first is not None and (earliest is None or first < earliest):
            # The worker that keeps the timer has set it too late.
            self.timer.reset()
            self.bell.ring()

    def park(self, entry: Entry, hold: Hold, now_ms: int) -> None:
        """Set a job aside until ``hold`` ends, or a worker knows its name."""
        self.leave(entry)
        entry.place = "parked"
        self.parked.add(entry, hold, now_ms)

    def lease(self, entries: Sequence[Entry], deadline_ms: int) -> None:
        """Let jobs run under the number of a new claim, until ``deadline_ms``."""
        self.fence = fence = self.fence + 1
        for entry in entries:
            self.leave(entry)
            entry.place = "running"
            entry.fence = fence
            entry.cancel_reason = None
        self.running.add(entries, deadline_ms)

    def bury(self, entry: Entry, tries: bytes, now_ms: int) -> None:
        """Send a job to the dead letter queue."""
        if entry.place:
            self.leave(entry)
        entry.place = "dead"
        self.dead.add(entry, now_ms)
        self.remember(entry, tries)
        if self.watchers:
            self.watchers.tell(entry.id)

    def end(self, entry: Entry, state: JobState, body: bytes, expires_at_ms: int) -> None:
        """Keep of a job how it ended, until ``expires_at_ms``."""
        if entry.place:
            self.leave(entry)
        entry.place = "ended"
        entry.ended_as = state
        entry.body = body
        self.ended.add((entry,), expires_at_ms)
        if entry.tries:
            self.remember(entry, b"")
        if self.watchers:
            self.watchers.tell(entry.id)

    def forget(self, entry: Entry) -> None:
        """Forget a job, and all that was kept for it."""
        self.leave(entry)
        del self.jobs[entry.id]
        self.remember(entry, b"")
        self.events.remove(entry.id)

    def clear(self, now_ms: int, settled: int) -> None:
        """Forget some jobs whose records have expired: more than the ``settled`` or accepted, so that none pile up.

        Their events stay for a time of their own.
        """
        for entry in self.ended.pop_past(now_ms, _MIN_CLEARED + 2 * settled):
            del self.jobs[entry.id]

    def remember(self, entry: Entry, tries: bytes) -> None:
        """Remember what attempts of a job came to."""
        self.tried += bool(tries) - bool(entry.tries)
        entry.tries = tries

    # -- verdicts

    def carry_out(self, verdicts: Iterable[tuple[Entry, Settlement]], now_ms: int) -> None:
        """Move jobs as the broker is to do with them, and enter that into the ledger."""
        entered: list[Settlement] = []
        released: list[Entry] = []
        later: list[tuple[Entry, int]] = []
        for entry, one in verdicts:
            entered.append(one)
            verdict = one.verdict
            if verdict is _COMPLETE:
                self.end(entry, _COMPLETED, one.body, now_ms + one.ttl_ms)
            elif verdict is Verdict.CANCEL:
                self.end(entry, JobState.CANCELLED, one.body, now_ms + one.ttl_ms)
            elif verdict is Verdict.DEAD:
                self.bury(entry, one.tries, now_ms)
            elif verdict is Verdict.RELEASE:
                released.append(entry)
            else:
                if verdict is Verdict.RETRY:
                    self.remember(entry, one.tries)
                later.append((entry, now_ms + one.delay_ms))
        self.schedule(later)
        self.make_ready(released, first=True)
        self.ledger.enter(entered, now_ms)
