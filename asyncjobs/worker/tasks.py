"""Ends tasks in a bounded time, whatever they do with their cancellation."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

__all__ = ["cancel", "end_within", "first_of", "shielded"]

_log = logging.getLogger("asyncjobs.worker")

T = TypeVar("T")

# How long a cancelled task may take to end, and after which time it is cancelled again, in seconds.
_CANCEL_WITHIN_S = 1.0
_RECANCEL_EVERY_S = 0.5


async def first_of(task: asyncio.Task[Any], event: asyncio.Event) -> None:
    """Wait until ``task`` has ended or ``event`` is set."""
    waiting = asyncio.create_task(event.wait())
    try:
        await asyncio.wait([task, waiting], return_when=asyncio.FIRST_COMPLETED)
    finally:
        waiting.cancel()


async def cancel(task: asyncio.Task[Any]) -> bool:
    """Cancel ``task``, and again while it goes on, for a second at most; return whether it has ended."""
    loop = asyncio.get_running_loop()
    until = loop.time() + _CANCEL_WITHIN_S
    while not task.done() and (left_s := until - loop.time()) > 0:
        task.cancel()
        await asyncio.wait([task], timeout=min(left_s, _RECANCEL_EVERY_S))
    return task.done()


async def end_within(seconds: float, ending: Coroutine[Any, Any, None], what: str) -> None:
    """Await ``ending``; if that takes longer than ``seconds``, cancel it and log that ``what`` did not end in time."""
    task = asyncio.create_task(ending)
    try:
        await asyncio.wait([task], timeout=seconds)
    finally:
        if not task.done():
            _log.error("%s did not end within %.3g s and is left", what, seconds)
            await cancel(task)
    if task.done() and not task.cancelled():
        task.result()


async def shielded(task: asyncio.Task[T], on_cancel: Callable[[], None]) -> T:
    """Await ``task``; where that is cancelled, call ``on_cancel``, wait for the task's end, and raise then."""
    try:
        await asyncio.wait([task])
    except asyncio.CancelledError:
        on_cancel()
        # Imported for no more than this: in a worker it takes 2 MiB that most need not have.
        import anyio

        # A scope of anyio would cancel again in each turn of the loop.
        with anyio.CancelScope(shield=True):
            while not task.done():
                with contextlib.suppress(asyncio.CancelledError):
                    await asyncio.wait([task])
        if not task.cancelled() and (error := task.exception()) is not None:
            _log.error("the worker was cancelled, and failed while it ended", exc_info=error)
        raise
    return task.result()
