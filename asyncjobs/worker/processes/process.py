"""One process of handlers, on the worker's side: a socket to the process, and a thread that waits for its end."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
import subprocess
import threading
from collections.abc import Callable

from asyncjobs.worker.processes.descent import kill_descendants
from asyncjobs.worker.processes.interpreter import command_of
from asyncjobs.worker.processes.protocol import (
    Event,
    Extended,
    Frames,
    Message,
    ProcessDied,
    Raised,
    Returned,
    decode_message,
)

__all__ = ["HandlerProcess"]

_CHUNK_BYTES = 65_536
_MODULE = "asyncjobs.worker.processes.child"

# A process that has closed its socket is killed after this time.
_MUTE_S = 0.5


class HandlerProcess:
    """A process that runs one call at a time; ``on_end`` is called once when it has ended and is reaped.

    ``lifeline`` is the reading end of a pipe whose other end closes when the worker's process ends.
    """

    def __init__(self, lifeline: int, on_end: Callable[[HandlerProcess], None]) -> None:
        self._loop = asyncio.get_running_loop()
        self._on_end = on_end
        self._frames = Frames()
        self._unsent = memoryview(b"")
        self._on_event: Callable[[bytes], None] | None = None
        self._on_extension: Callable[[float], None] | None = None
        self._outcome: asyncio.Future[Returned | Raised | Exception] | None = None
        self._kill_timer: asyncio.TimerHandle | None = None
        self._is_killed = False
        #: Done once the process has ended and is reaped.
        self.ended: asyncio.Future[None] = self._loop.create_future()
        self._socket, theirs = socket.socketpair()
        try:
            with theirs:
                self._process = _start(theirs.fileno(), lifeline)
        except BaseException:
            self._socket.close()
            raise
        self._socket.setblocking(False)
        self._loop.add_reader(self._socket, self._read)
        self.pid = self._process.pid
        threading.Thread(target=self._await_end, name=f"asyncjobs-process-{self.pid}", daemon=True).start()

    @property
    def is_ready(self) -> bool:
        """Whether it lives, and no call waits for its answer."""
        return self._outcome is None and not self._is_killed and self._process.returncode is None

    async def ask(
        self, frame: bytes, on_event: Callable[[bytes], None], on_extension: Callable[[float], None] | None
    ) -> Returned | Raised:
        """Send a call and return its answer.

        Until then ``on_event`` is called with each event that the handler emits, and ``on_extension`` with the seconds
        for which it asks to go on. Raises ``ProcessDied`` if the process ends first. Unless it ``is_ready`` afterwards,
        it must be killed.
        """
        self._outcome = self._loop.create_future()
        self._on_event, self._on_extension = on_event, on_extension
        self._unsent = memoryview(frame)
        self._write()
        if self._unsent:
            self._loop.add_writer(self._socket, self._write)
        outcome = await self._outcome
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    def kill(self) -> None:
        """End the process and what it has started, at once."""
        self._is_killed = True
        if self._process.returncode is None:
            # Its group is its own. The process may have ended a moment ago, and the thread not have noticed yet.
            with contextlib.suppress(ProcessLookupError, PermissionError):
                # Stopped first, it starts no other, and stays the parent of those that it has started.
                os.killpg(self.pid, signal.SIGSTOP)
                kill_descendants(self.pid)
                os.killpg(self.pid, signal.SIGKILL)

    def hang_up(self) -> None:
        """Let the process end by itself, with its exit handlers; only one that ``is_ready``."""
        self._is_killed = True
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)

    # -- the socket

    def _write(self) -> None:
        try:
            sent = self._socket.send(self._unsent) if self._unsent else 0
        except (BlockingIOError, InterruptedError):
            return
        except OSError:
            # The process has ended, which ``_read`` notices.
            sent = len(self._unsent)
        self._unsent = self._unsent[sent:]
        if not self._unsent:
            self._loop.remove_writer(self._socket)

    def _read(self) -> None:
        """Read once; at the end of the stream, make sure that the process ends too."""
        if self._receive() == b"":
            self._loop.remove_reader(self._socket)
            # As a rule the process has just ended, with a code of its own; but it may only have closed the socket.
            self._kill_timer = self._loop.call_later(_MUTE_S, self.kill)

    def _receive(self) -> bytes | None:
        try:
            data = self._socket.recv(_CHUNK_BYTES)
        except (BlockingIOError, InterruptedError):
            return None
        except OSError:
            return b""
        try:
            for body in self._frames.feed(data):
                self._take(decode_message(body))
        except Exception as error:
            # Bytes that are no message, or an error of ``on_event``: the call can't go on.
            self._settle(error)
            self.kill()
        return data

    def _take(self, message: Message) -> None:
        if self._outcome is None or self._outcome.done():
            return
        match message:
            case Event() if self._on_event is not None:
                self._on_event(message.data)
            case Extended() if self._on_extension is not None:
                self._on_extension(message.seconds)
            case Returned() | Raised():
                self._settle(message)
                self._outcome = None

    def _settle(self, outcome: Returned | Raised | Exception) -> None:
        if self._outcome is not None and not self._outcome.done():
            self._outcome.set_result(outcome)

    # -- the end

    def _await_end(self) -> None:
        # In a thread, which works with every loop and system; the process is reaped even if the loop has ended.
        if hasattr(os, "waitid"):
            os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOWAIT)
            if self._outcome is not None:
                # Until it is reaped, its number is its own: a handler that crashed takes along what it has started.
                with contextlib.suppress(ProcessLookupError, PermissionError):
                    os.killpg(self.pid, signal.SIGKILL)
        self._process.wait()
        with contextlib.suppress(RuntimeError):
            self._loop.call_soon_threadsafe(self._end)

    def _end(self) -> None:
        # The process may have answered right before its end.
        while self._receive():
            pass
        if self._kill_timer is not None:
            self._kill_timer.cancel()
        self._loop.remove_reader(self._socket)
        self._loop.remove_writer(self._socket)
        self._socket.close()
        self._settle(ProcessDied(self._cause_of_death()))
        self.ended.set_result(None)
        self._on_end(self)

    def _cause_of_death(self) -> str:
        code = self._process.returncode
        if code >= 0:
            return (
                f"the process of the handler exited with code {code} before the handler had returned (pid {self.pid})"
            )
        try:
            name = signal.Signals(-code).name
        except ValueError:
            name = str(-code)
        hint = "; the kernel sends it where memory runs out" if name == "SIGKILL" and not self._is_killed else ""
        return f"the process of the handler was ended by signal {name} (pid {self.pid}){hint}"


def _start(channel: int, lifeline: int) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        command_of(_MODULE, str(channel), str(lifeline)),
        stdin=subprocess.DEVNULL,
        pass_fds=(channel, lifeline),
        # As the program sees it: C code, such as readline, may have set more.
        env=os.environ,
        # A group of its own: what a handler starts is killed with it.
        process_group=0,
    )
