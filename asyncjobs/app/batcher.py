"""Sends jobs: many in one round trip when many are waiting, and again while the broker is away.

While one call is under way, the jobs that come gather for the next call. A call runs in a task of the batcher's own, so
a sender that is cancelled neither breaks a connection nor takes along the jobs of other senders. Sending again is safe,
since a job whose id is known stays as it is. Each queue has calls of its own: its part of the broker may be away alone.
"""

from __future__ import annotations

import asyncio
import itertools
import logging
import math
import time
from collections.abc import Iterable, Sequence

from asyncjobs.core.portions import fitting
from asyncjobs.errors import BrokerError, BrokerUnavailable
from asyncjobs.ports import EnqueueReply, Intake, NewJob
from asyncjobs.ports.outage import Outage

__all__ = ["Batcher"]

_log = logging.getLogger("asyncjobs.app")

_Waiting = tuple[NewJob, asyncio.Future[EnqueueReply]]

# How many jobs one call sends.
_MAX_BATCH = 1_000


class Batcher:
    """A queue of jobs to send, on one event loop.

    Args:
        broker: Where the jobs go.
        timeout: How long to go on trying while the broker is away, in seconds.
        replicated: Whether a job counts as sent only once the replicas have it too.
    """

    def __init__(self, broker: Intake, timeout: float, *, replicated: bool) -> None:
        self._broker = broker
        self._replicated = replicated
        self._timeout = timeout
        # By queue.
        self._waiting: dict[str, list[_Waiting]] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}

    async def send(self, job: NewJob) -> EnqueueReply:
        """Send one job.

        If the caller is cancelled, the job is sent all the same, unless its call has not begun yet.

        Args:
            job: The job.

        Returns:
            What became of it, as ``Intake.enqueue`` says.

        Raises:
            BrokerUnavailable: The broker was away until the timeout.
            BrokerRefused: The broker doesn't take the job.
        """
        future: asyncio.Future[EnqueueReply] = asyncio.get_running_loop().create_future()
        waiting = self._waiting.setdefault(job.queue, [])
        waiting.append((job, future))
        task = self._tasks.get(job.queue)
        # An eager task may have ended before it is known here.
        if task is None or task.done():
            self._tasks[job.queue] = asyncio.create_task(self._flush(waiting), name="asyncjobs-batcher")
        return await future

    async def send_many(self, jobs: Sequence[NewJob]) -> list[EnqueueReply | BrokerError]:
        """Send ``jobs``, those of each queue in one call, and return for each what became of it, or why it failed."""
        queues: dict[str, list[int]] = {}
        for number, job in enumerate(jobs):
            queues.setdefault(job.queue, []).append(number)
        calls = (self._call([jobs[number] for number in numbers]) for numbers in queues.values())
        replies: list[EnqueueReply | BrokerError] = [False] * len(jobs)
        for numbers, outcome in zip(queues.values(), await asyncio.gather(*calls, return_exceptions=True), strict=True):
            if isinstance(outcome, BaseException) and not isinstance(outcome, BrokerError):
                raise outcome
            for place, number in enumerate(numbers):
                replies[number] = outcome if isinstance(outcome, BrokerError) else outcome[place]
        return replies

    async def _call(self, jobs: Sequence[NewJob]) -> list[EnqueueReply]:
        """Send the jobs of one queue in one call, and return for each what became of it; raises as ``send`` does."""
        until = time.monotonic() + self._timeout
        last: BrokerUnavailable | None = None
        outage: Outage | None = None
        while True:
            try:
                # A connection may hang as well as break.
                async with asyncio.timeout(None if until == math.inf else max(0.0, until - time.monotonic())):
                    replies = await self._broker.enqueue(jobs, replicated=self._replicated)
            except TimeoutError:
                raise last or BrokerUnavailable(
                    f"the broker has not answered within {self._timeout:g} s; the jobs may have been accepted or not"
                ) from None
            except BrokerUnavailable as error:
                last = error
                outage = outage or Outage(_log, "sending must wait: %s", "sending goes on")
                if time.monotonic() + outage.next_pause >= until:
                    raise
                await asyncio.sleep(outage.failed(error))
            else:
                if outage is not None:
                    outage.over()
                return replies

    async def _flush(self, waiting: list[_Waiting]) -> None:
        while waiting:
            batch = waiting[:_MAX_BATCH]
            if len(batch) > 1:
                batch = batch[: fitting(len(job.body) for job, _ in batch)]
            del waiting[: len(batch)]
            batch = [(job, future) for job, future in batch if not future.cancelled()]
            if batch:
                await self._send(batch, waiting)

    async def _send(self, batch: list[_Waiting], behind: Iterable[_Waiting]) -> None:
        try:
            replies = await self._call([job for job, _ in batch])
        except Exception as error:
            if len(batch) > 1 and not isinstance(error, BrokerError):
                # A job that can't be written takes no other along: each is sent alone.
                for number, one in enumerate(batch, 1):
                    await self._send([one], itertools.chain(batch[number:], behind))
                return
            for _, future in batch:
                if not future.done():
                    future.set_exception(error)
        except asyncio.CancelledError:
            for _, future in (*batch, *behind):
                if not future.done():
                    future.set_exception(BrokerUnavailable("the app was closed before the job was sent"))
            raise
        else:
            for (_, future), reply in zip(batch, replies, strict=True):
                if not future.done():
                    future.set_result(reply)

    async def drain(self) -> None:
        """Wait until every job that was given to ``send`` is sent or has failed; cancelled, give up those left."""
        while tasks := [task for task in self._tasks.values() if not task.done()]:
            try:
                await asyncio.wait(tasks)
            except asyncio.CancelledError:
                for task in tasks:
                    task.cancel()
                raise
