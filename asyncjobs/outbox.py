"""Sends single jobs, many in one round trip when many are waiting.

While one call is under way, what comes meanwhile gathers for the next. The call runs in a task of the outbox's own, so
a caller that is cancelled neither breaks a connection nor takes a neighbour's job with it.
"""

from __future__ import annotations

import asyncio

from asyncjobs.ports import JobQueue, NewJob

__all__ = ["Outbox"]

_MOST = 1_000


class Outbox:
    """A queue of jobs to send, on one event loop."""

    def __init__(self, broker: JobQueue) -> None:
        self._broker = broker
        self._waiting: list[tuple[NewJob, asyncio.Future[bool]]] = []
        self._task: asyncio.Task[None] | None = None

    async def send(self, job: NewJob) -> bool:
        """Send ``job`` and return whether it is new, as ``JobQueue.enqueue`` does; raises what that raises.

        A caller cancelled before its job is under way has not sent it; afterwards, the job is sent all the same.
        """
        future: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        self._waiting.append((job, future))
        if self._task is None:
            self._task = asyncio.create_task(self._flush(), name="asyncjobs-outbox")
        return await future

    async def _flush(self) -> None:
        try:
            while self._waiting:
                batch = [(job, future) for job, future in self._waiting[:_MOST] if not future.cancelled()]
                del self._waiting[:_MOST]
                if batch:
                    await self._send(batch)
        finally:
            self._task = None

    async def _send(self, batch: list[tuple[NewJob, asyncio.Future[bool]]]) -> None:
        try:
            replies = await self._broker.enqueue([job for job, _ in batch])
        except BaseException as error:
            for _, future in batch:
                if not future.done():
                    future.set_exception(error if isinstance(error, Exception) else ConnectionAbortedError(str(error)))
            if not isinstance(error, Exception):
                raise
        else:
            for (_, future), reply in zip(batch, replies, strict=True):
                if not future.done():
                    future.set_result(reply)

    async def drain(self) -> None:
        """Wait until everything that was given to ``send`` is on its way or has failed."""
        while self._task is not None:
            await asyncio.wait([self._task])
