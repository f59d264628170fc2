"""Makes redis-py's connections and clients: for one server, or one behind Sentinel; a Cluster has them by member.

redis-py's own retries and default timeouts are switched off. With them, redis-py repeats a command after a read timeout
(measured with 8.1: a blocking pop of 3 s under a timeout of 1 s raised after 15.6 s), and a blocked wait needs another
bound than a command. redis-py drops a connection on which a command was cancelled or timed out (``read_response``
disconnects on any error), so a late reply can't reach the next caller.
"""

from __future__ import annotations

import asyncio
import os
from typing import Any

import hiredis
import redis
import redis.asyncio
import redis.asyncio.connection
import redis.asyncio.sentinel
import redis.sentinel
from redis.asyncio.retry import Retry as AsyncRetry
from redis.backoff import NoBackoff
from redis.retry import Retry

from asyncjobs.core.server import Server

__all__ = ["close_pool", "close_synchronous", "pool", "synchronous"]


class _Sending(redis.asyncio.connection.AbstractConnection):
    """Packs commands in C, and sends them without a task for each.

    redis-py's asyncio connections pack in Python, which took a quarter of a worker's time. They send under
    ``asyncio.wait_for``, which runs a task for each command, and in Python 3.11 loses a cancellation that comes when
    the task has just ended.
    """

    _reader: Any
    _writer: Any

    def pack_command(self, *args: Any) -> list[bytes]:
        # redis-py writes some commands as two words in one argument.
        words = args[0].split() if isinstance(args[0], str) else (args[0],)
        return [hiredis.pack_command((*words, *args[1:]))]

    async def send_packed_command(self, command: Any, check_health: bool = True) -> None:
        if not self.is_connected:
            await self.connect_check_health(check_health=False)
        try:
            writer = self._writer
            if writer.is_closing():
                # To write would add the lost connection to the loop again (Python 3.12 and 3.13), by a number that
                # another connection may have by now.
                raise ConnectionResetError("Connection lost")
            writer.writelines(command)
            if self.socket_timeout is None:
                await writer.drain()
            else:
                async with asyncio.timeout(self.socket_timeout):
                    await writer.drain()
        except BaseException as error:
            # Part of the command may have been sent.
            await self.disconnect(nowait=True)
            if isinstance(error, TimeoutError):
                raise redis.exceptions.TimeoutError("Timeout writing to socket") from None
            if isinstance(error, OSError):
                raise redis.exceptions.ConnectionError(f"{error} while writing to socket") from error
            raise

    def was_closed(self) -> bool:
        """Return whether the server has closed the connection, as when it was restarted, or has reset it."""
        return self._reader is not None and bool(self._reader.at_eof() or self._writer.is_closing())


class _TcpConnection(_Sending, redis.asyncio.Connection):
    pass


class _Tls(redis.asyncio.SSLConnection):
    """Shares what is read from files with the other connections to its server.

    redis-py reads the system's authorities for each connection, which holds up the event loop for 50 ms.
    """

    def _connection_arguments(self) -> Any:
        files = (self.ca_certs, self.certfile, self.keyfile)
        # They are renewed now and then.
        written = tuple(map(_written_at, files))
        known = _contexts.get(files)
        if known is None or known[0] != written:
            known = _contexts[files] = (written, self.ssl_context)
        self.ssl_context = known[1]
        return super()._connection_arguments()


#: By the files, when these were written, and what makes the context.
_contexts: dict[tuple[Any, ...], tuple[tuple[int, ...], Any]] = {}


def _written_at(file: str | None) -> int:
    try:
        return os.stat(file).st_mtime_ns if file else 0
    except OSError:
        # The context names it as the cause.
        return 0


class _TlsConnection(_Sending, _Tls):
    pass


class _UnixConnection(_Sending, redis.asyncio.UnixDomainSocketConnection):
    pass


class _SentinelConnection(_Sending, redis.asyncio.sentinel.SentinelManagedConnection):
    pass


class _SentinelTlsConnection(_Sending, redis.asyncio.sentinel.SentinelManagedSSLConnection, _Tls):
    pass


def pool(settings: Server) -> redis.asyncio.ConnectionPool:
    """Return what makes connections to one server, or to the primary behind sentinels; they have no read timeout."""
    options = _options(settings) | {"socket_timeout": None, "retry": AsyncRetry(NoBackoff(), 0)}
    if settings.mode == "sentinel":
        sentinel = redis.asyncio.sentinel.Sentinel(
            settings.nodes, sentinel_kwargs=_sentinel_options(settings) | {"retry": AsyncRetry(NoBackoff(), 0)}
        )
        for one in sentinel.sentinels:
            one.connection_pool.connection_class = _TcpConnection
        kind: Any = _SentinelTlsConnection if settings.tls else _SentinelConnection
        primary: redis.asyncio.Redis = sentinel.master_for(settings.service, connection_class=kind, **options)
        return primary.connection_pool
    kind = _UnixConnection if settings.path else _TlsConnection if settings.tls else _TcpConnection
    return redis.asyncio.ConnectionPool(connection_class=kind, **_address(settings), **options)


async def close_pool(pool: redis.asyncio.ConnectionPool) -> None:
    """Give up the connections of ``pool`` to sentinels; those that it has made are their users' own."""
    if isinstance(pool, redis.asyncio.sentinel.SentinelConnectionPool):
        for sentinel in pool.sentinel_manager.sentinels:
            await sentinel.aclose()


def synchronous(settings: Server) -> redis.Redis:
    """Return a client of one server, or of the primary behind sentinels, for a thread of its own."""
    options = _options(settings) | {"socket_timeout": settings.command_timeout, "retry": Retry(NoBackoff(), 0)}
    if settings.mode == "sentinel":
        sentinel = redis.sentinel.Sentinel(
            settings.nodes, sentinel_kwargs=_sentinel_options(settings) | {"retry": Retry(NoBackoff(), 0)}
        )
        if settings.tls:
            options["ssl"] = True
        client: redis.Redis = sentinel.master_for(settings.service, **options)
        return client
    kind: Any = redis.SSLConnection if settings.tls else redis.Connection
    if settings.path:
        kind = redis.UnixDomainSocketConnection
    pool = redis.ConnectionPool(max_connections=1, connection_class=kind, **_address(settings), **options)
    return redis.Redis(connection_pool=pool)


def close_synchronous(client: redis.Redis) -> None:
    """Give up every connection of ``client``, those to sentinels too."""
    client.close()
    pool = client.connection_pool
    pool.disconnect()
    if isinstance(pool, redis.sentinel.SentinelConnectionPool):
        for sentinel in pool.sentinel_manager.sentinels:
            sentinel.close()


def _options(settings: Server) -> dict[str, Any]:
    options: dict[str, Any] = {
        "db": settings.database,
        "username": settings.username,
        "password": settings.password,
        "socket_connect_timeout": settings.connect_timeout,
        "protocol": 2,
    }
    if settings.path:
        return options
    options["socket_keepalive"] = True
    if settings.tls:
        options |= {"ssl_cert_reqs": "required", "ssl_check_hostname": True}
        for name in ("ssl_ca_certs", "ssl_certfile", "ssl_keyfile"):
            options[name] = getattr(settings, name)
    return options


def _sentinel_options(settings: Server) -> dict[str, Any]:
    return {
        "socket_connect_timeout": settings.connect_timeout,
        "socket_timeout": settings.command_timeout,
        "protocol": 2,
    }


def _address(settings: Server) -> dict[str, Any]:
    if settings.path:
        return {"path": settings.path}
    host, port = settings.nodes[0]
    return {"host": host, "port": port}
