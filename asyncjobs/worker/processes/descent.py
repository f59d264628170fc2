"""Finds and ends what a process has started, also what has left its group for a session of its own. Linux only."""

from __future__ import annotations

import contextlib
import os
import signal
from pathlib import Path

__all__ = ["adopt_orphans", "kill_descendants"]

_PR_SET_CHILD_SUBREAPER = 36


def adopt_orphans() -> None:
    """Become the parent of each descendant whose own parent ends, so that it stays a descendant."""
    # Only here: most of a process's start would be this import, where there is no such call.
    with contextlib.suppress(Exception):
        import ctypes

        ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def kill_descendants(pid: int) -> None:
    """Kill all processes that process ``pid`` has started, and those that they have."""
    killed: set[int] = set()
    # One may have started another right before its end.
    while found := _descendants(pid) - killed:
        for one in found:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(one, signal.SIGKILL)
        killed |= found


def _descendants(pid: int) -> set[int]:
    found: set[int] = set()
    waiting = [pid]
    while waiting:
        for task in Path(f"/proc/{waiting.pop()}/task").glob("*/children"):
            # A thread or process that has just ended has none.
            with contextlib.suppress(OSError):
                children = {int(child) for child in task.read_text().split()} - found
                found |= children
                waiting += children
    return found
