"""How a handler is called: on the loop, in a thread, or in a process."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import msgspec

from asyncjobs.jobs.context import JobContext
from asyncjobs.jobs.definition import AsyncJobDefinition, JobDefinition, signature_of
from asyncjobs.jobs.signature import Signature
from asyncjobs.jobs.tenant_scope import current_tenant
from asyncjobs.middleware.chain import Caller
from asyncjobs.ports import Lease
from asyncjobs.worker.duty import Duty
from asyncjobs.worker.execution.threads import HandlerThreads
from asyncjobs.worker.processes.pool import HandlerProcesses, ProcessCall
from asyncjobs.worker.shield import Shielded, ends_at

__all__ = ["HandlerCallers"]


class HandlerCallers(Duty):
    """The callers of one worker, with its threads and up to ``processes`` processes.

    A process passes on no result of more than ``max_result_bytes``. ``on_event`` is called with each event of a handler
    in a process.
    """

    stop_within_s = 2.0

    def __init__(self, processes: int, max_result_bytes: int, on_event: Callable[[Lease, bytes], None]) -> None:
        self._threads = HandlerThreads()
        self._processes = HandlerProcesses(processes)
        self._max_result_bytes = max_result_bytes
        self._on_event = on_event

    def caller_of(self, definition: JobDefinition[..., Any], *, is_wrapped: bool) -> Caller:
        """Return what calls the handler of ``definition``; ``is_wrapped``: middleware may change its arguments."""
        if definition.options.executor == "process":
            return self._in_process(definition.function, signature_of(definition), is_wrapped)
        if isinstance(definition, AsyncJobDefinition):
            return _on_loop(definition.function)
        return self._in_thread(definition.function)

    def process_slots_of(self, definition: JobDefinition[..., Any]) -> asyncio.Semaphore | None:
        """Return the slots of which an attempt takes one before it begins; ``None`` if it needs no process."""
        return self._processes.slots if definition.options.executor == "process" else None

    def _in_thread(self, function: Callable[..., Any]) -> Caller:
        async def call(job: JobContext) -> Any:
            # A thread can't be cancelled: its slot stays taken until it returns.
            with Shielded(job, "thread"):
                return await self._threads.run(function, job)

        return call

    def _in_process(self, function: Callable[..., Any], signature: Signature, is_wrapped: bool) -> Caller:
        async def call(job: JobContext) -> Any:
            record = job.record
            lease = Lease(record.queue, record.id, record.priority.value, record.fence)
            if is_wrapped:
                # As the middleware has left them.
                arguments, keywords = signature.encode(job.args, job.kwargs)
                envelope = msgspec.structs.replace(record.envelope, arguments=msgspec.Raw(arguments), keywords=keywords)
                record = msgspec.structs.replace(record, envelope=envelope)

            def extend(seconds: float) -> None:
                if not job.is_cancelled:
                    job.extend_timeout(seconds)

            value = await self._processes.run(
                ProcessCall.of(
                    function,
                    record,
                    max_result_bytes=self._max_result_bytes,
                    deadline_ms=job.deadline_ms,
                    ends_at=ends_at(job),
                    tenant=current_tenant(),
                ),
                lambda event: self._on_event(lease, event),
                extend,
            )
            return msgspec.Raw(value)

        return call

    async def stop(self) -> None:
        """Let threads end once their handlers return, and end all processes."""
        self._threads.close()
        await self._processes.close()


def _on_loop(function: Callable[..., Any]) -> Caller:
    # A plain function that returns the handler's coroutine: a coroutine less than one that awaits it.
    def call(job: JobContext) -> Awaitable[Any]:
        awaitable: Awaitable[Any] = function(*job.args, **job.kwargs)
        return awaitable

    return call
