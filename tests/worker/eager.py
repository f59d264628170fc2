"""A task factory that begins each task at once, as ``asyncio.eager_task_factory`` of Python 3.12 does."""

from __future__ import annotations

import asyncio
import contextvars
import sys
from collections.abc import Coroutine, Generator
from typing import Any

__all__ = ["eager_task_factory"]


class _Ended(asyncio.Future[Any]):
    """Stands for a task that has ended in its first step."""

    def set_name(self, name: str) -> None: ...

    def uncancel(self) -> int:
        return 0

    def cancelling(self) -> int:
        return 0


def _first_step(loop: asyncio.AbstractEventLoop, coroutine: Coroutine[Any, Any, Any], context: Any) -> Any:
    """Run the first step of ``coroutine`` inside of the running task, and give the rest to a task."""
    began: list[Any] = []

    async def rest() -> Any:
        return await _Rest(coroutine, began)

    task = asyncio.Task(rest(), loop=loop, context=context)
    before = asyncio.current_task(loop)
    if before is not None:
        asyncio.tasks._leave_task(loop, before)
    asyncio.tasks._enter_task(loop, task)
    ended = _Ended(loop=loop)
    try:
        began.append(context.run(coroutine.send, None))
    except StopIteration as stop:
        ended.set_result(stop.value)
    except Exception as error:
        ended.set_exception(error)
    finally:
        asyncio.tasks._leave_task(loop, task)
        if before is not None:
            asyncio.tasks._enter_task(loop, before)
    return task if began else ended


class _Rest:
    def __init__(self, coroutine: Coroutine[Any, Any, Any], began: list[Any]) -> None:
        self._coroutine = coroutine
        self._began = began

    def __await__(self) -> Generator[Any, Any, Any]:
        if not self._began:
            return None
        [waited] = self._began
        while True:
            try:
                given = yield waited
            except BaseException as error:
                step, value = self._coroutine.throw, error
            else:
                step, value = self._coroutine.send, given
            try:
                waited = step(value)
            except StopIteration as stop:
                return stop.value


def _emulated(loop: asyncio.AbstractEventLoop, coroutine: Any, context: Any = None, **_: Any) -> Any:
    if asyncio.current_task(loop) is None:
        return asyncio.Task(coroutine, loop=loop, context=context)
    return _first_step(loop, coroutine, context or contextvars.copy_context())


#: The real one where there is one.
eager_task_factory: Any = asyncio.eager_task_factory if sys.version_info >= (3, 12) else _emulated
