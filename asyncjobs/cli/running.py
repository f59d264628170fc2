"""Runs a command's coroutine: on uvloop where it is installed, and with an app that is open."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, TypeVar

from asyncjobs.app import App

__all__ = ["on_app", "run"]

T = TypeVar("T")


def on_app(app: App, action: Callable[[App], Awaitable[T]]) -> T:
    """Return what ``action`` returns, awaited while ``app`` is open."""

    async def main() -> T:
        async with app:
            return await action(app)

    return run(main())


def run(main: Coroutine[Any, Any, T]) -> T:
    """Return what ``main`` returns, the main coroutine of this process."""
    try:
        import uvloop
    except ImportError:
        return asyncio.run(main)
    result: T = uvloop.run(main)
    return result
