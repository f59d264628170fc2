"""Several worker processes: started, started again when one dies, and stopped together.

A signal is only noted. All else happens in one loop, so that no process can start unseen while the others are stopped.
"""

from __future__ import annotations

import contextlib
import logging
import math
import os
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from types import FrameType

import msgspec

from asyncjobs.cli.beside import beside
from asyncjobs.ports.outage import RESTART_PAUSES_S, pause_after
from asyncjobs.worker.liveness.health import Health
from asyncjobs.worker.processes.interpreter import command_of
from asyncjobs.worker.signals import stop_signals

__all__ = ["RECYCLED", "Child", "ProcessesHealth", "Supervisor", "die_with_supervisor", "report_start", "reporting"]

_log = logging.getLogger("asyncjobs.worker")

# How often the supervisor looks at its processes.
_LOOK_EVERY_S = 0.1

# How often processes report their health, and after which silence one is taken for stuck.
_REPORT_EVERY_S = 1.0
_SILENT_S = 6.0

# A process that has lived longer than this begins a new row of failures when it dies.
_SETTLED_S = 30.0

# After this many failed starts of a process in a row the supervisor gives up. The pauses between them take 12 seconds.
_MAX_FAILED_STARTS = 6

# How long a process may take to end once its handlers are cancelled. It is a second less than service managers are told
# to wait in addition to shutdown_timeout.
_END_S = 9.0

# The exit codes of ``cli.main``. What is wrong with a setting or a definition is as wrong at the next start.
_FAILED, _MISCONFIGURED = 1, 2

#: That of a process, to its supervisor, that has reached a limit, and that another one is to replace.
RECYCLED = 3


class Child:
    """One worker process, and its successors."""

    def __init__(self, arguments: list[str]) -> None:
        self._command = command_of("asyncjobs.cli.main", *arguments)
        self._process: subprocess.Popen[bytes] | None = None
        self._line: socket.socket | None = None
        self._started_at = 0.0
        self._starts_at = 0.0
        self._deaths = 0
        self._signals = 0
        self._has_begun = False
        self._rest_of_line = b""
        # The last report, and when it came.
        self._report: tuple[Health, float] | None = None
        self.failed_starts = 0
        """How many processes in a row ended before they had begun to work."""
        self.last_end = ""
        """How the last process ended, for the log."""
        self.is_killed = False
        """Whether the process had to be killed."""

    @property
    def is_running(self) -> bool:
        """Whether there is a process, as far as ``poll`` has seen."""
        return self._process is not None

    @property
    def health(self) -> Health:
        """What the process has last said of its health; one that says nothing any more is not live."""
        if self._report is None:
            return Health(reason="the process starts")
        health, at = self._report
        silence_s = time.monotonic() - at
        if silence_s < _SILENT_S:
            return health
        return Health(is_live=False, reason=f"the process has said nothing for {silence_s:.0f} s")

    def listen(self) -> None:
        """Read what the process has reported."""
        with contextlib.suppress(OSError):
            while self._line is not None and (some := self._line.recv(65_536, socket.MSG_DONTWAIT)):
                *lines, self._rest_of_line = (self._rest_of_line + some).split(b"\n")
                for line in lines:
                    if line:
                        self._report = msgspec.json.decode(line, type=Health), time.monotonic()
                    else:
                        self._has_begun = True

    def start_if_due(self) -> int | None:
        """Start a process if none runs and the pause is over; return an exit code in its place if that fails."""
        if self._process is not None or time.monotonic() < self._starts_at:
            return None
        self._started_at = time.monotonic()
        try:
            # Its standard input, which ends when the supervisor dies, and takes the report of its start.
            self._line, theirs = socket.socketpair()
            with theirs:
                self._process = subprocess.Popen(self._command, stdin=theirs.fileno(), start_new_session=True)
        except OSError as error:
            # There are too many processes or open files, or too little memory.
            return self._ended(_FAILED, f"a worker process can't be started: {error}")
        return None

    def poll(self) -> int | None:
        """Return the exit code of the process if it has ended since the last call, else ``None``."""
        if self._process is None or (code := self._process.poll()) is None:
            return None
        pid = self._process.pid
        self._ended(code, f"worker process {pid} ended with code {code}")
        if self.failed_starts:
            self.last_end += " before it had begun to work"
        return code

    def _ended(self, code: int, what: str) -> int:
        self.listen()
        if self._line is not None:
            self._line.close()
        self.failed_starts = 0 if self._has_begun else self.failed_starts + 1
        self.last_end = what
        self._process = self._line = self._report = None
        self._has_begun, self._rest_of_line, self._signals = False, b"", 0
        return code

    def restart_later(self) -> None:
        """Let ``start_if_due`` start a process after a pause."""
        now = time.monotonic()
        self._deaths = 0 if now - self._started_at > _SETTLED_S else self._deaths + 1
        pause = pause_after(self._deaths, RESTART_PAUSES_S)
        self._starts_at = now + pause
        _log.error("%s; another starts in %.1f s", self.last_end, pause)

    def pause(self) -> None:
        """Let ``start_if_due`` start no process until ``start_anew`` is called."""
        self._starts_at = math.inf

    def start_anew(self) -> None:
        """Let ``start_if_due`` start a process at once, as if none had been there before."""
        self._starts_at, self._deaths, self.is_killed = 0.0, 0, False

    def stop(self, signals: int) -> None:
        """Pass on the next of ``signals`` that have come; not two at once, which could arrive as one."""
        if self._process is not None and self._signals < signals:
            self._signals += 1
            self._process.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        """End the process and what its handlers have started, at once."""
        if self._process is not None and not self.is_killed:
            self.is_killed = True
            _log.error(
                "worker process %d does not end: it is killed, and its jobs are left to their leases", self._process.pid
            )
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)


