"""The broker for a server; the one module that knows all brokers."""

from __future__ import annotations

from asyncjobs.ports import Broker
from asyncjobs.settings import Server

__all__ = ["make_broker"]


def make_broker(server: Server, prefix: str) -> Broker:
    """Return the broker for ``server``, whose keys begin with ``prefix``. Only the one that is used is imported."""
    if server.scheme == "memory":
        from asyncjobs.brokers.memory import MemoryBroker

        return MemoryBroker()
    from asyncjobs.brokers.redis.broker import RedisBroker
    from asyncjobs.brokers.redis.connection import ConnectionSettings

    settings = ConnectionSettings(
        mode=server.mode,
        nodes=server.nodes,
        service=server.service,
        unix_path=server.path or None,
        username=server.username,
        password=server.password,
        database=server.database,
        tls=server.tls,
        max_connections=server.max_connections,
        connect_timeout=server.connect_timeout,
        command_timeout=server.command_timeout,
    )
    return RedisBroker(settings, prefix=prefix)
