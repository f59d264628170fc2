"""Threads for sync handlers.

They are daemons: the threads of anyio and of the standard executor are joined at exit, so one handler that never
returns would keep a worker process from ending. Their number is bounded by the worker's slots.
"""

from __future__ import annotations

import asyncio
import contextvars
import queue
import threading
from collections.abc import Callable
from typing import Any

from asyncjobs.core.text import message_of
from asyncjobs.jobs.context import JobContext
from asyncjobs.worker.shield import ShieldedFuture, note_thread

__all__ = ["HandlerThreads", "in_thread"]


class _Call:
    __slots__ = ("args", "context", "function", "future", "job", "kwargs", "loop")

    def __init__(
        self,
        function: Callable[..., Any],
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        future: asyncio.Future[Any],
        job: JobContext | None = None,
    ) -> None:
        self.function = function
        self.args = args
        self.kwargs = kwargs
        self.context = contextvars.copy_context()
        self.loop = asyncio.get_running_loop()
        self.future = future
        self.job = job

    def run(self) -> None:
        if self.job is not None:
            note_thread(self.job)
        try:
            value = self.context.run(self.function, *self.args, **self.kwargs)
        except BaseException as error:
            found = error
            if isinstance(error, StopIteration):
                # A future refuses it, since it would end the generator that awaits the future.
                found = RuntimeError(f"the function raised StopIteration: {message_of(error)}")
            self._resolve(self.future.set_exception, found)
        else:
            self._resolve(self.future.set_result, value)

    def _resolve(self, setter: Callable[[Any], None], value: Any) -> None:
        def resolve() -> None:
            if not self.future.done():
                setter(value)

        try:
            self.loop.call_soon_threadsafe(resolve)
        except RuntimeError:
            # The loop has closed: the worker has ended, and the job is left to its lease.
            return


class HandlerThreads:
    """Runs functions in threads, started when none is idle."""

    def __init__(self) -> None:
        self._calls: queue.SimpleQueue[_Call | None] = queue.SimpleQueue()
        self._idle = threading.Semaphore(0)
        self._count = 0

    def run(self, function: Callable[..., Any], job: JobContext) -> asyncio.Future[Any]:
        """Run ``function``, the handler of ``job``, in a thread and in a copy of the caller's context.

        Returns:
            A future of its result. The task that awaits it can't be cancelled before, while the job is shielded.
        """
        call = _Call(function, job.args, job.kwargs, ShieldedFuture(job), job)
        self._find_thread()
        self._calls.put(call)
        return call.future

    def _find_thread(self) -> None:
        """Let there be a thread for one call more."""
        if not self._idle.acquire(blocking=False):
            self._count += 1
            threading.Thread(target=self._serve, name=f"asyncjobs-handler-{self._count}", daemon=True).start()

    def _serve(self) -> None:
        while (call := self._calls.get()) is not None:
            call.run()
            del call
            self._idle.release()

    def close(self) -> None:
        """Let idle threads end, and busy ones once their handler returns."""
        for _ in range(self._count):
            self._calls.put(None)


def in_thread(function: Callable[..., Any], kwargs: dict[str, Any]) -> asyncio.Future[Any]:
    """Run ``function`` in a thread of its own and in a copy of the caller's context; return a future of its result.

    Where the future is cancelled, the thread goes on, and ends with the process at the latest.
    """
    call = _Call(function, (), kwargs, asyncio.get_running_loop().create_future())
    threading.Thread(target=call.run, name=f"asyncjobs-{getattr(function, '__name__', 'call')}", daemon=True).start()
    return call.future
