"""Several worker processes: started, started again when one dies, and stopped together."""

from __future__ import annotations

import logging
import os
import signal
import subprocess
import sys
import threading
import time
from types import FrameType

from asyncjobs.ports.outage import RESTART_PAUSES_S, pause_after

__all__ = ["Supervisor", "die_with_supervisor"]

_log = logging.getLogger("asyncjobs.worker")

# How often the supervisor looks at its processes.
_LOOK_EVERY_S = 0.1

# A process that has lived longer than this begins a new row of failures when it dies.
_SETTLED_S = 30.0


class _Child:
    """One worker process, and its successors."""

    def __init__(self, arguments: list[str]) -> None:
        self._arguments = arguments
        self._deaths = 0
        self._starts_at = 0.0
        self._started_at = 0.0
        self.process: subprocess.Popen[bytes] | None = None
        self.is_done = False

    def start(self) -> None:
        """Start the process."""
        # Its standard input is a pipe, which ends when the supervisor dies; see ``die_with_supervisor``.
        self._started_at = time.monotonic()
        self.process = subprocess.Popen(
            [sys.executable, "-m", "asyncjobs", *self._arguments], stdin=subprocess.PIPE, start_new_session=True
        )

    def look(self, *, restart: bool) -> None:
        """Check whether the process has ended, and start another once the pause after its death is over."""
        if self.process is None:
            if restart and time.monotonic() >= self._starts_at:
                self.start()
            return
        code = self.process.poll()
        if code is None:
            return
        if self.process.stdin is not None:
            self.process.stdin.close()
        pid, self.process = self.process.pid, None
        if code == 0 or not restart:
            self.is_done = True
            return
        lived = time.monotonic() - self._started_at
        self._deaths = 0 if lived > _SETTLED_S else self._deaths + 1
        pause = pause_after(self._deaths, RESTART_PAUSES_S)
        self._starts_at = time.monotonic() + pause
        _log.error("worker process %d ended with code %d; another starts in %.1f s", pid, code, pause)


class Supervisor:
    """Runs worker processes, and restarts them when they die.

    Args:
        arguments: The arguments of ``asyncjobs`` for each process.
        count: How many processes.
        ends_when_done: Whether the processes end by themselves, and so are not started again.
    """

    def __init__(self, arguments: list[str], count: int, *, ends_when_done: bool) -> None:
        self._children = [_Child(arguments) for _ in range(count)]
        self._ends_when_done = ends_when_done
        self._is_stopping = False

    def run(self) -> int:
        """Run until all processes have ended.

        Returns:
            The exit code: 1 if a process failed that should have ended by itself, else 0.
        """
        for wanted in (signal.SIGTERM, signal.SIGINT):
            signal.signal(wanted, self._stop_children)
        failed = False
        for child in self._children:
            child.start()
        while True:
            for child in self._children:
                process = child.process
                child.look(restart=not self._is_stopping and not self._ends_when_done)
                if process is not None and child.is_done:
                    failed = failed or process.returncode != 0
            if all(child.is_done or (child.process is None and self._is_stopping) for child in self._children):
                return 1 if failed and not self._is_stopping else 0
            time.sleep(_LOOK_EVERY_S)

    def _stop_children(self, number: int, frame: FrameType | None) -> None:
        self._is_stopping = True
        for child in self._children:
            if child.process is not None and child.process.poll() is None:
                child.process.send_signal(signal.SIGTERM)


def die_with_supervisor(supervisor: int) -> None:
    """End this process by SIGTERM once its supervisor is gone, which ends the pipe on its standard input.

    Args:
        supervisor: The number of the supervisor's process.
    """

    def watch() -> None:
        # The bare descriptor, since a thread that holds the lock of sys.stdin would keep the interpreter from ending.
        while os.read(0, 1):
            pass
        os.kill(os.getpid(), signal.SIGTERM)

    if os.getppid() != supervisor:
        raise SystemExit("the supervisor has gone")
    threading.Thread(target=watch, name="asyncjobs-supervisor-watch", daemon=True).start()
