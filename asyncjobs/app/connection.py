"""How an app is open: its broker, the event loop that both live in, and how often it was entered."""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Callable, Coroutine
from typing import Any, Concatenate, ParamSpec, Protocol, TypeVar

from asyncjobs.app.loop import AppLoop
from asyncjobs.errors import AppNotOpen
from asyncjobs.ports import Broker
from asyncjobs.settings import Settings

__all__ = ["Connected", "Connection", "ConnectionUser", "on_app_loop"]

P = ParamSpec("P")
T = TypeVar("T")


class ConnectionUser(Protocol):
    """What is to know when the connection opens and closes."""

    def opened(self, broker: Broker) -> None:
        """Learn that ``broker`` is open."""
        ...

    async def closing(self) -> None:
        """Finish what still needs the broker, which closes next."""
        ...

    def forgotten(self) -> None:
        """Learn that this process was forked from the one in which the connection is open."""
        ...


class Connection:
    """The broker of one app, open while the app is.

    Args:
        settings: The app's settings.
        broker: The broker, which belongs to this connection alone, or to several apps that share it.
    """

    def __init__(self, settings: Settings, broker: Broker) -> None:
        self.settings = settings
        self.loop = AppLoop(self.open, self.close, self._forget)
        self._broker = broker
        self._users: list[ConnectionUser] = []
        #: How often the app was entered and not left.
        self.times_opened = 0

    def add_user(self, user: ConnectionUser) -> None:
        """Tell ``user`` when the connection opens and closes."""
        self._users.append(user)

    def check_open(self) -> None:
        """Raise ``AppNotOpen`` unless the app is open."""
        if not self.times_opened:
            raise AppNotOpen(
                "the app is not open; use it inside `async with app:`, or give a web app lifespan=app.lifespan"
            )

    @property
    def broker(self) -> Broker:
        """The broker, on the app's own loop; raises ``AppNotOpen`` outside ``async with app``, or on another loop."""
        self.check_open()
        if not self.loop.is_running_here:
            raise AppNotOpen("the app is open in another event loop; a worker needs an App that is opened in its own")
        return self._broker

    def run(self, start: Callable[[], Coroutine[Any, Any, T]]) -> Coroutine[Any, Any, T]:
        """Return what runs the coroutine of ``start`` on the app's loop, also when the caller's loop is another one."""
        # No coroutine of its own around the common case: each would be passed through at every resumption.
        loop = self.loop.current
        if loop is None or loop is asyncio.get_running_loop():
            return start()
        return self.loop.run_elsewhere(start, loop)

    def call(self, verb: Callable[[Broker], Coroutine[Any, Any, T]]) -> Coroutine[Any, Any, T]:
        """Return what runs a verb of the broker on the app's loop; raise ``AppNotOpen`` if the app isn't open."""
        self.check_open()
        return self.run(functools.partial(verb, self._broker))

    async def open(self) -> None:
        """Open the broker, or count once more if it is open."""
        if not self.times_opened:
            await self._broker.open()
            self.loop.attach()
            for user in self._users:
                user.opened(self._broker)
        self.times_opened += 1

    async def close(self) -> None:
        """Close the broker, once this was called as often as ``open``."""
        self.times_opened -= 1
        if not self.times_opened:
            try:
                for user in self._users:
                    await user.closing()
            finally:
                self.loop.detach()
                await self._broker.close()

    def _forget(self) -> None:
        """Be as never opened, without touching the connections of the process that this one was forked from."""
        self.times_opened = 0
        for user in self._users:
            user.forgotten()


class Connected(Protocol):
    """Has the connection of an app."""

    @property
    def _connection(self) -> Connection: ...


C = TypeVar("C", bound=Connected)


def on_app_loop(
    verb: Callable[Concatenate[C, P], Coroutine[Any, Any, T]],
) -> Callable[Concatenate[C, P], Coroutine[Any, Any, T]]:
    """Let ``verb`` be awaited on any loop: it runs on the app's own, to which its connections belong."""

    @functools.wraps(verb)
    async def run(self: C, /, *args: P.args, **kwargs: P.kwargs) -> T:
        connection = self._connection
        connection.check_open()
        return await connection.run(lambda: verb(self, *args, **kwargs))

    return run
