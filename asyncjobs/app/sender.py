"""An app as what sends: opened and closed, the way of a job to the broker, and jobs by their id."""

from __future__ import annotations

import asyncio
import functools
import time
from collections.abc import Callable, Coroutine, Iterable, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any, Concatenate, ParamSpec, Self, TypeVar

import msgspec

from asyncjobs.app.batcher import Outbox
from asyncjobs.app.loop import Home
from asyncjobs.core.duration import Duration, due_ms, to_ms
from asyncjobs.core.job import Job, create_job
from asyncjobs.core.options import DEFAULT_QUEUE, UNSET, Durability, checked_queue, checked_tenant
from asyncjobs.core.priority import Priority, PriorityName
from asyncjobs.core.record.envelope import Envelope
from asyncjobs.core.retention import TOMBSTONE_MS
from asyncjobs.core.retry import RetryPolicy
from asyncjobs.core.stored import encode_live
from asyncjobs.errors import AppNotOpen, ArgumentsError, BrokerError, PartlySent, PayloadTooLarge
from asyncjobs.jobs.handle import JobHandle
from asyncjobs.jobs.ids import new_id
from asyncjobs.jobs.open_apps import note_closed, note_open
from asyncjobs.jobs.request import Dispatcher, JobRequest, Sending
from asyncjobs.jobs.tenant_scope import current_tenant_id
from asyncjobs.middleware.base import Middleware, Send
from asyncjobs.middleware.chain import checked_middleware, sending
from asyncjobs.ports import Broker, CancelReply, EditReply, EventPage, NewJob
from asyncjobs.settings import Settings

if TYPE_CHECKING:
    from types import TracebackType

__all__ = ["Client", "at_home"]

P = ParamSpec("P")
R = TypeVar("R")
T = TypeVar("T")
C = TypeVar("C", bound="Client")

_BULK = 1_000

# For how long a job that is moved to another queue is held back in its old one.
_HELD_BACK_MS = 60_000
_MOVED = "moved to queue"


def at_home(
    verb: Callable[Concatenate[C, P], Coroutine[Any, Any, T]],
) -> Callable[Concatenate[C, P], Coroutine[Any, Any, T]]:
    """Let ``verb`` be awaited on any loop: it runs on the app's own, to which its connections belong."""

    @functools.wraps(verb)
    async def run(self: C, /, *args: P.args, **kwargs: P.kwargs) -> T:
        self._check_open()
        return await self._home.run(lambda: verb(self, *args, **kwargs))

    return run


