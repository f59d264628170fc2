"""Jobs on their way in, and what becomes of them, on Redis."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, TypeVar

from asyncjobs.brokers.grouping import by_queue, in_order
from asyncjobs.brokers.redis.arguments import mode_of, time_given
from asyncjobs.brokers.redis.records import new_record
from asyncjobs.brokers.redis.replies import read_accepted, read_events, read_flags, read_found
from asyncjobs.brokers.redis.scripts import Script, Value, load
from asyncjobs.brokers.redis.session import ENQUEUE, JOBS_A_CALL, Session
from asyncjobs.core.job import Job
from asyncjobs.core.portions import portions
from asyncjobs.core.states import ENDED, JobState
from asyncjobs.core.uniqueness import UniqueRule
from asyncjobs.errors import ResultTimeout
from asyncjobs.ports import EnqueueReply, EventPage, NewJob

__all__ = ["RedisIntake"]

T = TypeVar("T")

# How often an awaited job is looked at again without a message: a failover may lose that it is awaited.
_LOOK_EVERY_S = 60.0

_ENQUEUE_UNIQUE = load("enqueue_unique")
_FIND = load("find")
_FORGET = load("forget")
_READ_EVENTS = load("read_events")

_NOT_UNIQUE = UniqueRule("")

# Bound once, since it is called for each job.
_new_job = ENQUEUE.rows["job"]


class RedisIntake(Session):
    """A ``ports.Intake``."""

    async def enqueue(self, jobs: Sequence[NewJob], *, replicated: bool = False) -> list[EnqueueReply]:
        replies: dict[str, list[EnqueueReply]] = {}
        for queue, group in by_queue(jobs).items():
            await self._register(queue)
            await self._begin_lines(group)
            replies[queue] = []
            for part in portions(group, _size_of, most=JOBS_A_CALL, portion=self._portion):
                replies[queue] += await self._enqueue(queue, part, replicated)
        return in_order(jobs, replies)

    async def _enqueue(self, queue: str, jobs: Sequence[NewJob], replicated: bool) -> Sequence[EnqueueReply]:
        rows: list[Value] = []
        for job in jobs:
            if job.unique is not None:
                return await self._enqueue_unique(queue, jobs, replicated)
            when = time_given(job.delay_ms or None, job.due_at_ms)
            rows += _new_job(id=job.id, when=when, record=new_record(job))
        return read_flags(await self._enqueued(ENQUEUE, queue, rows, replicated))

    async def _enqueue_unique(self, queue: str, jobs: Sequence[NewJob], replicated: bool) -> list[EnqueueReply]:
        """Enqueue jobs of which some are unique; the script of the others need not know of it."""
        rows: list[Value] = []
        for job in jobs:
            rule = job.unique or _NOT_UNIQUE
            rows += _ENQUEUE_UNIQUE.rows["job"](
                id=job.id,
                when=time_given(job.delay_ms or None, job.due_at_ms),
                record=new_record(job),
                mode=mode_of(job.unique),
                within=rule.within_ms,
                at_most=rule.at_most_ms,
            )
        return read_accepted(await self._enqueued(_ENQUEUE_UNIQUE, queue, rows, replicated))

    async def _enqueued(self, script: Script, queue: str, rows: Sequence[Value], replicated: bool) -> Any:
        values = script.values(rows)
        if replicated:
            return await self._replicated.run(script, self._keys.queue(queue), values)
        return await self._run(script, (queue,), values)

    async def find(self, queue: str, job_id: str) -> Job | None:
        return await self._find(queue, job_id, watch=False)

    async def _find(self, queue: str, job_id: str, *, watch: bool) -> Job | None:
        return read_found(queue, job_id, await self._on_queue(_FIND, queue, id=job_id, watches=watch))

    async def wait_end(self, queue: str, job_id: str, timeout: float | None) -> Job | None:
        async def look() -> tuple[bool, Job | None]:
            job = await self._find(queue, job_id, watch=True)
            return job is None or job.state in ENDED or job.state is JobState.FAILED, job

        is_over, job = await self._await_news(queue, job_id, timeout, look)
        if job is None or is_over:
            return job
        raise ResultTimeout(f"job {job_id} has not ended within {timeout:g} s; it is {job.state.value} and goes on")

    async def forget(self, queue: str, job_id: str) -> bool:
        return bool(await self._on_queue(_FORGET, queue, id=job_id))

    async def events(self, queue: str, job_id: str, after: int, limit: int, timeout: float | None) -> EventPage | None:
        async def look() -> tuple[bool, EventPage | None]:
            page = read_events(await self._on_queue(_READ_EVENTS, queue, id=job_id, after=after, limit=limit))
            return page is None or bool(page.events) or page.is_over, page

        return (await self._await_news(queue, job_id, timeout, look))[1]

    async def _await_news(
        self,
        queue: str,
        job_id: str,
        timeout: float | None,
        look: Callable[[], Awaitable[tuple[bool, T]]],
    ) -> tuple[bool, T]:
        """Call ``look`` now and at each news of the job, until it finds enough or the time is over.

        Returns:
            What ``look`` returned last: whether that is enough, and what it found.
        """
        deadline = None if timeout is None else time.monotonic() + timeout
        async with self._ends.watching([self._keys.queue(queue).ended_channel], job_id) as news:
            while True:
                news.clear()
                is_enough, found = await look()
                left = _LOOK_EVERY_S if deadline is None else min(_LOOK_EVERY_S, deadline - time.monotonic())
                if is_enough or left <= 0:
                    return is_enough, found
                try:
                    async with asyncio.timeout(left):
                        await news.wait()
                except TimeoutError:
                    continue


def _size_of(job: NewJob) -> int:
    return len(job.body)
