"""Sends jobs: from a checked call through the middleware to the broker."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import partial
from typing import Any, TypeVar

import msgspec

from asyncjobs.app.batcher import Batcher
from asyncjobs.app.connection import Connection
from asyncjobs.app.queues import DeclaredQueues
from asyncjobs.core.encrypted import key_id_of, refuse_encrypted
from asyncjobs.core.job import Envelope, Job
from asyncjobs.core.options import UNSET
from asyncjobs.errors import AlreadySent, AppNotOpen, BrokerError, PartlySent
from asyncjobs.jobs.encryption import Encryption
from asyncjobs.jobs.handle import JobHandle, JobLookup
from asyncjobs.jobs.open_apps import note_closed, note_open
from asyncjobs.jobs.request import JobRequest, Sending, id_of, new_job
from asyncjobs.jobs.tenant_scope import requests_here
from asyncjobs.jobs.values.codec import Codec
from asyncjobs.middleware.base import Middleware, Send
from asyncjobs.middleware.chain import sending
from asyncjobs.ports import Broker, EnqueueReply, NewJob

__all__ = ["Sender"]

R = TypeVar("R")

_MAX_JOBS_A_CALL = 1_000


class Sender:
    """Sends the jobs of an app. Job definitions know it as a ``jobs.request.Dispatcher``.

    Args:
        connection: The app's connection.
        lookup: Finds jobs, for the handles of sent jobs.
        queues: Say in which line a job waits.
        middleware: The layers around sending, outermost first.
        encryption: Encrypts the arguments.
    """

    def __init__(
        self,
        connection: Connection,
        lookup: JobLookup,
        queues: DeclaredQueues,
        middleware: Sequence[Middleware],
        encryption: Encryption | None = None,
    ) -> None:
        self._connection = connection
        self._settings = connection.settings
        self._lookup = lookup
        self._encryption = encryption
        self._queues = queues
        self._turns = queues.turns
        self._chain: Send | None = sending(middleware, self._send_all)
        self._batchers: dict[str, Batcher] = {}
        # The jobs that are on their way through the layers: the request as it was, and the job prepared at the call.
        self._prepared: dict[str, tuple[JobRequest[Any], NewJob]] = {}
        connection.add_user(self)

    # -- while the app is open

    def opened(self, broker: Broker) -> None:
        timeout = self._settings.send_timeout
        self._batchers = {
            "local": Batcher(broker, timeout, replicated=False),
            "replicated": Batcher(broker, timeout, replicated=True),
        }
        note_open(self)

    async def closing(self) -> None:
        note_closed(self)
        try:
            for batcher in self._batchers.values():
                await batcher.drain()
        finally:
            self._batchers = {}

    def forgotten(self) -> None:
        note_closed(self)
        self._batchers = {}

    # -- one job

    def dispatch(self, request: JobRequest[R], where: str) -> Sending[R]:
        """Check ``request`` now, and return an awaitable that sends it.

        Args:
            request: The call.
            where: The caller's file and line, for the warning about a forgotten ``await``.

        Returns:
            The awaitable.

        Raises:
            AppNotOpen: The app isn't open.
            ArgumentsError: The metadata can't be encoded.
            PayloadTooLarge: The job is larger than ``max_payload``.
        """
        new = self.prepare(request)
        connection = self._connection
        if not connection.shared.users:
            connection.check_open()
        return Sending(partial(connection.run, partial(self._send, new, request)), request.name, where)

    def dispatch_sync(self, request: JobRequest[R], instead: str) -> JobHandle[R]:
        """Send ``request`` from a thread without an event loop.

        Args:
            request: The call.
            instead: What to write inside a running loop, for the error.

        Returns:
            The handle of the job.

        Raises:
            AppNotOpen: A loop runs in this thread, or the app's loop has ended. Otherwise raises as ``dispatch`` does.
        """
        new = self.prepare(request)
        patience = self._settings.send_timeout
        return self._connection.loop.run_sync(lambda: self._send(new, request), instead, patience=patience)

    async def _send(self, new: NewJob, request: JobRequest[R]) -> JobHandle[R]:
        if self._chain is None:
            return self.handle_of(new, request, await self._batcher(request).send(new))
        # The id is given here, so that a layer that sends again after an error sends the same job.
        request = msgspec.structs.replace(request, id=new.id)
        self._prepared[new.id] = request, new
        try:
            [handle] = await self._chain([request])
        finally:
            self._prepared.pop(new.id, None)
        return handle

    def handle(self, queue: str, job_id: str, returns: Codec) -> JobHandle[Any]:
        """Return a handle of a job that was sent before; see ``Dispatcher.handle``."""
        return JobHandle(self._lookup, queue, job_id, returns=returns)

    # -- many jobs

    async def send_many(self, requests: Iterable[JobRequest[R]]) -> list[JobHandle[R]]:
        """Send ``requests`` through the middleware; see ``App.enqueue_many``."""
        asked = requests_here(requests)
        if self._chain is None:
            return await self._send_all(asked)
        return await self._chain([msgspec.structs.replace(one, id=id_of(one)) for one in asked])

    async def _send_all(self, asked: Sequence[JobRequest[Any]]) -> list[JobHandle[Any]]:
        """Send requests that have passed the middleware."""
        new = [self._prepared_or_new(request) for request in asked]
        if len(new) == 1:
            return [self.handle_of(new[0], asked[0], await self._batcher(asked[0]).send(new[0]))]
        handles: list[JobHandle[Any]] = []
        for start in range(0, len(new), _MAX_JOBS_A_CALL):
            chunk, requests = new[start : start + _MAX_JOBS_A_CALL], asked[start : start + _MAX_JOBS_A_CALL]
            # If one job of the call is to be replicated, all of them are.
            strictest = max(requests, key=lambda one: one.options.durability == "replicated")
            replies = await self._batcher(strictest).send_many(chunk)
            failed: list[tuple[JobRequest[Any], BrokerError | AlreadySent]] = []
            for job, request, reply in zip(chunk, requests, replies, strict=True):
                if isinstance(reply, BrokerError):
                    failed.append((request, reply))
                    continue
                try:
                    handles.append(self.handle_of(job, request, reply))
                except AlreadySent as refusal:
                    failed.append((request, refusal))
            if failed:
                error = failed[0][1]
                unsent = [request for request, _ in failed]
                raise PartlySent(handles, unsent + list(asked[start + _MAX_JOBS_A_CALL :]), error) from error
        return handles

    async def send_new(self, job: NewJob) -> bool:
        """Send a job past the middleware, one that is not the request of a program; return whether it is new."""
        return await self._batchers["local"].send(job) is True

    def _batcher(self, request: JobRequest[Any]) -> Batcher:
        if not self._batchers:
            raise AppNotOpen("the app was closed before the job was sent")
        return self._batchers[request.options.durability or self._settings.durability]

    def handle_of(self, new: NewJob, request: JobRequest[R], reply: EnqueueReply) -> JobHandle[R]:
        """Return the handle of a job that was sent, or of the one that holds its unique key.

        Args:
            new: The job.
            request: The request for it.
            reply: The broker's.

        Raises:
            AlreadySent: There is a holder, and the job is ``Unique(on_conflict="raise")``.
        """
        if isinstance(reply, str):
            if new.unique is not None and new.unique.on_conflict == "raise":
                raise AlreadySent(new.name, reply, new.queue)
            return JobHandle(self._lookup, new.queue, reply, returns=request._returns, is_new=False, sent=True)
        # An id that we made is known to the broker only if an earlier try got through and its reply was lost.
        is_new = reply or request.options.job_id is UNSET
        return JobHandle(self._lookup, new.queue, new.id, returns=request._returns, is_new=is_new, sent=True)

    # -- from a request to a job

    def _prepared_or_new(self, request: JobRequest[Any]) -> NewJob:
        prepared = self._prepared.get(request.id)
        if prepared is not None and prepared[0] is request:
            return prepared[1]
        return self.prepare(request)

    def prepare(self, request: JobRequest[Any], *, sent_at_ms: int | None = None) -> NewJob:
        """Return the job that ``request`` asks for, as it would be sent.

        Args:
            request: The call.
            sent_at_ms: When it is sent, in Unix milliseconds; by default now, and 0 for the template of a schedule.

        Raises:
            ArgumentsError: The metadata can't be encoded.
            PayloadTooLarge: The job is larger than ``max_payload``.
        """
        keys = request._keys
        line = "" if keys is not None and not keys.limits and not self._turns else self._queues.line_of(request)
        return new_job(request, self._settings.max_payload, sent_at_ms, self._encryption, line)

    def moved(self, job: Job, queue: str) -> Envelope:
        """Return the envelope of a job that moves to another queue.

        Raises:
            EncryptionError: Its arguments are encrypted, and can't be decrypted here to be encrypted for that queue.
        """
        if not key_id_of(job.envelope.arguments):
            return job.envelope
        if self._encryption is None:
            refuse_encrypted(f"the arguments of job {job.id} are", job.envelope.arguments)
            return job.envelope
        return self._encryption.moved(job, queue)