class Client:
    """What sends over a ``broker`` with ``settings``, through ``middleware``, outermost first.

    ``retry`` is the policy of jobs that set none.
    """

    def __init__(
        self, settings: Settings, broker: Broker, retry: RetryPolicy, middleware: Sequence[Middleware] = ()
    ) -> None:
        self.settings = settings
        self.retry = retry
        self.middleware = checked_middleware(middleware)
        self._chain: Send | None = sending(self.middleware, self._send_many)
        self._broker = broker
        self._outboxes: dict[Durability, Outbox] = {}
        self._opened = 0
        self._home = Home(self.__aenter__, self.__aexit__, self._forget)

    # -- opening and closing

    @property
    def broker(self) -> Broker:
        """The broker, on the app's own loop; raises ``AppNotOpen`` outside ``async with app``, or on another loop."""
        self._check_open()
        if not self._home.is_here:
            raise AppNotOpen("the app is open in another event loop; a worker needs an App that is opened in its own")
        return self._broker

    def _check_open(self) -> None:
        if not self._opened:
            raise AppNotOpen(
                "the app is not open; use it inside `async with app:`, or give a web app lifespan=app.lifespan"
            )

    async def __aenter__(self) -> Self:
        if not self._opened:
            await self._broker.open()
            timeout = self.settings.send_timeout
            self._outboxes = {
                "local": Outbox(self._broker, timeout, replicated=False),
                "replicated": Outbox(self._broker, timeout, replicated=True),
            }
            self._home.enter()
            note_open(self)
        self._opened += 1
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None = None,
        error: BaseException | None = None,
        trace: TracebackType | None = None,
    ) -> None:
        self._opened -= 1
        if not self._opened:
            note_closed(self)
            try:
                for outbox in self._outboxes.values():
                    await outbox.drain()
            finally:
                self._outboxes = {}
                self._home.leave()
                await self._broker.close()

    def _forget(self) -> None:
        """Be as never opened, without touching the connections of the process that this one was forked from."""
        note_closed(self)
        self._opened = 0
        self._outboxes = {}

    # -- sending

    @property
    def _sender(self) -> Dispatcher:
        return self

    def dispatch(self, request: JobRequest[R], where: str) -> Sending[R]:
        """Check ``request`` now and return what sends it when awaited; ``where`` is the caller's file and line."""
        new = self.prepare(request)
        self._check_open()
        return Sending(lambda: self._home.run(lambda: self._send(new, request)), request.name, where)

    def dispatch_sync(self, request: JobRequest[R], instead: str) -> JobHandle[R]:
        """Send ``request`` from a thread without an event loop."""
        new = self.prepare(request)
        return self._home.run_sync(lambda: self._send(new, request), instead)

    async def _send(self, new: NewJob, request: JobRequest[R]) -> JobHandle[R]:
        if self._chain is not None:
            # The id is given here, so that a layer that sends again after an error sends the same job.
            [handle] = await self._chain([msgspec.structs.replace(request, id=new.id)])
            return handle
        is_new = await self._outbox(request).send(new)
        return self._handle(new, request, is_new)

    def _outbox(self, request: JobRequest[Any]) -> Outbox:
        if not self._outboxes:
            raise AppNotOpen("the app was closed before the job was sent")
        return self._outboxes[request.options.durability or self.settings.durability]

    def _handle(self, new: NewJob, request: JobRequest[R], is_new: bool) -> JobHandle[R]:
        # An id of our own is known already only where an earlier try got through and its reply was lost.
        is_new = is_new or request.options.job_id is UNSET
        return JobHandle(self, new.queue, new.id, returns=request.returns, is_new=is_new, sent=True)

    @at_home
    async def enqueue_many(self, requests: Iterable[JobRequest[R]]) -> list[JobHandle[R]]:
        """Send many jobs, 1,000 a round trip; return their handles in order.

        All are checked before the first is sent: raises ``PayloadTooLarge`` or ``ArgumentsError`` with nothing sent. If
        the broker fails on the way, raises ``PartlySent``, which lists the handles of those that were accepted and the
        requests of those that were not. Requests that were made outside any ``tenant_scope`` are for the tenant of this
        one.
        """
        tenant = current_tenant_id()
        asked = list(requests)
        if tenant is not None:
            asked = [one if one.options.tenant is not UNSET else one.with_options(tenant=tenant) for one in asked]
        if self._chain is None:
            return await self._send_many(asked)
        return await self._chain([msgspec.structs.replace(one, id=_id_of(one)) for one in asked])

    async def enqueue_for_tenant(self, tenant: str, request: JobRequest[R]) -> JobHandle[R]:
        """Send one job for ``tenant``, whoever the code around it runs for; many at once, inside ``tenant_scope``.

        Raises ``ArgumentsError`` for what can't be a tenant's id.
        """
        [handle] = await self.enqueue_many([request.with_options(tenant=checked_tenant(tenant))])
        return handle

    async def _send_many(self, asked: Sequence[JobRequest[Any]]) -> list[JobHandle[Any]]:
        new = [self.prepare(request) for request in asked]
        if len(new) == 1:
            return [self._handle(new[0], asked[0], await self._outbox(asked[0]).send(new[0]))]
        handles: list[JobHandle[Any]] = []
        for start in range(0, len(new), _BULK):
            chunk = new[start : start + _BULK]
            try:
                # What one of them asks for holds for all that go along.
                strictest = max(asked[start : start + _BULK], key=lambda one: one.options.durability == "replicated")
                replies = await self._outbox(strictest).send_many(chunk)
            except BrokerError as error:
                raise PartlySent(handles, list(asked[start:]), error) from error
            handles += map(self._handle, chunk, asked[start : start + _BULK], replies)
        return handles

    def prepare(self, request: JobRequest[Any], *, sent_at_ms: int | None = None) -> NewJob:
        """Return the job that ``request`` asks for, as it would be sent; raise ``PayloadTooLarge``.

        ``sent_at_ms``: when, in Unix milliseconds, if not now; 0 for what each tick of a schedule is made from.
        """
        call, defaults = request.options, request.defaults
        queue = request.queue
        priority = defaults.priority if call.priority is UNSET else call.priority
        expires_ms = defaults.expires_ms if call.expires_ms is UNSET else call.expires_ms
        now_ms = time.time_ns() // 1_000_000 if sent_at_ms is None else sent_at_ms
        envelope: dict[str, Any] = {"arguments": msgspec.Raw(request.arguments), "signature": request.signature}
        if request.keywords:
            envelope["keywords"] = request.keywords
        if expires_ms is not UNSET:
            due_at_ms = now_ms + request.delay_ms if request.due_at_ms is None else request.due_at_ms
            envelope["expires_at_ms"] = expires_ms + due_at_ms
        if call.job_id is not UNSET:
            envelope["created_at_ms"] = now_ms
        if request.headers:
            envelope["headers"] = request.headers
        for name in ("max_retries", "timeout_ms", "result_ttl_ms", "metadata"):
            value = getattr(call, name)
            if value is not UNSET:
                envelope[name] = value
        job = create_job(
            _id_of(request),
            request.name,
            queue,
            Priority.NORMAL if priority is UNSET else priority,
            Envelope(**envelope),
            tenant=call.tenant or "",
            acks_early=(call.acks or defaults.acks) == "early",
        )
        try:
            record = encode_live(job)
        except TypeError as error:
            raise ArgumentsError(f"{request.name}: the metadata can't be encoded: {error}") from error
        if len(record) > self.settings.max_payload:
            raise PayloadTooLarge(
                f"{request.name}: the job has {len(record)} bytes, max_payload allows {self.settings.max_payload}. "
                "Store the data elsewhere and send its key, or raise max_payload."
            )
        return NewJob(queue, job.id, record, request.delay_ms, request.due_at_ms)

    # -- jobs by id

    def handle(self, job_id: str, *, queue: str = DEFAULT_QUEUE) -> JobHandle[Any]:
        """Return a handle of a job sent before, perhaps by another process, whose result may be of any type."""
        return JobHandle(self, checked_queue(queue), job_id)

    @at_home
    async def find_job(self, job_id: str, *, queue: str | None = None) -> Job | None:
        """Return the job as it stands, or ``None`` if there is no record; without ``queue`` it looks into all."""
        broker = self.broker
        if queue is not None:
            return await broker.find(queue, job_id)
        found = await asyncio.gather(*(broker.find(one, job_id) for one in await broker.queues()))
        return next((job for job in found if job is not None), None)

    @at_home
    async def cancel_job(
        self, job_id: str, *, queue: str | None = None, reason: str = "cancelled by request"
    ) -> CancelReply:
        """Cancel a job: ``cancelled`` at once, or ``running`` whose handler will be cancelled.

        ``ended`` and ``failed`` (in the dead letter queue) were too late, ``unknown`` has no record.
        """
        where = await self._queue_of(job_id, queue)
        if where is None:
            return "unknown"
        return await self.broker.cancel(where, job_id, reason, self._keep_ms)

    @property
    def _keep_ms(self) -> int:
        """For how long the record of a cancelled job is kept."""
        return max(TOMBSTONE_MS, round(self.settings.result_ttl * 1000))

    @at_home
    async def wait_for_end(self, job_id: str, *, queue: str, timeout: float | None) -> Job | None:
        """Wait until the job has ended or is dead and return it; ``JobHandle.result`` reads its value.

        ``timeout``: seconds. Raises ``ResultTimeout``.
        """
        return await self.broker.wait_end(queue, job_id, timeout)

    @at_home
    async def read_events(
        self, job_id: str, *, queue: str, after: int, limit: int, timeout: float | None
    ) -> EventPage | None:
        """Return events of a job as they are stored; ``JobHandle.events`` reads them. ``timeout``: seconds."""
        return await self.broker.events(queue, job_id, after, limit, timeout)

    @at_home
    async def edit_job(
        self,
        job_id: str,
        *,
        queue: str | None = None,
        priority: Priority | PriorityName | None = None,
        at: datetime | None = None,
        delay: Duration | None = None,
        to_queue: str | None = None,
    ) -> EditReply:
        """Give a job that waits another priority, another time, or another queue.

        ``at``: an aware datetime, or ``delay``: seconds or ``timedelta`` from now, 0 to start at once. Returns
        ``edited``; ``running``, ``ended`` and ``failed`` (in the dead letter queue) were too late, ``unknown`` has no
        record. In ``to_queue`` the job keeps its id and its time, and has all its retries before it; under its old
        queue it is cancelled, with that as the reason. Should this process die in between, it may run in both.

        Raises ``ArgumentsError`` for wrong values.
        """
        if at is not None and delay is not None:
            raise ArgumentsError("edit_job takes at=… or delay=…, not both")
        level = None if priority is None else Priority.parse(priority).value
        due_at_ms = None if at is None else due_ms(at, "edit_job", "delay=")
        delay_ms = None if delay is None else to_ms("delay", delay)
        where = await self._queue_of(job_id, queue)
        if where is None:
            return "unknown"
        if to_queue is not None and checked_queue(to_queue) != where:
            return await self._move(job_id, where, to_queue, level, delay_ms, due_at_ms)
        return await self.broker.edit(where, job_id, priority=level, delay_ms=delay_ms, due_at_ms=due_at_ms)

    async def _move(
        self, job_id: str, queue: str, to_queue: str, priority: int | None, delay_ms: int | None, due_at_ms: int | None
    ) -> EditReply:
        job = await self.broker.find(queue, job_id)
        if job is None:
            return "unknown"
        # Held back, so that it does not start here while it goes there; lost on the way, it would start here after all.
        reply = await self.broker.edit(queue, job_id, priority=None, delay_ms=_HELD_BACK_MS, due_at_ms=None)
        if reply != "edited":
            return reply
        if delay_ms is None and due_at_ms is None:
            due_at_ms = job.due_at_ms
        moved = msgspec.structs.replace(job, priority=job.priority if priority is None else Priority(priority))
        record = encode_live(moved)
        before = await self.broker.find(to_queue, job_id)
        if before is not None and before.reason.startswith(_MOVED):
            # It has been there and was moved away, so that its id is still known there.
            await self.broker.delete(to_queue, [job_id])
        await self._outboxes["local"].send_many([NewJob(to_queue, job_id, record, delay_ms or 0, due_at_ms)])
        await self.broker.cancel(queue, job_id, f"{_MOVED} {to_queue!r}", TOMBSTONE_MS)
        return "edited"

    @at_home
    async def delete_job(self, job_id: str, *, queue: str | None = None) -> bool:
        """Forget a job that has ended or is in the dead letter queue; return whether there was one.

        One that waits or runs is left alone: cancel it first.
        """
        where = await self._queue_of(job_id, queue)
        return where is not None and (await self.broker.delete(where, [job_id]))[0]

    async def _queue_of(self, job_id: str, queue: str | None) -> str | None:
        if queue is not None:
            return queue
        job = await self.find_job(job_id)
        return None if job is None else job.queue


def _id_of(request: JobRequest[Any]) -> str:
    return request.id or request.options.job_id or new_id()
