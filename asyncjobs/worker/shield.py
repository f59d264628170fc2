"""When an attempt must not be cancelled: while its handler is in a thread, and while its resources close."""

from __future__ import annotations

import asyncio
from typing import Any

from asyncjobs.jobs.context import JobContext, Shield

__all__ = ["Shielded", "ShieldedFuture", "lift_shield", "shield_of"]


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
