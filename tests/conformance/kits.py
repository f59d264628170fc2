"""The kits of our own brokers."""

from __future__ import annotations

from asyncjobs.brokers.memory import MemoryBroker
from asyncjobs.brokers.redis.broker import RedisBroker
from asyncjobs.brokers.redis.connection import ConnectionSettings
from asyncjobs.brokers.redis.keys import QueueKeys
from asyncjobs.testing import ManualClock
from tests.servers import Server

__all__ = ["MemoryKit", "RedisKit"]

QUEUES = ["bench", "other", "third", "parking", "first", "second", "a", "b", "unused", "served"]


class MemoryKit:
    """The memory broker on a clock of its own."""

    def __init__(self) -> None:
        self.clock = ManualClock()
        self.broker = MemoryBroker(self.clock)

    async def advance(self, milliseconds: int) -> None:
        self.clock.advance(milliseconds)


class RedisKit:
    """The Redis broker on a server whose time is moved by the shift that only tests set, and by shorter expiries."""

    def __init__(self, server: Server) -> None:
        self._client = server.client()
        self._client.flushall()
        self._shift_ms = 0
        self.broker = RedisBroker(ConnectionSettings(nodes=(("127.0.0.1", server.port),)))

    async def advance(self, milliseconds: int) -> None:
        self._shift_ms += milliseconds
        for queue in QUEUES:
            self._client.hset(QueueKeys("asyncjobs", queue).cfg, "shift_ms", self._shift_ms)
        for key in self._client.scan_iter(count=1000):
            left = self._client.pttl(key)
            if left >= 0:
                self._client.pexpire(key, max(0, left - milliseconds))

    def close(self) -> None:
        self._client.close()
