"""Finds, awaits and cancels single jobs, for handles and verbs."""

from __future__ import annotations

import asyncio
import logging
import math
import time
from collections.abc import Callable, Coroutine
from functools import partial
from typing import Any, TypeVar

from asyncjobs.app.connection import Connection, on_app_loop
from asyncjobs.app.naming import Naming
from asyncjobs.core.job import Job
from asyncjobs.core.options import checked_queue, checked_text
from asyncjobs.core.retention import TOMBSTONE_MS
from asyncjobs.errors import BrokerUnavailable
from asyncjobs.jobs.encryption import Encryption
from asyncjobs.jobs.handle import unknown_job
from asyncjobs.jobs.registry import Registry
from asyncjobs.ports import Broker, CancelReply, EventPage
from asyncjobs.ports.outage import Outage

__all__ = ["Lookup"]

T = TypeVar("T")

_log = logging.getLogger("asyncjobs.app")

# How long after its timeout a wait may still take to look for the last time.
_LAST_LOOK_S = 1.0


class Lookup:
    """The broker's verbs for single jobs, to be awaited on any loop.

    Args:
        connection: The app's connection.
        registry: The jobs of the app, which tell the names of arguments.
        encryption: Decrypts what is encrypted.
    """

    def __init__(self, connection: Connection, registry: Registry, encryption: Encryption | None = None) -> None:
        self._connection = connection
        self._encryption = encryption
        self.naming = Naming(connection, registry, encryption)
        """What names the arguments of jobs."""

    @property
    def keep_ms(self) -> int:
        """How long the record of a cancelled job is kept, in milliseconds."""
        return max(TOMBSTONE_MS, round(self._connection.settings.result_ttl * 1000))

    @on_app_loop
    async def find(self, job_id: str, *, queue: str | None = None) -> Job | None:
        """Return a job as it stands, or ``None`` if there is no record; without ``queue``, search all queues."""
        broker = self._connection.broker
        checked_text("job_id", job_id)
        if queue is not None:
            return await self._named(await broker.find(checked_queue(queue), job_id))
        looks = (broker.find(one, job_id) for one in await broker.queues())
        found = await asyncio.gather(*looks, return_exceptions=True)
        job = next((one for one in found if isinstance(one, Job)), None)
        failure = next((one for one in found if isinstance(one, BaseException)), None)
        if job is None and failure is not None:
            raise failure
        return await self._named(job)

    async def _named(self, job: Job | None) -> Job | None:
        return None if job is None else await self.named(job)

    async def named(self, job: Job) -> Job:
        """Return ``job`` as ``find`` would: decrypted, with the names of its arguments, and which are secret."""
        return await self.naming.named(job)

    async def known(self, job_id: str, queue: str | None) -> Job:
        """Return a job as it stands; without ``queue``, search all queues.

        Raises:
            UnknownJob: There is no record of it.
        """
        job = await self.find(job_id, queue=queue)
        if job is None:
            raise unknown_job(job_id, queue)
        return job

    async def queue_of(self, job_id: str, queue: str | None) -> str:
        """Return ``queue``, or the queue in which the job is found.

        Raises:
            UnknownJob: No queue has a record of it.
        """
        if queue is not None:
            checked_text("job_id", job_id)
            return checked_queue(queue)
        return (await self.known(job_id, None)).queue

    @on_app_loop
    async def cancel(self, job_id: str, *, queue: str, reason: str) -> CancelReply:
        """Cancel a job; see ``JobStore.cancel``."""
        reason = checked_text("reason", reason)
        [reply] = await self._connection.broker.cancel(queue, [job_id], reason, self.keep_ms)
        return reply

    @on_app_loop
    async def forget(self, job_id: str, *, queue: str) -> None:
        """Forget an ended job; see ``Intake.forget``."""
        await self._connection.broker.forget(queue, job_id)

    async def wait_for_end(self, job_id: str, *, queue: str, timeout: float | None) -> Job | None:
        """Wait until a job has ended or is dead, also while the broker is away; see ``Intake.wait_end``.

        Raises:
            ResultTimeout: The job has not ended by then.
            BrokerUnavailable: The broker was away, or did not answer, until the timeout.
            EncryptionError: Its result can't be decrypted.
        """
        job = await self._patiently(lambda left, broker: broker.wait_end(queue, job_id, left), job_id, timeout)
        return job if job is None or self._encryption is None else self._encryption.with_result(job)

    async def read_events(
        self, job_id: str, *, queue: str, after: int, limit: int, timeout: float | None
    ) -> EventPage | None:
        """Return the next events of a job as they are stored; see ``Intake.events``; waits as ``wait_for_end`` does."""
        page = await self._patiently(
            lambda left, broker: broker.events(queue, job_id, after, limit, left), job_id, timeout
        )
        if page is None or self._encryption is None:
            return page
        readable = self._encryption.readable_event
        return page._replace(events=[(number, readable(queue, job_id, stored)) for number, stored in page.events])

    async def _patiently(
        self, wait: Callable[[float | None, Broker], Coroutine[Any, Any, T]], job_id: str, timeout: float | None
    ) -> T:
        """Run ``wait`` with the seconds that are left to it, again while the broker is away."""
        outage: Outage | None = None
        until = math.inf if timeout is None else time.monotonic() + timeout
        left = timeout
        while True:
            try:
                # A connection may hang as well as break.
                async with asyncio.timeout(None if left is None else left + _LAST_LOOK_S) as bound:
                    return await self._connection.call(partial(wait, left))
            except TimeoutError:
                if not bound.expired():
                    raise
                raise BrokerUnavailable(
                    f"the broker has not answered within {timeout:g} s; whether job {job_id} has ended is not known"
                ) from None
            except BrokerUnavailable as error:
                outage = outage or Outage(_log, "the wait for job %s goes on: %s")
                if time.monotonic() + outage.next_pause >= until:
                    raise
                await asyncio.sleep(outage.failed(error, job_id))
                left = None if timeout is None else max(0.0, until - time.monotonic())
