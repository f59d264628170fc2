"""Fetches jobs: waits for the bell, claims for all free slots at once, and a little ahead while jobs are short."""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Callable, Iterator, Mapping, Sequence

import anyio

from asyncjobs.core.priority import is_ageing_claim, weighted_order
from asyncjobs.errors import BrokerError
from asyncjobs.ports import Claim, ClaimRequest, JobQueue
from asyncjobs.ports.outage import Outage
from asyncjobs.worker.broker_clock import BrokerClock
from asyncjobs.worker.duty import Duty
from asyncjobs.worker.execution.executor import Executor

__all__ = ["Claimer", "Serving"]

_log = logging.getLogger("asyncjobs.worker")

_MOST = 1_000

# Jobs are claimed ahead for so long as all slots would need to finish them: the time of a few round trips. At a job of
# 10 ms and 100 slots that is a batch of 50; at a job of a second it is none, so that they stay for idle workers.
_AHEAD_S = 0.005

# What was claimed ahead and found no slot for so long goes back: the jobs have become longer.
_GIVE_BACK_S = 0.1


class Serving:
    """Which queues a worker serves, and in which order: strictly as given, or by weights."""

    def __init__(
        self,
        queues: Sequence[str] | Mapping[str, float],
        *,
        ageing: float = 0.05,
        chance: Callable[[], float] = random.random,
    ) -> None:
        self.queues = tuple(queues)
        self._weights = dict(queues) if isinstance(queues, Mapping) else None
        self._ageing = ageing
        self._chance = chance

    def order(self) -> Sequence[str]:
        """Return the queues in the order of the next claim."""
        if self._weights is None or len(self.queues) == 1:
            return self.queues
        return weighted_order(self._weights, [self._chance() for _ in self.queues])

    def is_lowest_first(self, number: int) -> bool:
        """Say whether claim ``number`` serves low priority first, so that it never starves."""
        return is_ageing_claim(number, self._ageing)


class Claimer(Duty):
    """Claims for one worker; its requests are numbered, so that one repeated after an error gets the same jobs."""

    def __init__(
        self,
        broker: JobQueue,
        executor: Executor,
        serving: Serving,
        clock: BrokerClock,
        *,
        worker_id: str,
        numbers: Iterator[int],
        lease_ms: int,
        poll_interval: float,
        timer_interval: float | None,
    ) -> None:
        self._broker = broker
        self._executor = executor
        self._serving = serving
        self._clock = clock
        self._worker_id = worker_id
        self._lease_ms = lease_ms
        self._poll_interval = poll_interval
        self._timer_interval = timer_interval
        self._names = frozenset(executor.plans)
        self._numbers = numbers
        self._number = next(numbers)
        self._lock = asyncio.Lock()
        self._timer: asyncio.TimerHandle | None = None
        self._timer_task: asyncio.Task[None] | None = None
        self._wait_scope: anyio.CancelScope | None = None
        #: Whether it claims no more, because the worker is ending.
        self.is_stopping = False
        self._ahead = 0
        self._seen = (0, 0.0)
        #: When a claim or an idle wait last ended, by the monotonic clock: the worker's sign of health.
        self.last_active = clock.monotonic()

    @property
    def room(self) -> int:
        """How many jobs to claim: the free slots, and what may be claimed ahead."""
        executor = self._executor
        return executor.concurrency - executor.running + self._ahead - executor.buffered

    async def step(self, limit: int) -> Claim:
        """Claim up to ``limit`` jobs (0: only promote what is due) and hand them to the executor.

        Raises ``BrokerError``; the next step then asks for the same claim again.
        """
        async with self._lock:
            request = ClaimRequest(
                worker=self._worker_id,
                number=self._number,
                queues=self._serving.order(),
                limit=min(limit, _MOST),
                lease_ms=self._lease_ms,
                names=self._names,
                lowest_first=self._serving.is_lowest_first(self._number),
                keep_timer_ms=0 if self._timer_interval is None else round(3000 * self._poll_interval),
            )
            claim = await self._broker.claim(request)
            self._number = next(self._numbers)
            self._clock.set(claim.now_ms)
            self.last_active = self._clock.monotonic()
            if claim.jobs:
                self._executor.accept(claim.jobs)
            self._set_timer(claim.next_due_ms)
            return claim

    def _measure(self) -> None:
        """Set how far to claim ahead from the rate at which jobs have ended since the last look."""
        finished, at = self._executor.finished, self._clock.monotonic()
        passed = at - self._seen[1]
        if passed >= 0.001:
            rate = (finished - self._seen[0]) / passed
            self._ahead = min(self._executor.concurrency, int(rate * _AHEAD_S))
            self._seen = finished, at

    async def serve(self) -> None:
        """Claim until stopped; while the broker is away, try again with backoff."""
        outage = Outage(_log, "claiming must wait: %s", "claiming goes on")
        while not self.is_stopping:
            try:
                await self._turn()
            except BrokerError as error:
                await asyncio.sleep(outage.failed(error))
            else:
                outage.over()

    async def _turn(self) -> None:
        self._measure()
        if self.room < max(1, self._ahead // 2):
            await self._await_room()
            return
        limit = self.room
        claim = await self.step(limit)
        if self.is_stopping or claim.again or len(claim.jobs) >= limit:
            return
        with anyio.CancelScope() as self._wait_scope:
            await self._broker.wait(self._serving.queues, self._poll_interval)
        self._wait_scope = None
        self.last_active = self._clock.monotonic()

    async def _await_room(self) -> None:
        buffered = self._executor.buffered
        finished = self._executor.finished
        await self._executor.changed(_GIVE_BACK_S if buffered else self._timer_interval or self._poll_interval)
        self.last_active = self._clock.monotonic()
        if self._executor.finished != finished or self.is_stopping:
            return
        if buffered:
            self._ahead = 0
            self._executor.give_back()
        elif self._timer_interval is not None:
            # All slots are taken; whatever is due must still be promoted, for other workers.
            await self.step(0)

    # -- the timer of scheduled jobs

    def _set_timer(self, due_ms: int | None) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if due_ms is not None and not self.is_stopping:
            seconds = self._clock.seconds_until(due_ms)
            self._timer = asyncio.get_running_loop().call_later(seconds, self._ring_timer)

    def _ring_timer(self) -> None:
        # A claim of its own, on another connection: the blocked wait would learn of it too late.
        self._timer_task = asyncio.get_running_loop().create_task(self._claim_due())

    async def _claim_due(self) -> None:
        if self.is_stopping:
            return
        try:
            await self.step(max(0, self.room))
        except BrokerError:
            # The main loop meets the same error and says so.
            return

    def halt(self) -> None:
        """Claim no more; one that is under way is let finish, so that its jobs are not leased to nobody."""
        self.is_stopping = True
        if self._timer is not None:
            self._timer.cancel()
        if self._wait_scope is not None:
            self._wait_scope.cancel()

    async def stop(self) -> None:
        """Claim no more, and wait for a claim that the timer has begun."""
        self.halt()
        if self._timer_task is not None:
            await asyncio.wait([self._timer_task])
