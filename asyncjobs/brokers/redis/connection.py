"""Connections to Redis: how they are made, and what their errors mean to a user.

redis-py's own retries and default timeouts are switched off: it would send a command again by itself after a read
timeout (measured with 8.1: a blocking pop of 3 s under a timeout of 1 s raised after 15.6 s), and a blocked wait needs
another bound than a command. A connection on which a command was cancelled or timed out is dropped by redis-py
(``read_response`` disconnects on any error), so that its late reply can't reach the next caller.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import hiredis
import msgspec
import redis
import redis.asyncio
from redis.asyncio.retry import Retry as AsyncRetry
from redis.backoff import NoBackoff
from redis.retry import Retry

from asyncjobs.errors import BrokerRefused, BrokerUnavailable

__all__ = ["MINIMUM_VERSION", "ConnectionSettings", "check_server", "translated"]

MINIMUM_VERSION = (6, 2)


class ConnectionSettings(msgspec.Struct, frozen=True, kw_only=True):
    """Where Redis is and how to talk to it; timeouts in seconds."""

    host: str = "localhost"
    port: int = 6379
    unix_path: str | None = None
    username: str | None = None
    password: str | None = None
    database: int = 0
    tls: bool = False
    max_connections: int = 20
    connect_timeout: float = 2.0
    command_timeout: float = 5.0

    @property
    def address(self) -> str:
        """The server as a message names it, without the password."""
        return self.unix_path or f"{self.host}:{self.port}"

    def _options(self) -> dict[str, Any]:
        options: dict[str, Any] = {
            "db": self.database,
            "username": self.username,
            "password": self.password,
            "socket_connect_timeout": self.connect_timeout,
            "protocol": 2,
        }
        if self.unix_path:
            return options | {"path": self.unix_path}
        return options | {"host": self.host, "port": self.port, "socket_keepalive": True}

    def commands(self) -> redis.asyncio.Redis:
        """Return a client for commands that are answered at once."""
        return self._asynchronous(self.max_connections, self.command_timeout)

    def waiting(self) -> redis.asyncio.Redis:
        """Return a client for blocking commands, whose caller bounds the wait."""
        return self._asynchronous(self.max_connections, None)

    def _asynchronous(self, max_connections: int, read_timeout: float | None) -> redis.asyncio.Redis:
        kind = _UnixConnection if self.unix_path else _TlsConnection if self.tls else _TcpConnection
        pool = redis.asyncio.BlockingConnectionPool(
            max_connections=max_connections,
            timeout=self.command_timeout,
            connection_class=kind,
            socket_timeout=read_timeout,
            retry=AsyncRetry(NoBackoff(), 0),
            **self._options(),
        )
        return redis.asyncio.Redis.from_pool(pool)

    def synchronous(self) -> redis.Redis:
        """Return a client for a thread of its own, with one connection."""
        kind = (
            redis.UnixDomainSocketConnection
            if self.unix_path
            else (redis.SSLConnection if self.tls else redis.Connection)
        )
        pool = redis.ConnectionPool(
            max_connections=1,
            connection_class=kind,
            socket_timeout=self.command_timeout,
            retry=Retry(NoBackoff(), 0),
            **self._options(),
        )
        return redis.Redis(connection_pool=pool)


class _HiredisPacking:
    """Packs commands in C: redis-py's asyncio connections do it in Python, a quarter of a worker's time."""

    def pack_command(self, *args: Any) -> list[bytes]:
        # redis-py writes some commands as two words in one argument.
        words = args[0].split() if isinstance(args[0], str) else (args[0],)
        return [hiredis.pack_command((*words, *args[1:]))]


class _TcpConnection(_HiredisPacking, redis.asyncio.Connection):
    pass


class _TlsConnection(_HiredisPacking, redis.asyncio.SSLConnection):
    pass


class _UnixConnection(_HiredisPacking, redis.asyncio.UnixDomainSocketConnection):
    pass


@contextlib.contextmanager
def translated(settings: ConnectionSettings) -> Iterator[None]:
    """Turn redis-py's errors into ours."""
    try:
        yield
    except redis.exceptions.AuthenticationError as error:
        raise BrokerRefused(
            f"Redis at {settings.address} refused the login: {error}. "
            "Check user and password in the URL, or REDIS_PASSWORD."
        ) from error
    except redis.exceptions.OutOfMemoryError as error:
        raise BrokerRefused(
            f"Redis at {settings.address} is out of memory and took nothing: {error}. "
            "Raise maxmemory or let workers drain the queues."
        ) from error
    except (redis.exceptions.ConnectionError, redis.exceptions.TimeoutError, redis.exceptions.ReadOnlyError) as error:
        raise BrokerUnavailable(
            f"Redis at {settings.address} can't be reached: {error}. "
            "Check that it runs, and host and port in the URL or in REDIS_HOST and REDIS_PORT."
        ) from error
    except OSError as error:
        raise BrokerUnavailable(f"Redis at {settings.address} can't be reached: {error}.") from error
    except redis.exceptions.ResponseError as error:
        text = str(error)
        if "NOAUTH" in text or "WRONGPASS" in text or "NOPERM" in text:
            raise BrokerRefused(
                f"Redis at {settings.address} refused the login: {text} Check user and password in the URL, "
                "or REDIS_PASSWORD."
            ) from error
        raise BrokerRefused(f"Redis at {settings.address} refused: {text}") from error


def check_server(settings: ConnectionSettings, info: dict[str, Any]) -> None:
    """Raise ``BrokerRefused`` if the server that ``INFO`` tells of can't keep our promises."""
    version = str(info.get("redis_version", "0"))
    if tuple(int(part) for part in version.split(".")[:2]) < MINIMUM_VERSION:
        raise BrokerRefused(
            f"Redis at {settings.address} is version {version}; asyncjobs needs "
            f"{'.'.join(map(str, MINIMUM_VERSION))} or newer (or any Valkey)."
        )
    policy = str(info.get("maxmemory_policy", "noeviction"))
    if policy.startswith("allkeys") and int(info.get("maxmemory", 0)):
        raise BrokerRefused(
            f"Redis at {settings.address} has maxmemory-policy {policy}, which drops jobs when memory is short. "
            "Set it to noeviction (CONFIG SET maxmemory-policy noeviction), or use a server of its own."
        )
