"""The way of a job to a worker and to its end, on Redis: each verb runs one script for each queue."""

from __future__ import annotations

import asyncio
import functools
import hashlib
import itertools
import logging
from collections.abc import Callable, Collection, Iterator, Sequence
from operator import attrgetter
from typing import Any, Literal

import msgspec

from asyncjobs.brokers.company import Company
from asyncjobs.brokers.grouping import by_queue, in_order
from asyncjobs.brokers.redis.arguments import lease_member
from asyncjobs.brokers.redis.bells import Bells
from asyncjobs.brokers.redis.connection import translated
from asyncjobs.brokers.redis.keeper import RedisLeaseKeeper
from asyncjobs.brokers.redis.news import NewsListener
from asyncjobs.brokers.redis.records import ended_record
from asyncjobs.brokers.redis.replies import read_claim, read_flags, read_recovery, was_made_before
from asyncjobs.brokers.redis.scripts import Script, Value, load
from asyncjobs.brokers.redis.session import CLAIM, JOBS_A_CALL, SETTLE, Session
from asyncjobs.core.histogram import bucket_of
from asyncjobs.core.portions import portions
from asyncjobs.core.settlement import Settlement
from asyncjobs.errors import QueueUnavailable
from asyncjobs.ports import Claim, Claimed, ClaimRequest, Emission, Recovery, Unparking

__all__ = ["RedisWork"]

_log = logging.getLogger(__name__)

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

# How often the connection that awaits cancellations asks whether the server is there. The leases are extended, and a
# cancellation is found then, more often than that.
_PING_EVERY_S = 30.0

