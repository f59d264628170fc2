"""The broker on Redis: each verb is one script a queue, in one round trip."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Iterator, Sequence
from typing import Any

import msgspec
import redis.exceptions
from redis.asyncio import RedisCluster

from asyncjobs.brokers.grouping import by_queue, in_order
from asyncjobs.brokers.redis import clients
from asyncjobs.brokers.redis.connection import ConnectionSettings, check_server, translated
from asyncjobs.brokers.redis.endings import EndListener
from asyncjobs.brokers.redis.keeper import RedisLeaseKeeper
from asyncjobs.brokers.redis.keys import GlobalKeys
from asyncjobs.brokers.redis.line import Line
from asyncjobs.brokers.redis.replicated import ReplicatedWrites
from asyncjobs.brokers.redis.replies import read_claim, read_failed, read_figures, read_found
from asyncjobs.brokers.redis.scripts import Script, load
from asyncjobs.core.job import Job
from asyncjobs.core.settlement import HistoryEntry, Settlement
from asyncjobs.core.states import ENDED, JobState
from asyncjobs.core.stats import bucket_of
from asyncjobs.errors import BrokerRefused, ResultTimeout
from asyncjobs.ports import (
    CancelReply,
    Claim,
    Claimed,
    ClaimRequest,
    NewJob,
    QueueFigures,
    Recovery,
    WorkerInfo,
)

__all__ = ["RedisBroker"]

SCHEMA_VERSION = 1

# How much one script call may carry: Redis serves nobody else meanwhile, and Lua unpacks at most 8,000 values.
_JOBS_A_CALL = 1_000
_BYTES_A_CALL = 4 << 20
_RECOVERED_A_CALL = 1_000
_UNPARKED_A_CALL = 1_000

# A registered queue is registered anew after this time, so that it comes back even where Redis has lost its data.
_REGISTER_EVERY_S = 60.0

# The bound on a blocked wait beyond its own timeout: Redis looks at timeouts 10 times a second.
_WAIT_GRACE_S = 5.0

# An awaited job is looked at again this often, whatever the channel says; registration lapses after a day.
_AWAIT_AGAIN_S = 3_600.0

# How long the record of a job is kept whose cancellation was still under way when its worker died.
_CANCELLED_KEEP_MS = 24 * 3_600_000

_ENQUEUE = load("enqueue")
_CLAIM = load("claim")
_SETTLE = load("settle")
_RECOVER = load("recover")
_UNPARK = load("unpark")
_CANCEL = load("cancel")
_RETRY = load("retry")
_PRUNE = load("prune")
_DELETE = load("delete")
_RESUME = load("resume")
_RING = load("ring")
_FIND = load("find")
_FAILED = load("failed")
_INSPECT = load("inspect")

_entries = msgspec.msgpack.Decoder(HistoryEntry)
_workers = msgspec.msgpack.Decoder(WorkerInfo)
_encode = msgspec.msgpack.Encoder().encode


class RedisBroker:
    """A ``ports.Broker`` on one Redis or Valkey server.

    ``settings``: where it is. ``prefix``: what every key begins with. Bound to the event loop that opened it.
    """

    def __init__(self, settings: ConnectionSettings, *, prefix: str = "asyncjobs") -> None:
        self._settings = settings
        self._keys = GlobalKeys(prefix)
        self._registered: dict[str, float] = {}
        self._one_slot = False
        self._opened = 0
        self._pid = os.getpid()
        self._connect()

    # -- connection

    def _connect(self) -> None:
        """Make everything that belongs to one event loop; nothing is sent yet."""
        settings = self._settings
        self._slots = asyncio.Semaphore(settings.max_connections)
        self._client = clients.commands(settings)
        self._waiting = clients.waiting(settings)
        # What runs all the time has a connection of its own, save in a Cluster, where each node would need one.
        self._lines: dict[Script, Line] = {}
        if not isinstance(self._client, RedisCluster):
            pool = self._client.connection_pool
            self._lines = {script: Line(pool) for script in (_ENQUEUE, _CLAIM, _SETTLE)}
        self._endings = EndListener(self._waiting, settings)
        self._replicated = ReplicatedWrites(settings, self._client)

    async def open(self) -> None:
        # Two apps may share a broker. A forked child must leave its parent's connections alone.
        if self._opened and self._pid == os.getpid():
            self._opened += 1
            return
        self._connect()
        try:
            await self._check()
        except BaseException:
            await self._disconnect()
            raise
        self._opened, self._pid = 1, os.getpid()

    async def _check(self) -> None:
        with translated(self._settings):
            for info in await self._infos():
                check_server(self._settings, info)
                # Valkey 8 and later say it under a name of their own.
                self._one_slot = "cluster" in (info.get("redis_mode"), info.get("server_mode"))
        # Read first: on a server that is full, workers must still be able to start.
        schema = int(await self._command("HGET", self._keys.meta, "schema") or 0)
        if not schema:
            await self._command("HSETNX", self._keys.meta, "schema", SCHEMA_VERSION)
            schema = int(await self._command("HGET", self._keys.meta, "schema"))
        if schema != SCHEMA_VERSION:
            raise BrokerRefused(
                f"the data under {self._keys.prefix!r} at {self._settings.address} has schema version {schema}; this "
                f"asyncjobs reads version {SCHEMA_VERSION}. Use the asyncjobs that wrote it, or another prefix."
            )

    async def _infos(self) -> list[dict[str, Any]]:
        """What ``INFO`` says of the server, or of each primary of a Cluster."""
        if isinstance(self._client, RedisCluster):
            found: dict[str, dict[str, Any]] = await self._client.info(target_nodes=RedisCluster.PRIMARIES)
            return list(found.values())
        return [await self._client.info()]

    async def close(self) -> None:
        self._opened -= 1
        if not self._opened:
            await self._disconnect()

    async def _disconnect(self) -> None:
        await self._endings.close()
        await self._replicated.close()
        for line in self._lines.values():
            await line.close()
        for client in (self._client, self._waiting):
            await clients.close(client)
        self._registered.clear()

    async def _command(self, *args: Any) -> Any:
        with translated(self._settings):
            return await self._execute(*args)

    async def _execute(self, *args: Any) -> Any:
        try:
            # Where redis-py would raise for want of a connection we wait; its own waiting pool costs 25 µs a call.
            async with self._slots:
                return await self._client.execute_command(*args)
        except redis.exceptions.ReadOnlyError:
            # A failover has made a replica of the server that these connections still lead to.
            if not isinstance(self._client, RedisCluster):
                await self._client.connection_pool.disconnect(inuse_connections=False)
            raise

    async def _run(self, script: Script, keys: Sequence[str], *args: Any) -> Any:
        line = self._lines.get(script)
        execute = self._execute if line is None else line.call
        with translated(self._settings):
            try:
                return await execute("EVALSHA", script.sha, len(keys), *keys, *args)
            except redis.exceptions.NoScriptError:
                # A restart or a failover has emptied the server's cache; this also fills it again.
                return await execute("EVAL", script.text, len(keys), *keys, *args)

    async def _on_queue(self, script: Script, queue: str, *args: Any) -> Any:
        keys = self._keys.queue(queue)
        return await self._run(script, keys.fixed, keys.base, *args)

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
            args += (job.id, _when(job), job.record)
        if replicated:
            reply = await self._replicated.run(_ENQUEUE, self._keys.queue(queue), args)
        else:
            reply = await self._on_queue(_ENQUEUE, queue, *args)
        return [mark == 49 for mark in reply]

    async def _register(self, queue: str) -> None:
        now = time.monotonic()
        if now - self._registered.get(queue, -_REGISTER_EVERY_S) >= _REGISTER_EVERY_S:
            await self._command("SADD", self._keys.queues, queue)
            self._registered[queue] = now

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
            _CLAIM,
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
        for start in range(0, len(settlements), _JOBS_A_CALL // 2):
            args: list[str | bytes | int] = []
            for one in settlements[start : start + _JOBS_A_CALL // 2]:
                ends = bool(one.record)
                args += (
                    one.id,
                    one.name,
                    f"{one.fence}:{one.priority}:{one.id}",
                    one.verdict.value,
                    one.record if ends else one.tries,
                    one.ttl_ms if ends else one.delay_ms,
                    one.duration_us,
                    bucket_of(one.duration_us),
                    one.entry,
                )
            reply += await self._on_queue(_SETTLE, queue, *args)
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

    # -- jobs by id

    async def find(self, queue: str, job_id: str) -> Job | None:
        return await self._find(queue, job_id, watch=False)

    async def _find(self, queue: str, job_id: str, *, watch: bool) -> Job | None:
        return read_found(queue, job_id, await self._on_queue(_FIND, queue, job_id, "1" if watch else "0"))

    async def cancel(self, queue: str, job_id: str, reason: str, keep_ms: int) -> CancelReply:
        reply: CancelReply = (await self._on_queue(_CANCEL, queue, job_id, reason, keep_ms)).decode()
        return reply

    async def failed(self, queue: str, limit: int, before: tuple[int, str] | None = None) -> list[Job]:
        return read_failed(queue, await self._on_queue(_FAILED, queue, limit, *(before or ())))

    async def retry(self, queue: str, job_ids: Sequence[str]) -> list[bool]:
        return await self._on_ids(_RETRY, queue, job_ids)

    async def delete(self, queue: str, job_ids: Sequence[str]) -> list[bool]:
        return await self._on_ids(_DELETE, queue, job_ids)

    async def _on_ids(self, script: Script, queue: str, job_ids: Sequence[str]) -> list[bool]:
        reply = b""
        for start in range(0, len(job_ids), _JOBS_A_CALL):
            reply += await self._on_queue(script, queue, *job_ids[start : start + _JOBS_A_CALL])
        return [mark == 49 for mark in reply]

    async def prune(self, queues: Sequence[str], dead_ttl_ms: int, dead_most: int) -> int:
        return sum([await self._on_queue(_PRUNE, one, dead_ttl_ms, dead_most, _JOBS_A_CALL) for one in queues])

    async def wait_end(self, queue: str, job_id: str, timeout: float | None) -> Job | None:
        deadline = None if timeout is None else time.monotonic() + timeout
        async with self._endings.watching(self._keys.queue(queue).ended_channel, job_id) as news:
            while True:
                news.clear()
                job = await self._find(queue, job_id, watch=True)
                if job is None or job.state in ENDED or job.state is JobState.FAILED:
                    return job
                left = _AWAIT_AGAIN_S if deadline is None else deadline - time.monotonic()
                if left <= 0:
                    raise ResultTimeout(
                        f"job {job_id} has not ended within {timeout} s; it is {job.state.value} and goes on"
                    )
                try:
                    async with asyncio.timeout(min(left, _AWAIT_AGAIN_S)):
                        await news.wait()
                except TimeoutError:
                    continue

    # -- figures

    async def queues(self) -> list[str]:
        return sorted(name.decode() for name in await self._command("SMEMBERS", self._keys.queues))

    async def figures(self, queue: str) -> QueueFigures:
        return read_figures(queue, await self._on_queue(_INSPECT, queue))

    async def history(self, queue: str, name: str, limit: int) -> list[HistoryEntry]:
        if limit <= 0:
            return []
        stored = await self._command("LRANGE", self._keys.queue(queue).history(name), 0, limit - 1)
        return [_entries.decode(entry) for entry in stored]

    async def announce(self, worker: WorkerInfo, ttl_ms: int) -> None:
        await self._command("SET", self._keys.worker(worker.id), _encode(worker), "PX", ttl_ms)
        await self._command("ZADD", self._keys.workers, worker.started_at_ms, worker.id)
        for queue in worker.queues:
            await self._register(queue)

    async def withdraw(self, worker_id: str) -> None:
        await self._command("ZREM", self._keys.workers, worker_id)
        await self._command("DEL", self._keys.worker(worker_id))

    async def workers(self) -> list[WorkerInfo]:
        present = []
        for worker_id in sorted(one.decode() for one in await self._command("ZRANGE", self._keys.workers, 0, -1)):
            stored = await self._command("GET", self._keys.worker(worker_id))
            if stored is None:
                await self._command("ZREM", self._keys.workers, worker_id)
            else:
                present.append(_workers.decode(stored))
        return present


def _when(job: NewJob) -> str:
    if job.due_at_ms is not None:
        return f"@{job.due_at_ms}"
    return f"+{job.delay_ms}" if job.delay_ms else ""


def _chunks(jobs: Sequence[NewJob]) -> Iterator[Sequence[NewJob]]:
    """Cut ``jobs`` so that no part exceeds what one call may carry."""
    start = size = 0
    for end, job in enumerate(jobs):
        if end > start and (end - start >= _JOBS_A_CALL or size + len(job.record) > _BYTES_A_CALL):
            yield jobs[start:end]
            start, size = end, 0
        size += len(job.record)
    if start < len(jobs):
        yield jobs[start:]
