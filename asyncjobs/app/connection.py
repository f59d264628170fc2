"""The connection of an app: its broker, its event loop, and how often the app was entered."""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Callable, Coroutine
from typing import Any, Concatenate, ParamSpec, Protocol, TypeVar

from asyncjobs.app.loop import AppLoop
from asyncjobs.errors import AppNotOpen
from asyncjobs.ports import Broker
from asyncjobs.ports.sharing import Shared
from asyncjobs.settings import Settings

__all__ = ["Connected", "Connection", "ConnectionUser", "on_app_loop"]

P = ParamSpec("P")
T = TypeVar("T")


class ConnectionUser(Protocol):
    """An object that is called when the connection opens and closes."""

    def opened(self, broker: Broker) -> None:
        """Begin to use ``broker``, which is open."""
        ...

    async def closing(self) -> None:
        """Finish all work with the broker, which closes next."""
        ...

    def forgotten(self) -> None:
        """Drop all work with the broker: the loop of the connection is another process's, or has ended."""
        ...


class Connection:
    """The broker of one app, open while the app is.

    Args:
        settings: The app's settings.
        broker: The broker, of this app alone or shared by several.
    """

    def __init__(self, settings: Settings, broker: Broker) -> None:
        self.settings = settings
        self.loop = AppLoop(self.open, self.close, self._forget)
        self._broker = broker
        self._users: list[ConnectionUser] = []
        self.shared = Shared(self._open, self._close)
        """How often the app was entered and not left: its ``users``."""

    def replace(self, settings: Settings, broker: Broker) -> None:
        """Use other settings and another broker, once the connection is opened; it must not be open."""
        self.settings = settings
        self._broker = broker

    def add_user(self, user: ConnectionUser) -> None:
        """Call ``user`` whenever the connection opens and closes."""
        self._users.append(user)

    def check_open(self) -> None:
        """Raise ``AppNotOpen`` unless the app is open."""
        if not self.shared.users:
            raise AppNotOpen(
                "the app is not open; use it inside `async with app:`, or give a web app lifespan=app.lifespan"
            )

    @property
    def broker(self) -> Broker:
        """The broker, on the app's own loop.

        Raises:
            AppNotOpen: The app isn't open, or this is another loop.
        """
        self.check_open()
        if not self.loop.is_running_here:
            raise AppNotOpen("the app is open in another event loop; a worker needs an App that is opened in its own")
        return self._broker

    def run(self, start: Callable[[], Coroutine[Any, Any, T]]) -> Coroutine[Any, Any, T]:
        """Return a coroutine that runs the coroutine of ``start`` on the app's loop, from any loop."""
        # On the same loop it is the coroutine itself: another one around it would cost time at each resumption.
        loop = self.loop.current
        if loop is None or loop is asyncio.get_running_loop():
            return start()
        return self.loop.run_elsewhere(start, loop)

    def call(self, verb: Callable[[Broker], Coroutine[Any, Any, T]]) -> Coroutine[Any, Any, T]:
        """Return a coroutine that runs a verb of the broker on the app's loop.

        Raises:
            AppNotOpen: The app isn't open.
        """
        self.check_open()
        return self.run(functools.partial(verb, self._broker))

    async def open(self) -> None:
        """Open the broker; if it is open, only count."""
        await self.loop.on_owner(self.shared.enter)

    async def _open(self) -> None:
        await self._broker.open()
        self.loop.attach()
        for user in self._users:
            user.opened(self._broker)

    async def close(self) -> None:
        """Close the broker, once this was called as often as ``open``."""
        await self.loop.on_owner(self.shared.leave)

    async def _close(self) -> None:
        try:
            for user in self._users:
                await user.closing()
        finally:
            self.loop.detach()
            await self._broker.close()

    def _forget(self) -> None:
        """Reset to closed, without touching the connections: they are the parent's, or their loop has ended."""
        self.shared.forget()
        for user in self._users:
            user.forgotten()


class Connected(Protocol):
    """An object with the connection of an app."""

    @property
    def _connection(self) -> Connection: ...


C = TypeVar("C", bound=Connected)


def on_app_loop(
    verb: Callable[Concatenate[C, P], Coroutine[Any, Any, T]],
) -> Callable[Concatenate[C, P], Coroutine[None, None, T]]:
    """Return ``verb`` as a method that may be awaited on any loop; it runs on the app's own, with its connections."""

    @functools.wraps(verb)
    async def run(self: C, /, *args: P.args, **kwargs: P.kwargs) -> T:
        connection = self._connection
        connection.check_open()
        return await connection.run(lambda: verb(self, *args, **kwargs))

    return run
