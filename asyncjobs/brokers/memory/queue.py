"""The state of one queue and the verbs on it: plain, synchronous, with time as an argument.

Each method does what the Redis script of the same name does (``brokers/redis/lua``), in the same order.
"""

from __future__ import annotations

import functools
import itertools
from collections import deque
from collections.abc import Callable, Iterable, Sequence

import msgspec

from asyncjobs.brokers.memory.events import EventStreams
from asyncjobs.brokers.memory.expiring import ExpiringRecords
from asyncjobs.brokers.memory.leases import Leases
from asyncjobs.brokers.memory.records import (
    as_cancelled,
    is_ended,
    is_parked,
    is_readable,
    label_of,
    marked,
    name_of,
    tenant_label,
    tenant_of,
    with_priority,
)
from asyncjobs.brokers.memory.schedules import Schedules
from asyncjobs.brokers.memory.tenants import TenantBooks
from asyncjobs.brokers.memory.timetable import Timetable
from asyncjobs.brokers.memory.waking import Bell, Sleeper
from asyncjobs.core.envelope import JobError, Tries, decode_header, encode, pack_tries, priority_of, unpack_tries
from asyncjobs.core.job import Job
from asyncjobs.core.record import read_placed
from asyncjobs.core.settlement import HistoryEntry, Settlement, Verdict
from asyncjobs.core.states import JobState
from asyncjobs.core.stats import bucket_of
from asyncjobs.ports import CancelReply, Claimed, ClaimRequest, EditReply, Emission, EventPage, Lease, NewJob, Place

__all__ = ["QueueState"]

_PROMOTED_A_CLAIM = 1_000
_UNPARKED_A_CALL = 1_000
_PRUNED_A_CALL = 1_000
_HISTORY_LENGTH = 1_000

# How long the record of a job is kept whose cancellation was still under way when its worker died.
_CANCELLED_KEEP_MS = 24 * 3_600_000

# A claim's number is remembered for at least this long, for the case that it is sent again.
_CLAIM_MEMORY_MS = 60_000

_ENDING = (Verdict.COMPLETE, Verdict.CANCEL, Verdict.DEAD)
_COUNTED = {Verdict.RETRY: "retried", Verdict.DEAD: "failed", Verdict.CANCEL: "cancelled"}
_PRIORITIES = range(4)
_LOWEST_FIRST = range(3, -1, -1)


