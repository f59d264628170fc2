"""Waits of the tests, with one bound: for an event where there is one, else by looking again and again."""

from __future__ import annotations

import asyncio
import contextlib
import inspect
import time
from collections.abc import AsyncIterator, Callable
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from asyncjobs import App

__all__ = ["SOON", "Notes", "until", "until_sync", "until_workers"]

#: The longest wait for anything, in seconds. It is far more than is needed, so that no test fails for a busy machine; a
#: test of how fast something is has a number of its own.
SOON = 20.0

_LOOK_EVERY_S = 0.02

_Note = TypeVar("_Note")


class Notes(list[_Note]):
    """What handlers have noted: a list that can be awaited. Append to it on the loop that awaits it.

    Example:
        ran: Notes[int] = Notes()
        ...
        await ran.reach(3)
    """

    def __init__(self) -> None:
        super().__init__()
        self._news: asyncio.Event | None = None

    def append(self, note: _Note) -> None:
        super().append(note)
        if self._news is not None:
            self._news.set()

    async def reach(self, count: int) -> None:
        """Wait until there are at least ``count`` notes."""
        await self.until(lambda: len(self) >= count, f"{count} notes")

    async def until(self, enough: Callable[[], object], what: str) -> None:
        """Wait until ``enough`` returns true; it is asked now, and after each note. ``what`` is for the error."""
        try:
            async with _bounded(SOON, what):
                while not enough():
                    self._news = asyncio.Event()
                    await self._news.wait()
        except TimeoutError as error:
            error.add_note(f"noted are: {list(self)}")
            raise


async def until(condition: asyncio.Event | Callable[[], object], what: str, *, within: float = SOON) -> None:
    """Wait until an event is set, or until a condition holds.

    Args:
        condition: The event; or, where nothing sets one, a function, which may be async, that is asked every 20 ms.
        what: What is awaited, for the error: "the handler has started".
        within: The longest wait, in seconds.

    Raises:
        TimeoutError: It has not come about in time.
    """
    async with _bounded(within, what):
        if isinstance(condition, asyncio.Event):
            await condition.wait()
            return
        while not await _holds(condition):
            await asyncio.sleep(_LOOK_EVERY_S)


def until_sync(
    condition: Callable[[], object], what: str, *, within: float = SOON, look_every: float = _LOOK_EVERY_S
) -> None:
    """Wait as ``until`` does, in code without a loop, asking every ``look_every`` seconds."""
    end = time.monotonic() + within
    while not condition():
        if time.monotonic() > end:
            raise _in_vain(within, what)
        time.sleep(look_every)


async def until_workers(app: App, count: int) -> None:
    """Wait until ``count`` workers have announced themselves."""

    async def are_there() -> bool:
        return len((await app.stats()).workers) >= count

    await until(are_there, f"{count} workers are there")


async def _holds(condition: Callable[[], object]) -> bool:
    found = condition()
    return bool(await found if inspect.isawaitable(found) else found)


@contextlib.asynccontextmanager
async def _bounded(seconds: float, what: str) -> AsyncIterator[None]:
    try:
        async with asyncio.timeout(seconds) as bound:
            yield
    except TimeoutError:
        # One that the condition itself has raised is not ours.
        if not bound.expired():
            raise
        raise _in_vain(seconds, what) from None


def _in_vain(seconds: float, what: str) -> TimeoutError:
    return TimeoutError(f"awaited for {seconds:g} s in vain: {what}")
