"""The memory broker: the port's verbs over the queues' states, under one lock."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Sequence
from typing import TypeVar

from asyncjobs.brokers.grouping import by_queue, in_order
from asyncjobs.brokers.memory import store, upkeep, way
from asyncjobs.brokers.memory.queue import QueueState
from asyncjobs.brokers.memory.waking import Bell, Sleeper, take_token
from asyncjobs.core.job import Job
from asyncjobs.core.settlement import HistoryEntry, Settlement, read_history
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
    EventPage,
    Extension,
    FireReply,
    Firing,
    Lease,
    NewJob,
    Place,
    QueueFigures,
    Recovery,
    ScheduleList,
    Suspendable,
    TenantFigures,
    WorkerInfo,
)
from asyncjobs.ports.clock import SystemClock

__all__ = ["MemoryBroker", "MemoryLeaseKeeper"]

_Found = TypeVar("_Found")

# Nothing here ever waits for I/O, so that a sender in a loop would never let another task run; after this many jobs it
# does.
_JOBS_A_TURN = 256


class MemoryBroker:
    """A ``ports.Broker`` in this process: nothing survives it.

    ``clock`` is what delays, leases and expiry go by. May be used from several threads and event loops at once.

    >>> import asyncio
    >>> asyncio.run(MemoryBroker().size("emails"))
    0
    """

    def __init__(self, clock: Clock | None = None) -> None:
        self._clock = clock or SystemClock()
        self._lock = threading.RLock()
        self._states: dict[str, QueueState] = {}
        self._registered: set[str] = set()
        self._workers: dict[str, tuple[int, WorkerInfo]] = {}
        self._turn = 0

    def _state(self, queue: str) -> QueueState:
        state = self._states.get(queue)
        if state is None:
            state = self._states[queue] = QueueState(queue)
        return state

    async def open(self) -> None:
        """Nothing is to be done."""

    async def close(self) -> None:
        """What is queued stays, for as long as this object does."""

    # -- the way of a job

    async def enqueue(self, jobs: Sequence[NewJob], *, replicated: bool = False) -> list[bool]:
        with self._lock:
            now_ms = self._clock.now_ms()
            groups = by_queue(jobs)
            self._registered.update(groups)
            replies = {queue: way.enqueue(self._state(queue), group, now_ms) for queue, group in groups.items()}
        self._turn += len(jobs)
        if self._turn >= _JOBS_A_TURN:
            self._turn = 0
            await asyncio.sleep(0)
        return in_order(jobs, replies)

    async def claim(self, request: ClaimRequest) -> Claim:
        with self._lock:
            now_ms = self._clock.now_ms()
            jobs: list[Claimed] = []
            dues: list[int] = []
            again = False
            for queue in request.queues:
                part, due_at_ms, more = way.claim(self._state(queue), request, request.limit - len(jobs), now_ms)
                jobs += part
                again = again or more
                if due_at_ms is not None:
                    dues.append(due_at_ms)
            return Claim(jobs, now_ms, min(dues, default=None), again)

    async def settle(self, settlements: Sequence[Settlement]) -> list[bool]:
        with self._lock:
            now_ms = self._clock.now_ms()
            groups = by_queue(settlements)
            return in_order(
                settlements, {queue: way.settle(self._state(queue), g, now_ms) for queue, g in groups.items()}
            )

    async def recover(self, queues: Sequence[str], lease_ms: int, max_deaths: int) -> Recovery:
        total = Recovery([], [], [])
        with self._lock:
            now_ms = self._clock.now_ms()
            for queue in queues:
                for ids, more in zip(
                    total, upkeep.recover(self._state(queue), lease_ms, max_deaths, now_ms), strict=True
                ):
                    ids += more
        return total

    async def unpark(self, queues: Sequence[str], names: frozenset[str], grace_ms: int) -> int:
        with self._lock:
            now_ms = self._clock.now_ms()
            return sum(upkeep.unpark(self._state(queue), names, grace_ms, now_ms) for queue in queues)

    def extend(self, leases: Sequence[Lease], lease_ms: int) -> Extension:
        """Extend ``leases`` as a ``LeaseKeeper`` does."""
        extension = Extension([], [])
        with self._lock:
            deadline_ms = self._clock.now_ms() + lease_ms
            for lease in leases:
                held, reason = way.extend(self._state(lease.queue), lease, deadline_ms)
                if not held:
                    extension.lost.append(lease)
                elif reason is not None:
                    extension.cancelled.append((lease, reason))
        return extension

    def lease_keeper(self) -> MemoryLeaseKeeper:
        return MemoryLeaseKeeper(self)

    # -- waking

    async def wait(self, queues: Sequence[str], timeout: float) -> bool:
        # Somebody who waits again and again must let others run, also while there is always a token.
        await asyncio.sleep(0)
        with self._lock:
            bells = [self._state(queue).bell for queue in queues]
            if take_token(bells):
                return True
            sleeper = Sleeper()
            for bell in bells:
                bell.add(sleeper)
        try:
            await sleeper.sleep(timeout)
        except BaseException:
            with self._lock:
                _leave(bells, sleeper)
                if sleeper.woken_by is not None:
                    # The token that was on its way here is for somebody else now.
                    sleeper.woken_by.ring()
            raise
        with self._lock:
            _leave(bells, sleeper)
        return sleeper.woken_by is not None

    async def ring(self, queues: Sequence[str]) -> None:
        with self._lock:
            for queue in queues:
                self._state(queue).ring()

    # -- queues

    async def size(self, queue: str) -> int:
        with self._lock:
            ready, parked, scheduled = self._state(queue).waiting()
            return sum(ready) + parked + scheduled

    async def pause(self, queue: str) -> None:
        with self._lock:
            self._state(queue).paused = True

    async def resume(self, queue: str) -> None:
        with self._lock:
            self._state(queue).resume()

    async def suspend(self, queue: str, what: Suspendable, which: str, on: bool) -> bool:
        with self._lock:
            self._registered.add(queue)
            entry = (b"n" if what == "name" else b"t") + which.encode()
            return self._state(queue).suspend(entry, on, self._clock.now_ms())

    async def suspended(self, queue: str) -> list[tuple[Suspendable, str]]:
        with self._lock:
            return [
                ("name" if one[:1] == b"n" else "tenant", one[1:].decode())
                for one in sorted(self._state(queue).parking.suspended)
            ]

    # -- jobs by id

    async def browse(
        self, queue: str, place: Place, offset: int, limit: int, tenant: str = ""
    ) -> tuple[list[Job], int]:
        with self._lock:
            return store.browse(self._state(queue), place, offset, limit, tenant)

    async def edit(
        self, queue: str, job_id: str, *, priority: int | None, delay_ms: int | None, due_at_ms: int | None
    ) -> EditReply:
        with self._lock:
            now_ms = self._clock.now_ms()
            due = now_ms + delay_ms if delay_ms is not None else due_at_ms
            return store.edit(self._state(queue), job_id, priority, due, now_ms)

    async def find(self, queue: str, job_id: str) -> Job | None:
        with self._lock:
            return store.find(self._state(queue), job_id, self._clock.now_ms())

    async def cancel(self, queue: str, job_id: str, reason: str, keep_ms: int) -> CancelReply:
        with self._lock:
            return store.cancel(self._state(queue), job_id, reason, keep_ms, self._clock.now_ms())

    async def cancel_many(self, queue: str, job_ids: Sequence[str], reason: str, keep_ms: int) -> list[CancelReply]:
        with self._lock:
            now_ms = self._clock.now_ms()
            return [store.cancel(self._state(queue), job_id, reason, keep_ms, now_ms) for job_id in job_ids]

    async def failed(
        self, queue: str, limit: int, before: tuple[int, str] | None = None, tenant: str = ""
    ) -> list[Job]:
        with self._lock:
            return store.failed(self._state(queue), limit, before, tenant)

    async def retry(self, queue: str, job_ids: Sequence[str]) -> list[bool]:
        with self._lock:
            return [store.retry(self._state(queue), job_id) for job_id in job_ids]

    async def delete(self, queue: str, job_ids: Sequence[str]) -> list[bool]:
        with self._lock:
            now_ms = self._clock.now_ms()
            return [store.delete(self._state(queue), job_id, now_ms) for job_id in job_ids]

    async def prune(self, queues: Sequence[str], dead_ttl_ms: int, max_dead: int) -> int:
        with self._lock:
            now_ms = self._clock.now_ms()
            return sum(upkeep.prune(self._state(queue), dead_ttl_ms, max_dead, now_ms) for queue in queues)

    async def wait_end(self, queue: str, job_id: str, timeout: float | None) -> Job | None:
        def look(state: QueueState, now_ms: int) -> tuple[bool, Job | None]:
            job = store.find(state, job_id, now_ms)
            return job is None or job.state in ENDED or job.state is JobState.FAILED, job

        is_over, job = await self._await_news(queue, job_id, timeout, look)
        if job is None or is_over:
            return job
        raise ResultTimeout(f"job {job_id} has not ended within {timeout} s; it is {job.state.value} and goes on")

    async def _await_news(
        self, queue: str, job_id: str, timeout: float | None, look: Callable[[QueueState, int], tuple[bool, _Found]]
    ) -> tuple[bool, _Found]:
        """Look, and again at each news of the job, until that is enough or the time is over; return the last look."""
        deadline = None if timeout is None else time.monotonic() + timeout
        while True:
            with self._lock:
                state = self._state(queue)
                is_enough, found = look(state, self._clock.now_ms())
                left = None if deadline is None else deadline - time.monotonic()
                if is_enough or (left is not None and left <= 0):
                    return is_enough, found
                sleeper = state.awaited.add(job_id)
            try:
                await sleeper.sleep(left)
            finally:
                with self._lock:
                    state.awaited.drop(job_id, sleeper)

    # -- events

    async def emit(self, emissions: Sequence[Emission], most: int, ttl_ms: int) -> list[bool]:
        with self._lock:
            now_ms = self._clock.now_ms()
            return [way.emit(self._state(one.lease.queue), one, most, now_ms + ttl_ms, now_ms) for one in emissions]

    async def events(self, queue: str, job_id: str, after: int, limit: int, timeout: float | None) -> EventPage | None:
        def look(state: QueueState, now_ms: int) -> tuple[bool, EventPage | None]:
            page = store.read_events(state, job_id, after, limit, now_ms)
            return page is None or bool(page.events) or page.is_over, page

        return (await self._await_news(queue, job_id, timeout, look))[1]

    # -- schedules

    async def put_schedule(self, queue: str, schedule_id: str, data: bytes, next_ms: int) -> bool:
        with self._lock:
            self._registered.add(queue)
            return self._state(queue).schedules.put(schedule_id, data, next_ms)

    async def schedules(self, queue: str) -> ScheduleList:
        with self._lock:
            return ScheduleList(self._clock.now_ms(), self._state(queue).schedules.list())

    async def move_schedule(self, queue: str, schedule_id: str, next_ms: int | None) -> bool:
        with self._lock:
            return self._state(queue).schedules.move(schedule_id, next_ms)

    async def remove_schedule(self, queue: str, schedule_id: str) -> bool:
        with self._lock:
            return self._state(queue).schedules.remove(schedule_id)

    async def fire(self, queue: str, firings: Sequence[Firing]) -> FireReply:
        with self._lock:
            now_ms = self._clock.now_ms()
            state = self._state(queue)
            fired = [state.schedules.fire(firing, now_ms) for firing in firings]
            for firing, done in zip(firings, fired, strict=True):
                if done:
                    way.enqueue(state, firing.jobs, now_ms)
            return FireReply(now_ms, fired)

    # -- figures

    async def queues(self) -> list[str]:
        with self._lock:
            return sorted(self._registered)

    async def figures(self, queue: str) -> QueueFigures:
        with self._lock:
            state = self._state(queue)
            ready, parked, scheduled = state.waiting()
            return QueueFigures(
                name=queue,
                paused=state.paused,
                ready=ready,
                parked=parked,
                scheduled=scheduled,
                running=state.leases.count,
                dead=len(state.dead),
                tried=len(state.tries),
                oldest_wait_ms=state.oldest_wait_ms(self._clock.now_ms()),
                **state.books.counts,
                histogram=dict(state.books.histogram),
            )

    async def history(self, queue: str, name: str, limit: int) -> list[HistoryEntry]:
        with self._lock:
            return read_history(self._state(queue).books.history(name, limit), name)

    async def tenant_figures(self, queue: str, tenant: str) -> TenantFigures:
        with self._lock:
            state, label = self._state(queue), tenant.encode()
            return state.books.tenants.figures(label, len(state.dead.of_tenant(label)), self._clock.now_ms())

    async def tenant_history(self, queue: str, tenant: str, limit: int) -> list[HistoryEntry]:
        with self._lock:
            history = self._state(queue).books.tenants.history(tenant.encode(), self._clock.now_ms())
            return read_history(history[: max(0, limit)])

    async def announce(self, worker: WorkerInfo, ttl_ms: int) -> None:
        with self._lock:
            self._workers[worker.id] = self._clock.now_ms() + ttl_ms, worker
            self._registered.update(worker.queues)

    async def withdraw(self, worker_id: str) -> None:
        with self._lock:
            self._workers.pop(worker_id, None)

    async def workers(self) -> list[WorkerInfo]:
        with self._lock:
            now_ms = self._clock.now_ms()
            self._workers = {one: kept for one, kept in self._workers.items() if kept[0] > now_ms}
            return [self._workers[one][1] for one in sorted(self._workers)]


class MemoryLeaseKeeper:
    """A ``ports.LeaseKeeper`` for a ``MemoryBroker``."""

    def __init__(self, broker: MemoryBroker) -> None:
        self._broker = broker

    def extend(self, leases: Sequence[Lease], lease_ms: int) -> Extension:
        return self._broker.extend(leases, lease_ms)

    def close(self) -> None:
        """There is no connection."""


def _leave(bells: Sequence[Bell], sleeper: Sleeper) -> None:
    for bell in bells:
        bell.drop(sleeper)
