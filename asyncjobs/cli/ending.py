"""Ends the process of a worker in time, whatever still runs in it."""

from __future__ import annotations

import asyncio
import contextlib
import math
import os
import select
import signal
import threading
import time
from collections.abc import Iterator
from types import FrameType

from asyncjobs.core.text import escaped
from asyncjobs.worker.run import END_WITHIN_S
from asyncjobs.worker.signals import stop_signals
from asyncjobs.worker.worker import Worker

__all__ = ["ProcessEnd"]

# How long the process may take after its worker has ended: for tasks and threads that handlers have left.
_LEFT_S = 2.0

_ENDED = 0


class ProcessEnd:
    """Stops ``worker`` at the signals that stop one, and ends this process where it does not end by itself.

    The first signal lets handlers finish for ``shutdown_timeout`` seconds, the second one cancels them, and the third
    one ends the process at once. A thread watches the time, so that neither a handler that blocks the event loop nor
    what handlers leave behind can keep the process.
    """

    def __init__(self, worker: Worker, shutdown_timeout: float) -> None:
        self._worker = worker
        # By what was written to the pipe: the number of the signal, or that the worker has ended.
        self._limits_s = {1: shutdown_timeout + END_WITHIN_S + _LEFT_S, 2: END_WITHIN_S + _LEFT_S, _ENDED: _LEFT_S}
        self._pid = os.getpid()
        self._count = 0
        self._loop: asyncio.AbstractEventLoop | None = None
        self._writer: int | None = None

    @contextlib.contextmanager
    def watching(self) -> Iterator[None]:
        """Handle signals inside the block; if there was one, or a limit was reached, the time goes on after it.

        It does nothing in another thread than the main one, where no signal arrives.
        """
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        self._reader, writer = os.pipe()
        self._writer = writer
        threading.Thread(target=self._watch, name="asyncjobs-process-end", daemon=True).start()
        before = {one: signal.signal(one, self._received) for one in stop_signals()}
        try:
            yield
        finally:
            if not self._must_end:
                for one, handler in before.items():
                    signal.signal(one, handler)
                os.close(writer)

    @contextlib.contextmanager
    def running(self) -> Iterator[None]:
        """Stop the worker at signals while it runs in the block, on the running event loop."""
        self._loop = asyncio.get_running_loop()
        for _ in range(self._count):
            self._worker.stop()
        try:
            yield
        finally:
            self._loop = None
            if self._must_end:
                self._write(_ENDED)

    @property
    def _must_end(self) -> bool:
        return bool(self._count or self._worker.ended_by)

    def _received(self, number: int, frame: FrameType | None) -> None:
        if os.getpid() != self._pid:
            # A process that a handler has forked, and that is not to be a worker.
            signal.signal(number, signal.SIG_DFL)
            os.kill(os.getpid(), number)
            return
        self._count += 1
        if self._count > 2:
            os._exit(128 + number)
        self._write(self._count)
        if self._loop is not None:
            with contextlib.suppress(RuntimeError):  # The loop has closed.
                self._loop.call_soon_threadsafe(self._worker.stop)

    def _write(self, what: int) -> None:
        # A handler of a signal may interrupt anything, so it must not take a lock.
        if self._writer is not None:
            os.write(self._writer, bytes([what]))

    def _watch(self) -> None:
        until = math.inf
        while True:
            left_s = None if until == math.inf else max(0.0, until - time.monotonic())
            ready, _, _ = select.select([self._reader], [], [], left_s)
            if not ready:
                self._end()
            what = os.read(self._reader, 1)
            if not what:
                os.close(self._reader)
                return
            until = min(until, time.monotonic() + self._limits_s[what[0]])

    def _end(self) -> None:
        names = ", ".join(one.name for one in threading.enumerate() if not one.daemon)
        with contextlib.suppress(OSError):
            os.write(
                2, f"asyncjobs: the worker's process is ended; these threads still ran: {escaped(names)}\n".encode()
            )
        os._exit(1)
