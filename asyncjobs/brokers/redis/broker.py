"""The broker on Redis: each verb is one script a queue, in one round trip."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence

import msgspec

from asyncjobs.brokers.grouping import by_queue, in_order
from asyncjobs.brokers.redis.connection import translated
from asyncjobs.brokers.redis.events import RedisEvents
from asyncjobs.brokers.redis.keeper import RedisLeaseKeeper
from asyncjobs.brokers.redis.records import ended_record, new_record
from asyncjobs.brokers.redis.replies import read_claim
from asyncjobs.brokers.redis.schedules import RedisSchedules
from asyncjobs.brokers.redis.scripts import load
from asyncjobs.brokers.redis.session import CLAIM, ENQUEUE, JOBS_A_CALL, SETTLE
from asyncjobs.brokers.redis.store import RedisStore
from asyncjobs.core.histogram import bucket_of
from asyncjobs.core.settlement import Settlement
from asyncjobs.ports import Claim, Claimed, ClaimRequest, NewJob, Recovery

__all__ = ["RedisBroker"]

_BYTES_A_CALL = 4 << 20
_RECOVERED_A_CALL = 1_000
_UNPARKED_A_CALL = 1_000

# The bound on a blocked wait beyond its own timeout: Redis looks at timeouts 10 times a second.
_WAIT_GRACE_S = 5.0

# How long the record of a job is kept whose cancellation was still under way when its worker died.
_CANCELLED_KEEP_MS = 24 * 3_600_000

_RECOVER = load("recover")
_UNPARK = load("unpark")
_RESUME = load("resume")
_RING = load("ring")
_SUSPEND = load("suspend")


_suspended = msgspec.msgpack.Decoder(list[str])


class RedisBroker(RedisStore, RedisEvents, RedisSchedules):
    """A ``ports.Broker`` on Redis or Valkey, alone, behind Sentinel or as a Cluster."""

    # -- the way of a job

    async def enqueue(self, jobs: Sequence[NewJob], *, replicated: bool = False) -> list[bool]:
        replies: dict[str, list[bool]] = {}
        for queue, group in by_queue(jobs).items():
            await self._register(queue)
            replies[queue] = []
            for chunk in _chunks(group):
                replies[queue] += await self._enqueue(queue, chunk, replicated)
        return in_order(jobs, replies)

    async def _enqueue(self, queue: str, jobs: Sequence[NewJob], replicated: bool) -> list[bool]:
        args: list[str | bytes] = []
        for job in jobs:
            args += (job.id, _when(job), new_record(job))
        if replicated:
            reply = await self._replicated.run(ENQUEUE, self._keys.queue(queue), args)
        else:
            reply = await self._on_queue(ENQUEUE, queue, *args)
        return [mark == 49 for mark in reply]

    async def claim(self, request: ClaimRequest) -> Claim:
        if not self._one_slot:
            return await self._claim(request, request.queues, request.limit)
        jobs: list[Claimed] = []
        claim = Claim(jobs, 0)
        dues: list[int] = []
        again = False
        for queue in request.queues:
            claim = await self._claim(request, [queue], request.limit - len(jobs))
            jobs += claim.jobs
            again = again or claim.again
            if claim.next_due_ms is not None:
                dues.append(claim.next_due_ms)
        return Claim(jobs, claim.now_ms, min(dues, default=None), again)

    async def _claim(self, request: ClaimRequest, queues: Sequence[str], limit: int) -> Claim:
        keys = [self._keys.queue(queue) for queue in queues]
        reply = await self._run(
            CLAIM,
            keys[0].fixed if len(keys) == 1 else [key for one in keys for key in one.fixed],
            request.worker,
            request.number,
            limit,
            request.lease_ms,
            "1" if request.lowest_first else "0",
            request.keep_timer_ms,
            len(keys),
            *[one.base for one in keys],
            *(request.names or ()),
        )
        return read_claim(queues, reply)

    async def settle(self, settlements: Sequence[Settlement]) -> list[bool]:
        groups = by_queue(settlements)
        replies = await asyncio.gather(*(self._settle(queue, group) for queue, group in groups.items()))
        return in_order(settlements, dict(zip(groups, replies, strict=True)))

    async def _settle(self, queue: str, settlements: Sequence[Settlement]) -> list[bool]:
        reply = b""
        for start in range(0, len(settlements), JOBS_A_CALL // 2):
            args: list[str | bytes | int] = []
            for one in settlements[start : start + JOBS_A_CALL // 2]:
                ends = bool(one.body)
                args += (
                    one.id,
                    one.name,
                    f"{one.fence}:{one.priority}:{one.id}",
                    one.verdict.value,
                    ended_record(one) if ends else one.tries,
                    one.ttl_ms if ends else one.delay_ms,
                    one.duration_us,
                    bucket_of(one.duration_us),
                    one.entry,
                    one.tenant,
                )
            reply += await self._on_queue(SETTLE, queue, *args)
        return [mark == 49 for mark in reply]

    async def recover(self, queues: Sequence[str], lease_ms: int, max_deaths: int) -> Recovery:
        total = Recovery([], [], [])
        for queue in queues:
            reply = await self._on_queue(_RECOVER, queue, lease_ms, max_deaths, _RECOVERED_A_CALL, _CANCELLED_KEEP_MS)
            for ids, more in zip(total, reply, strict=True):
                ids.extend(one.decode() for one in more)
        return total

    async def unpark(self, queues: Sequence[str], names: frozenset[str], grace_ms: int) -> int:
        moved = 0
        for queue in queues:
            moved += sum(await self._on_queue(_UNPARK, queue, grace_ms, _UNPARKED_A_CALL, *names))
        return moved

    # -- waking

    async def wait(self, queues: Sequence[str], timeout: float) -> bool:
        bells = [self._keys.queue(queue).bell for queue in queues]
        if not self._one_slot or len(bells) == 1:
            return await self._blpop(bells, timeout)
        # A BLPOP in Cluster may name keys of one slot only.
        waits = [asyncio.ensure_future(self._blpop([bell], timeout)) for bell in bells]
        try:
            done, _ = await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
            return any(wait.result() for wait in done)
        finally:
            for wait in waits:
                wait.cancel()
            await asyncio.gather(*waits, return_exceptions=True)

    async def _blpop(self, bells: list[str], timeout: float) -> bool:
        with translated(self._settings):
            async with asyncio.timeout(timeout + _WAIT_GRACE_S):
                # Redis takes 0 for "for ever".
                return await self._waiting.execute_command("BLPOP", *bells, max(timeout, 0.001)) is not None

    async def ring(self, queues: Sequence[str]) -> None:
        for queue in queues:
            await self._on_queue(_RING, queue)

    def lease_keeper(self) -> RedisLeaseKeeper:
        return RedisLeaseKeeper(self._settings, self._keys)

    # -- queues

    async def size(self, queue: str) -> int:
        figures = await self.figures(queue)
        return sum(figures.ready) + figures.parked + figures.scheduled

    async def pause(self, queue: str) -> None:
        await self._command("HSET", self._keys.queue(queue).cfg, "paused", "1")

    async def resume(self, queue: str) -> None:
        await self._on_queue(_RESUME, queue)

    async def suspend(self, queue: str, what: str, which: str, on: bool) -> bool:
        await self._register(queue)
        return bool(await self._on_queue(_SUSPEND, queue, what[0], which, "1" if on else "0"))

    async def suspended(self, queue: str) -> list[tuple[str, str]]:
        packed = await self._command("HGET", self._keys.queue(queue).cfg, "suspended")
        entries = _suspended.decode(packed) if packed else []
        return [("name" if one[0] == "n" else "tenant", one[1:]) for one in sorted(entries)]


def _when(job: NewJob) -> str:
    if job.due_at_ms is not None:
        return f"@{job.due_at_ms}"
    return f"+{job.delay_ms}" if job.delay_ms else ""


def _chunks(jobs: Sequence[NewJob]) -> Iterator[Sequence[NewJob]]:
    """Cut ``jobs`` so that no part exceeds what one call may carry."""
    start = size = 0
    for end, job in enumerate(jobs):
        if end > start and (end - start >= JOBS_A_CALL or size + len(new_record(job)) > _BYTES_A_CALL):
            yield jobs[start:end]
            start, size = end, 0
        size += len(new_record(job))
    if start < len(jobs):
        yield jobs[start:]
