"""Runs a command's coroutine: on uvloop where it is installed, and with an app that is open."""

from __future__ import annotations

import asyncio
import contextlib
import getpass
import os
import socket
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, TypeVar

from asyncjobs.app import App
from asyncjobs.app.acting import acting

__all__ = ["on_app", "run"]

T = TypeVar("T")


def on_app(app: App, action: Callable[[App], Awaitable[T]]) -> T:
    """Return what ``action`` returns, awaited while ``app`` is open; what it changes is noted under the user's name."""

    async def main() -> T:
        with acting(_user(), "cli"):
            async with app:
                return await action(app)

    return run(main())


def _user() -> str:
    """Return who runs the command, as in ``bob@jobs-1``."""
    try:
        name = getpass.getuser()
    except (OSError, KeyError, ImportError):
        # As in a container, where the number of the user has no name.
        name = str(os.getuid()) if hasattr(os, "getuid") else "?"
    return f"{name}@{socket.gethostname()}"


def run(main: Coroutine[Any, Any, T]) -> T:
    """Return what ``main`` returns, the main coroutine of this process."""
    run_loop: Callable[[Coroutine[Any, Any, T]], T] = asyncio.run
    with contextlib.suppress(ImportError):
        import uvloop

        _fill_closed_streams()
        run_loop = uvloop.run
    # Outside of the block, whose error all errors of the program would have as their context.
    return run_loop(main)


def _fill_closed_streams() -> None:
    """Open the null device in the place of each standard stream that is closed.

    A file of the loop would get its number, and libuv ends a process that closes a file with one of these numbers.
    """
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)
