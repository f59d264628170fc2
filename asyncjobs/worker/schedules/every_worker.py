"""Runs the jobs of ``@job(every_worker=True)``: each worker by itself, without the broker."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias

import msgspec

from asyncjobs.core.job import Job
from asyncjobs.core.schedule import SCHEDULE_HEADER, TICK_HEADER, Timing, next_tick
from asyncjobs.core.settlement import Completed, Failed, Outcome, Released, Settlement
from asyncjobs.jobs.context import log_fields
from asyncjobs.jobs.definition import JobDefinition
from asyncjobs.jobs.ticks import scheduled_request
from asyncjobs.ports import Claimed, Lease
from asyncjobs.worker.broker_clock import BrokerClock
from asyncjobs.worker.duty import Duty
from asyncjobs.worker.event_sender import EventSender
from asyncjobs.worker.execution.attempt import Attempt
from asyncjobs.worker.execution.canceller import Canceller
from asyncjobs.worker.execution.pipeline import Pipeline
from asyncjobs.worker.execution.plan import RunPlan
from asyncjobs.worker.execution.traces import folded
from asyncjobs.worker.execution.verdict import Verdicts, release
from asyncjobs.worker.host import WorkerHost
from asyncjobs.worker.leases import Leases
from asyncjobs.worker.tasks import first_of

__all__ = ["EveryWorker", "Timed", "timed_for_every_worker"]

_log = logging.getLogger("asyncjobs.worker")

# How long cancelled handlers may take to end.
_CANCELLED_S = 3.0


#: Jobs with their timing.
Timed: TypeAlias = Sequence[tuple[JobDefinition[..., Any], Timing]]


def timed_for_every_worker(host: WorkerHost) -> Timed:
    """Return the jobs that each worker runs by itself, with their timing.

    Raises:
        DefinitionError: One could not run.
    """
    found = []
    for definition in host.registry:
        timing = definition.options.timing
        if timing is not None and timing.every_worker:
            scheduled_request(definition)
            found.append((definition, timing))
    return found


class EveryWorker(Duty):
    """Runs each of ``timed`` at its ticks. Such a run takes the way of an attempt, but isn't settled.

    ``is_stopping`` returns whether the worker stops: no run begins then.
    """

    # For the processes and the resources, which close after it.
    leaves_s = 2.0

    def __init__(
        self,
        host: WorkerHost,
        clock: BrokerClock,
        plans: Mapping[str, RunPlan],
        timed: Timed,
        *,
        worker_id: str,
        is_stopping: Callable[[], bool],
    ) -> None:
        self._host = host
        self._clock = clock
        self._timed = timed
        self._is_stopping = is_stopping
        self._running: dict[asyncio.Task[None], Attempt] = {}
        self._hurried = asyncio.Event()
        self._shutdown_timeout_s = host.settings.shutdown_timeout
        self.stop_within_s = self._shutdown_timeout_s + _CANCELLED_S
        # No lease is behind these: the heartbeat doesn't know them.
        self._canceller = Canceller(clock.monotonic, Leases(), host.settings.lease, _overrun)
        self._pipeline = Pipeline(
            host,
            clock,
            plans,
            _NoEvents(host.connection.broker, max_events=0, ttl_ms=0),
            self._canceller,
            _Reports(clock.now_ms, lambda: 0.0, worker_id, host.encryption),
            end=lambda attempt, settlement, run: None,
            is_cancelled=lambda: False,
        )

    async def start(self) -> None:
        """Begin the runs of the start."""
        for definition, timing in self._timed:
            if timing.at_start:
                self._begin(definition, timing, self._clock.now_ms())

    async def run(self) -> None:
        """Begin a run at each tick, until the worker stops."""
        async with asyncio.TaskGroup() as group:
            for definition, timing in self._timed:
                group.create_task(self._serve(definition, timing))

    async def _serve(self, definition: JobDefinition[..., Any], timing: Timing) -> None:
        tick = 0
        while True:
            # After the tick before too, since a timer may fire a little early.
            tick = next_tick(timing, max(tick, self._clock.now_ms()))
            await asyncio.sleep(self._clock.seconds_until(tick))
            if self._is_stopping():
                return
            self._begin(definition, timing, tick)

    def _begin(self, definition: JobDefinition[..., Any], timing: Timing, tick: int) -> None:
        if not timing.overlap and any(one.claimed.name == definition.name for one in self._running.values()):
            _log.info("a tick of %s is skipped: the run before has not ended", definition.name)
            return
        headers = {SCHEDULE_HEADER: definition.name, TICK_HEADER: str(tick)}
        request = msgspec.structs.replace(scheduled_request(definition).with_headers(headers), _unique=None)
        new = self._host.sender.prepare(request, sent_at_ms=tick)
        claimed = Claimed(
            queue=new.queue,
            id=new.id,
            name=new.name,
            body=new.body,
            priority=new.priority,
            tenant=new.tenant,
            acks_early=new.acks_early,
            fence=0,
            tries=b"",
        )
        attempt = Attempt(claimed, Lease(new.queue, new.id, new.priority, 0))
        task = attempt.task = asyncio.create_task(self._run(attempt), name=f"asyncjobs-{definition.name}")
        self._running[task] = attempt
        task.add_done_callback(self._running.pop)

    async def _run(self, attempt: Attempt) -> None:
        try:
            await self._pipeline.run(attempt)
        finally:
            if attempt.process_slots is not None:
                attempt.process_slots.release()

    async def stop(self) -> None:
        """Let the runs finish for ``shutdown_timeout``, and cancel the others."""
        try:
            if self._running:
                ended = asyncio.create_task(asyncio.wait(list(self._running), timeout=self._shutdown_timeout_s))
                try:
                    await first_of(ended, self._hurried)
                finally:
                    ended.cancel()
            for attempt in list(self._running.values()):
                self._canceller.cancel(attempt, Released())
            if self._running:
                await asyncio.wait(self._running, timeout=_CANCELLED_S)
        finally:
            self._canceller.close()
            for task, attempt in self._running.items():
                _log.error("the run of job %s does not end and is left", attempt.claimed.name)
                task.cancel()

    def hurry(self) -> None:
        """Let ``stop`` wait no longer for runs to finish by themselves."""
        self._hurried.set()


class _NoEvents(EventSender):
    """Drops events: nobody has a handle by which to read them."""

    def add(self, lease: Lease, event: bytes) -> None:
        pass


class _Reports(Verdicts):
    """Logs what became of a run that isn't settled."""

    def of_attempt(
        self,
        claimed: Claimed,
        job: Job,
        plan: RunPlan,
        outcome: Outcome,
        duration_us: int = 0,
        raised: BaseException | None = None,
    ) -> Settlement:
        fields = log_fields(job)
        if isinstance(outcome, Failed):
            trace = None if raised is None else (type(raised), raised, folded(raised.__traceback__))
            what = f"{outcome.error.type}: {outcome.error.message}"
            _log.error("%s failed in this worker: %s", job.name, what, exc_info=trace, extra=fields)
        elif not isinstance(outcome, Completed):
            _log.info("%s was ended in this worker: %s", job.name, type(outcome).__name__.lower(), extra=fields)
        return release(Lease(job.queue, job.id, job.priority.value, job.fence))


def _overrun(attempt: Attempt, job: Job, error: TimeoutError) -> None:
    _log.error("%s goes on in this worker past its timeout: %s", job.name, error)
