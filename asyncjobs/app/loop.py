"""The event loop of an app, and the ways into it from other loops and threads.

An app's connections belong to one loop: the loop of ``async with app``, or in a program without one, a loop that the
first synchronous call starts in a thread.
"""

from __future__ import annotations

import asyncio
import atexit
import concurrent.futures
import contextlib
import functools
import logging
import math
import os
import threading
import time
import weakref
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from asyncjobs.errors import AppNotOpen, BrokerUnavailable
from asyncjobs.ports.outage import Outage

__all__ = ["AppLoop"]

T = TypeVar("T")

_log = logging.getLogger("asyncjobs.app")

# How long closing an app may hold up the end of the process.
_CLOSE_S = 5.0

# How often a caller in another thread looks whether the loop that it waits for still runs.
_LOOK_EVERY_S = 1.0


class _Owner:
    """The loop on which the app is opened, is open, or is closed, and how many such steps are under way."""

    __slots__ = ("_thread", "loop", "steps")

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._thread = threading.current_thread()
        self.loop = loop
        self.steps = 0

    @property
    def has_ended(self) -> bool:
        """Whether the loop will run no more, or can't, since its thread runs the caller."""
        if self.loop.is_closed():
            return True
        here = threading.current_thread()
        return not self.loop.is_running() and (self._thread is here or not self._thread.is_alive())


