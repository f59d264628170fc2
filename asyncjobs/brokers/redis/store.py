"""Jobs by their id, figures, history and presence, on Redis."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence

import msgspec

from asyncjobs.brokers.redis.arguments import time_given
from asyncjobs.brokers.redis.replies import read_failed, read_figures, read_found, read_page, read_tenant_figures
from asyncjobs.brokers.redis.scripts import load
from asyncjobs.brokers.redis.session import JOBS_A_CALL, Session
from asyncjobs.core.job import Job
from asyncjobs.core.settlement import HistoryEntry, read_history
from asyncjobs.core.states import ENDED, JobState
from asyncjobs.errors import ResultTimeout
from asyncjobs.ports import CancelReply, EditReply, Place, QueueFigures, TenantFigures, WorkerInfo

__all__ = ["RedisStore"]

# An awaited job is looked at again this often, whatever the channel says; registration lapses after a day.
_AWAIT_AGAIN_S = 3_600.0

# The script that cancels holds all their records at once.
_CANCELLED_A_CALL = 250

_CANCEL = load("cancel")
_RETRY = load("retry")
_PRUNE = load("prune")
_DELETE = load("delete")
_FIND = load("find")
_FAILED = load("failed")
_OVERVIEW = load("overview")
_BROWSE = load("browse")
_EDIT = load("edit")

_workers = msgspec.msgpack.Decoder(WorkerInfo)
_encode = msgspec.msgpack.Encoder().encode


class RedisStore(Session):
    """A ``ports.JobStore`` and ``ports.JobStats``."""

    # -- jobs by id

    async def find(self, queue: str, job_id: str) -> Job | None:
        return await self._find(queue, job_id, watch=False)

    async def _find(self, queue: str, job_id: str, *, watch: bool) -> Job | None:
        return read_found(queue, job_id, await self._on_queue(_FIND, queue, id=job_id, watches=watch))

    async def cancel(self, queue: str, job_id: str, reason: str, keep_ms: int) -> CancelReply:
        return (await self.cancel_many(queue, [job_id], reason, keep_ms))[0]

    async def cancel_many(self, queue: str, job_ids: Sequence[str], reason: str, keep_ms: int) -> list[CancelReply]:
        replies: list[CancelReply] = []
        for start in range(0, len(job_ids), _CANCELLED_A_CALL):
            ids = job_ids[start : start + _CANCELLED_A_CALL]
            reply = await self._on_queue(_CANCEL, queue, ids, reason=reason, keep_ms=keep_ms)
            replies += [one.decode() for one in reply]
        return replies

    async def browse(
        self, queue: str, place: Place, offset: int, limit: int, tenant: str = ""
    ) -> tuple[list[Job], int]:
        reply = await self._on_queue(_BROWSE, queue, place=place, offset=offset, limit=limit, tenant=tenant)
        return read_page(queue, place, reply)

    async def edit(
        self, queue: str, job_id: str, *, priority: int | None, delay_ms: int | None, due_at_ms: int | None
    ) -> EditReply:
        level = "" if priority is None else priority
        when = time_given(delay_ms, due_at_ms)
        reply: EditReply = (await self._on_queue(_EDIT, queue, id=job_id, priority=level, when=when)).decode()
        return reply

    async def failed(
        self, queue: str, limit: int, before: tuple[int, str] | None = None, tenant: str = ""
    ) -> list[Job]:
        died, last = before or ("", "")
        reply = await self._on_queue(_FAILED, queue, limit=limit, tenant=tenant, died=died, last=last)
        return read_failed(queue, reply)

    async def retry(self, queue: str, job_ids: Sequence[str]) -> list[bool]:
        return await self._on_ids(_RETRY, queue, job_ids)

    async def delete(self, queue: str, job_ids: Sequence[str]) -> list[bool]:
        return await self._on_ids(_DELETE, queue, job_ids)

    async def prune(self, queues: Sequence[str], dead_ttl_ms: int, max_dead: int) -> int:
        return sum(
            [
                await self._on_queue(_PRUNE, queue, keep_ms=dead_ttl_ms, max_dead=max_dead, limit=JOBS_A_CALL)
                for queue in queues
            ]
        )

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
        return read_figures([queue], await self._on_queue(_OVERVIEW, queue))[0]

    async def history(self, queue: str, name: str, limit: int) -> list[HistoryEntry]:
        return read_history(await self._latest(self._keys.queue(queue).of("name_history", name), limit), name)

    async def tenant_history(self, queue: str, tenant: str, limit: int) -> list[HistoryEntry]:
        return read_history(await self._latest(self._keys.queue(queue).of("tenant_history", tenant), limit))

    async def _latest(self, key: str, limit: int) -> list[bytes]:
        stored: list[bytes] = await self._command("LRANGE", key, 0, limit - 1) if limit > 0 else []
        return stored

    async def tenant_figures(self, queue: str, tenant: str) -> TenantFigures:
        keys = self._keys.queue(queue)
        stats = await self._command("HGETALL", keys.of("tenant_stats", tenant))
        return read_tenant_figures(stats, await self._command("ZCARD", keys.of("tenant_dead", tenant)))

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
