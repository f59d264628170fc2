"""Figures, history and presence, on Redis."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator, Sequence

import msgspec

from asyncjobs.brokers.redis.figures import read_overview, read_runs, read_series, read_tenant_figures
from asyncjobs.brokers.redis.replies import rows
from asyncjobs.brokers.redis.scripts import load
from asyncjobs.brokers.redis.session import RING, Session, listing
from asyncjobs.core.record.version import DECODING_ERRORS
from asyncjobs.core.retention import (
    HOUR_MS,
    HOURS_KEEP_MS,
    MINUTE_MS,
    MINUTES_KEEP_MS,
    QUEUE_KEEP_MS,
    RUNS_KEEP_MS,
    SERVED_KEEP_MS,
)
from asyncjobs.core.settlement import HistoryEntry, read_history
from asyncjobs.ports import QueueFigures, Runs, Series, Step, TenantEnd, TenantFigures, WorkerInfo

__all__ = ["RedisStats"]

# How many queues one script looks at, since Redis serves no other client meanwhile.
_QUEUES_A_SCRIPT = 50

# And how many minutes, or hours.
_PERIODS_A_SCRIPT = 120

_FORGET = load("forget_queue")
_OVERVIEW = load("overview")
_RUNS = load("runs")
_SERIES = load("series")
_TENANTS = load("tenants")

_MAX_PERIODS: dict[Step, int] = {"minute": MINUTES_KEEP_MS // MINUTE_MS, "hour": HOURS_KEEP_MS // HOUR_MS}


class _StoredWorker(WorkerInfo, frozen=True, kw_only=True):
    """A worker as it is stored: with its time to live, from which its last beat follows."""

    ttl_ms: int = 20_000


_workers = msgspec.msgpack.Decoder(_StoredWorker)
_encode = msgspec.msgpack.Encoder().encode


class RedisStats(Session):
    """A ``ports.JobStats``."""

    async def queues(self) -> list[str]:
        now_ms = time.time_ns() // 1_000_000
        stored = await self._command("ZRANGE", self._keys.queues, 0, -1, "WITHSCORES")
        until = {name.decode(): float(until_ms) for name, until_ms in rows(stored, 2)}
        unused = [name for name, until_ms in until.items() if until_ms <= now_ms]
        if not unused:
            return sorted(until)
        with self._on_other_slot(), self._in_passing():
            await self._forget(unused, now_ms)
        return sorted(name.decode() for name in await self._command("ZRANGE", self._keys.queues, 0, -1))

    async def _forget(self, unused: list[str], now_ms: int) -> None:
        forgotten = await self._run_each(_FORGET, [[queue] for queue in unused])
        # First those that hold something are listed anew: then what is used meanwhile stays listed too.
        if kept := [queue for queue, is_forgotten in zip(unused, forgotten, strict=True) if not is_forgotten]:
            await self._command(*listing(self._keys.queues, kept, QUEUE_KEEP_MS))
        await self._command("ZREMRANGEBYSCORE", self._keys.queues, "-inf", now_ms)

    async def overview(self, queues: Sequence[str]) -> list[QueueFigures]:
        size = 1 if self._one_slot else _QUEUES_A_SCRIPT
        parts = [queues[start : start + size] for start in range(0, len(queues), size)]
        replies = await self._run_each(_OVERVIEW, parts)
        return [one for part, reply in zip(parts, replies, strict=True) for one in read_overview(part, reply)]

    async def series(self, queue: str, step: Step, count: int, skip: int = 0) -> Series:
        found = Series(0, [])
        for part, behind in _portions(min(count, _MAX_PERIODS[step])):
            reply = await self._on_queue(_SERIES, queue, hours=step == "hour", count=part, skip=skip + behind)
            one = read_series(step, reply)
            found = Series(one.now_ms, [*found.periods, *one.periods])
        return found

    async def runs(self, queue: str, count: int, skip: int = 0, name: str | None = None) -> Runs:
        found = Runs(0, [])
        for part, behind in _portions(min(count, RUNS_KEEP_MS // HOUR_MS)):
            reply = await self._on_queue(
                _RUNS, queue, count=part, skip=skip + behind, one=name is not None, job_name=name or ""
            )
            one = read_runs(reply)
            found = Runs(one.now_ms, [*found.hours, *one.hours])
        return found

    async def history(self, queue: str, limit: int, *, name: str = "", tenant: str = "") -> list[HistoryEntry]:
        keys = self._keys.queue(queue)
        key = keys.of("tenant_history", tenant) if tenant else keys.of("name_history", name)
        stored = await self._command("LRANGE", key, 0, limit - 1) if limit > 0 else []
        return read_history(stored, name)

    async def tenant_figures(self, asked: Sequence[tuple[str, str]]) -> list[TenantFigures]:
        keys = [(self._keys.queue(queue), tenant) for queue, tenant in asked]
        stats = [("HGETALL", queue.of("tenant_stats", tenant)) for queue, tenant in keys]
        dead = [("ZCARD", queue.of("tenant_dead", tenant)) for queue, tenant in keys]
        replies = await self._commands([(command[1], command) for command in (*stats, *dead)])
        return [read_tenant_figures(*one) for one in zip(replies[: len(keys)], replies[len(keys) :], strict=True)]

    async def tenants(self, queues: Sequence[str], limit: int, after: TenantEnd | None = None) -> list[list[TenantEnd]]:
        if limit < 1:
            return [[] for _ in queues]
        tenant, at_ms = after or ("", 0)
        replies = await asyncio.gather(
            *(
                self._on_queue(_TENANTS, queue, minute=at_ms // MINUTE_MS, tenant=tenant, limit=limit)
                for queue in queues
            )
        )
        return [
            [TenantEnd(one.decode(), int(minute) * MINUTE_MS) for one, minute in rows(reply, 2)] for reply in replies
        ]

    async def tenant_ends(self, queues: Sequence[str], tenants: Sequence[str]) -> list[dict[str, int]]:
        keys = [self._keys.queue(queue).tenant_ends for queue in queues]
        if not tenants:
            return [{} for _ in keys]
        replies = await self._commands([(key, ("ZMSCORE", key, *tenants)) for key in keys])
        return [
            {
                tenant: int(minute) * MINUTE_MS
                for tenant, minute in zip(tenants, reply, strict=True)
                if minute is not None
            }
            for reply in replies
        ]

    async def announce(self, worker: WorkerInfo, ttl_ms: int) -> bool:
        # An asyncjobs with another schema may have been rolled out meanwhile.
        with self._on_other_slot():
            await self._check_schema()
        key = self._keys.worker(worker.id)
        record = _encode(_StoredWorker(**msgspec.structs.asdict(worker), ttl_ms=ttl_ms))
        # Where the primary of the key can't be reached, that of others can't be either.
        was_present = True
        with self._on_other_slot():
            # What is the same as before needs no more than to be kept: else idle workers would fill the server's log.
            is_kept = record == self._announced.get(worker.id) and await self._command("PEXPIRE", key, ttl_ms)
            if not is_kept:
                before = await self._command("SET", key, record, "PX", ttl_ms, "GET")
                was_present, self._announced[worker.id] = before is not None, record
        now_ms = time.time_ns() // 1_000_000
        calls = [listing(self._keys.workers, [worker.id], SERVED_KEEP_MS)]
        calls.append(["ZREMRANGEBYSCORE", self._keys.workers, "-inf", now_ms])
        if worker.queues:
            calls.append(listing(self._keys.queues, worker.queues, SERVED_KEEP_MS))
        with self._on_other_slot():
            await self._commands([(call[1], call) for call in calls])
        return was_present

    async def withdraw(self, worker_id: str, queues: Sequence[str]) -> None:
        self._announced.pop(worker_id, None)
        if self._one_slot:
            await self._each(queues, self._ring)
        else:
            await self._run_each(RING, [[queue] for queue in queues])
        with self._on_other_slot():
            await self._command("ZREM", self._keys.workers, worker_id)
            await self._command("DEL", self._keys.worker(worker_id))

    async def workers(self) -> list[WorkerInfo]:
        ids = sorted(one.decode() for one in await self._command("ZRANGE", self._keys.workers, 0, -1))
        keys = [self._keys.worker(worker_id) for worker_id in ids]
        commands = [(key, (name, key)) for key in keys for name in ("GET", "PTTL")]
        *replies, (seconds, micros) = await self._commands([*commands, (self._keys.workers, ("TIME",))])
        now_ms = int(seconds) * 1_000 + int(micros) // 1_000
        found = []
        for worker_id, (stored, left_ms) in zip(ids, rows(replies, 2), strict=True):
            if stored is None:
                with self._in_passing():
                    await self._command("ZREM", self._keys.workers, worker_id)
            elif (worker := _worker_in(stored, left_ms, now_ms)) is not None:
                found.append(worker)
        return found


def _portions(count: int) -> Iterator[tuple[int, int]]:
    """Yield how many periods each call looks at, and how many of the ``count`` lie behind these, oldest first.

    There is one call at least, since it tells the time.
    """
    left = max(count, 0)
    while True:
        part = min(left, _PERIODS_A_SCRIPT)
        left -= part
        yield part, left
        if not left:
            return


def _worker_in(stored: bytes, left_ms: int, now_ms: int) -> WorkerInfo | None:
    """Return a worker, ``None`` if its record can't be read, as that of a newer asyncjobs.

    Args:
        stored: The record.
        left_ms: For how long it is kept from now, in milliseconds.
        now_ms: The broker's clock, in Unix milliseconds.
    """
    try:
        fields = msgspec.structs.asdict(_workers.decode(stored))
    except DECODING_ERRORS:
        return None
    ttl_ms = fields.pop("ttl_ms")
    return WorkerInfo(**fields | {"beat_at_ms": now_ms - max(0, ttl_ms - left_ms)})