class QueueState:
    """One queue. Every live id is in exactly one of ready, parked, timetable, leases and dead."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.paused = False
        # ``n<name>`` and ``t<tenant>`` of what is suspended.
        self.suspended: set[bytes] = set()
        self.live: dict[str, bytes] = {}
        self.ended = ExpiringRecords()
        self.ready: tuple[deque[str], ...] = tuple(deque() for _ in _PRIORITIES)
        self.parked: dict[bytes, deque[str]] = {}
        self.parked_since_ms: dict[bytes, int] = {}
        self.timetable = Timetable()
        self.schedules = Schedules()
        self.events = EventStreams()
        self.leases = Leases()
        self.dead: dict[str, int] = {}
        self.tries: dict[str, bytes] = {}
        # Taking an id out of the middle of a list is slow, so it stays there, and here stands how many of its entries,
        # the first ones, are to be passed over: (priority or label of the parked, id) → number.
        self.gone: dict[tuple[int | bytes, str], int] = {}
        self.gone_ready = [0, 0, 0, 0]
        self.gone_parked = 0
        self.bell = Bell()
        self.awaited: dict[str, set[Sleeper]] = {}
        self.counts = dict.fromkeys(("succeeded", "failed", "cancelled", "retried", "recovered", "duration_us"), 0)
        self.histogram: dict[int, int] = {}
        self.histories: dict[bytes, deque[bytes]] = {}
        self.tenants = TenantBooks()
        self._fence = 0
        self._keeper = ""
        self._keeper_until_ms = 0
        # Worker → number and fence of its last claim that got something, and until when that is remembered.
        self._claims: dict[str, tuple[int, int, int]] = {}
        self._recovered_at_ms: int | None = None
        self._recover_from_ms = 0

    # -- the way of a job

    def enqueue(self, jobs: Iterable[NewJob], now_ms: int) -> list[bool]:
        live, ended, ready = self.live, self.ended, self.ready
        earliest = self.timetable.earliest()
        reply = []
        rings = False
        for job in jobs:
            job_id = job.id
            if job_id in live or ended.get(job_id, now_ms) is not None:
                reply.append(False)
                continue
            reply.append(True)
            record = live[job_id] = job.record
            due_at_ms = now_ms + job.delay_ms if job.due_at_ms is None else job.due_at_ms
            if due_at_ms > now_ms:
                self.timetable.put(due_at_ms, priority_of(record), job_id)
            else:
                ready[priority_of(record)].append(job_id)
                rings = True
        if self._reset_timer(earliest) or rings:
            self.bell.ring()
        self.ended.prune(now_ms, 16 + 2 * len(reply))
        return reply

    def claim(self, request: ClaimRequest, want: int, now_ms: int) -> tuple[list[Claimed], int | None, bool]:
        """Return the jobs, the next due time if this worker keeps the timer, and whether to claim again at once."""
        last = self._claims.get(request.worker)
        if last is not None and last[0] == request.number and last[2] > now_ms:
            return self._replayed(last[1]), None, True

        for _, priority, job_id in self.timetable.pop_due(now_ms, _PROMOTED_A_CLAIM):
            self.ready[priority].append(job_id)

        fence = self._fence + 1
        known = None if request.names is None else _as_bytes(request.names)
        live, tries, gone, name = self.live, self.tries, self.gone, self.name
        jobs: list[Claimed] = []
        members: dict[str, int] = {}
        looked_at = 0
        for priority in _LOWEST_FIRST if request.lowest_first else _PRIORITIES:
            waiting = self.ready[priority]
            if not waiting or self.paused or looked_at >= want:
                continue
            take = min(len(waiting), want - looked_at)
            looked_at += take
            for _ in range(take):
                job_id = waiting.popleft()
                if gone and (priority, job_id) in gone:
                    self._forget_gone(priority, job_id)
                    continue
                record = live.get(job_id)
                if record is None:
                    continue
                if (known is not None or self.suspended) and is_readable(record):
                    kind, label = self._parking(record, known)
                    if kind:
                        self._park(job_id, record, kind, label, now_ms)
                        continue
                members[job_id] = priority
                jobs.append(Claimed(name, job_id, fence, tries.get(job_id, b"") if tries else b"", record))
        more = any(self.ready)

        if members:
            self._fence = fence
            self.leases.grant(fence, members, now_ms + request.lease_ms)
            self._remember_claim(request, fence, now_ms)
        next_due_ms = self._keep_timer(request, now_ms) if request.keep_timer_ms > 0 else None
        again = more and len(jobs) < looked_at
        if not more or self.paused:
            self.bell.token = False
        elif not again:
            self.bell.ring()
        return jobs, next_due_ms, again

    def _replayed(self, fence: int) -> list[Claimed]:
        return [
            Claimed(self.name, job_id, fence, self.tries.get(job_id, b""), self.live[job_id])
            for job_id in self.leases.members(fence)
        ]

    def _remember_claim(self, request: ClaimRequest, fence: int, now_ms: int) -> None:
        claims = self._claims
        # Taken out first, so that the oldest stand at the front.
        claims.pop(request.worker, None)
        claims[request.worker] = (request.number, fence, now_ms + max(_CLAIM_MEMORY_MS, 2 * request.lease_ms))
        oldest = next(iter(claims))
        if claims[oldest][2] <= now_ms:
            del claims[oldest]

    def _keep_timer(self, request: ClaimRequest, now_ms: int) -> int | None:
        if self._keeper and self._keeper != request.worker and self._keeper_until_ms >= now_ms:
            return None
        earliest = self.timetable.earliest()
        if earliest is not None:
            self._keeper = request.worker
            self._keeper_until_ms = now_ms + request.keep_timer_ms
        return earliest

    def _reset_timer(self, earliest: int | None) -> bool:
        """Drop the keeper if there is an earlier due time than ``earliest``: it has set its timer too late."""
        due_at_ms = self.timetable.earliest()
        if due_at_ms is None or (earliest is not None and due_at_ms >= earliest):
            return False
        self._keeper = ""
        return True

    def settle(self, settlements: Iterable[Settlement], now_ms: int) -> list[bool]:
        live, ended, tries, counts, histogram = self.live, self.ended, self.tries, self.counts, self.histogram
        take, end_events = self.leases.take, self.events.end
        earliest = self.timetable.earliest()
        reply = []
        released: list[tuple[int, str]] = []
        for one in settlements:
            job_id, verdict = one.id, one.verdict
            if not take(one.fence, one.priority, job_id):
                reply.append(False)
                continue
            reply.append(True)
            if verdict is Verdict.COMPLETE or verdict is Verdict.CANCEL:
                del live[job_id]
                ended.put(job_id, one.record, now_ms + one.ttl_ms)
                if tries:
                    tries.pop(job_id, None)
                end_events(job_id)
                if verdict is Verdict.COMPLETE:
                    counts["succeeded"] += 1
                    counts["duration_us"] += one.duration_us
                    bucket = bucket_of(one.duration_us)
                    histogram[bucket] = histogram.get(bucket, 0) + 1
                else:
                    counts["cancelled"] += 1
            elif verdict is Verdict.RETRY or verdict is Verdict.SNOOZE:
                self.timetable.put(now_ms + one.delay_ms, one.priority, job_id)
                if verdict is Verdict.RETRY:
                    tries[job_id] = one.tries
                    counts["retried"] += 1
            elif verdict is Verdict.DEAD:
                self.dead[job_id] = now_ms
                tries[job_id] = one.tries
                counts["failed"] += 1
            else:
                released.append((one.priority, job_id))
            if one.entry:
                self._history_of(one.name.encode()).appendleft(one.entry)
            if one.tenant:
                self._note_tenant(one, now_ms)
            if self.awaited and (verdict in _ENDING):
                self._tell(job_id)
        for priority, job_id in reversed(released):
            self.ready[priority].appendleft(job_id)
        if self._reset_timer(earliest) or released:
            self.bell.ring()
        ended.prune(now_ms, 16 + 2 * len(reply))
        return reply

    def _note_tenant(self, one: Settlement, now_ms: int) -> None:
        tenant = one.tenant.encode()
        if one.verdict is Verdict.COMPLETE:
            self.tenants.succeeded(tenant, one.duration_us, now_ms)
        elif one.verdict in _COUNTED:
            self.tenants.count(tenant, _COUNTED[one.verdict], now_ms)
        if one.verdict is Verdict.DEAD:
            self.tenants.bury(tenant, one.id, now_ms)
        if one.entry:
            self.tenants.enter(tenant, one.entry, now_ms)

    def extend(self, lease: Lease, deadline_ms: int) -> tuple[bool, str | None]:
        """Return whether the lease holds, and why its job is to be cancelled, if it is."""
        held = self.leases.extend(lease.fence, lease.priority, lease.id, deadline_ms)
        return held, self.leases.reasons.get((lease.fence, lease.id)) if held else None

    def recover(self, lease_ms: int, max_deaths: int, now_ms: int) -> tuple[list[str], list[str], list[str]]:
        """Return the ids that went back to ready, to the dead letter queue, and those that were cancelled."""
        last = self._recovered_at_ms
        has_gap = last is None or now_ms - last > lease_ms
        self._recovered_at_ms = now_ms
        if has_gap:
            # No worker was there, so all leases have lapsed at once: let the living extend theirs first.
            self._recover_from_ms = now_ms + lease_ms // 4
        recovered: list[str] = []
        dead: list[str] = []
        cancelled: list[str] = []
        if has_gap or now_ms < self._recover_from_ms:
            return recovered, dead, cancelled
        for _, _, fence, priority, job_id in reversed(self.leases.expired(now_ms)):
            reason = self.leases.reasons.get((fence, job_id))
            self.leases.take(fence, priority, job_id)
            record = self.live[job_id]
            if reason is not None and is_readable(record):
                self._end_cancelled(job_id, record, reason, now_ms, _CANCELLED_KEEP_MS)
                cancelled.append(job_id)
                continue
            failures, deaths, errors = unpack_tries(self.tries.get(job_id))
            deaths += 1
            is_early = is_readable(record) and decode_header(record).acks_early
            if deaths < max_deaths and not is_early:
                self.tries[job_id] = pack_tries(Tries(failures, deaths, errors))
                self.ready[priority].appendleft(job_id)
                self.counts["recovered"] += 1
                recovered.append(job_id)
            else:
                message = f"{deaths} workers died, or lost their lease, while they ran this job"
                if is_early:
                    message = "its worker died, or lost its lease; acknowledged early, it is not run again"
                error = JobError("WorkerDied", message, "", failures + deaths, now_ms)
                name = name_of(record) if is_readable(record) else b""
                self._bury(job_id, name, Tries(failures, deaths, (*errors, error)), now_ms)
                dead.append(job_id)
        if recovered:
            self.bell.ring()
        return recovered, dead, cancelled

    def unpark(self, names: frozenset[str], grace_ms: int, now_ms: int) -> int:
        known = _as_bytes(names)
        unparked = buried = 0
        for name in sorted(self.parked):
            if name.startswith(b" "):
                revives = b"t" + name[1:] not in self.suspended
                dies = False
            else:
                is_suspended = b"n" + name in self.suspended
                revives = name in known and not is_suspended
                dies = not revives and not is_suspended and self.parked_since_ms[name] + grace_ms <= now_ms
            if not revives and not dies:
                continue
            kept = self._pop_parked(name)
            for job_id in reversed(kept):
                record = self.live[job_id] = marked(self.live[job_id], b"-")
                if revives:
                    self.ready[priority_of(record)].appendleft(job_id)
                    unparked += 1
                else:
                    failures, deaths, errors = unpack_tries(self.tries.get(job_id))
                    label = str(name, "utf-8", "replace")
                    message = f"no worker has known the job name {label} for {grace_ms / 1000:g} s"
                    error = JobError("UnknownJobName", message, "", failures + deaths + 1, now_ms)
                    self._bury(job_id, name, Tries(failures, deaths, (*errors, error)), now_ms)
                    buried += 1
        if unparked:
            self.bell.ring()
        return unparked + buried

    def _pop_parked(self, name: bytes) -> list[str]:
        waiting = self.parked[name]
        kept = []
        for _ in range(min(len(waiting), _UNPARKED_A_CALL)):
            job_id = waiting.popleft()
            if (name, job_id) in self.gone:
                self._forget_gone(name, job_id)
            elif job_id in self.live:
                kept.append(job_id)
        if not waiting:
            del self.parked[name], self.parked_since_ms[name]
        return kept

    def _parking(self, record: bytes, known: frozenset[bytes] | None) -> tuple[bytes, bytes]:
        """Return how to mark a job that must wait, and the label of its list; nothing for one that may be claimed."""
        name = name_of(record)
        if (known is not None and name not in known) or b"n" + name in self.suspended:
            return b"p", name
        if not self.suspended:
            return b"", b""
        label = tenant_label(record)
        return (b"t", label) if b"t" + label[1:] in self.suspended else (b"", b"")

    def _park(self, job_id: str, record: bytes, kind: bytes, label: bytes, now_ms: int) -> None:
        self.live[job_id] = marked(record, kind)
        waiting = self.parked.get(label)
        if waiting is None:
            waiting = self.parked[label] = deque()
            self.parked_since_ms[label] = now_ms
        waiting.append(job_id)

    def suspend(self, entry: bytes, on: bool, now_ms: int) -> bool:
        if (entry in self.suspended) == on:
            return False
        if on:
            self.suspended.add(entry)
        else:
            self.suspended.discard(entry)
            label = entry[1:] if entry.startswith(b"n") else b" " + entry[1:]
            if label in self.parked:
                # The time to wait for a worker that knows the name begins now.
                self.parked_since_ms[label] = now_ms
        self.bell.ring()
        return True

    def _add_gone(self, where: int | bytes, job_id: str) -> None:
        self.gone[where, job_id] = self.gone.get((where, job_id), 0) + 1
        if isinstance(where, int):
            self.gone_ready[where] += 1
        else:
            self.gone_parked += 1

    def _forget_gone(self, where: int | bytes, job_id: str) -> None:
        left = self.gone[where, job_id] - 1
        if left:
            self.gone[where, job_id] = left
        else:
            del self.gone[where, job_id]
        if isinstance(where, int):
            self.gone_ready[where] -= 1
        else:
            self.gone_parked -= 1

    # -- ends

    def _history_of(self, name: bytes) -> deque[bytes]:
        history = self.histories.get(name)
        if history is None:
            history = self.histories[name] = deque(maxlen=_HISTORY_LENGTH)
        return history

    def _enter(self, name: bytes, tenant: bytes, entry: HistoryEntry, now_ms: int) -> None:
        """Count an end that came without a run, and enter it into the histories of its name and its tenant."""
        self.counts[entry.state] += 1
        if not tenant:
            self._history_of(name).appendleft(encode(entry))
            return
        packed = encode(msgspec.structs.replace(entry, name=str(name, "utf-8", "replace")))
        self._history_of(name).appendleft(packed)
        self.tenants.count(tenant, entry.state, now_ms)
        self.tenants.enter(tenant, packed, now_ms)

    def _bury(self, job_id: str, name: bytes, tries: Tries, now_ms: int) -> None:
        self.dead[job_id] = now_ms
        self.tries[job_id] = pack_tries(tries)
        tenant = tenant_of(self.live[job_id])
        if tenant:
            self.tenants.bury(tenant, job_id, now_ms)
        last = tries.errors[-1]
        error = f"{last.type}: {last.message}"
        self._enter(name, tenant, HistoryEntry(job_id, "failed", last.attempt, now_ms, 0, error), now_ms)
        self._tell(job_id)

    def _exhume(self, job_id: str) -> None:
        del self.dead[job_id]
        tenant = tenant_of(self.live[job_id])
        if tenant:
            self.tenants.exhume(tenant, job_id)

    def _end_cancelled(self, job_id: str, record: bytes, reason: str, now_ms: int, keep_ms: int) -> None:
        del self.live[job_id]
        self.ended.put(job_id, as_cancelled(record, reason, now_ms), now_ms + keep_ms)
        so_far = unpack_tries(self.tries.pop(job_id, None))
        self.events.end(job_id)
        entry = HistoryEntry(job_id, "cancelled", so_far.failures + so_far.deaths + 1, now_ms, 0, reason)
        self._enter(name_of(record), tenant_of(record), entry, now_ms)
        self._tell(job_id)

    def emit(self, emission: Emission, most: int, expires_at_ms: int, now_ms: int) -> bool:
        lease = emission.lease
        if not self.leases.holds(lease.fence, lease.priority, lease.id):
            return False
        self.events.add(emission, most, expires_at_ms, now_ms)
        self._tell(lease.id)
        return True

    def read_events(self, job_id: str, after: int, limit: int, now_ms: int) -> EventPage | None:
        found = self.events.read(job_id, after, limit, now_ms)
        is_live = job_id in self.live
        if found is None and not is_live and self.ended.get(job_id, now_ms) is None:
            return None
        events = found or []
        is_over = not is_live or job_id in self.dead
        return EventPage(events, is_over and len(events) < limit)

    def _tell(self, job_id: str) -> None:
        for sleeper in self.awaited.pop(job_id, ()):
            sleeper.wake()

    def stop_awaiting(self, job_id: str, sleeper: Sleeper) -> None:
        """Forget a sleeper that awaits the end of a job."""
        sleepers = self.awaited.get(job_id)
        if sleepers is not None:
            sleepers.discard(sleeper)
            if not sleepers:
                del self.awaited[job_id]

    # -- jobs by id

    def find(self, job_id: str, now_ms: int) -> Job | None:
        record = self.live.get(job_id)
        if record is None:
            record = self.ended.get(job_id, now_ms)
            return None if record is None else read_placed(job_id, self.name, record, None, None)
        tries = self.tries.get(job_id)
        if job_id in self.dead:
            return self._read_dead(job_id)
        due_at_ms = self.timetable.due_at(job_id)
        if due_at_ms is not None:
            return read_placed(job_id, self.name, record, tries, None, due_at_ms=due_at_ms)
        fence = self.leases.fence_of(job_id)
        if fence is not None:
            return read_placed(job_id, self.name, record, tries, JobState.RUNNING, fence=fence)
        return read_placed(job_id, self.name, record, tries, None)

    def _read_dead(self, job_id: str) -> Job:
        return read_placed(
            job_id,
            self.name,
            self.live[job_id],
            self.tries.get(job_id),
            JobState.FAILED,
            finished_at_ms=self.dead[job_id],
        )

    def cancel(self, job_id: str, reason: str, keep_ms: int, now_ms: int) -> CancelReply:
        record = self.live.get(job_id)
        if record is None:
            return "unknown" if self.ended.get(job_id, now_ms) is None else "ended"
        if job_id in self.dead or not is_readable(record):
            return "failed"
        if is_ended(record):
            return "ended"
        if self.timetable.due_at(job_id) is not None:
            self.timetable.remove(job_id)
        else:
            fence = self.leases.fence_of(job_id)
            if fence is not None:
                self.leases.reasons[fence, job_id] = reason
                return "running"
            self._add_gone(label_of(record) if is_parked(record) else priority_of(record), job_id)
        self._end_cancelled(job_id, record, reason, now_ms, keep_ms)
        return "cancelled"

    def edit(self, job_id: str, priority: int | None, due_at_ms: int | None, now_ms: int) -> EditReply:
        record = self.live.get(job_id)
        if record is None:
            return "unknown" if self.ended.get(job_id, now_ms) is None else "ended"
        if job_id in self.dead or not is_readable(record):
            return "failed"
        if self.leases.fence_of(job_id) is not None:
            return "running"
        old = priority_of(record)
        new = old if priority is None else priority
        scheduled_ms = self.timetable.due_at(job_id)
        due_ms = due_at_ms if due_at_ms is not None else now_ms if scheduled_ms is None else scheduled_ms
        earliest = self.timetable.earliest()
        if scheduled_ms is not None:
            self.timetable.remove(job_id)
        elif due_ms > now_ms:
            self._add_gone(label_of(record) if is_parked(record) else old, job_id)
            record = marked(record, b"-")
        elif is_parked(record) or new == old:
            self.live[job_id] = with_priority(record, new)
            return "edited"
        else:
            self._add_gone(old, job_id)
        self.live[job_id] = with_priority(record, new)
        if due_ms > now_ms:
            self.timetable.put(due_ms, new, job_id)
            if self._reset_timer(earliest):
                self.bell.ring()
        else:
            self.ready[new].append(job_id)
            self.bell.ring()
        return "edited"

    def browse(self, place: Place, offset: int, limit: int, tenant: str) -> tuple[list[Job], int]:
        """Return the jobs of a page in the order in which they will start, and how many entries were looked at."""
        places: dict[Place, Callable[[], Iterable[str]]] = {
            "ready": lambda: itertools.chain(*self.ready),
            "parked": lambda: itertools.chain(*(self.parked[label] for label in sorted(self.parked))),
            "scheduled": self.timetable.in_order,
            "running": self.leases.ids,
        }
        page = list(itertools.islice(places[place](), offset, offset + limit))
        found = []
        for job_id in dict.fromkeys(page):
            record = self.live.get(job_id)
            if record is None or (tenant and tenant_of(record) != tenant.encode()):
                continue
            if not is_readable(record) or (place == "parked") == is_parked(record):
                found.append(job_id)
        jobs = [self.find(job_id, 0) for job_id in found]
        return [job for job in jobs if job is not None], len(page)

    def failed(self, limit: int, before: tuple[int, str] | None, tenant: str) -> list[Job]:
        """Return the latest dead; those of one millisecond by id, the last first."""
        dead = self.tenants.dead(tenant.encode()) if tenant else self.dead
        latest: list[tuple[int, str]] = []
        for job_id in reversed(dead):
            died_at_ms = dead[job_id]
            if len(latest) >= limit and died_at_ms != latest[-1][0]:
                break
            if before is None or (died_at_ms, job_id) < before:
                latest.append((died_at_ms, job_id))
        latest.sort(reverse=True)
        return [self._read_dead(job_id) for _, job_id in latest[:limit]]

    def prune(self, dead_ttl_ms: int, dead_most: int, now_ms: int) -> int:
        """Forget the dead that are too old or too many, the oldest first; return how many."""
        excess = len(self.dead) - dead_most
        doomed = []
        for number, (job_id, died_at_ms) in enumerate(self.dead.items()):
            if number >= _PRUNED_A_CALL or (number >= excess and died_at_ms > now_ms - dead_ttl_ms):
                break
            doomed.append(job_id)
        for job_id in doomed:
            self.delete(job_id, now_ms)
        return len(doomed)

    def retry(self, job_id: str) -> bool:
        if job_id not in self.dead:
            return False
        self._exhume(job_id)
        errors = unpack_tries(self.tries.get(job_id)).errors
        self.tries[job_id] = pack_tries(Tries(errors=errors))
        self.ready[priority_of(self.live[job_id])].append(job_id)
        self.bell.ring()
        return True

    def delete(self, job_id: str, now_ms: int) -> bool:
        if job_id in self.dead:
            self._exhume(job_id)
            del self.live[job_id]
            self.tries.pop(job_id, None)
        elif self.ended.get(job_id, now_ms) is None:
            return False
        self.ended.remove(job_id)
        self.events.remove(job_id)
        return True

    # -- the queue

    def waiting(self) -> tuple[tuple[int, int, int, int], int, int]:
        """Return how many jobs are ready, by priority, parked and scheduled."""
        critical, high, normal, low = (len(self.ready[p]) - self.gone_ready[p] for p in _PRIORITIES)
        parked = sum(map(len, self.parked.values())) - self.gone_parked
        return (critical, high, normal, low), parked, len(self.timetable)

    def oldest_wait_ms(self, now_ms: int) -> int:
        """Return for how long the oldest ready job has waited, by its id if that tells the time."""
        heads = [waiting[0] for waiting in self.ready if waiting and waiting[0] in self.live]
        if not heads:
            return 0
        oldest = min(heads)
        created_at_ms = read_placed(oldest, self.name, self.live[oldest], None, None).created_at_ms
        return max(0, now_ms - created_at_ms)

    def ring(self) -> None:
        """Wake a worker if something is ready."""
        if any(self.ready):
            self.bell.ring()

    def resume(self) -> None:
        self.paused = False
        self.bell.ring()

    def history(self, name: str, limit: int) -> Sequence[bytes]:
        """Return up to ``limit`` encoded entries, latest first."""
        entries = self.histories.get(name.encode(), ())
        return [entry for entry, _ in zip(entries, range(limit), strict=False)]


@functools.lru_cache(maxsize=256)
def _as_bytes(names: frozenset[str]) -> frozenset[bytes]:
    return frozenset(name.encode() for name in names)