class ProcessesHealth(msgspec.Struct, frozen=True, kw_only=True):
    """The health of several worker processes, as their supervisor answers probes."""

    is_live: bool
    """Whether one of them is live, or may soon be: those that are stuck leave their jobs to the others."""
    is_ready: bool
    """Whether one of them is ready."""
    processes: list[Health]
    """Each of them."""


class Supervisor:
    """Runs worker processes, and restarts them when they die.

    Args:
        arguments: The arguments of ``asyncjobs`` for each process.
        count: How many processes.
        shutdown_timeout: How long the handlers may go on after the first signal, in seconds.
        ends_when_done: Whether the processes end by themselves, and so are not started again.
    """

    def __init__(self, arguments: list[str], count: int, *, shutdown_timeout: float, ends_when_done: bool) -> None:
        self._children = [Child(arguments) for _ in range(count)]
        self._shutdown_timeout_s = shutdown_timeout
        self._ends_when_done = ends_when_done
        self._signals = 0
        self._kills_at = 0.0
        self._code = 0

    def run(self) -> int:
        """Run until all processes have ended.

        Returns:
            The exit code: 0, or not 0 if a process failed that should have ended by itself, could not be started for
            several times in a row, or had to be killed.
        """
        for wanted in stop_signals():
            signal.signal(wanted, self._note_signal)
        while self._children:
            # One is removed once it has ended for good.
            self._children = [child for child in self._children if self._look_after(child)]
            for child in self._children:
                child.listen()
            time.sleep(_LOOK_EVERY_S if self._children else 0)
        return self._code

    def health(self) -> ProcessesHealth:
        """Return the health of the processes together; from any thread, while ``run`` reads what they report."""
        processes = [child.health for child in self._children]
        return ProcessesHealth(
            is_live=not processes or any(one.is_live for one in processes),
            is_ready=any(one.is_ready for one in processes),
            processes=processes,
        )

    def _note_signal(self, number: int, frame: FrameType | None) -> None:
        self._stop()

    def _stop(self) -> None:
        """Stop the processes; the second call lets them wait for no handler, and the third one kills them."""
        self._signals += 1
        now = time.monotonic()
        match self._signals:
            case 1:
                self._kills_at = now + self._shutdown_timeout_s + _END_S
            case 2:
                self._kills_at = min(self._kills_at, now + _END_S)
            case _:
                self._kills_at = now

    def _look_after(self, child: Child) -> bool:
        """Start, stop or kill the process of ``child``, as it is due; return whether it is still needed."""
        code = child.poll()
        if not self._signals:
            if code is None:
                code = child.start_if_due()
            return code is None or self._goes_on_after(child, code)
        if not child.is_running:
            self._code = self._code or int(child.is_killed)
            return False
        if time.monotonic() < self._kills_at:
            child.stop(self._signals)
        else:
            child.kill()
        return True

    def _goes_on_after(self, child: Child, code: int) -> bool:
        """Return whether another process follows the one of ``child``, which has ended with ``code``."""
        if code == 0:
            return False
        if code == RECYCLED:
            _log.info("%s, having reached its limit; another starts", child.last_end)
            return True
        if self._ends_when_done:
            self._code = _FAILED
            return False
        limit = 1 if code == _MISCONFIGURED else _MAX_FAILED_STARTS
        if child.failed_starts >= limit:
            _log.error("%s; the worker gives up, since its processes can't start", child.last_end)
            self._code = _MISCONFIGURED if code == _MISCONFIGURED else _FAILED
            self._stop()
            return False
        child.restart_later()
        return True


def die_with_supervisor(supervisor: int) -> None:
    """End this process by SIGTERM once its supervisor is gone, which ends the stream on its standard input.

    Args:
        supervisor: The number of the supervisor's process.
    """

    def watch() -> None:
        # The bare descriptor, since a thread that holds the lock of sys.stdin would keep the interpreter from ending.
        # A stream that its other end has not read to the end is reset.
        with contextlib.suppress(ConnectionError):
            while os.read(0, 1):
                pass
        os.kill(os.getpid(), signal.SIGTERM)

    if os.getppid() != supervisor:
        raise SystemExit("the supervisor has gone")
    threading.Thread(target=watch, name="asyncjobs-supervisor-watch", daemon=True).start()


def report_start() -> None:
    """Report to the ``Supervisor`` of this process that its worker has started."""
    _report(b"\n")


def reporting(health: Callable[[], Health]) -> AbstractContextManager[None]:
    """Report ``health`` to the ``Supervisor`` of this process every second, also while the event loop is blocked."""

    def report(ended: threading.Event) -> None:
        while not ended.wait(_REPORT_EVERY_S):
            _report(msgspec.json.encode(health()) + b"\n")

    return beside("asyncjobs-health-report", report)


def _report(line: bytes) -> None:
    with contextlib.suppress(OSError):  # The supervisor has gone, which ``die_with_supervisor`` notices.
        os.write(0, line)
