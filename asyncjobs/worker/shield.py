"""When an attempt must not be cancelled: while its handler is in a thread, and while its resources close.

And what the handler in a thread is told instead.
"""

from __future__ import annotations

import asyncio
import threading
from typing import Any

from asyncjobs.jobs.context import JobContext, Shield

__all__ = [
    "Shielded",
    "ShieldedFuture",
    "ends_at",
    "lift_shield",
    "note_thread",
    "shield_of",
    "tell_cancelled",
    "thread_of",
]


class Shielded:
    """A block in which the attempt of ``job`` isn't cancelled; while ``closing``, for some seconds at most."""

    __slots__ = ("_before", "_job", "_shield")

    def __init__(self, job: JobContext, shield: Shield) -> None:
        self._job = job
        self._shield = shield

    def __enter__(self) -> None:
        self._before, self._job._shield = self._job._shield, self._shield

    def __exit__(self, *error: object) -> None:
        self._job._shield = self._before


def shield_of(job: JobContext) -> Shield:
    """Return why the attempt of ``job`` must not be cancelled now; empty if it may be."""
    return job._shield


def lift_shield(job: JobContext) -> None:
    """Let the attempt of ``job`` be cancelled now."""
    job._shield = ""


def note_thread(job: JobContext) -> None:
    """Note that the handler of ``job`` runs in the calling thread."""
    job._thread_id = threading.get_ident()


def thread_of(job: JobContext) -> int | None:
    """Return the number of the thread that runs the handler of ``job``; ``None`` if none does, or it waits for one."""
    return getattr(job, "_thread_id", None) if job._shield == "thread" else None


def tell_cancelled(job: JobContext) -> None:
    """Tell the handler of ``job`` that its attempt is being cancelled."""
    job._is_cancelled = True


def ends_at(job: JobContext) -> float | None:
    """Return when the timeout of ``job`` ends, as its handler may have moved it; ``None`` without a timeout."""
    return job._ends_at


class ShieldedFuture(asyncio.Future[Any]):
    """What the attempt of ``job`` awaits while it is shielded.

    A cancellation of its task, such as by a timeout in middleware, arrives only when the future is done.
    """

    def __init__(self, job: JobContext) -> None:
        super().__init__()
        self._job = job

    def cancel(self, msg: Any | None = None) -> bool:
        """Return false while the job is shielded, which tells its task to keep the cancellation."""
        return not shield_of(self._job) and super().cancel(msg)
