"""Fetches jobs: waits for a wake-up token, then claims for all free slots at once, and a little ahead."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Iterator
from typing import Any

from asyncjobs.errors import BrokerError
from asyncjobs.ports import Claim, ClaimRequest, JobQueue
from asyncjobs.ports.outage import Outage
from asyncjobs.worker.broker_clock import BrokerClock
from asyncjobs.worker.duty import Duty
from asyncjobs.worker.execution.executor import Executor
from asyncjobs.worker.queue_order import QueueOrder
from asyncjobs.worker.recycling import Recycling
from asyncjobs.worker.suspects import Suspects
from asyncjobs.worker.tasks import cancel

__all__ = ["Claimer"]

_log = logging.getLogger("asyncjobs.worker")

_MAX_BATCH = 1_000

# The rate at which jobs end is measured over at least this time.
_MEASURE_OVER_S = 0.001

# Jobs are claimed ahead for as long as all slots would need to finish them: the time of a few round trips. At a job of
# 10 ms and 100 slots that is a batch of 50; at a job of a second it is none, so that the jobs stay for idle workers.
_AHEAD_S = 0.005

# Jobs that were claimed ahead and found no slot for this long go back: the jobs before them take longer than measured.
_GIVE_BACK_AFTER_S = 0.1

# How soon a worker that runs a suspect looks for the next one.
_LOOK_FOR_SUSPECTS_S = 0.1

# A worker keeps the timer of scheduled jobs for so many poll intervals after each claim.
_KEEP_TIMER_POLLS = 3


class Claimer(Duty):
    """Claims for one worker; its requests are numbered, so that one repeated after an error gets the same jobs.

    Times in seconds. ``poll_interval``: the longest wait for a wake-up token. ``timer_interval``: how often a worker
    without a free slot makes due jobs ready for others; ``None`` if the worker keeps no timer of scheduled jobs.
    ``suspects``: how many jobs it may run under which a worker has died. ``recycling``: when it claims no more, if
    the worker has limits.
    """

    def __init__(
        self,
        broker: JobQueue,
        executor: Executor,
        order: QueueOrder,
        clock: BrokerClock,
        *,
        worker_id: str,
        numbers: Iterator[int],
        lease_ms: int,
        poll_interval: float,
        timer_interval: float | None,
        suspects: Suspects,
        recycling: Recycling | None = None,
    ) -> None:
        self.worker_id = worker_id
        self._broker = broker
        self._executor = executor
        self._order = order
        self._clock = clock
        self._lease_ms = lease_ms
        self._poll_interval = poll_interval
        self._timer_interval = timer_interval
        self._suspects = suspects
        self._recycling = recycling
        #: The longest time between two signs of health, in seconds: a wait for a token, or for a free slot.
        self.longest_wait_s = max(poll_interval, timer_interval or 0.0)
        self._keep_timer_ms = 0 if timer_interval is None else round(_KEEP_TIMER_POLLS * 1000 * poll_interval)
        self._names = frozenset(executor.plans)
        self._numbers = numbers
        self._number = next(numbers)
        # A claim without an answer, also one of an earlier run, may arrive after the next one.
        self._keep_number = True
        self._is_unanswered = False
        self._lock = asyncio.Lock()
        self._timer: asyncio.TimerHandle | None = None
        self._timer_task: asyncio.Task[None] | None = None
        self._wait_bound: asyncio.Timeout | None = None
        #: The task that calls ``step`` or ``serve``; it ends soon after ``halt``, and is waited for by ``stop``.
        self.work: asyncio.Task[Any] | None = None
        self._ahead = 0
        self._finished_at_look = 0
        self._looked_at = 0.0
        #: How many jobs it has claimed for slots.
        self.claimed = 0
        #: Whether it claims no more, because the worker is ending.
        self.is_stopping = False
        #: When a claim or an idle wait last ended, by the monotonic clock: the worker's sign of health.
        self.last_active = clock.monotonic()

    @property
    def room(self) -> int:
        """How many jobs to claim: for the free slots, and ahead."""
        return self._executor.free + self._ahead

    @property
    def may_claim(self) -> bool:
        """Whether it goes on to claim: it isn't stopped, and the worker has reached no limit."""
        return not self.is_stopping and (self._recycling is None or not self._recycling.reached())

    def keep_no_timer(self) -> None:
        """Claim in ``step`` alone, and not when a job is due or a rate allows the next start."""
        self._keep_timer_ms = 0

    def _allowed(self, limit: int, ahead: int) -> tuple[int, int]:
        return (limit, ahead) if self._recycling is None else self._recycling.allowed(limit, ahead)

    async def step(self, limit: int, ahead: int = 0) -> Claim:
        """Claim up to ``limit`` jobs (0: only make ready what is due) and hand them to the executor.

        For ``ahead`` of them there is no free slot yet. Raises ``BrokerError``; the next step then asks for the same
        claim again.
        """
        async with self._lock:
            # Once more: another claim may have ended since.
            limit, ahead = self._allowed(limit, ahead)
            most = min(limit, _MAX_BATCH)
            request = ClaimRequest(
                worker=self.worker_id,
                number=self._number,
                queues=self._order.draw(),
                limit=most,
                ahead=max(0, ahead - (limit - most)),
                lease_ms=self._lease_ms,
                names=self._names,
                lowest_first=self._order.is_lowest_first(self._number),
                max_suspects=self._suspects.room() if self._suspects.held else self._suspects.most,
                last_try=not self._suspects.held,
                max_deaths=self._suspects.max_deaths,
                keep_timer_ms=self._keep_timer_ms,
                keep_number=self._keep_number,
                sent_at_ms=self._clock.now_ms() if self._clock.is_set else 0,
            )
            self._keep_number = self._is_unanswered = True
            claim = await self._broker.claim(request)
            self._number, self._keep_number = next(self._numbers), False
            self._is_unanswered = False
            self._clock.set(claim.now_ms)
            self.last_active = self._clock.monotonic()
            if claim.jobs and self.is_stopping:
                self._executor.refuse(claim.jobs)
            elif claim.jobs:
                self.claimed += len(claim.jobs)
                self._executor.accept(claim.jobs)
                for claimed in claim.jobs:
                    if claimed.tries:
                        self._suspects.note(claimed)
            self._set_timer(claim.next_due_ms)
            return claim

    async def serve(self) -> None:
        """Claim for as long as it may; while the broker is away, try again with backoff."""
        outage = Outage(_log, "claiming must wait: %s", "claiming goes on")
        while self.may_claim:
            try:
                if not await self.claim():
                    await self.wait_for_jobs()
            except BrokerError as error:
                await asyncio.sleep(outage.failed(error))
            else:
                if outage.failures:
                    outage.over()

    async def claim(self) -> bool:
        """Claim for the free slots and ahead, once it would be more than a few; else wait for a slot.

        Returns:
            Whether to claim again at once, since there may be more jobs; if not, a slot is free.

        Raises:
            BrokerError: As ``step`` does.
        """
        self._measure()
        limit, ahead = self._allowed(self.room, self._ahead)
        if limit < max(1, ahead // 2):
            await self._await_room()
            return True
        finished = self._executor.finished
        claim = await self.step(limit, ahead)
        if claim.again or len(claim.jobs) >= limit or not self.may_claim:
            return True
        if limit > ahead:
            return False
        # No slot was free: what was left may have a limit, and then it isn't claimed ahead. A job that has ended
        # meanwhile has freed a slot, and no other end may come.
        if self._executor.finished == finished:
            await self._await_room()
        return True

    async def wait_for_jobs(self) -> None:
        """Wait for a wake-up token, after a claim that got fewer jobs than there are slots."""
        # A job under which a worker has died may wait until another of its kind has ended here.
        await self.wait(min(self._poll_interval, _LOOK_FOR_SUSPECTS_S) if self._suspects.held else self._poll_interval)

    async def wait_while_running(self) -> None:
        """Wait as ``wait_for_jobs`` does while a job runs, whose end, or what it sends, may let others start."""
        token = asyncio.create_task(self.wait_for_jobs())
        token.add_done_callback(lambda _: self._executor.wake())
        try:
            while self._executor.running and not token.done():
                await self._executor.job_ended(self._poll_interval)
            if token.done():
                token.result()
        finally:
            await cancel(token)

    async def wait(self, timeout: float) -> None:
        """Wait for a wake-up token, for at most ``timeout`` seconds; not at all once claiming is to stop."""
        if self.is_stopping:
            return
        try:
            async with asyncio.timeout(None) as bound:
                self._wait_bound = bound
                await self._broker.wait(self._order.queues, timeout)
        except TimeoutError:
            if not bound.expired():
                raise
        finally:
            self._wait_bound = None
        self.last_active = self._clock.monotonic()

    def _measure(self) -> None:
        """Set how far to claim ahead, from the rate at which jobs have ended since the last look."""
        finished, now = self._executor.finished, self._clock.monotonic()
        passed_s = now - self._looked_at
        if passed_s >= _MEASURE_OVER_S:
            rate = (finished - self._finished_at_look) / passed_s
            self._ahead = min(self._executor.concurrency, int(rate * _AHEAD_S))
            self._finished_at_look, self._looked_at = finished, now

    async def _await_room(self) -> None:
        buffered = self._executor.buffered
        finished = self._executor.finished
        await self._executor.job_ended(_GIVE_BACK_AFTER_S if buffered else self._timer_interval or self._poll_interval)
        self.last_active = self._clock.monotonic()
        if self._executor.finished != finished or self._executor.free > 0 or self.is_stopping:
            return
        if buffered:
            self._ahead = 0
            # The next look counts from here: what ended before says nothing of the jobs that hold the slots now.
            # Were the jobs behind these claimed ahead at once, they would come back later, and in front of these.
            self._finished_at_look = finished
            self._executor.give_back()
        elif self._timer_interval is not None:
            # All slots are taken; what is due must still be made ready, for other workers.
            while (await self.step(0)).again and not self.is_stopping:
                pass

    # -- the timer of scheduled jobs

    def _set_timer(self, due_ms: int | None) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if due_ms is not None and not self.is_stopping:
            seconds = self._clock.seconds_until(due_ms)
            self._timer = asyncio.get_running_loop().call_later(seconds, self._reach_due)

    def _reach_due(self) -> None:
        # A claim beside the blocking wait, which would end too late: a timeout of BLPOP fires some 40 ms late.
        self._timer_task = asyncio.get_running_loop().create_task(self._claim_due())

    async def _claim_due(self) -> None:
        if self.is_stopping:
            return
        try:
            while (await self.step(max(0, self.room), self._ahead)).again and not self.is_stopping:
                pass
        except BrokerError:
            # ``serve`` meets the same error and logs it.
            return

    # -- the end

    def halt(self) -> None:
        """Claim no more; a claim under way is let finish, and its jobs go back."""
        self.is_stopping = True
        if self._timer is not None:
            self._timer.cancel()
        if self._wait_bound is not None:
            self._wait_bound.reschedule(0.0)
            self._wait_bound = None
        self._executor.wake()

    async def stop(self) -> None:
        """Claim no more, and wait for claims under way, so that no job stays leased without a worker."""
        self.halt()
        claiming = [task for task in (self._timer_task, self.work) if task is not None]
        try:
            if claiming:
                await asyncio.wait(claiming)
            if self._is_unanswered:
                # Asked for once more, the same jobs go back.
                with contextlib.suppress(BrokerError):
                    await self.step(0)
        finally:
            for task in claiming:
                await cancel(task)
