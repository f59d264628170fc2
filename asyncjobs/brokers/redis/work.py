"""The way of a job to a worker and to its end, on Redis: each verb runs one script for each queue."""

from __future__ import annotations

import asyncio
import functools
import hashlib
import itertools
from collections.abc import Collection, Iterator, Sequence
from operator import attrgetter
from typing import Any, Literal

import msgspec

from asyncjobs.brokers.company import Company
from asyncjobs.brokers.grouping import by_queue, in_order
from asyncjobs.brokers.redis.arguments import lease_member
from asyncjobs.brokers.redis.connection import translated
from asyncjobs.brokers.redis.keeper import RedisLeaseKeeper
from asyncjobs.brokers.redis.records import ended_record
from asyncjobs.brokers.redis.replies import read_claim, read_flags, read_recovery, was_made_before
from asyncjobs.brokers.redis.scripts import Script, Value, load
from asyncjobs.brokers.redis.session import CLAIM, JOBS_A_CALL, SETTLE, Session
from asyncjobs.core.histogram import bucket_of
from asyncjobs.core.portions import portions
from asyncjobs.core.settlement import Settlement
from asyncjobs.ports import Claim, Claimed, ClaimRequest, Emission, Recovery

__all__ = ["RedisWork"]

# How many jobs, or events, one script call handles.
_RECOVERED_A_CALL = 1_000
_UNPARKED_A_CALL = 1_000
_EVENTS_A_CALL = 1_000

# Up to so many job names go with each call; more would cost the server more than to look them up.
_NAMES_A_CALL = 50

# How many queues one claim looks at in a row, since Redis serves no other client meanwhile.
_QUEUES_A_CLAIM = 200

# How long the reply to a blocked wait may take beyond its timeout; Redis looks at timeouts 10 times a second.
_WAIT_GRACE_S = 5.0

# How many calls of a script may follow one another where one leaves something to the next.
_MAX_CALLS_IN_A_ROW = 100

_EMIT = load("emit")
_PRUNE = load("prune")
_RECLAIM = load("reclaim")
_RECOVER = load("recover")
_UNPARK = load("unpark")

# Bound once, since they are called for each job.
_settled = SETTLE.rows["job"]
_size_of = attrgetter("size")


