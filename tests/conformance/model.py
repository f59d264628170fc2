"""What a queue is, said a second time and as plainly as can be: lists, and no cleverness.

Time goes in ticks of ten seconds, and whatever lapses does so in the middle of one, so that the few milliseconds that
pass on a real server change nothing.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from asyncjobs.core.uniqueness import UniqueRule
from asyncjobs.ports import Hold

__all__ = ["KEEP_MS", "LEASE_MS", "MAX_DEATHS", "RETRY_MS", "TICK_MS", "TTL_MS", "ModelJob", "ModelQueue"]

TICK_MS = 10_000
HALF_MS = TICK_MS // 2
LEASE_MS = 3 * TICK_MS + HALF_MS
RETRY_MS = TICK_MS + HALF_MS
TTL_MS = 6 * TICK_MS + HALF_MS
KEEP_MS = 4 * TICK_MS + HALF_MS
MAX_DEATHS = 2
MAX_RETRIES = 1


@dataclass
class ModelJob:
    """One job: where it is, and what it has been through."""

    id: str
    name: str
    priority: int
    tenant: str = ""
    place: str = "ready"
    hold: Hold | None = None
    due_ms: int = 0
    fence: int = 0
    deadline_ms: int = 0
    failures: int = 0
    deaths: int = 0
    died_ms: int = 0
    expires_ms: int = 0
    key: str = ""
    body: bytes = b""
    has_tries: bool = False
    was_cancelled: bool = False
    cancel_reason: str | None = None

    @property
    def is_live(self) -> bool:
        return self.place not in ("dead", "ended")

    @property
    def waits_first(self) -> bool:
        return self.is_live and self.place != "running" and not self.has_tries


@dataclass
class ModelQueue:
    """One queue; each live job is in ``ready`` or ``parked``, or its ``place`` says where else."""

    now_ms: int = 0
    jobs: dict[str, ModelJob] = field(default_factory=dict)
    ready: dict[int, list[str]] = field(default_factory=lambda: {0: [], 1: [], 2: [], 3: []})
    parked: list[str] = field(default_factory=list)
    # The jobs that can be brought back, and until when.
    deleted: dict[str, tuple[ModelJob, int]] = field(default_factory=dict)
    holds: set[Hold] = field(default_factory=set)
    # By unique key, the job that was accepted with it last, until when it holds the key although it has completed, and
    # when it was sent.
    holders: dict[str, tuple[ModelJob, int, int]] = field(default_factory=dict)
    # How many jobs may run at once.
    limit: int | None = None
    recovered_ms: int = 0
    recover_from_ms: int = 0
    # (tenant, what its job has come to) → how often.
    counts: Counter[tuple[str, str]] = field(default_factory=Counter)

    def total(self, what: str) -> int:
        return sum(number for (_, one), number in self.counts.items() if one == what)

    def count(self, job: ModelJob, what: str) -> None:
        self.counts[job.tenant, what] += 1

    def sizes(self) -> tuple[int, ...]:
        return tuple(len(self.ready[priority]) for priority in range(4))

    def in_place(self, place: str) -> list[ModelJob]:
        return [job for job in self.jobs.values() if job.place == place]

    def advance(self, ticks: int) -> None:
        self.now_ms += ticks * TICK_MS
        for job in self.in_place("ended"):
            if job.expires_ms <= self.now_ms:
                del self.jobs[job.id]

    def enqueue(
        self,
        job_id: str,
        name: str,
        priority: int,
        delay_ms: int,
        tenant: str,
        body: bytes = b"",
        rule: UniqueRule | None = None,
    ) -> bool | str:
        if job_id in self.jobs:
            return False
        if rule is not None and (holder := self.holder(rule)) is not None:
            if rule.on_conflict == "replace" and holder.waits_first:
                holder.body = body
                if rule.wait_ms and holder.place == "scheduled":
                    holder.due_ms = self.now_ms + rule.wait_ms
                    if rule.at_most_ms:
                        holder.due_ms = min(holder.due_ms, self.holders[rule.key][2] + rule.at_most_ms)
            return holder.id
        job = self.jobs[job_id] = ModelJob(job_id, name, priority, tenant, body=body)
        if rule is not None:
            job.key = rule.key
            self.holders[rule.key] = job, self.now_ms + rule.within_ms if rule.within_ms else 0, self.now_ms
        if delay_ms:
            job.place, job.due_ms = "scheduled", self.now_ms + delay_ms
        else:
            self.ready[priority].append(job_id)
        return True

    def holder(self, rule: UniqueRule) -> ModelJob | None:
        job, until_ms, _ = self.holders.get(rule.key, (None, 0, 0))
        if job is None:
            return None
        is_there = self.jobs.get(job.id) is job
        if is_there and (job.waits_first or (job.is_live and rule.until == "end")):
            return job
        is_void = is_there and (job.place == "dead" or job.was_cancelled)
        return job if until_ms > self.now_ms and not is_void else None

    def leave_key(self, job: ModelJob) -> None:
        if self.holders.get(job.key, (None,))[0] is job:
            del self.holders[job.key]

    def promote(self) -> None:
        due = [job for job in self.in_place("scheduled") if job.due_ms <= self.now_ms]
        for job in sorted(due, key=lambda job: (job.due_ms, job.priority, job.id)):
            job.place = "ready"
            self.ready[job.priority].append(job.id)

    def startable(self, *, lowest_first: bool = False) -> list[str]:
        """Return the ids of ready jobs in the order in which they are to start."""
        return [job_id for priority in sorted(self.ready, reverse=lowest_first) for job_id in self.ready[priority]]

    def room(self, want: int) -> int:
        """Return how many jobs a claim of ``want`` may get under the limit."""
        return want if self.limit is None else min(want, max(0, self.limit - len(self.in_place("running"))))

    def hold_of(self, job: ModelJob, names: frozenset[str]) -> Hold | None:
        by_name, by_tenant = Hold("name", job.name), Hold("tenant", job.tenant)
        if job.name not in names or by_name in self.holds:
            return by_name
        return by_tenant if by_tenant in self.holds else None

    def claim_parked(self, claimed: list[str], names: frozenset[str], limit: int, *, lowest_first: bool) -> list[str]:
        """Return the parked jobs that a claim got, the first of ``claimed``.

        Of those that were parked for the same these were the first, and not more than it could get.
        """
        sizes = self.sizes()
        before = [sum(sizes[priority + 1 :] if lowest_first else sizes[:priority]) for priority in range(4)]
        own: list[str] = []
        for hold in sorted({hold for job_id in self.parked if (hold := self.jobs[job_id].hold) is not None}):
            line = [job_id for job_id in self.parked if self.jobs[job_id].hold == hold]
            came = [job_id for job_id in line if job_id in claimed]
            assert came == line[: len(came)]
            assert all(before[self.jobs[one].priority] + n < limit for n, one in enumerate(came, len(own)))
            assert not came or Hold("queue") not in self.holds
            own += came
        assert own == claimed[: len(own)]
        assert all(self.hold_of(self.jobs[job_id], names) is None for job_id in own)
        for job_id in own:
            self.parked.remove(job_id)
            self.start(self.jobs[job_id])
        return own

    def start(self, job: ModelJob) -> None:
        job.place, job.deadline_ms, job.cancel_reason = "running", self.now_ms + LEASE_MS, None

    def claim(
        self, claimed: list[str], parked: list[str], names: frozenset[str], limit: int, *, lowest_first: bool
    ) -> int:
        """Follow a claim that got ``claimed`` and left ``parked``; return how many jobs it did not look at.

        What it looked at is the front of the line: of that it got what may be claimed, in order, and parked the rest.
        """
        claimed = claimed[len(self.claim_parked(claimed, names, limit, lowest_first=lowest_first)) :]
        self.promote()
        line = [] if Hold("queue") in self.holds else self.startable(lowest_first=lowest_first)
        newly_parked = [job_id for job_id in parked if job_id not in self.parked]
        looked_at = line[: len(claimed) + len(newly_parked)]
        held = {job_id: self.hold_of(self.jobs[job_id], names) for job_id in looked_at}
        assert claimed == [job_id for job_id in looked_at if held[job_id] is None]
        assert sorted(newly_parked) == sorted(job_id for job_id in looked_at if held[job_id] is not None)
        for job_id in looked_at:
            job = self.jobs[job_id]
            self.ready[job.priority].remove(job_id)
            job.hold = held[job_id]
            if job.hold is None:
                self.start(job)
            else:
                job.place = "parked"
                self.parked.append(job_id)
        return len(line) - len(looked_at)

    def runs(self, job_id: str, fence: int) -> bool:
        job = self.jobs.get(job_id)
        return job is not None and job.place == "running" and job.fence == fence

    def end(self, job: ModelJob) -> None:
        job.place, job.expires_ms = "ended", self.now_ms + TTL_MS

    def bury(self, job: ModelJob) -> None:
        job.place, job.died_ms = "dead", self.now_ms
        self.count(job, "failed")
        job.has_tries = True

    def complete(self, job_id: str) -> None:
        self.count(self.jobs[job_id], "succeeded")
        self.end(self.jobs[job_id])

    def fail(self, job_id: str, *, for_good: bool = False) -> None:
        job = self.jobs[job_id]
        job.failures += 1
        job.has_tries = True
        if for_good or job.failures > MAX_RETRIES:
            self.bury(job)
        else:
            job.place, job.due_ms = "scheduled", self.now_ms + RETRY_MS
            self.count(job, "retried")

    def snooze(self, job_id: str) -> None:
        job = self.jobs[job_id]
        job.place, job.due_ms = "scheduled", self.now_ms + RETRY_MS

    def release(self, job_ids: list[str]) -> None:
        for job_id in reversed(job_ids):
            job = self.jobs[job_id]
            job.place = "ready"
            self.ready[job.priority].insert(0, job_id)

    def extend(self, job_id: str) -> None:
        self.jobs[job_id].deadline_ms = self.now_ms + LEASE_MS

    def recover(self) -> tuple[list[str], list[str], list[str]]:
        """Return the ids of recovered, dead and cancelled jobs; ``join_front`` says where the recovered stand."""
        running = self.in_place("running")
        if not running:
            return [], [], []
        last, self.recovered_ms = self.recovered_ms, self.now_ms
        has_gap = self.now_ms - last > LEASE_MS / 2
        if has_gap:
            self.recover_from_ms = self.now_ms + LEASE_MS // 2
        elif self.now_ms < self.recover_from_ms:
            return [], [], []
        lapsed = [job for job in running if job.deadline_ms < (last if has_gap else self.now_ms)]
        recovered, dead, cancelled = [], [], []
        for job in lapsed:
            if job.cancel_reason is not None:
                self.count(job, "cancelled")
                job.was_cancelled = True
                self.leave_key(job)
                self.end(job)
                cancelled.append(job.id)
                continue
            job.deaths += 1
            job.has_tries = True
            if job.deaths >= MAX_DEATHS:
                self.bury(job)
                dead.append(job.id)
            else:
                job.place = "ready"
                recovered.append(job.id)
        return recovered, dead, cancelled

    def cancel(self, job_id: str) -> str:
        job = self.jobs.get(job_id)
        if job is None:
            return "unknown"
        if job.place in ("ended", "dead"):
            return "ended" if job.place == "ended" else "failed"
        if job.place == "running":
            job.cancel_reason = "enough"
            return "running"
        if job.place == "ready":
            self.ready[job.priority].remove(job_id)
        elif job.place == "parked":
            self.parked.remove(job_id)
        self.count(job, "cancelled")
        job.was_cancelled = True
        self.leave_key(job)
        self.end(job)
        return "cancelled"

    def edit(self, job_id: str, priority: int | None, delay_ms: int | None) -> str:
        job = self.jobs.get(job_id)
        if job is None:
            return "unknown"
        if job.place in ("ended", "dead", "running"):
            return "failed" if job.place == "dead" else job.place
        old, new = job.priority, job.priority if priority is None else priority
        due_ms = job.due_ms if job.place == "scheduled" else self.now_ms
        if delay_ms is not None:
            due_ms = self.now_ms + delay_ms
        job.priority = new
        if job.place == "parked":
            if due_ms <= self.now_ms:
                return "edited"
            self.parked.remove(job_id)
        elif job.place == "ready":
            if due_ms <= self.now_ms and new == old:
                return "edited"
            self.ready[old].remove(job_id)
        if due_ms > self.now_ms:
            job.place, job.due_ms = "scheduled", due_ms
        else:
            job.place = "ready"
            self.ready[new].append(job_id)
        return "edited"

    def retry(self, job_id: str) -> bool:
        job = self.jobs.get(job_id)
        if job is None or job.place != "dead":
            return False
        job.place, job.failures, job.deaths = "ready", 0, 0
        if job.key:
            last = self.holders.get(job.key, (None,))[0]
            if last is not job and self.holder(UniqueRule(job.key)) is None:
                self.holders[job.key] = job, 0, self.now_ms
        self.ready[job.priority].append(job_id)
        return True

    def delete(self, job_id: str, keep_ms: int) -> bool:
        job = self.jobs.get(job_id)
        if job is None or job.place not in ("dead", "ended"):
            return False
        del self.jobs[job_id]
        self.leave_key(job)
        if keep_ms:
            until_ms = self.now_ms + keep_ms
            self.deleted[job_id] = job, until_ms if job.place == "dead" else min(job.expires_ms, until_ms)
        return True

    def forget(self, job_id: str) -> bool:
        job = self.jobs.get(job_id)
        return job is not None and job.place == "ended" and self.delete(job_id, 0)

    def undelete(self, job_id: str) -> bool:
        job, until_ms = self.deleted.get(job_id, (None, 0))
        if job is None or job_id in self.jobs or until_ms <= self.now_ms:
            return False
        del self.deleted[job_id]
        self.jobs[job_id] = job
        job.expires_ms = until_ms
        return True

    def unpark(self, names: frozenset[str]) -> list[str]:
        """Return the ids of the jobs that are parked no longer; ``join_front`` says where they stand."""
        back = []
        for job_id in list(self.parked):
            hold = self.jobs[job_id].hold
            assert hold is not None
            if hold not in self.holds and (hold.kind == "tenant" or hold.which in names):
                self.parked.remove(job_id)
                self.jobs[job_id].place = "ready"
                back.append(job_id)
        return back

    def join_front(self, joined: list[str], listed: list[str]) -> None:
        """Follow how ``joined`` are ``listed`` among the ready: before all others of their priority.

        Those that were parked for the same stand in the order in which they were.
        """
        for priority, line in self.ready.items():
            new = [job_id for job_id in joined if self.jobs[job_id].priority == priority]
            found = [job_id for job_id in listed if self.jobs[job_id].priority == priority]
            front, rest = found[: len(new)], found[len(new) :]
            assert (sorted(front), rest) == (sorted(new), line)
            for hold in {self.jobs[job_id].hold for job_id in new} - {None}:
                assert [one for one in front if self.jobs[one].hold == hold] == [
                    one for one in new if self.jobs[one].hold == hold
                ]
            self.ready[priority] = found
