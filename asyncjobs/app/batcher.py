"""Sends jobs: many in one round trip when many are waiting, and again while the broker is away.

While one call is under way, the jobs that come gather for the next call. A call runs in a task of the batcher's own, so
a sender that is cancelled neither breaks a connection nor takes along the jobs of other senders. Sending again is safe,
since a job whose id is known stays as it is.
"""

from __future__ import annotations

import asyncio
import logging
import math
import time
from collections.abc import Sequence

from asyncjobs.core.portions import fitting
from asyncjobs.errors import BrokerUnavailable
from asyncjobs.ports import Intake, NewJob
from asyncjobs.ports.outage import Outage

__all__ = ["Batcher"]

_log = logging.getLogger("asyncjobs.app")

# How many jobs one call sends.
_MAX_BATCH = 1_000


class Batcher:
    """A queue of jobs to send, on one event loop.

    Args:
        broker: Where the jobs go.
        timeout: How long to go on trying while the broker is away, in seconds.
        replicated: Whether a job counts as sent only once a replica has it too.
    """

    def __init__(self, broker: Intake, timeout: float, *, replicated: bool) -> None:
        self._broker = broker
        self._replicated = replicated
        self._timeout = timeout
        self._waiting: list[tuple[NewJob, asyncio.Future[bool]]] = []
        self._task: asyncio.Task[None] | None = None

    async def send(self, job: NewJob) -> bool:
        """Send one job.

        If the caller is cancelled, the job is sent all the same, unless its call has not begun yet.

        Args:
            job: The job.

        Returns:
            Whether it is new, as ``Intake.enqueue`` says.

        Raises:
            BrokerUnavailable: The broker was away until the timeout.
            BrokerRefused: The broker doesn't take the job.
        """
        future: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        self._waiting.append((job, future))
        # An eager task may have ended before it is known here.
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._flush(), name="asyncjobs-batcher")
        return await future

    async def send_many(self, jobs: Sequence[NewJob]) -> list[bool]:
        """Send ``jobs`` in one call, and return for each whether it is new; raises as ``send`` does."""
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

    async def _flush(self) -> None:
        while self._waiting:
            batch = self._waiting[:_MAX_BATCH]
            if len(batch) > 1:
                batch = batch[: fitting(len(job.body) for job, _ in batch)]
            del self._waiting[: len(batch)]
            batch = [(job, future) for job, future in batch if not future.cancelled()]
            if batch:
                await self._send(batch)

    async def _send(self, batch: list[tuple[NewJob, asyncio.Future[bool]]]) -> None:
        try:
            replies = await self.send_many([job for job, _ in batch])
        except Exception as error:
            for _, future in batch:
                if not future.done():
                    future.set_exception(error)
        except asyncio.CancelledError:
            for _, future in (*batch, *self._waiting):
                if not future.done():
                    future.set_exception(BrokerUnavailable("the app was closed before the job was sent"))
            raise
        else:
            for (_, future), reply in zip(batch, replies, strict=True):
                if not future.done():
                    future.set_result(reply)

    async def drain(self) -> None:
        """Wait until every job that was given to ``send`` is sent or has failed; cancelled, give up those left."""
        while self._task is not None and not self._task.done():
            try:
                await asyncio.wait([self._task])
            except asyncio.CancelledError:
                self._task.cancel()
                raise
