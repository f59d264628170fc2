"""The memory broker: the port's verbs over its queues, under one lock."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from typing import TypeVar

import msgspec

from asyncjobs.brokers.grouping import by_queue, in_order
from asyncjobs.brokers.memory import running, store, upkeep
from asyncjobs.brokers.memory.dead import MemoryDead
from asyncjobs.brokers.memory.lapsing import Lapsing
from asyncjobs.brokers.memory.ledger import Ledger
from asyncjobs.brokers.memory.limits import MemoryLimits
from asyncjobs.brokers.memory.operations import MemoryOperations
from asyncjobs.brokers.memory.queue import Queue
from asyncjobs.brokers.memory.search import MemorySearch
from asyncjobs.brokers.memory.series import MemorySeries
from asyncjobs.brokers.memory.stats import figures, is_in_use
from asyncjobs.brokers.memory.tenants import MemoryTenants
from asyncjobs.brokers.memory.waking import Sleeper, drop, take_token
from asyncjobs.core.job import Job
from asyncjobs.core.retention import QUEUE_KEEP_MS, SERVED_KEEP_MS
from asyncjobs.core.settlement import Settlement
from asyncjobs.core.states import ENDED, JobState
from asyncjobs.errors import ResultTimeout
from asyncjobs.ports import (
    CancelReply,
    Claim,
    Claimed,
    ClaimRequest,
    Clock,
    EditReply,
    Emission,
    EnqueueReply,
    EventPage,
    Extension,
    FireReply,
    Firing,
    Hold,
    JobPage,
    Lease,
    ListedPlace,
    NewJob,
    QueueFigures,
    Recovery,
    ScheduleList,
    Unparking,
    WorkerInfo,
)

__all__ = ["MemoryBroker", "MemoryLeaseKeeper"]

_Found = TypeVar("_Found")
_Item = TypeVar("_Item", NewJob, Settlement)
_Reply = TypeVar("_Reply")

#: After how many jobs a sender lets other tasks run. Nothing here waits for I/O, so otherwise a loop that sends would
#: never let them.
_JOBS_A_TURN = 256


class MemoryBroker(MemorySeries, MemoryOperations, MemoryDead, MemorySearch, MemoryLimits, MemoryTenants):
    """A broker in the memory of this process, which may be used from several threads and event loops at once.

    Args:
        clock: The clock for delays, leases and expiry; by default the one of the operating system.

    Example:
        >>> import asyncio
        >>> asyncio.run(MemoryBroker().queues())
        []
    """

    def __init__(self, clock: Clock | None = None) -> None:
        super().__init__()
        self._now_ms = _system_now_ms if clock is None else clock.now_ms
        self._lock = threading.RLock()
        self._queues: dict[str, Queue] = {}
        # Until when each queue is listed, also if it holds nothing.
        self._listed: dict[str, int] = {}
        self._workers: Lapsing[str, WorkerInfo] = Lapsing()
        self._turn = 0
        # By worker: what tells it that one of its jobs may be to be cancelled.
        self._cancel_watchers: dict[str, Callable[[], None]] = {}

    def _queue(self, name: str) -> Queue:
        queue = self._queues.get(name)
        if queue is None:
            queue = self._queues[name] = Queue(name)
        return queue

    def _list(self, names: Iterable[str], until_ms: int) -> None:
        listed = self._listed
        for name in names:
            if listed.get(name, 0) < until_ms:
                listed[name] = until_ms

    def _each_queue(
        self, items: Sequence[_Item], verb: Callable[[Queue, Sequence[_Item]], list[_Reply]], now_ms: int
    ) -> list[_Reply]:
        """Call ``verb`` with the items of each queue; return its answers in the order of ``items``."""
        names = {item.queue for item in items}
        self._list(names, now_ms + QUEUE_KEEP_MS)
        if len(names) == 1:
            return verb(self._queue(names.pop()), items)
        return in_order(items, {name: verb(self._queue(name), group) for name, group in by_queue(items).items()})

    async def open(self) -> None:
        """Do nothing: there is no connection."""

    async def close(self) -> None:
        """Do nothing: jobs stay for as long as this object does."""

    # -- intake

    async def enqueue(self, jobs: Sequence[NewJob], *, replicated: bool = False) -> list[EnqueueReply]:
        with self._lock:
            now_ms = self._now_ms()
            reply = self._each_queue(jobs, lambda queue, group: queue.enqueue(group, now_ms), now_ms)
        self._turn += len(jobs)
        if self._turn >= _JOBS_A_TURN:
            self._turn = 0
            await asyncio.sleep(0)
        return reply

    async def find(self, queue: str, job_id: str) -> Job | None:
        with self._lock:
            return self._queue(queue).find(job_id, self._now_ms())

    async def wait_end(self, queue: str, job_id: str, timeout: float | None) -> Job | None:
        def look(state: Queue, now_ms: int) -> tuple[bool, Job | None]:
            job = state.find(job_id, now_ms)
            return job is None or job.state in ENDED or job.state is JobState.FAILED, job

        is_over, job = await self._await_news(queue, job_id, timeout, look)
        if job is None or is_over:
            return job
        raise ResultTimeout(f"job {job_id} has not ended within {timeout:g} s; it is {job.state.value} and goes on")

    async def forget(self, queue: str, job_id: str) -> bool:
        with self._lock:
            return store.forget(self._queue(queue), job_id, self._now_ms())

    async def events(self, queue: str, job_id: str, after: int, limit: int, timeout: float | None) -> EventPage | None:
        def look(state: Queue, now_ms: int) -> tuple[bool, EventPage | None]:
            page = running.read_events(state, job_id, after, limit, now_ms)
            return page is None or bool(page.events) or page.is_over, page

        return (await self._await_news(queue, job_id, timeout, look))[1]

    async def _await_news(
        self, queue: str, job_id: str, timeout: float | None, look: Callable[[Queue, int], tuple[bool, _Found]]
    ) -> tuple[bool, _Found]:
        """Call ``look`` now and at each news of the job, until it finds enough or the time is over.

        Returns:
            What ``look`` returned last: whether that is enough, and what it found.
        """
        deadline = None if timeout is None else time.monotonic() + timeout
        while True:
            with self._lock:
                state = self._queue(queue)
                is_enough, found = look(state, self._now_ms())
                left = None if deadline is None else deadline - time.monotonic()
                if is_enough or (left is not None and left <= 0):
                    return is_enough, found
                sleeper = state.watchers.add(job_id)
            try:
                await sleeper.sleep(left)
            finally:
                with self._lock:
                    state.watchers.drop(job_id, sleeper)

    # -- work

    async def claim(self, request: ClaimRequest) -> Claim:
        with self._lock:
            now_ms = self._now_ms()
            jobs: list[Claimed] = []
            dues: list[int] = []
            again = False
            for queue in request.queues:
                # The worker claims again at once: until then, nothing of the next queues comes before what is left. A
                # claim that is repeated with a lower limit gets what it got.
                want = 0 if again else max(0, request.limit - len(jobs))
                part, due_at_ms, more = self._queue(queue).claim(request, want, jobs, now_ms)
                jobs += part
                again = again or more
                if due_at_ms is not None:
                    dues.append(due_at_ms)
            return Claim(jobs, now_ms, min(dues, default=None), again)

    async def settle(self, settlements: Sequence[Settlement]) -> list[bool]:
        with self._lock:
            now_ms = self._now_ms()
            return self._each_queue(settlements, lambda queue, group: queue.settle(group, now_ms), now_ms)

    def lease_keeper(self) -> MemoryLeaseKeeper:
        return MemoryLeaseKeeper(self)

    def extend(self, leases: Sequence[Lease], lease_ms: int) -> Extension:
        """Extend ``leases`` as a ``LeaseKeeper`` does."""
        extension = Extension([], [])
        with self._lock:
            deadline_ms = self._now_ms() + lease_ms
            for lease in leases:
                held, reason = running.extend(self._queue(lease.queue), lease, deadline_ms)
                if not held:
                    extension.lost.append(lease)
                elif reason is not None:
                    extension.cancelled.append((lease, reason))
        return extension

    async def watch_cancels(self, worker: str, queues: Sequence[str], tell: Callable[[], None]) -> None:
        self._cancel_watchers[worker] = tell
        try:
            await asyncio.Event().wait()
        finally:
            del self._cancel_watchers[worker]

    async def wait(self, queues: Sequence[str], timeout: float) -> bool:
        # Other tasks must run, even if each wait finds a token.
        await asyncio.sleep(0)
        with self._lock:
            bells = [self._queue(queue).bell for queue in queues]
            if take_token(bells):
                return True
            sleeper = Sleeper()
            for bell in bells:
                bell.add(sleeper)
        try:
            await sleeper.sleep(timeout)
        except BaseException:
            with self._lock:
                drop(bells, sleeper)
                if sleeper.woken_by is not None:
                    # Hand the token that was on its way here to another worker.
                    sleeper.woken_by.ring()
            raise
        with self._lock:
            drop(bells, sleeper)
        return sleeper.woken_by is not None

    async def emit(self, emissions: Sequence[Emission], max_events: int, ttl_ms: int) -> list[bool]:
        with self._lock:
            now_ms = self._now_ms()
            return [running.emit(self._queue(one.queue), one, max_events, ttl_ms, now_ms) for one in emissions]

    async def recover(self, queues: Sequence[str], lease_ms: int, max_deaths: int) -> Recovery:
        total = Recovery([], [], [])
        with self._lock:
            now_ms = self._now_ms()
            for queue in queues:
                part = upkeep.recover(self._queue(queue), lease_ms, max_deaths, now_ms)
                for ids, more in zip(total, part, strict=True):
                    ids += more
        return total

    async def unpark(self, queues: Sequence[str], names: frozenset[str], grace_ms: int) -> Unparking:
        total = Unparking(0, [])
        with self._lock:
            now_ms = self._now_ms()
            for queue in queues:
                moved, unknown = upkeep.unpark(self._queue(queue), names, grace_ms, now_ms)
                total = Unparking(total.moved + moved, [*total.unknown, *((queue, name) for name in unknown)])
        return total

    async def prune(self, queues: Sequence[str], dead_ttl_ms: int, max_dead: int) -> int:
        with self._lock:
            now_ms = self._now_ms()
            return sum(upkeep.prune(self._queue(queue), dead_ttl_ms, max_dead, now_ms) for queue in queues)

    # -- the store

    async def page(
        self,
        queue: str,
        place: ListedPlace,
        after: str,
        limit: int,
        tenant: str = "",
        until_ms: int = 0,
        group: str | None = None,
    ) -> JobPage:
        with self._lock:
            now_ms, state = self._now_ms(), self._queue(queue)
            if place == "deleted":
                return store.page_of_deleted(state, after, limit, tenant, now_ms)
            return store.page(state, place, after, limit, tenant, until_ms, group, now_ms)

    async def cancel(self, queue: str, job_ids: Sequence[str], reason: str, keep_ms: int) -> list[CancelReply]:
        with self._lock:
            state, now_ms = self._queue(queue), self._now_ms()
            return [store.cancel(state, one, reason, keep_ms, now_ms, self._cancel_watchers) for one in job_ids]

    async def edit(
        self, queue: str, job_id: str, *, priority: int | None, delay_ms: int | None, due_at_ms: int | None
    ) -> EditReply:
        with self._lock:
            now_ms = self._now_ms()
            due = now_ms + delay_ms if delay_ms is not None else due_at_ms
            return store.edit(self._queue(queue), job_id, priority, due, now_ms)

    async def hold(self, queue: str, hold: Hold, on: bool, *, by: str = "", why: str = "") -> bool:
        with self._lock:
            now_ms = self._now_ms()
            self._list([queue], now_ms + QUEUE_KEEP_MS)
            return store.hold(self._queue(queue), hold, on, by, why, now_ms)

    # -- figures and presence

    async def queues(self) -> list[str]:
        with self._lock:
            now_ms = self._now_ms()
            for name in [name for name, until_ms in self._listed.items() if until_ms <= now_ms]:
                if is_in_use(self._queue(name)):
                    self._listed[name] = now_ms + QUEUE_KEEP_MS
                else:
                    del self._listed[name]
                    self._queue(name).ledger = Ledger()
            return sorted(self._listed)

    async def overview(self, queues: Sequence[str]) -> list[QueueFigures]:
        with self._lock:
            now_ms = self._now_ms()
            return [figures(self._queue(queue), now_ms) for queue in queues]

    async def announce(self, worker: WorkerInfo, ttl_ms: int) -> bool:
        with self._lock:
            now_ms = self._now_ms()
            was_present = self._workers.get(worker.id, now_ms) is not None
            self._workers.put(worker.id, msgspec.structs.replace(worker, beat_at_ms=now_ms), ttl_ms, now_ms)
            self._list(worker.queues, now_ms + SERVED_KEEP_MS)
            return was_present

    async def withdraw(self, worker_id: str, queues: Sequence[str]) -> None:
        with self._lock:
            self._workers.remove(worker_id)
            for queue in queues:
                self._queue(queue).ring()

    async def workers(self) -> list[WorkerInfo]:
        with self._lock:
            return [worker for _, worker in sorted(self._workers.items(self._now_ms()), key=lambda one: one[0])]

    # -- schedules

    async def put_schedule(self, queue: str, schedule_id: str, data: bytes, next_ms: int) -> bool:
        with self._lock:
            self._list([queue], self._now_ms() + QUEUE_KEEP_MS)
            return self._queue(queue).schedules.put(schedule_id, data, next_ms)

    async def schedules(self, queue: str) -> ScheduleList:
        with self._lock:
            return ScheduleList(self._now_ms(), self._queue(queue).schedules.list())

    async def move_schedule(self, queue: str, schedule_id: str, next_ms: int | None) -> bool:
        with self._lock:
            return self._queue(queue).schedules.move(schedule_id, next_ms)

    async def remove_schedule(self, queue: str, schedule_id: str) -> bool:
        with self._lock:
            return self._queue(queue).schedules.remove(schedule_id)

    async def fire(self, queue: str, firings: Sequence[Firing]) -> FireReply:
        with self._lock:
            now_ms, state = self._now_ms(), self._queue(queue)
            replies = [upkeep.fire(state, firing, now_ms) for firing in firings]
            return FireReply(now_ms, [fired for fired, _ in replies], [skipped for _, skipped in replies])


class MemoryLeaseKeeper:
    """A ``ports.LeaseKeeper`` for a ``MemoryBroker``."""

    def __init__(self, broker: MemoryBroker) -> None:
        self._broker = broker

    def extend(self, leases: Sequence[Lease], lease_ms: int) -> Extension:
        return self._broker.extend(leases, lease_ms)

    def close(self) -> None:
        """Do nothing: there is no connection."""


def _system_now_ms() -> int:
    return time.time_ns() // 1_000_000
