"""Where Redis is, what its errors mean to a user, and which servers will do."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any, Literal

import msgspec
import redis.exceptions

from asyncjobs.errors import BrokerRefused, BrokerUnavailable

__all__ = ["MINIMUM_VERSION", "ConnectionSettings", "check_server", "translated"]

MINIMUM_VERSION = (6, 2)


class ConnectionSettings(msgspec.Struct, frozen=True, kw_only=True):
    """Where Redis is and how to talk to it; timeouts in seconds.

    ``mode``: ``single``, ``sentinel`` (``nodes`` are the sentinels, ``service`` the name of the primary they watch) or
    ``cluster`` (``nodes`` are some of its members).
    """

    mode: Literal["single", "sentinel", "cluster"] = "single"
    nodes: tuple[tuple[str, int], ...] = (("localhost", 6379),)
    service: str = ""
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
        if self.unix_path:
            return self.unix_path
        nodes = ", ".join(f"{host}:{port}" for host, port in self.nodes)
        return f"{self.service!r} of the sentinels {nodes}" if self.mode == "sentinel" else nodes

    def of_one_node(self, host: str, port: int) -> ConnectionSettings:
        """Return the same for one server of a Cluster."""
        return msgspec.structs.replace(self, mode="single", nodes=((host, port),), database=0)


# What a server says while it can't serve for a moment: it loads, fails over, or a slot is on its way to another node.
_PASSING = ("LOADING", "READONLY", "UNBLOCKED", "MASTERDOWN", "CLUSTERDOWN", "TRYAGAIN", "ASK", "MOVED", "NOREPLICAS")


@contextlib.contextmanager
def translated(settings: ConnectionSettings) -> Iterator[None]:
    """Turn redis-py's errors into ours: ``BrokerUnavailable`` for what may pass, ``BrokerRefused`` for what won't."""
    try:
        yield
    except (redis.exceptions.RedisError, OSError) as error:
        raise _translation(settings, error) from error


def _translation(settings: ConnectionSettings, error: Exception) -> BrokerRefused | BrokerUnavailable:
    text = str(error).rstrip(".")
    where = f"Redis at {settings.address}"
    if isinstance(error, redis.exceptions.AuthenticationError) or any(
        word in text for word in ("NOAUTH", "WRONGPASS", "NOPERM")
    ):
        return BrokerRefused(
            f"{where} refused the login: {text}. Check user and password in the URL, or REDIS_PASSWORD."
        )
    if "OOM" in text or "maxmemory" in text:
        return BrokerRefused(
            f"{where} is out of memory and took nothing: {text}. Raise maxmemory or let workers drain the queues."
        )
    is_refusal = isinstance(error, redis.exceptions.ResponseError | redis.exceptions.DataError)
    if is_refusal and not isinstance(error, redis.exceptions.ClusterError) and not _is_passing(text):
        return BrokerRefused(f"{where} refused: {text}")
    if is_refusal or isinstance(error, redis.exceptions.BusyLoadingError | redis.exceptions.ReadOnlyError):
        return BrokerUnavailable(f"{where} can't serve at the moment: {text}")
    return BrokerUnavailable(
        f"{where} can't be reached: {text}. Check that it runs, and host and port in the URL or in REDIS_HOST and "
        "REDIS_PORT."
    )


def _is_passing(text: str) -> bool:
    return text.startswith(_PASSING) or "-READONLY" in text or "force unblock" in text or "read only replica" in text


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
