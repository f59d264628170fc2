"""A duty of a worker: what starts with it, runs beside its jobs, and stops with it."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Callable, Coroutine
from typing import Any

from asyncjobs.ports.outage import RESTART_PAUSES_S, pause_after
from asyncjobs.worker.tasks import cancel, end_within

__all__ = ["Duty", "keep_running", "on_duty"]

_log = logging.getLogger("asyncjobs.worker")


class Duty:
    """One concern of a running worker; a subclass defines what it needs of the three."""

    #: How long ``stop`` may take, in seconds.
    stop_within_s = 1.0

    #: How much of the time in which the worker is to end ``stop`` leaves to the duties after it, in seconds.
    leaves_s = 0.0

    async def start(self) -> None:
        """Begin; an error here keeps the worker from starting."""

    async def run(self) -> None:
        """Do the work, in the background, until it is cancelled; may return before."""

    async def stop(self) -> None:
        """End in good order; ``run`` still goes on, and is cancelled afterwards."""


@contextlib.asynccontextmanager
async def on_duty(
    name: str, duty: Duty, bounded: Callable[[Duty], float] = lambda duty: duty.stop_within_s
) -> AsyncIterator[None]:
    """Start ``duty``, keep it running in the background of the block, and stop it at the block's end.

    ``bounded`` returns how many seconds the stop may take.
    """
    await duty.start()
    task = asyncio.create_task(keep_running(name, duty.run))
    try:
        yield
    finally:
        try:
            await end_within(bounded(duty), duty.stop(), f"the worker's {name}")
        finally:
            await cancel(task)


async def keep_running(name: str, run: Callable[[], Coroutine[Any, Any, None]]) -> None:
    """Call ``run`` until it returns; where it raises, log that and call it again: a worker never ends by accident."""
    failures = 0
    while True:
        # In a task of its own: awaited here, it would pass through this coroutine at each of its resumptions.
        task = asyncio.create_task(run(), name=f"asyncjobs-{name}")
        try:
            await asyncio.wait([task])
        except asyncio.CancelledError:
            await cancel(task)
            raise
        error = task.exception()
        if error is None:
            return
        if not isinstance(error, Exception):
            raise error
        failures += 1
        pause = pause_after(failures, RESTART_PAUSES_S)
        _log.error("the worker's %s failed and starts again in %s s", name, pause, exc_info=error)
        await asyncio.sleep(pause)
