"""One queue: its jobs, the place that each job is in, and every move between places.

The code is plain and synchronous, with the time as an argument; the broker calls it under its lock. The verbs on the
way of a job are methods. The other verbs are functions on a queue, in ``running``, ``upkeep`` and ``store``.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from operator import attrgetter

from asyncjobs.brokers.memory.choosing import choose
from asyncjobs.brokers.memory.deleted import Deleted
from asyncjobs.brokers.memory.entry import Entry
from asyncjobs.brokers.memory.events import EventStreams
from asyncjobs.brokers.memory.ledger import Ledger
from asyncjobs.brokers.memory.limit import Limit
from asyncjobs.brokers.memory.lines import Lines
from asyncjobs.brokers.memory.parking import UNREAD, Parked
from asyncjobs.brokers.memory.places import Calendar, Dead, Listed, Ready, Running, job_of
from asyncjobs.brokers.memory.rounds import Choice
from asyncjobs.brokers.memory.schedules import Schedules
from asyncjobs.brokers.memory.timetable import Scheduled, Timer, earlier
from asyncjobs.brokers.memory.unique import UniqueKeys, holder_of
from asyncjobs.brokers.memory.waking import Bell, Watchers
from asyncjobs.core.bounds import MAX_DURATION_MS, bounded_ms
from asyncjobs.core.job import Job
from asyncjobs.core.limits import NO_RULES
from asyncjobs.core.retention import CLAIM_KEEP_MS, MAX_RING_PASSES
from asyncjobs.core.settlement import Settlement, Verdict
from asyncjobs.core.states import JobState
from asyncjobs.ports import Claimed, ClaimRequest, EnqueueReply, Hold, NewJob

__all__ = ["Queue"]

_QUEUE = Hold("queue")
_NO_CLAIM: tuple[int, int, int, list[Entry]] = (-1, 0, 0, [])
_name_of = attrgetter("name")

#: How many expired records a call removes at most, in addition to two for each of its jobs.
_MIN_CLEARED = 16
# Constants, since Python 3.11 looks up the members of an enumeration slowly, and this code runs for each job.
_COMPLETE, _COMPLETED = Verdict.COMPLETE, JobState.COMPLETED


class Queue:
    """One queue. Each known job has an entry in ``jobs``, and each entry is in exactly one place.

    An entry moves by leaving its place and entering another one. Each kind of move has one method here, which also
    rings the bell (the wake-up token of workers) and wakes the tasks that wait for news of the job.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self.jobs: dict[str, Entry] = {}
        self.lined = Lines()
        self.ready = Ready(self.lined)
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
        self.deleted = Deleted()
        self._places: Mapping[str, Listed | Calendar] = {**self.listed, "ended": self.ended}
        self.tried = 0
        """How many jobs, dead ones included, have tries."""
        self.fence = 0
        """The number of the last claim that got jobs."""
        # By worker, its last claim that got jobs, or whose number is to be kept: the number of the request, the fence,
        # the time until which the claim is kept, and the jobs.
        self._claims: dict[str, tuple[int, int, int, list[Entry]]] = {}
        self.recovered_at_ms = self.recover_from_ms = 0
        self.bell = Bell()
        self.timer = Timer()
        self.watchers = Watchers()
        self.events = EventStreams()
        self.ledger = Ledger()
        self.limit: Limit | None = None
        self.rules = NO_RULES
        self.schedules = Schedules()
        self.unique = UniqueKeys()

    @property
    def paused(self) -> bool:
        """Whether no job may be claimed."""
        return _QUEUE in self.parked.holds

    def get(self, job_id: str, now_ms: int) -> Entry | None:
        """Return the entry of a job, ``None`` if there is no record of it or the record has expired."""
        entry = self.jobs.get(job_id)
        return None if entry is None or (entry.place == "ended" and entry.at_ms <= now_ms) else entry

    def ring(self) -> None:
        """Wake a worker if something is startable."""
        if self.ready.startable():
            self.bell.ring()

    # -- moves

    def leave(self, entry: Entry) -> None:
        """Take ``entry`` out of its place; one that runs frees its slots, so ``pass_on`` is to follow."""
        self._places[entry.place].remove(entry)
        if entry.line and entry.place == "running":
            self.lined.end(entry)
        entry.place = ""

    def make_ready(self, entries: Sequence[Entry], *, first: bool = False) -> None:
        """Make jobs ready to be claimed, behind the others of their priority or before them (``first``)."""
        if entries:
            self._enter_ready(entries, first=first)
            if not self.lined.count or self.ready.startable():
                self.bell.ring()

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
            # The worker that keeps the timer has set it to a later time.
            self.timer.reset()
            self.bell.ring()

    def pass_on(self, now_ms: int) -> None:
        """Let lines be in turn again that wait for gates which have room now."""
        if self.lined.pass_on(now_ms) or self.timer.is_late_for(self.lined.opens.earliest(), now_ms):
            self.bell.ring()

    def park(self, entry: Entry, hold: Hold, now_ms: int) -> None:
        """Set a job aside until ``hold`` ends, or a worker knows its name, or can read it."""
        if entry.place:
            self.leave(entry)
        entry.place = "parked"
        self.parked.add(entry, hold, now_ms)

    def bury(self, entry: Entry, tries: bytes, group: bytes, now_ms: int) -> None:
        """Send a job to the dead letter queue."""
        if entry.place:
            self.leave(entry)
        entry.place = "dead"
        self.dead.add(entry, group, now_ms)
        self.remember(entry, tries)
        if self.watchers:
            self.watchers.tell(entry.id)

    def end(self, entry: Entry, state: JobState, body: bytes, expires_at_ms: int) -> None:
        """End a job, and keep its record until ``expires_at_ms``."""
        if entry.place:
            self.leave(entry)
        entry.place = "ended"
        entry.ended_as = state
        entry.body = body
        self.ended.add((entry,), expires_at_ms)
        if entry.tries:
            self.remember(entry, b"")
        if entry.unique_key:
            self.unique.leave(entry, completed=state is _COMPLETED)
        if self.watchers:
            self.watchers.tell(entry.id)

    def forget(self, entry: Entry) -> None:
        """Delete a job, with its tries and its events."""
        self.leave(entry)
        del self.jobs[entry.id]
        self.remember(entry, b"")
        self.events.remove(entry.id)

    def _clear(self, now_ms: int, settled: int) -> None:
        """Delete some jobs whose records have expired, without their events, which have a time of their own.

        They are more than the call has settled or accepted (``settled``), so that expired records don't pile up.
        """
        seconds = self.ended.seconds
        if seconds and (seconds[0] + 1) * 1000 <= now_ms:
            for entry in self.ended.pop_past(now_ms, _MIN_CLEARED + 2 * settled):
                del self.jobs[entry.id]

    def remember(self, entry: Entry, tries: bytes) -> None:
        """Keep what the attempts of a job came to."""
        self.tried += bool(tries) - bool(entry.tries)
        entry.tries = tries

    # -- verdicts

    def carry_out(self, verdicts: Iterable[tuple[Entry, Settlement]], now_ms: int) -> None:
        """Move jobs as their settlements say, and enter these into the ledger."""
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
                self.bury(entry, one.tries, one.group, now_ms)
            elif verdict is Verdict.RELEASE:
                released.append(entry)
            elif verdict is Verdict.PARK:
                self.park(entry, UNREAD, now_ms)
                self.parked.passes = MAX_RING_PASSES
                self.bell.ring()
            else:
                if verdict is Verdict.RETRY:
                    self.remember(entry, one.tries)
                later.append((entry, now_ms + bounded_ms(one.delay_ms)))
        self.schedule(later)
        self.make_ready(released, first=True)
        self.ledger.enter(entered, now_ms)

    # -- the way of a job

    def enqueue(self, jobs: Iterable[NewJob], now_ms: int) -> list[EnqueueReply]:
        """Accept ``jobs``; return for each whether it is new, or the id of the job that holds its unique key."""
        known, events = self.jobs, self.events
        reply: list[EnqueueReply] = []
        startable: list[Entry] = []
        later: list[tuple[Entry, int]] = []
        for job in jobs:
            before = known.get(job.id)
            if before is not None and (before.place != "ended" or before.at_ms > now_ms):
                reply.append(False)
                continue
            if job.unique is not None and (holder := holder_of(self, job, job.unique, now_ms)) is not None:
                reply.append(holder)
                continue
            if before is not None:
                self.forget(before)
            if events.kept:
                events.remove(job.id)
            reply.append(True)
            entry = Entry(self.name, job.id, job.name, job.body, job.priority, job.tenant, job.acks_early, job.line)
            if job.unique is not None:
                entry.unique_key = job.unique.key
            known[job.id] = entry
            due_at_ms = now_ms + job.delay_ms if job.due_at_ms is None else job.due_at_ms
            if due_at_ms > now_ms:
                later.append((entry, min(due_at_ms, now_ms + MAX_DURATION_MS)))
            else:
                startable.append(entry)
        self.make_ready(startable)
        self.schedule(later)
        self._clear(now_ms, len(reply))
        return reply

    def find(self, job_id: str, now_ms: int) -> Job | None:
        """Return the job as it stands, ``None`` if there is no record."""
        entry = self.get(job_id, now_ms)
        return None if entry is None else job_of(entry, now_ms)

    def claim(
        self, request: ClaimRequest, want: int, claimed: Sequence[Claimed], now_ms: int
    ) -> tuple[list[Claimed], int | None, bool]:
        """Return the jobs, the next due time if this worker keeps the timer, and whether to claim again at once.

        ``want``: how many jobs it may get. ``claimed``: what it has got from the queues before this one.
        """
        number, fence, until_ms, entries = self._claims.get(request.worker, _NO_CLAIM)
        if number >= request.number and until_ms > now_ms:
            # For a lower number there is nothing: nobody waits for its jobs, since the worker has gone on.
            known = entries if number == request.number else []
            leased = [entry for entry in known if entry.fence == fence and entry.place == "running"]
            for entry in leased:
                self.running.extend(entry, now_ms + request.lease_ms)
            return [_claimed(entry) for entry in leased], None, True
        if 0 < request.sent_at_ms < now_ms - CLAIM_KEEP_MS:
            return [], None, True
        is_more_due = False
        if self.scheduled.slots:
            # Without a ring of the bell: this claim rings it for the jobs that it leaves.
            self._enter_ready(self.scheduled.due(now_ms), first=False)
            # Before all that is due is ready, nobody knows what is first.
            is_more_due = (self.scheduled.earliest() or math.inf) <= now_ms
        room = math.inf
        if self.limit is not None:
            want, room = self.limit.allow(want, request.ahead, len(self.running), now_ms)
        choice = Choice() if self.paused or is_more_due else self._choose(request, want, claimed, now_ms)
        taken = [*choice.own, *choice.taken]
        if taken:
            self._lease(taken, request, now_ms)
            if self.limit is not None:
                self.limit.use(len(taken), now_ms)
        is_cut = bool(self.lined.count and self.lined.end_claim(now_ms)) or choice.is_cut
        left = self.ready.startable()
        if taken or request.keep_number:
            self._note_claim(request, taken, now_ms)
        more = room > len(taken) and left > 0 and (is_cut or not choice.is_done)
        again = is_more_due or (more and (is_cut or bool(choice.to_park)) and len(taken) < want)
        is_for_others = bool(choice.to_park or self.parked.lines) and self.parked.is_for_others(choice, more)
        if self.paused or not (more or is_for_others):
            self.bell.token = False
        elif not again or is_for_others:
            self.bell.ring()
        return [_claimed(entry) for entry in taken], self._next_due(request, now_ms), again

    def _choose(self, request: ClaimRequest, want: int, claimed: Sequence[Claimed], now_ms: int) -> Choice:
        """Return which entries to lease; park those that this worker may not have."""
        if not (self.parked.holds or self.parked.lines or self.lined.count):
            first = self.ready.first(want, lowest_first=request.lowest_first)
            is_any_tried = self.tried > len(self.dead) and any(entry.tries for entry in first)
            if not is_any_tried and (request.names is None or request.names.issuperset(map(_name_of, first))):
                return Choice(first)
        choice = choose(self.ready, self.parked, request, want, claimed, now_ms)
        for entry, hold in choice.to_park:
            self.park(entry, hold, now_ms)
        return choice

    def _lease(self, entries: Sequence[Entry], request: ClaimRequest, now_ms: int) -> None:
        """Let jobs run under the number of a new claim, for as long as ``request`` wants."""
        self.fence = fence = self.fence + 1
        claimed = now_ms, request.worker
        for entry in entries:
            self.leave(entry)
            entry.place = "running"
            entry.fence = fence
            entry.claimed = claimed
            entry.cancel_reason = None
        self.running.add(entries, now_ms + request.lease_ms)

    def _note_claim(self, request: ClaimRequest, taken: list[Entry], now_ms: int) -> None:
        until_ms = now_ms + max(CLAIM_KEEP_MS, 2 * request.lease_ms)
        # The latest claim is the last, so that the claims of workers that are gone come to the front.
        self._claims.pop(request.worker, None)
        self._claims[request.worker] = request.number, self.fence, until_ms, taken
        oldest = next(iter(self._claims))
        if self._claims[oldest][2] <= now_ms:
            del self._claims[oldest]

    def _next_due(self, request: ClaimRequest, now_ms: int) -> int | None:
        if request.keep_timer_ms <= 0:
            return None
        due_at_ms = self.scheduled.earliest() if self.scheduled.slots else None
        opens_at_ms = self.lined.opens.earliest() if self.lined.count and not self.paused else None
        if self.limit and not self.paused and self.ready.startable():
            opens_at_ms = earlier(opens_at_ms, self.limit.opens_at_ms(now_ms))
        if due_at_ms is None and opens_at_ms is None:
            return None
        return self.timer.next_due(request, due_at_ms, opens_at_ms, now_ms)

    def leased(self, job_id: str, fence: int) -> Entry | None:
        """Return the entry of a job, ``None`` unless it runs under the claim ``fence``."""
        entry = self.jobs.get(job_id)
        return entry if entry is not None and entry.fence == fence and entry.place == "running" else None

    def settle(self, settlements: Iterable[Settlement], now_ms: int) -> list[bool]:
        """End, retry, bury or release leased jobs; return for each whether its lease still held."""
        reply: list[bool] = []
        held: list[tuple[Entry, Settlement]] = []
        was_full = self.limit is not None and self.limit.is_full(len(self.running))
        for one in settlements:
            entry = self.leased(one.id, one.fence)
            if entry is None:
                reply.append(False)
                continue
            reply.append(True)
            if entry.line or one.closes or self.lined.by_time:
                self.lined.settle(entry, one, now_ms)
            # At once, so that a second settlement of the same job is refused.
            self.leave(entry)
            held.append((entry, one))
        self.carry_out(held, now_ms)
        if self.lined.changed:
            self.pass_on(now_ms)
        if was_full:
            self.ring()
        self._clear(now_ms, len(reply))
        return reply


def _claimed(one: Entry) -> Claimed:
    named = one.queue, one.id, one.name, one.body, one.priority, one.tenant
    return Claimed(*named, one.acks_early, one.fence, one.tries, one.unique_key, one.line)
