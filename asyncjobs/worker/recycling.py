"""When a worker is to end, so that a new one takes its place: a remedy for handlers that leak."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Literal, TypeAlias

from asyncjobs.core.bounds import shown
from asyncjobs.errors import ConfigurationError
from asyncjobs.worker.execution.executor import Executor
from asyncjobs.worker.memory_use import resident_bytes

__all__ = ["EndedBy", "Recycling", "check_limits"]

EndedBy: TypeAlias = Literal["", "max_jobs", "max_memory"]
"""The limit that a worker has reached; empty if none."""

_LOOK_EVERY_S = 0.5


class Recycling:
    """The limits of one run of a worker.

    Args:
        executor: Runs the jobs.
        max_jobs: How many jobs the worker runs; ``None`` for any number.
        max_memory: How much memory its process may use, in bytes; ``None`` for any amount.
        monotonic: The clock.
    """

    def __init__(
        self, executor: Executor, max_jobs: int | None, max_memory: int | None, monotonic: Callable[[], float]
    ) -> None:
        self._executor = executor
        self._max_jobs = max_jobs
        self._max_memory = max_memory
        self._monotonic = monotonic
        self._looked_at = 0.0
        self._is_over_memory = False

    @property
    def left(self) -> int:
        """How many more jobs the worker may claim."""
        if self._max_jobs is None:
            return sys.maxsize
        executor = self._executor
        return max(0, self._max_jobs - executor.finished - executor.running - executor.buffered)

    def allowed(self, limit: int, ahead: int) -> tuple[int, int]:
        """Return how many jobs to claim of up to ``limit``, ``ahead`` of them without a free slot: none once it ends.

        Of the last jobs none is claimed ahead: a worker that has reached ``max_jobs`` has none that does not run.
        """
        if self.reached():
            return 0, 0
        left = self.left
        return (limit, ahead) if left > limit else (max(0, min(left, limit, self._executor.free)), 0)

    def reached(self) -> EndedBy:
        """Return the limit that is reached, after which the worker claims no more."""
        if not self.left:
            return "max_jobs"
        # Not before a job has ended: a worker that begins above its limit would start anew for ever.
        if self._max_memory is not None and not self._is_over_memory and self._executor.finished:
            now = self._monotonic()
            if now - self._looked_at >= _LOOK_EVERY_S:
                self._looked_at = now
                self._is_over_memory = resident_bytes() > self._max_memory
        return "max_memory" if self._is_over_memory else ""


def check_limits(max_jobs: object, max_memory: object) -> None:
    """Raise ``ConfigurationError`` for limits that a worker can't have."""
    for name, value in (("max_jobs", max_jobs), ("max_memory", max_memory)):
        if value is not None and (not isinstance(value, int) or isinstance(value, bool) or value < 1):
            unit = " of bytes" if name == "max_memory" else ""
            raise ConfigurationError(f"{name}={shown(value)}: expected a whole number{unit}, 1 or more")
    if isinstance(max_memory, int):
        used = resident_bytes()
        if not used:
            raise ConfigurationError(
                f"max_memory={max_memory}: this system doesn't tell how much memory a process uses; give max_jobs"
            )
        if used >= max_memory:
            raise ConfigurationError(
                f"max_memory={max_memory}: before its first job the worker uses {used} bytes already; give it more"
            )
