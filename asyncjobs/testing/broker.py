"""The broker of the test kit: the one in memory, which notes what is sent and run, and fails on demand."""

from __future__ import annotations

import inspect
from collections import Counter
from collections.abc import Sequence
from typing import Any, NamedTuple

import msgspec

from asyncjobs.brokers.memory import MemoryBroker
from asyncjobs.core.job import Job
from asyncjobs.core.record.envelope import encode
from asyncjobs.core.settlement import Settlement, Verdict
from asyncjobs.core.states import ENDED, JobState
from asyncjobs.errors import BrokerUnavailable, ResultTimeout
from asyncjobs.jobs.context import running
from asyncjobs.ports import Claim, ClaimRequest, EnqueueReply, EventPage, FireReply, Firing, NewJob, Recovery
from asyncjobs.testing.attempts import Attempts, failure_of
from asyncjobs.testing.clock import ManualClock

__all__ = ["KitBroker", "Record"]


class Record(NamedTuple):
    """A job that was sent."""

    job: NewJob
    """The job."""
    at_ms: int
    """When it was sent, in Unix milliseconds by the clock of the kit."""


class KitBroker:
    """A ``ports.Broker``: what is not here is that of a ``MemoryBroker``.

    Args:
        clock: The clock of the kit.
        slots: How many jobs run at once, for errors.
    """

    def __init__(self, clock: ManualClock, slots: int) -> None:
        self._clock = clock
        self._slots = slots
        self.is_away = False
        """Whether each verb fails."""
        self.loses_replies = False
        """Whether what is sent is accepted, and its sender learns that it failed."""
        self.clear()

    def clear(self) -> None:
        """Forget all jobs, and what was noted."""
        self._memory = MemoryBroker(self._clock)
        self.sent: list[Record] = []
        """The jobs that were sent, in order."""
        self.attempts = Attempts()
        """The attempts that have ended."""
        self.kills: Counter[str] = Counter()
        """Under how many of the next attempts of a job, by its name, the worker is killed; ``""`` for any job."""
        self._ended: dict[tuple[str, str], Job] = {}

    def lapse(self) -> None:
        """Let the results lapse whose time is over; before, each is kept, since a run may take days by the clock."""
        self._ended.clear()

    def __getattr__(self, name: str) -> Any:
        verb = getattr(self._memory, name)
        if not inspect.iscoroutinefunction(verb):
            return verb

        async def checked(*args: Any, **kwargs: Any) -> Any:
            self._check()
            return await verb(*args, **kwargs)

        return checked

    def _check(self) -> None:
        if self.is_away:
            raise BrokerUnavailable("the broker is away, inside of kit.broker_away()")

    # -- what is sent

    async def enqueue(self, jobs: Sequence[NewJob], *, replicated: bool = False) -> list[EnqueueReply]:
        self._check()
        replies = await self._memory.enqueue(jobs, replicated=replicated)
        for job, reply in zip(jobs, replies, strict=True):
            if reply is True:
                self.sent.append(Record(job, self._clock.now_ms()))
            elif isinstance(reply, str):
                await self._note_change(job.queue, reply)
        if self.loses_replies:
            raise BrokerUnavailable("the broker has accepted the jobs, and its reply was lost: kit.lost_replies()")
        return replies

    async def fire(self, queue: str, firings: Sequence[Firing]) -> FireReply:
        self._check()
        reply = await self._memory.fire(queue, firings)
        for job in (job for firing in firings for job in firing.jobs):
            # A tick may have been fired by another worker, or its job kept out by another one.
            if not any(one.job.id == job.id for one in self.sent) and await self._memory.find(queue, job.id):
                self.sent.append(Record(job, self._clock.now_ms()))
        return reply

    async def _note_change(self, queue: str, job_id: str) -> None:
        """Note that a job may have been given other arguments, or another time, by a call that it kept out."""
        job = await self._memory.find(queue, job_id)
        for number, one in enumerate(self.sent):
            if job is not None and (one.job.queue, one.job.id) == (queue, job_id):
                due_at_ms = job.due_at_ms or one.job.due_at_ms
                new = msgspec.structs.replace(one.job, body=encode(job.envelope), due_at_ms=due_at_ms)
                self.sent[number] = Record(new, one.at_ms)

    # -- what is waited for

    async def find(self, queue: str, job_id: str) -> Job | None:
        self._check()
        return await self._memory.find(queue, job_id) or self._ended.get((queue, job_id))

    async def wait_end(self, queue: str, job_id: str, timeout: float | None) -> Job | None:
        job = await self.find(queue, job_id)
        if job is None or job.state in ENDED or job.state is JobState.FAILED:
            return job
        await self._refuse_endless_wait(job_id)
        return await self._memory.wait_end(queue, job_id, timeout)

    async def forget(self, queue: str, job_id: str) -> bool:
        self._check()
        is_kept = self._ended.pop((queue, job_id), None) is not None
        return await self._memory.forget(queue, job_id) or is_kept

    async def events(self, queue: str, job_id: str, after: int, limit: int, timeout: float | None) -> EventPage | None:
        self._check()
        page = await self._memory.events(queue, job_id, after, limit, 0.0)
        if page is None or page.events or page.is_over or timeout == 0:
            return page
        await self._refuse_endless_wait(job_id)
        return await self._memory.events(queue, job_id, after, limit, timeout)

    async def _refuse_endless_wait(self, job_id: str) -> None:
        if not await self._memory.workers():
            raise ResultTimeout(
                f"job {job_id} does not run while it is waited for: call `await kit.run()` before, or use "
                "app.testing(eager=True)"
            )
        if self._slots == 1 and running.get() is not None:
            raise ResultTimeout(
                f"job {job_id} waits for the end of the handler that waits for it, since jobs run one at a time here; "
                "use app.testing(concurrency=2) or more"
            )

    # -- what is run

    async def claim(self, request: ClaimRequest) -> Claim:
        self._check()
        claim = await self._memory.claim(request)
        for claimed in claim.jobs:
            self.attempts.began(claimed)
        return claim

    async def settle(self, settlements: Sequence[Settlement]) -> Sequence[bool | None]:
        self._check()
        dying = [self._kills(one) for one in settlements]
        kept = iter(await self._memory.settle([one for one, dies in zip(settlements, dying, strict=True) if not dies]))
        for one, dies in zip(settlements, dying, strict=True):
            if dies:
                # The worker learns that the lease is lost, and does nothing more; the lease lapses.
                self.attempts.note((one.queue, one.id), "killed", None, self._clock.now_ms())
            else:
                after = await self._memory.find(one.queue, one.id)
                if after is not None and after.state in ENDED:
                    self._ended[one.queue, one.id] = after
                self.attempts.settled(one.queue, one.id, one.verdict, after, self._clock.now_ms())
        return [False if dies else next(kept) for dies in dying]

    def _kills(self, settlement: Settlement) -> bool:
        if settlement.verdict is Verdict.RELEASE:
            return False
        for name in (settlement.name, ""):
            if self.kills[name] > 0:
                self.kills[name] -= 1
                return True
        return False

    async def recover(self, queues: Sequence[str], lease_ms: int, max_deaths: int) -> Recovery:
        self._check()
        recovery = await self._memory.recover(queues, lease_ms, max_deaths)
        for job_id in recovery.dead:
            for queue in queues:
                job = await self._memory.find(queue, job_id)
                if job is not None and job.state is JobState.FAILED:
                    self.attempts.note((queue, job_id), "failed", failure_of(job, job_id), self._clock.now_ms())
        return recovery
