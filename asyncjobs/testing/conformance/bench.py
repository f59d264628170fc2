"""The short verbs in which the tests of the suite are written."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
from collections.abc import Sequence
from typing import Literal

import msgspec

from asyncjobs.core.job import Job, start_job
from asyncjobs.core.priority import Priority
from asyncjobs.core.record.envelope import Envelope, JobError, encode
from asyncjobs.core.retry import RetryPolicy
from asyncjobs.core.settlement import Completed, Failed, Outcome, Released, Settlement, settle
from asyncjobs.core.stored import read_live
from asyncjobs.ports import (
    CancelReply,
    Claim,
    Claimed,
    ClaimRequest,
    Extension,
    Hold,
    Lease,
    ListedPlace,
    NewJob,
    QueueFigures,
    Recovery,
    TenantFigures,
)
from asyncjobs.testing.conformance.kit import BrokerKit

__all__ = ["QUIET_S", "SOON_S", "Bench", "ids", "lease_of"]

#: How long a test waits for something that happens soon, in seconds.
SOON_S = 5.0

#: How long a test waits to see that nothing happens, in seconds.
QUIET_S = 0.05

HoldKind = Literal["queue", "name", "tenant"]


class Bench:
    """Short verbs on one queue of the broker under test, with defaults for arguments that most tests leave out.

    Args:
        kit: The broker and its clock.
        queue: The queue of all verbs that name no other.

    Example:
        ```python
        bench = Bench(kit)
        [job_id] = await bench.send()
        claim = await bench.claim()
        assert await bench.settle(claim.jobs) == [True]
        ```
    """

    def __init__(self, kit: BrokerKit, queue: str = "bench") -> None:
        self.kit = kit
        """The broker and its clock."""
        self.broker = kit.broker
        """The broker."""
        self.queue = queue
        """The queue of all verbs that name no other."""
        self._numbers = itertools.count(1)
        self._claims = itertools.count(1)

    def new(
        self,
        name: str = "work",
        *,
        priority: Priority = Priority.NORMAL,
        job_id: str | None = None,
        queue: str | None = None,
        delay_ms: int = 0,
        due_at_ms: int | None = None,
        acks_early: bool = False,
        tenant: str = "",
    ) -> NewJob:
        """Return a job to send, called with the arguments ``("a", 1)``.

        Args:
            name: The job name.
            priority: Its priority.
            job_id: Its id; by default a new one, which sorts behind the ids before it.
            queue: Its queue; by default the bench's.
            delay_ms: How long it waits before it may start, in milliseconds.
            due_at_ms: When it may start, in Unix milliseconds; in place of ``delay_ms``.
            acks_early: Whether it is never run twice.
            tenant: The id of its tenant.
        """
        body = encode(Envelope(arguments=msgspec.Raw(encode(["a", 1])), created_at_ms=1))
        return NewJob(
            queue=queue or self.queue,
            id=job_id or f"job-{next(self._numbers):06}",
            name=name,
            body=body,
            priority=priority.value,
            tenant=tenant,
            acks_early=acks_early,
            delay_ms=delay_ms,
            due_at_ms=due_at_ms,
        )

    async def send(self, *jobs: NewJob, count: int = 1) -> list[str]:
        """Send jobs, each of which must be new.

        Args:
            *jobs: The jobs.
            count: How many plain jobs to send if none is given.

        Returns:
            Their ids.
        """
        sent = list(jobs) or [self.new() for _ in range(count)]
        assert await self.broker.enqueue(sent) == [True] * len(sent)
        return [job.id for job in sent]

    async def claim(
        self,
        limit: int = 10,
        *,
        ahead: int = 0,
        worker: str = "worker",
        number: int | None = None,
        queues: Sequence[str] | None = None,
        lease_ms: int = 10_000,
        names: frozenset[str] | None = None,
        lowest_first: bool = False,
        keep_timer_ms: int = 0,
        keep_number: bool = False,
        sent_at_ms: int = 0,
        max_suspects: int = 1_000,
        last_try: bool = True,
    ) -> Claim:
        """Return the broker's answer to a claim.

        Args:
            limit: How many jobs at most.
            ahead: How many of these the worker has no free slot for yet.
            worker: The claiming worker.
            number: The number of its claim; by default the next.
            queues: The queues, in this order; by default the bench's.
            lease_ms: For how long the jobs belong to the worker, in milliseconds.
            names: The job names that the worker knows, ``None`` for any.
            lowest_first: Whether low priority comes first.
            keep_timer_ms: For how long the worker offers to keep the timer, in milliseconds; 0 if it doesn't.
            keep_number: Whether to keep the number even without jobs, since an earlier claim may still arrive.
            sent_at_ms: When it was sent by the broker's clock, in Unix milliseconds; 0 if the worker doesn't know.
            max_suspects: How many jobs under which a worker has died, at most.
            last_try: Whether one of them may be dead with its next death, the third.
        """
        return await self.broker.claim(
            ClaimRequest(
                worker=worker,
                number=next(self._claims) if number is None else number,
                queues=queues or [self.queue],
                limit=limit,
                ahead=ahead,
                lease_ms=lease_ms,
                names=names,
                lowest_first=lowest_first,
                keep_timer_ms=keep_timer_ms,
                keep_number=keep_number,
                sent_at_ms=sent_at_ms,
                max_suspects=max_suspects,
                last_try=last_try,
                max_deaths=3,
            )
        )

    async def claim_ids(self, limit: int = 10, **given: object) -> list[str]:
        """Return the ids of the jobs that one claim gets.

        Args:
            limit: How many jobs at most.
            **given: Further arguments of ``claim``.
        """
        return ids((await self.claim(limit, **given)).jobs)  # type: ignore[arg-type]

    def settlement(
        self,
        claimed: Claimed,
        outcome: Outcome | None = None,
        *,
        policy: RetryPolicy | None = None,
        ttl_ms: int = 60_000,
        result_ttl_ms: int = 60_000,
        duration_us: int = 1_000,
    ) -> Settlement:
        """Return the settlement of a run.

        Args:
            claimed: The job that ran.
            outcome: What the run came to; by default, the handler returned ``"result"``.
            policy: The policy of retries; by default one retry after a second.
            ttl_ms: For how long the record of an ended job is kept, in milliseconds.
            result_ttl_ms: For how long its result counts, at most 60 s of the record's time, in milliseconds.
            duration_us: How long the run took, in microseconds.
        """
        job = start_job(read_live(claimed, claimed.body, claimed.tries), claimed.fence, 1_000)
        settlement = settle(
            job,
            outcome or Completed(encode("result")),
            policy or RetryPolicy(max_retries=1, initial=1, jitter=False),
            1_000,
            0.5,
            body=claimed.body,
            duration_us=duration_us,
            result_ttl_ms=result_ttl_ms,
        )
        return msgspec.structs.replace(settlement, ttl_ms=ttl_ms)

    async def settle(self, jobs: Sequence[Claimed], outcome: Outcome | None = None, **given: object) -> list[bool]:
        """Settle claimed jobs.

        Args:
            jobs: The jobs.
            outcome: What each run came to; by default, the handler returned ``"result"``.
            **given: Further arguments of ``settlement``.

        Returns:
            For each job, whether its lease still held.
        """
        settlements = [self.settlement(claimed, outcome, **given) for claimed in jobs]  # type: ignore[arg-type]
        return [bool(done) for done in await self.broker.settle(settlements)]

    async def fail(self, jobs: Sequence[Claimed], *, for_good: bool = False) -> list[bool]:
        """Settle claimed jobs as failed.

        Args:
            jobs: The jobs.
            for_good: Whether they go to the dead letter queue; by default they are retried after a second.

        Returns:
            For each job, whether its lease still held.
        """
        return await self.settle(jobs, Failed(JobError("ValueError", "no", "trace", 1, 1_000), retryable=not for_good))

    async def release(self, jobs: Sequence[Claimed]) -> list[bool]:
        """Release claimed jobs.

        Args:
            jobs: The jobs.

        Returns:
            For each job, whether its lease still held.
        """
        return await self.settle(jobs, Released())

    async def extend(self, jobs: Sequence[Claimed], lease_ms: int = 10_000) -> Extension:
        """Extend the leases of claimed jobs, from another thread as the heartbeat does.

        Args:
            jobs: The jobs.
            lease_ms: How long their leases last from now, in milliseconds.

        Returns:
            The answer of the lease keeper.
        """
        leases = [lease_of(claimed) for claimed in jobs]
        keeper = self.broker.lease_keeper()
        with contextlib.closing(keeper):
            return await asyncio.to_thread(keeper.extend, leases, lease_ms)

    async def recover(self, lease_ms: int = 10_000, max_deaths: int = 3) -> Recovery:
        """Return what a recovery of the jobs whose lease has lapsed did.

        Args:
            lease_ms: How long a lease lasts, in milliseconds.
            max_deaths: After how many workers that died a job goes to the dead letter queue.
        """
        return await self.broker.recover([self.queue], lease_ms, max_deaths)

    async def lapse(self, lease_ms: int = 10_000) -> None:
        """Let leases lapse, with recoveries meanwhile, so that there is no gap of half a lease without one.

        Args:
            lease_ms: How long they last, in milliseconds. None may be older than another by a quarter.
        """
        for _ in range(4):
            await self.recover(lease_ms)
            await self.kit.advance(lease_ms // 4 + 1)

    async def figures(self, queue: str | None = None) -> QueueFigures:
        """Return the figures of a ``queue``, by default the bench's."""
        [figures] = await self.broker.overview([queue or self.queue])
        return figures

    async def waiting(self, queue: str | None = None) -> int:
        """Return how many jobs of a ``queue``, by default the bench's, are ready, parked or scheduled."""
        figures = await self.figures(queue)
        return sum(figures.ready) + figures.parked + figures.scheduled

    async def jobs_in(self, place: ListedPlace, *, limit: int = 100, tenant: str = "") -> list[Job]:
        """Return the jobs in a place, read page by page.

        Args:
            place: The place.
            limit: How many entries the broker looks at for each page.
            tenant: Only jobs of this tenant; empty for the jobs of all.
        """
        page = await self.broker.page(self.queue, place, "", limit, tenant)
        found = page.jobs
        while page.next:
            page = await self.broker.page(self.queue, place, page.next, limit, tenant)
            found += page.jobs
        return found

    async def ids_in(self, place: ListedPlace, *, limit: int = 100, tenant: str = "") -> list[str]:
        """Return the ids of the jobs in a place.

        Args:
            place: The place.
            limit: How many entries the broker looks at for each page.
            tenant: Only jobs of this tenant; empty for the jobs of all.
        """
        return [job.id for job in await self.jobs_in(place, limit=limit, tenant=tenant)]

    async def cancel(self, job_id: str, *, queue: str | None = None, keep_ms: int = 60_000) -> CancelReply:
        """Cancel one job.

        Args:
            job_id: The job's id.
            queue: Its queue; by default the bench's.
            keep_ms: How long its record is kept, in milliseconds.

        Returns:
            What became of it.
        """
        [reply] = await self.broker.cancel(queue or self.queue, [job_id], "enough", keep_ms)
        return reply

    async def bury(self, *jobs: NewJob, count: int = 1) -> list[str]:
        """Send jobs, and let them fail for good.

        Args:
            *jobs: The jobs.
            count: How many plain jobs to send if none is given.

        Returns:
            Their ids.
        """
        sent = await self.send(*jobs, count=count)
        await self.fail((await self.claim(len(sent))).jobs, for_good=True)
        return sent

    async def bury_of(self, *tenants: str) -> list[str]:
        """Send a job of each tenant, and let them fail for good.

        Args:
            *tenants: The ids of the tenants.

        Returns:
            The ids of the jobs.
        """
        return await self.bury(*(self.new(tenant=tenant) for tenant in tenants))

    async def tenant_figures(self, tenant: str) -> TenantFigures:
        """Return the figures of a tenant in the queue."""
        [figures] = await self.broker.tenant_figures([(self.queue, tenant)])
        return figures

    async def dead_of(self, tenant: str) -> list[str]:
        """Return the ids of the dead jobs of a tenant, and check that its figures count as many."""
        dead = await self.ids_in("dead", tenant=tenant)
        assert (await self.tenant_figures(tenant)).dead == len(dead)
        return dead

    async def hold(self, kind: HoldKind, which: str = "", *, on: bool = True) -> bool:
        """Hold back jobs of the bench's queue, or end that.

        Args:
            kind: What to hold back: the queue itself, a job name or a tenant.
            which: The job name, or the id of the tenant.
            on: Whether the hold begins or ends.

        Returns:
            Whether that changed anything.
        """
        return await self.broker.hold(self.queue, Hold(kind, which), on)


def ids(jobs: Sequence[Claimed]) -> list[str]:
    """Return the ids of claimed jobs."""
    return [claimed.id for claimed in jobs]


def lease_of(claimed: Claimed) -> Lease:
    """Return the lease of a claimed job."""
    return Lease(claimed.queue, claimed.id, claimed.priority, claimed.fence)
