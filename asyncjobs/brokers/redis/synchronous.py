"""Calls from a thread of their own: to one server, or to the members of a Cluster."""

from __future__ import annotations

import contextlib
import time
from typing import Any

import redis
import redis.exceptions

from asyncjobs.brokers.redis.clients import close_synchronous, synchronous
from asyncjobs.brokers.redis.slots import Address, Slots, slot_of
from asyncjobs.core.server import Server

__all__ = ["SyncCluster", "SyncServer"]

_UNREACHABLE = (redis.exceptions.ConnectionError, redis.exceptions.TimeoutError, OSError)

_MAX_TRIES = 16
_TRY_AGAIN_S = 0.05

# A member that can't be reached is left alone for so much longer than it took to notice, and at least for a while:
# calls to others must not wait for it again and again.
_LEFT_ALONE_TIMES = 2
_LEFT_ALONE_S = 0.5


class SyncServer:
    """Calls to one server."""

    def __init__(self, settings: Server) -> None:
        self._client = synchronous(settings)
        # As ``Any``, since redis-py does not annotate the method.
        self._execute: Any = self._client.execute_command

    def call(self, key: str, *args: Any) -> Any:
        """Send a command that works on ``key``, and return its reply; raises redis-py's errors."""
        return self._execute(*args)

    def ask(self, *args: Any) -> Any:
        """Send a command for a slot that is on its way to this server."""
        with self._client.pipeline(transaction=False) as pipe:
            pipe.execute_command("ASKING")
            pipe.execute_command(*args)
            return pipe.execute()[1]

    def close(self) -> None:
        """Give up the connection."""
        close_synchronous(self._client)


class SyncCluster:
    """Calls to the primary of each key, as ``Cluster`` makes them on an event loop."""

    def __init__(self, settings: Server) -> None:
        self._settings = settings
        self._slots = Slots()
        self._servers: dict[Address, SyncServer] = {}
        self._alone_until: dict[Address, float] = {}

    def call(self, key: str, *args: Any) -> Any:
        """Send a command to the primary of ``key``, and return its reply; raises redis-py's errors."""
        slot = slot_of(key)
        if not self._slots.members:
            self._learn()
        address, asks = self._slots.owner(slot), False
        for _ in range(_MAX_TRIES):
            if address is None:
                raise redis.exceptions.SlotNotCoveredError(f"no member of the Cluster serves slot {slot}")
            try:
                return self._call(address, *args, asks=asks)
            except redis.exceptions.MovedError as error:
                address, asks = self._slots.moved(slot, error.host, error.port, address), False
            except redis.exceptions.AskError as error:
                address, asks = (error.host or address[0], error.port), True
            except redis.exceptions.TryAgainError:
                asks = False
                time.sleep(_TRY_AGAIN_S)
        raise redis.exceptions.TryAgainError(f"slot {slot} is on its way to another member")

    def _call(self, address: Address, *args: Any, asks: bool = False) -> Any:
        began = time.monotonic()
        if began < self._alone_until.get(address, 0.0):
            raise redis.exceptions.ConnectionError(f"{address[0]}:{address[1]} did not answer a moment ago")
        try:
            server = self._server(address)
            return server.ask(*args) if asks else server.call("", *args)
        except _UNREACHABLE:
            now = time.monotonic()
            self._alone_until[address] = now + max(_LEFT_ALONE_S, _LEFT_ALONE_TIMES * (now - began))
            # Another member may serve its slots by now.
            with contextlib.suppress(redis.exceptions.RedisError, OSError):
                self._learn()
            raise

    def _server(self, address: Address) -> SyncServer:
        server = self._servers.get(address)
        if server is None:
            server = self._servers[address] = SyncServer(self._settings.of_one_node(*address))
        return server

    def _learn(self) -> None:
        """Ask one member after the other for the slots, those last that could not be reached."""
        known = {*self._slots.members, *self._settings.nodes}
        failure: Exception | None = None
        for address in sorted(known, key=lambda one: self._alone_until.get(one, 0.0)):
            if time.monotonic() < self._alone_until.get(address, 0.0):
                continue
            try:
                self._slots = Slots(self._server(address).call("", "CLUSTER", "SLOTS"), address)
                return
            except (redis.exceptions.RedisError, OSError) as error:
                failure = error
        raise failure or redis.exceptions.ConnectionError("no member of the Cluster can be reached")

    def close(self) -> None:
        """Give up the connections."""
        for server in self._servers.values():
            server.close()
