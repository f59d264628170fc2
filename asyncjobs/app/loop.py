"""The event loop that an app lives in, and the ways into it from elsewhere.

An app's connections belong to one loop: that of ``async with app``, or, for programs without one, a loop in a thread of
its own that is started at the first synchronous call.
"""

from __future__ import annotations

import asyncio
import atexit
import os
import threading
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from asyncjobs.errors import AppNotOpen

__all__ = ["AppLoop"]

T = TypeVar("T")

_CLOSE_S = 5.0


class AppLoop:
    """The loop of one app, and the ways into it.

    Args:
        open_app: Opens the app; awaited in the thread's loop when there is no other.
        close_app: Closes it, when the process ends.
        forget: Makes the app one that was never opened: in a forked child its parent's loop is gone.
    """

    def __init__(
        self,
        open_app: Callable[[], Coroutine[Any, Any, None]],
        close_app: Callable[[], Coroutine[Any, Any, None]],
        forget: Callable[[], None],
    ) -> None:
        self._open_app = open_app
        self._close_app = close_app
        self._forget = forget
        #: The loop, ``None`` while the app is closed.
        self.current: asyncio.AbstractEventLoop | None = None
        self._thread_loop: asyncio.AbstractEventLoop | None = None
        self._pid = os.getpid()
        self._lock = threading.Lock()

    def attach(self) -> None:
        """Make the running loop the app's own."""
        self.current = asyncio.get_running_loop()
        self._pid = os.getpid()

    def detach(self) -> None:
        """Belong to no loop."""
        self.current = None

    @property
    def is_running_here(self) -> bool:
        """Whether the running loop is the app's own."""
        return self.current is asyncio.get_running_loop()

    async def run_elsewhere(self, start: Callable[[], Coroutine[Any, Any, T]], loop: asyncio.AbstractEventLoop) -> T:
        """Run the coroutine of ``start`` on ``loop``, the app's own, from another one."""
        return await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(_started(start), loop))

    def run_sync(self, start: Callable[[], Coroutine[Any, Any, T]], instead: str) -> T:
        """Run what ``start`` returns on the app's loop and wait for it, from a thread without a running loop.

        Raises ``AppNotOpen``, naming what to write ``instead``, in a thread whose loop it would block.
        """
        try:
            asyncio.get_running_loop()
        except RuntimeError:
            pass
        else:
            raise AppNotOpen(f"a synchronous call inside a running event loop would block it; write {instead}")
        return asyncio.run_coroutine_threadsafe(_started(start), self._loop_or_start_thread()).result()

    def _loop_or_start_thread(self) -> asyncio.AbstractEventLoop:
        with self._lock:
            if self._pid != os.getpid():
                self.current = None
                self._forget()
            if self.current is not None:
                return self.current
            loop = asyncio.new_event_loop()
            threading.Thread(target=loop.run_forever, name="asyncjobs-app", daemon=True).start()
            asyncio.run_coroutine_threadsafe(self._open_app(), loop).result()
            self._thread_loop = loop
            atexit.register(self._end)
            return loop

    def _end(self) -> None:
        loop, self._thread_loop = self._thread_loop, None
        if loop is not None and self._pid == os.getpid():
            asyncio.run_coroutine_threadsafe(self._close_app(), loop).result(_CLOSE_S)
            loop.call_soon_threadsafe(loop.stop)


async def _started(start: Callable[[], Coroutine[Any, Any, T]]) -> T:
    """Call ``start`` on the app's loop too, not only run what it returns there."""
    return await start()
