"""The broker for a server; the one module that knows all brokers."""

from __future__ import annotations

from asyncjobs.core.server import Server
from asyncjobs.ports import Broker

__all__ = ["make_broker"]


def make_broker(server: Server, prefix: str) -> Broker:
    """Return the broker for ``server``; its keys begin with ``prefix``. No other broker is imported."""
    if server.scheme == "memory":
        from asyncjobs.brokers.memory import MemoryBroker

        return MemoryBroker()
    from asyncjobs.brokers.redis.broker import RedisBroker

    return RedisBroker(server, prefix=prefix)