class RedisWork(Session):
    """A ``ports.Work``."""

    async def claim(self, request: ClaimRequest) -> Claim:
        queues, size = request.queues, 1 if self._one_slot else _QUEUES_A_CLAIM
        company = Company(request)
        if len(queues) <= size:
            return await self._claim(request, queues, request.limit, company)
        jobs: list[Claimed] = []
        # The clocks of nodes may differ: by the latest, no claim seems late, and what is due comes as much later.
        now_ms = 0
        dues: list[int] = []
        again = False
        for start in range(0, len(queues), size):
            # As in the script, which serves all queues of a single server.
            want = 0 if again else request.limit - len(jobs)
            claim = await self._claim(request, queues[start : start + size], want, company)
            jobs += claim.jobs
            for one in claim.jobs:
                company.join(one.tries)
            again = again or claim.again
            now_ms = max(now_ms, claim.now_ms)
            if claim.next_due_ms is not None:
                dues.append(claim.next_due_ms - claim.now_ms)
        return Claim(jobs, now_ms, now_ms + min(dues) if dues else None, again)

    async def _claim(self, request: ClaimRequest, queues: Sequence[str], limit: int, company: Company) -> Claim:
        reply = await self._run_for(
            request.names or (),
            CLAIM,
            queues,
            worker=request.worker,
            number=request.number,
            keep_number=request.keep_number,
            sent_at=request.sent_at_ms,
            limit=limit,
            lease_ms=request.lease_ms,
            lowest_first=request.lowest_first,
            timer_ms=request.keep_timer_ms,
            any_name=request.names is None,
            most_bytes=self._portion.bytes,
            suspects=company.left,
            last_one=company.may_be_last,
            max_deaths=request.max_deaths,
        )
        for at, queue in enumerate(queues):
            if was_made_before(reply[at]):
                reply[at] = await self._on_queue(
                    _RECLAIM,
                    queue,
                    worker=request.worker,
                    number=request.number,
                    lease_ms=request.lease_ms,
                    most_bytes=self._portion.bytes,
                )
        return read_claim(queues, reply)

    async def _run_for(self, names: Collection[str], script: Script, queues: Sequence[str], /, **args: Value) -> Any:
        """Run ``script`` for a worker that takes jobs of ``names`` (``include/names.lua``), and return its reply.

        Many names would make even a call that finds nothing slow. The server keeps them, and they are sent again only
        where it doesn't have them.
        """
        if len(names) <= _NAMES_A_CALL:
            return await self._run(script, queues, script.values(names, kept_names="", **args))
        key = self._keys.names(_digest_of(frozenset(names)), queues[0] if self._one_slot else None)
        reply = await self._run(script, queues, script.values((), kept_names=key, **args))
        if reply is None:
            reply = await self._run(script, queues, script.values(names, kept_names=key, **args))
        return reply

    async def settle(self, settlements: Sequence[Settlement]) -> list[bool]:
        groups = by_queue(settlements)
        replies = await asyncio.gather(*(self._settle(queue, group) for queue, group in groups.items()))
        return in_order(settlements, dict(zip(groups, replies, strict=True)))

    async def _settle(self, queue: str, settlements: Sequence[Settlement]) -> list[bool]:
        flags: list[bool] = []
        for part in portions(settlements, _size_of, most=JOBS_A_CALL // 2, portion=self._portion):
            rows: list[Value] = []
            for one in part:
                ends = bool(one.body)
                rows += _settled(
                    member=lease_member(one),
                    id=one.id,
                    name=one.name,
                    # `.value` takes ten times as long in Python 3.11.
                    verdict=one.verdict._value_,
                    value=ended_record(one) if ends else one.tries,
                    ms=one.ttl_ms if ends else one.delay_ms,
                    duration_us=one.duration_us,
                    bucket=bucket_of(one.duration_us),
                    entry=one.entry,
                    tenant=one.tenant,
                )
            flags += read_flags(await self._on_queue(SETTLE, queue, rows))
        return flags

    def lease_keeper(self) -> RedisLeaseKeeper:
        return RedisLeaseKeeper(self._settings, self._keys)

    # -- waking

    async def wait(self, queues: Sequence[str], timeout: float) -> bool:
        bells = [self._keys.queue(queue).bell for queue in queues]
        if not self._one_slot or len(bells) == 1:
            return await self._blpop(bells, timeout)
        # In a Cluster, the keys of one BLPOP must share a slot.
        waits = [asyncio.ensure_future(self._blpop([bell], timeout)) for bell in bells]
        try:
            done, _ = await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
            return any(wait.result() for wait in done)
        finally:
            for wait in waits:
                wait.cancel()
            await asyncio.gather(*waits, return_exceptions=True)

    async def _blpop(self, bells: list[str], timeout: float) -> bool:
        # Redis takes 0 as "for ever".
        command: list[str | float] = ["BLPOP", *bells, max(timeout, 0.001)]
        with translated(self._settings):
            if self._waits is not None:
                return await self._waits.call(*command, timeout=timeout + _WAIT_GRACE_S) is not None
            async with asyncio.timeout(timeout + _WAIT_GRACE_S):
                return await self._waiting.execute_command(*command) is not None

    # -- events

    async def emit(self, emissions: Sequence[Emission], max_events: int, ttl_ms: int) -> list[bool]:
        replies: dict[str, list[bool]] = {}
        for queue, group in by_queue(emissions).items():
            replies[queue] = []
            for part in _parts(group):
                replies[queue] += await self._emit(queue, part, max_events, ttl_ms)
        return in_order(emissions, replies)

    async def _emit(self, queue: str, emissions: Sequence[Emission], max_events: int, ttl_ms: int) -> list[bool]:
        rows: list[Value] = []
        events: list[Value] = []
        for one in emissions:
            rows += _EMIT.rows["emission"](
                member=lease_member(one.lease), number=one.number, skipped=one.skipped, count=len(one.events)
            )
            events += one.events
        return read_flags(await self._on_queue(_EMIT, queue, rows, events, max_events=max_events, keep_ms=ttl_ms))

    # -- upkeep

    async def _having(self, key: Literal["leased", "parked", "dead"], queues: Sequence[str]) -> Sequence[str]:
        """Return those of ``queues`` that have something under ``key``; of many, workers find most idle."""
        # In a Cluster, a queue that can't be reached must not keep the others from being looked at.
        if self._one_slot or len(queues) == 1:
            return queues
        found = await self._commands([("EXISTS", getattr(self._keys.queue(queue), key)) for queue in queues])
        return list(itertools.compress(queues, found))

    async def recover(self, queues: Sequence[str], lease_ms: int, max_deaths: int) -> Recovery:
        total = Recovery([], [], [])
        for queue in await self._having("leased", queues):
            # All calls at once, since each puts jobs before those of the call before it.
            for _ in range(_MAX_CALLS_IN_A_ROW):
                reply = await self._on_queue(
                    _RECOVER, queue, lease_ms=lease_ms, max_deaths=max_deaths, limit=_RECOVERED_A_CALL
                )
                part = read_recovery(reply)
                for ids, more in zip(total, part, strict=True):
                    ids[:0] = more
                if not any(part):
                    break
        return total

    async def unpark(self, queues: Sequence[str], names: frozenset[str], grace_ms: int) -> int:
        moved = 0
        for queue in await self._having("parked", queues):
            # All calls at once, since each puts jobs before those of the call before it.
            more = True
            while more:
                reply = await self._run_for(names, _UNPARK, (queue,), grace_ms=grace_ms, limit=_UNPARKED_A_CALL)
                unparked, dead, more = _UNPARK.reply(*reply)
                moved += unparked + dead
        return moved

    async def prune(self, queues: Sequence[str], dead_ttl_ms: int, max_dead: int) -> int:
        count = 0
        for queue in await self._having("dead", queues):
            count += await self._on_queue(_PRUNE, queue, keep_ms=dead_ttl_ms, max_dead=max_dead, limit=JOBS_A_CALL)
        return count


@functools.lru_cache(maxsize=16)
def _digest_of(names: frozenset[str]) -> str:
    """Return a text that no other names have."""
    return hashlib.sha256(msgspec.msgpack.encode(sorted(names))).hexdigest()


def _parts(emissions: Sequence[Emission]) -> Iterator[Sequence[Emission]]:
    """Yield ``emissions`` in parts that don't have many more than ``_EVENTS_A_CALL`` events."""
    start = count = 0
    for end, emission in enumerate(emissions, 1):
        count += len(emission.events)
        if count >= _EVENTS_A_CALL or end == len(emissions):
            yield emissions[start:end]
            start, count = end, 0
