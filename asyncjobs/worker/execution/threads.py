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

__all__ = ["HandlerThreads"]


class _Call:
    __slots__ = ("args", "context", "function", "future", "kwargs", "loop")

    def __init__(self, function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        self.function = function
        self.args = args
        self.kwargs = kwargs
        self.context = contextvars.copy_context()
        self.loop = asyncio.get_running_loop()
        self.future: asyncio.Future[Any] = self.loop.create_future()

    def run(self) -> None:
        try:
            value = self.context.run(self.function, *self.args, **self.kwargs)
        except BaseException as error:
            # A future refuses StopIteration, which would end the generator that awaits it.
            found = RuntimeError(f"the handler raised {error!r}") if isinstance(error, StopIteration) else error
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

    def run(self, function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> asyncio.Future[Any]:
        """Run ``function`` in a thread, in a copy of the caller's context; return a future of its result."""
        call = _Call(function, args, kwargs)
        if not self._idle.acquire(blocking=False):
            self._count += 1
            threading.Thread(target=self._serve, name=f"asyncjobs-handler-{self._count}", daemon=True).start()
        self._calls.put(call)
        return call.future

    def _serve(self) -> None:
        while (call := self._calls.get()) is not None:
            call.run()
            del call
            self._idle.release()

    def close(self) -> None:
        """Let idle threads end, and busy ones once their handler returns."""
        for _ in range(self._count):
            self._calls.put(None)
