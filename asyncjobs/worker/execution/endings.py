"""Tells middleware of the jobs that attempts of this worker have ended, once the broker has accepted their ends."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgspec

from asyncjobs.core.job import Job
from asyncjobs.core.settlement import Settlement, Verdict
from asyncjobs.core.states import JobState
from asyncjobs.core.stored import read_kept
from asyncjobs.errors import BrokerError
from asyncjobs.jobs.handle import JobLookup
from asyncjobs.ports import Broker, Claimed, Lease
from asyncjobs.worker.duty import Duty
from asyncjobs.worker.execution.hooks import Resolved
from asyncjobs.worker.resources.resolving import Provider

__all__ = ["Endings"]

_log = logging.getLogger("asyncjobs.worker")

_STATES = {
    Verdict.COMPLETE: JobState.COMPLETED,
    Verdict.CANCEL: JobState.CANCELLED,
    Verdict.DEAD: JobState.FAILED,
}

# How long one layer may take over one job, and how many jobs may be told of at once.
_MAX_LAYER_S = 10.0
_MAX_AT_ONCE = 100


class Endings(Duty):
    """Calls ``layers``, each the ``ended`` of a middleware, in this order with each job that has ended.

    ``resources``: the values of the worker's resources. ``lookup``: shows them the job as the app does. ``on_room`` is
    called when fewer jobs wait.
    """

    stop_within_s = 4.0

    def __init__(
        self,
        broker: Broker,
        layers: Sequence[Resolved],
        resources: Mapping[Provider, Any],
        lookup: JobLookup,
        on_room: Callable[[], None],
    ) -> None:
        self._broker = broker
        self._lookup = lookup
        self._on_room = on_room
        self._layers = layers
        self._resources = resources
        # The jobs whose settlements are under way.
        self._expected: dict[Lease, Claimed] = {}
        # Of each job that has ended, whether its settlement was accepted; it may have been where a reply was lost.
        self._waiting: deque[tuple[Job, bool]] = deque()
        self._tasks: set[asyncio.Task[None]] = set()
        self._one_is_done = asyncio.Event()

    @property
    def waiting(self) -> int:
        """How many jobs wait to be told of: the worker claims as many fewer."""
        return len(self._waiting)

    @property
    def is_idle(self) -> bool:
        """Whether the layers know of all jobs whose settlements have been accepted."""
        return not self._tasks

    async def one_done(self, timeout: float) -> None:
        """Wait until the layers know of one more job, at most ``timeout`` seconds."""
        self._one_is_done.clear()
        try:
            async with asyncio.timeout(timeout):
                await self._one_is_done.wait()
        except TimeoutError:
            return

    def expect(self, claimed: Claimed, lease: Lease, settlement: Settlement) -> None:
        """Note a job whose ``settlement`` is to be sent."""
        if settlement.verdict in _STATES:
            self._expected[lease] = claimed

    def settled(
        self, batch: Sequence[tuple[Lease, Settlement]], replies: Sequence[bool | None], is_repeated: bool
    ) -> None:
        """Take the broker's ``replies``; of a repeated call, a refusal may mean that the first one got through."""
        for (lease, settlement), done in zip(batch, replies, strict=True):
            if done is None or (claimed := self._expected.pop(lease, None)) is None:
                continue
            if done or is_repeated:
                self._waiting.append((_ended_job(claimed, settlement), done))
        self._begin()

    def _begin(self) -> None:
        while self._waiting and len(self._tasks) < _MAX_AT_ONCE:
            task = asyncio.create_task(self._tell(*self._waiting.popleft()), name="asyncjobs-ended")
            self._tasks.add(task)
            task.add_done_callback(self._done)

    def _done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        self._one_is_done.set()
        if self._waiting:
            self._begin()
            self._on_room()

    async def _tell(self, job: Job, is_ours: bool) -> None:
        if not is_ours and not await self._was_ours(job):
            return
        job = await self._lookup.named(job)
        for layer in self._layers:
            taken = {name: self._resources[key] for name, key in layer.takes.items()}
            try:
                async with asyncio.timeout(_MAX_LAYER_S):
                    await layer.call(job, **taken)  # type: ignore[misc]
            except (Exception, asyncio.CancelledError) as error:
                # What a layer awaits may have been cancelled, and not this task.
                task = asyncio.current_task()
                if isinstance(error, asyncio.CancelledError) and task is not None and task.cancelling():
                    raise
                what = f"took longer than {_MAX_LAYER_S:g} s" if isinstance(error, TimeoutError) else "failed"
                _log.exception("%s %s over the end of job %s (%s)", layer.what, what, job.id, job.name)

    async def _was_ours(self, job: Job) -> bool:
        """Return whether the broker has ``job`` as this worker has settled it."""
        try:
            found = await self._broker.find(job.queue, job.id)
        except BrokerError:
            return False
        if found is None or found.state is not job.state:
            return False
        if job.state is JobState.FAILED:
            return found.errors[-1:] == job.errors[-1:]
        return (found.fence, found.finished_at_ms) == (job.fence, job.finished_at_ms)

    async def stop(self) -> None:
        """Tell of what is left."""
        try:
            while self._tasks:
                await asyncio.wait(self._tasks)
                await asyncio.sleep(0)
        finally:
            if left := len(self._tasks) + len(self._waiting):
                _log.error("the layers were not told of the ends of %d jobs: ended took too long", left)
            self._waiting.clear()
            for task in list(self._tasks):
                task.cancel()


def _ended_job(claimed: Claimed, settlement: Settlement) -> Job:
    state = _STATES[settlement.verdict]
    if state is not JobState.FAILED:
        return read_kept(claimed, settlement.body, state=state)
    job = read_kept(claimed, claimed.body, settlement.tries, state=state)
    if not job.errors:
        return job
    last = job.errors[-1]
    return msgspec.structs.replace(
        job, finished_at_ms=last.at_ms, started_at_ms=last.started_at_ms, fence=settlement.fence
    )