class AppLoop:
    """The loop of one app, and the ways into it.

    Args:
        open_app: Opens the app, for the loop in a thread.
        close_app: Closes the app, for the same loop, when the process ends.
        forget: Resets the app to closed in a forked process, and after a loop that has ended without closing it.
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
        self.current: asyncio.AbstractEventLoop | None = None
        """The loop, ``None`` while the app is closed."""
        self._owner: _Owner | None = None
        self._thread_loop: asyncio.AbstractEventLoop | None = None
        self._opening: asyncio.Task[None] | None = None
        self._lock = threading.Lock()
        _loops.add(self)

    def attach(self) -> None:
        """Make the running loop the app's own."""
        self.current = asyncio.get_running_loop()

    def detach(self) -> None:
        """Let the app have no loop."""
        self.current = None

    @property
    def is_running_here(self) -> bool:
        """Whether the running loop is the app's own."""
        return self.current is asyncio.get_running_loop()

    # -- the owner

    async def on_owner(self, step: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """Run ``step``, which opens or closes the app, on the loop that owns the app; if none does, on this one."""
        here = asyncio.get_running_loop()
        owner = self._take(here)
        try:
            await (step() if owner.loop is here else self.run_elsewhere(step, owner.loop))
        finally:
            with self._lock:
                owner.steps -= 1
                if not owner.steps and self.current is None and self._owner is owner:
                    self._owner = None

    def _take(self, here: asyncio.AbstractEventLoop) -> _Owner:
        with self._lock:
            self._forget_ended()
            if self._owner is None:
                self._owner = _Owner(here)
            self._owner.steps += 1
            return self._owner

    def _forget_ended(self) -> None:
        if self._owner is not None and self._owner.has_ended:
            self._reset()

    def _reset(self) -> None:
        self.current = self._owner = None
        self._forget()

    def forget_parent(self) -> None:
        """Forget the loops and threads of the parent, in a forked process."""
        # Another thread of the parent may have held it.
        self._lock = threading.Lock()
        if self._owner is not None:
            _cut_off(self._owner.loop)
        self._thread_loop = self._opening = None
        self._reset()

    # -- from another loop or thread

    async def run_elsewhere(self, start: Callable[[], Coroutine[Any, Any, T]], loop: asyncio.AbstractEventLoop) -> T:
        """Run the coroutine of ``start`` on ``loop``, the app's own, from another one.

        Raises:
            AppNotOpen: The loop does not run, or has ended meanwhile.
        """
        reply = asyncio.wrap_future(_submitted(start, loop))
        try:
            while not (await asyncio.wait([reply], timeout=_LOOK_EVERY_S))[0]:
                if not loop.is_running():
                    raise _loop_has_ended()
        finally:
            reply.cancel()
        # The caller itself isn't cancelled: the loop has cancelled what ran on it.
        if reply.cancelled():
            raise _loop_has_ended()
        return reply.result()

    def run_sync(self, start: Callable[[], Coroutine[Any, Any, T]], instead: str, *, patience: float = 0.0) -> T:
        """Run the coroutine of ``start`` on the app's loop, wait for it, and return its result.

        Args:
            start: Returns the coroutine.
            instead: What to write inside a running loop, for the error.
            patience: How long to go on trying to open an app that isn't open, in seconds, while the broker is away.

        Raises:
            AppNotOpen: A loop runs in this thread, which would be blocked; or the app's loop does not run.
            BrokerUnavailable: The app could not be opened.
        """
        self._refuse_to_block(instead)
        loop = self.current
        if loop is None or not loop.is_running():
            with self._lock:
                self._forget_ended()
                loop = self.current
        if loop is None:
            loop, start = self._loop_in_thread(), functools.partial(self._open_and_run, start, patience)
        reply = _submitted(start, loop)
        while True:
            try:
                reply.exception(_LOOK_EVERY_S)
            except concurrent.futures.CancelledError:
                raise _loop_has_ended() from None
            except TimeoutError:
                if not loop.is_running():
                    reply.cancel()
                    raise _loop_has_ended() from None
            else:
                return reply.result()

    def _refuse_to_block(self, instead: str) -> None:
        """Raise ``AppNotOpen`` if a loop runs in this thread, which waiting would block."""
        try:
            asyncio.get_running_loop()
        except RuntimeError:
            return
        raise AppNotOpen(f"a synchronous call inside a running event loop would block it; write {instead}")

    # -- the loop in a thread

    def _loop_in_thread(self) -> asyncio.AbstractEventLoop:
        with self._lock:
            if self._thread_loop is None:
                loop, is_running = asyncio.new_event_loop(), threading.Event()
                loop.call_soon(is_running.set)
                threading.Thread(target=loop.run_forever, name="asyncjobs-app", daemon=True).start()
                is_running.wait()
                self._thread_loop = loop
                atexit.register(self._end)
            return self._thread_loop

    async def _open_and_run(self, start: Callable[[], Coroutine[Any, Any, T]], patience: float) -> T:
        """Open the app on the loop in the thread, and run the coroutine of ``start``."""
        until = time.monotonic() + patience
        outage = Outage(_log, "opening the app must wait: %s", "the app is open")
        while (loop := self.current) is None:
            try:
                async with asyncio.timeout(until - time.monotonic() if 0 < patience < math.inf else None):
                    await self._opened()
            except TimeoutError:
                raise BrokerUnavailable(
                    f"the broker has not answered within {patience:g} s; nothing was sent"
                ) from None
            except BrokerUnavailable as error:
                if time.monotonic() + outage.next_pause >= until:
                    raise
                await asyncio.sleep(outage.failed(error))
        outage.over()
        return await (start() if loop is asyncio.get_running_loop() else self.run_elsewhere(start, loop))

    async def _opened(self) -> None:
        """Wait for one try to open the app, which all callers share."""
        if self._opening is None:
            self._opening = asyncio.create_task(self._open_here(), name="asyncjobs-opening")
            self._opening.add_done_callback(self._tried)
        # A caller that waits no longer takes no other along.
        await asyncio.shield(self._opening)

    def _tried(self, opening: asyncio.Task[None]) -> None:
        self._opening = None
        if not opening.cancelled():
            opening.exception()  # Callers may have given up waiting for it.

    async def _open_here(self) -> None:
        await self._open_app()
        if not self.is_running_here:
            # Another loop has opened it meanwhile, and keeps it open for as long as it likes.
            await self._close_app()

    def _end(self) -> None:
        loop, self._thread_loop = self._thread_loop, None
        if loop is None:
            return
        if self.current is loop:
            with contextlib.suppress(TimeoutError):
                asyncio.run_coroutine_threadsafe(self._close_app(), loop).result(_CLOSE_S)
        loop.call_soon_threadsafe(loop.stop)


def _submitted(
    start: Callable[[], Coroutine[Any, Any, T]], loop: asyncio.AbstractEventLoop
) -> concurrent.futures.Future[T]:
    """Run the coroutine of ``start`` on ``loop``, which must run, in another thread; return a future of its result."""
    if not loop.is_running():
        raise _loop_has_ended()
    coroutine = _started(start)
    try:
        return asyncio.run_coroutine_threadsafe(coroutine, loop)
    except RuntimeError:
        coroutine.close()
        raise _loop_has_ended() from None


async def _started(start: Callable[[], Coroutine[Any, Any, T]]) -> T:
    """Call ``start`` and await its coroutine, so that both happen on the app's loop."""
    return await start()


def _loop_has_ended() -> AppNotOpen:
    return AppNotOpen(
        "the event loop in which the app is open has ended, or does not run; open the app in a loop that runs for as "
        "long as the app is used, and leave `async with app:` before the loop ends"
    )


# -- forked processes

_loops: weakref.WeakSet[AppLoop] = weakref.WeakSet()


def _forget_parent() -> None:
    """Close the apps of a forked process: the connections and the loop's thread are the parent's."""
    for loop in list(_loops):
        loop.forget_parent()


def _cut_off(loop: asyncio.AbstractEventLoop) -> None:
    """Keep this process's copy of the parent's loop from the parent's epoll object.

    The two share it: a connection that is collected here would be unregistered there, and the parent would no longer
    see its replies. Registrations on the null device fail, which ``selectors`` ignores.
    """
    selector: Any = getattr(loop, "_selector", None)
    # Where there is no epoll, a forked process inherits nothing of the kind.
    if type(selector).__name__ == "EpollSelector" and selector.get_map() is not None:
        null = os.open(os.devnull, os.O_RDWR)
        os.dup2(null, selector.fileno(), inheritable=False)
        os.close(null)


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_parent)
