"""Whether a worker does its work: its loop turns, and a claim or an idle wait ended lately."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import logging
import os
import stat
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Literal

import msgspec

__all__ = ["Health", "Phase", "health_file", "health_of", "healthy_within"]

# How much longer than its longest wait a healthy worker may take for a claim or a wait, and the least that it may.
_GRACE_S = 10.0
_HEALTHY_WITHIN_S = 15.0

_WRITE_EVERY_S = 1.0

# From so long a block of the event loop on, the worker counts as blocked.
_BLOCKED_S = 5.0

_log = logging.getLogger("asyncjobs.worker")


class Health(msgspec.Struct, frozen=True, kw_only=True):
    """The health of a worker, as ``Worker.health()`` returns it."""

    is_live: bool = True
    """Whether its event loop turns, or may still: no handler has blocked it for more than five seconds. A worker that
    is not live for long should be started anew."""
    is_ready: bool = False
    """Whether it does its work: it is live, it isn't stopping, and a claim or a wait for jobs has ended within the time
    asked for."""
    reason: str = "the worker doesn't run"
    """Why it is not ready, empty if it is."""
    idle_s: float | None = None
    """How many seconds ago a claim or a wait ended; ``None`` if the worker doesn't run."""
    blocked_s: float = 0.0
    """For how many seconds the event loop has been blocked."""
    running: int = 0
    """How many jobs run."""


Phase = Literal["starting", "working", "stopping"]
"""What a worker is about: its resources open, it claims and runs jobs, or it only lets them finish."""


def health_of(phase: Phase, *, idle_s: float, within_s: float, blocked_s: float, running: int) -> Health:
    """Return the health of a worker that runs.

    Args:
        phase: What it is about.
        idle_s: How many seconds ago a claim or a wait ended.
        within_s: How long ago that may be.
        blocked_s: For how many seconds the event loop has been blocked.
        running: How many jobs run.
    """
    is_live = blocked_s < _BLOCKED_S
    if not is_live:
        reason = f"the event loop has been blocked for {blocked_s:.0f} s"
    elif phase != "working":
        reason = f"the worker is {phase}"
    elif idle_s > within_s:
        reason = f"no claim and no wait for jobs has ended for {idle_s:.0f} s: the broker may be away"
    else:
        reason = ""
    return Health(
        is_live=is_live, is_ready=not reason, reason=reason, idle_s=idle_s, blocked_s=blocked_s, running=running
    )


def healthy_within(longest_wait_s: float) -> float:
    """Return how many seconds ago a claim or a wait must have ended, if a wait takes up to ``longest_wait_s``."""
    return max(_HEALTHY_WITHIN_S, longest_wait_s + _GRACE_S)


@contextlib.asynccontextmanager
async def health_file(health: Callable[[], Health], path: Path) -> AsyncIterator[None]:
    """Write ``path`` anew each second while the worker is ready; a probe looks at the file's age.

    Raises:
        OSError: The file can't be written, or is a symbolic link, or no regular file.
    """
    await asyncio.to_thread(_write, path, "starting\n")

    async def write() -> None:
        failed = False
        while True:
            if health().is_ready:
                try:
                    await asyncio.to_thread(_write, path, "ready\n")
                    failed = False
                except OSError as error:
                    if not failed:
                        _log.warning("the health file can't be written: %s", error)
                    failed = True
            await asyncio.sleep(_WRITE_EVERY_S)

    writing = asyncio.create_task(write(), name="asyncjobs-health-file")
    try:
        yield
    finally:
        writing.cancel()
        # Not awaited itself: a cancellation of this task would be taken for that of the other.
        await asyncio.gather(writing, return_exceptions=True)
        with contextlib.suppress(OSError):
            await asyncio.to_thread(path.unlink, missing_ok=True)


def _write(path: Path, text: str) -> None:
    # A link that somebody has put into a shared folder may lead to any file. Opening a pipe would wait for a reader.
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK, 0o644)
    with open(descriptor, "w") as file:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise OSError(errno.EINVAL, "no regular file", str(path))
        file.write(text)
        # Shortened last, so that no probe finds it empty.
        file.truncate()