_REPAIRED = "queue %s: %d slots of limits were counted wrongly, which must not happen; they are counted right again"

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

    def _connect(self) -> None:
        super()._connect()
        self._bells = Bells(self._pop, self._ring)
        self._cancels = NewsListener(self._settings, self._links.connection, "cancellations", _PING_EVERY_S)
        # By worker and queue: the number of a claim that has had no answer.
        self._unanswered: dict[tuple[str, str], int] = {}

    async def _disconnect(self) -> None:
        await self._bells.close()
        await self._cancels.close()
        await super()._disconnect()

    async def claim(self, request: ClaimRequest) -> Claim:
        queues, size = request.queues, 1 if self._one_slot else _QUEUES_A_CLAIM
        company = Company(request)
        if len(queues) <= size:
            return await self._claim(request, queues, request.limit, company)
        jobs: list[Claimed] = []
        again = False

        async def claim(*part: str) -> Claim:
            nonlocal again
            one = self._claim_again if self._one_slot else self._claim
            # As in the script, which serves all queues of a single server.
            found = await one(request, part, 0 if again else request.limit - len(jobs), company)
            for job in found.jobs:
                company.join(job.tries)
            jobs.extend(found.jobs)
            again = again or found.again
            return found

        if self._one_slot:
            parts = await self._each(queues, claim)
        else:
            parts = [await claim(*queues[start : start + size]) for start in range(0, len(queues), size)]
        # The clocks of nodes may differ: by the latest, no claim seems late, and what is due comes as much later.
        now_ms = max(part.now_ms for part in parts)
        dues = [part.next_due_ms - part.now_ms for part in parts if part.next_due_ms is not None]
        return Claim(jobs, now_ms, now_ms + min(dues) if dues else None, again)

    async def _claim_again(self, request: ClaimRequest, queues: Sequence[str], limit: int, company: Company) -> Claim:
        """Claim from a queue of a slot of its own, under the number of the last claim if that had no answer.

        The claims of other queues have gone on, so the worker doesn't repeat it.
        """
        key = request.worker, queues[0]
        number = self._unanswered.get(key, request.number)
        if number != request.number:
            request = msgspec.structs.replace(request, number=number, keep_number=True)
        self._unanswered[key] = number
        claim = await self._claim(request, queues, limit, company)
        del self._unanswered[key]
        return claim

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
            ahead=request.ahead,
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

    async def settle(self, settlements: Sequence[Settlement]) -> list[bool | None]:
        groups = by_queue(settlements)
        calls = (self._settle(queue, group) for queue, group in groups.items())
        replies: dict[str, Sequence[bool | None]] = {}
        for queue, reply in zip(groups, await asyncio.gather(*calls, return_exceptions=True), strict=True):
            if isinstance(reply, QueueUnavailable):
                replies[queue] = [None] * len(groups[queue])
            elif isinstance(reply, BaseException):
                raise reply
            else:
                replies[queue] = reply
        return in_order(settlements, replies)

    async def _settle(self, queue: str, settlements: Sequence[Settlement]) -> list[bool]:
        flags: list[bool] = []
        for part in portions(settlements, _size_of, most=JOBS_A_CALL // 2, portion=self._portion):
            rows: list[Value] = []
            has_unique = False
            for one in part:
                ends = bool(one.body)
                has_unique = has_unique or (ends and one.unique_key != "")
                rows += _settled(
                    member=lease_member(one),
                    id=one.id,
                    name=one.name,
                    # `.value` takes ten times as long in Python 3.11.
                    verdict=one.verdict._value_,
                    value=ended_record(one) if ends else one.tries or one.closes,
                    ms=one.ttl_ms if ends else one.delay_ms,
                    duration_us=one.duration_us,
                    # Of a dead job the duration isn't counted, and its group stands in this column.
                    bucket=one.group or bucket_of(one.duration_us),
                    entry=one.entry,
                    tenant=one.tenant,
                )
            flags += read_flags(await self._on_queue(SETTLE, queue, rows, has_unique=has_unique))
        return flags

    def lease_keeper(self) -> RedisLeaseKeeper:
        return RedisLeaseKeeper(self._settings, self._keys)

    # -- waking

    async def wait(self, queues: Sequence[str], timeout: float) -> bool:
        # In a Cluster, the keys of one BLPOP must share a slot.
        if self._one_slot and len(queues) > 1:
            return await self._bells.wait(queues, timeout)
        return await self._pop(queues, timeout)

    async def _pop(self, queues: Sequence[str], timeout: float) -> bool:
        """Take the token of the first of ``queues`` that has one; return whether there was one in time."""
        bells = [self._keys.queue(queue).bell for queue in queues]
        # Redis takes 0 as "for ever", and before 7.0 a millisecond too.
        command: list[str | float] = ["BLPOP", *bells, max(timeout, 0.002)]
        with translated(self._settings):
            return await self._links.waiter(bells[0])(*command, timeout=timeout + _WAIT_GRACE_S) is not None

    async def watch_cancels(self, worker: str, queues: Sequence[str], tell: Callable[[], None]) -> None:
        channels = [self._keys.queue(queue).of("cancel_news", worker) for queue in queues]
        try:
            async with self._cancels.watching(channels, "") as news:
                while True:
                    await news.wait()
                    news.clear()
                    tell()
        finally:
            self._cancels.leave(channels)

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

    async def _having(
        self,
        queues: Sequence[str],
        *names: Literal["leased", "parked", "dead", "deleted", "unique"],
        flow: Sequence[str] = (),
    ) -> Sequence[str]:
        """Return those of ``queues`` that have something under one of ``names``; of many, workers find most idle.

        Args:
            queues: The queues.
            *names: Names of keys.
            flow: Keys of lines and gates (``include/lines.lua``), without what stands before each.
        """
        # In a Cluster, a queue that can't be reached must not keep the others from being looked at.
        if self._one_slot or len(queues) == 1:
            return queues
        keys = [
            [*of_queue.named(names), *(of_queue.of("flow", part) for part in flow)]
            for of_queue in map(self._keys.queue, queues)
        ]
        found = await self._commands([(own[0], ("EXISTS", *own)) for own in keys])
        return list(itertools.compress(queues, found))

    async def recover(self, queues: Sequence[str], lease_ms: int, max_deaths: int) -> Recovery:
        total = Recovery([], [], [])
        for part in await self._each(
            await self._having(queues, "leased"), lambda queue: self._recover(queue, lease_ms, max_deaths)
        ):
            for ids, more in zip(total, part, strict=True):
                ids.extend(more)
        return total

    async def _recover(self, queue: str, lease_ms: int, max_deaths: int) -> Recovery:
        total = Recovery([], [], [])
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

    async def unpark(self, queues: Sequence[str], names: frozenset[str], grace_ms: int) -> Unparking:
        queues = await self._having(queues, "parked")
        parts = await self._each(queues, lambda queue: self._unpark(queue, names, grace_ms))
        return Unparking(sum(part.moved for part in parts), [one for part in parts for one in part.unknown])

    async def _unpark(self, queue: str, names: frozenset[str], grace_ms: int) -> Unparking:
        moved = 0
        unknown: set[str] = set()
        # All calls at once, since each puts jobs before those of the call before it.
        more = True
        while more:
            reply = await self._run_for(names, _UNPARK, (queue,), grace_ms=grace_ms, limit=_UNPARKED_A_CALL)
            part = _UNPARK.reply(*reply)
            moved += part.unparked + part.dead
            unknown.update(name.decode() for name in part.unknown)
            more = part.more
        return Unparking(moved, [(queue, name) for name in sorted(unknown)])

    async def prune(self, queues: Sequence[str], dead_ttl_ms: int, max_dead: int) -> int:
        async def prune(queue: str) -> int:
            reply = await self._on_queue(_PRUNE, queue, keep_ms=dead_ttl_ms, max_dead=max_dead, limit=JOBS_A_CALL)
            pruned = _PRUNE.reply(*reply)
            if pruned.repaired:
                _log.error(_REPAIRED, queue, pruned.repaired)
            count: int = pruned.forgotten
            return count

        flow = ("lines", "slots", "tat", "closed")
        return sum(await self._each(await self._having(queues, "dead", "deleted", "unique", flow=flow), prune))


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
