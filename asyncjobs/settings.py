"""Settings from code, URL and environment, checked where they come from.

What the code says wins over the URL, the URL over the environment, the environment over the defaults. Unset is a value
of its own, so that a default never hides what somebody set.
"""

from __future__ import annotations

import math
import os
import urllib.parse
from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Any, Literal

import msgspec
from msgspec import UNSET

from asyncjobs.core.options import Durability
from asyncjobs.errors import ConfigurationError, closest

__all__ = ["Server", "Settings", "load_settings"]

_SCHEMES = (
    "redis://host:port/database, rediss://… (TLS), unix:///path/to/socket, memory://, "
    "redis+sentinel://host:port,host:port/service/database or redis+cluster://host:port,host:port"
)
_KNOWN_SCHEMES = ["redis", "rediss", "unix", "memory"]
_KNOWN_SCHEMES += ["redis+sentinel", "rediss+sentinel", "redis+cluster", "rediss+cluster"]
_DEFAULT_PORTS = {"sentinel": 26379}


class Server(msgspec.Struct, frozen=True, kw_only=True):
    """Where the broker is: the ``scheme`` of its URL, and what follows from it. Timeouts in seconds.

    ``nodes``: one server, or the sentinels that watch ``service``, or some members of a Cluster.
    """

    scheme: str
    nodes: tuple[tuple[str, int], ...] = (("localhost", 6379),)
    service: str = ""
    path: str = ""
    username: str | None = None
    password: str | None = None
    database: int = 0
    max_connections: int = 20
    connect_timeout: float = 2.0
    command_timeout: float = 5.0

    @property
    def mode(self) -> Literal["single", "sentinel", "cluster"]:
        """How the nodes belong together."""
        if self.scheme.endswith("+sentinel"):
            return "sentinel"
        return "cluster" if self.scheme.endswith("+cluster") else "single"

    @property
    def tls(self) -> bool:
        """Whether connections are encrypted."""
        return self.scheme.startswith("rediss")

    def __str__(self) -> str:
        if self.scheme == "memory":
            return "memory://"
        if self.scheme == "unix":
            return f"unix://{self.path}"
        nodes = ",".join(f"{host}:{port}" for host, port in self.nodes)
        service = f"/{self.service}" if self.service else ""
        return f"{self.scheme}://{nodes}{service}/{self.database}"


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """The settings of an app and its workers; times in seconds.

    ``lease``: how long a job belongs to a worker without a sign of life. ``shutdown_timeout``: how long handlers may
    finish after the first signal. ``poll_interval``: the bound of one blocked wait. ``result_ttl``: how long a result
    is kept. ``max_payload``: bytes of one encoded job. ``scheduler``: whether workers wake at the due time of
    scheduled jobs and fire schedules. ``scheduler_interval``: how often they look for new schedules, and those without
    a free slot for due jobs. ``worker_count``: processes. ``concurrency``: jobs at once in each. ``queues``: in this
    order, empty for all that the jobs name. ``unknown_job_grace``: how long a job waits for a worker that knows its
    name. ``max_deaths``: after so many workers died under it, a job goes to the dead letter queue. ``blocked_limit``: a
    worker whose event loop has stood still for so long keeps its jobs no longer; by default ten leases.
    ``send_timeout``: how long a send tries while the broker is away, before it fails; ``inf`` to wait for ever.
    ``durability``: ``replicated`` counts a job as sent once a replica of Redis has it too, so that a failover loses
    none. ``dead_ttl`` and ``dead_most``: for how long, and how many in each queue, the dead letter queue keeps jobs.
    ``max_events`` and ``event_ttl``: how many events a job keeps, and for how long after the latest.
    ``handler_processes``: how many handlers with ``executor="process"`` run at once in a worker, by default as many as
    there are cores.
    """

    server: Server
    prefix: str = "asyncjobs"
    lease: float = 30.0
    shutdown_timeout: float = 30.0
    poll_interval: float = 1.0
    result_ttl: float = 3600.0
    max_payload: int = 1_048_576
    scheduler: bool = True
    scheduler_interval: float = 5.0
    worker_count: int = 1
    concurrency: int = 100
    queues: tuple[str, ...] = ()
    unknown_job_grace: float = 3600.0
    max_deaths: int = 3
    send_timeout: float = 5.0
    durability: Durability = "local"
    blocked_limit: float = 300.0
    dead_ttl: float = 180 * 86_400.0
    dead_most: int = 100_000
    max_events: int = 1_000
    event_ttl: float = 86_400.0
    handler_processes: int = os.cpu_count() or 1


def _seconds(least: float, *, endless: bool = False) -> tuple[Callable[[Any], float], str]:
    def parse(value: Any) -> float:
        seconds = value.total_seconds() if isinstance(value, timedelta) else float(value)
        if isinstance(value, bool) or not (math.isfinite(seconds) or (endless and seconds > 0)) or seconds < least:
            raise ValueError
        return seconds

    return parse, f"seconds, at least {least:g}, or a timedelta" + (", or inf to wait for ever" if endless else "")


def _whole(least: int, most: int | None = None) -> tuple[Callable[[Any], int], str]:
    def parse(value: Any) -> int:
        number = int(value)
        if isinstance(value, bool | float) or number < least or (most is not None and number > most):
            raise ValueError
        return number

    return parse, f"a whole number, {least} or more" if most is None else f"a whole number from {least} to {most}"


def _switch(value: Any) -> bool:
    if isinstance(value, bool):
        return value
    known = {"1": True, "true": True, "on": True, "yes": True, "0": False, "false": False, "off": False, "no": False}
    return known[str(value).strip().lower()]


def _names(value: Any) -> tuple[str, ...]:
    names = value.split(",") if isinstance(value, str) else list(value)
    cleaned = tuple(name.strip() for name in names if name.strip())
    if len(set(cleaned)) != len(cleaned):
        raise ValueError
    return cleaned


def _durability(value: Any) -> Any:
    if value not in ("local", "replicated"):
        raise ValueError
    return value


def _word(value: Any) -> str:
    if not isinstance(value, str) or not value or any(char.isspace() or char in "{}" for char in value):
        raise ValueError
    return value


_APP_SETTINGS: dict[str, tuple[Callable[[Any], Any], str]] = {
    "prefix": (_word, "text without white space or braces"),
    "lease": _seconds(1),
    "shutdown_timeout": _seconds(0),
    "poll_interval": _seconds(0.01),
    "result_ttl": _seconds(0),
    "max_payload": _whole(1_024, 512 << 20),
    "scheduler": (_switch, "on or off"),
    "scheduler_interval": _seconds(0.1),
    "worker_count": _whole(1, 1_024),
    "concurrency": _whole(1, 100_000),
    "queues": (_names, "names separated by commas, each once"),
    "unknown_job_grace": _seconds(0),
    "max_deaths": _whole(1),
    "send_timeout": _seconds(0.01, endless=True),
    "durability": (_durability, "local or replicated"),
    "blocked_limit": _seconds(1),
    "dead_ttl": _seconds(60),
    "dead_most": _whole(1),
    "max_events": _whole(1, 100_000),
    "event_ttl": _seconds(1),
    "handler_processes": _whole(1, 1_024),
}

_SERVER_SETTINGS: dict[str, tuple[Callable[[Any], Any], str]] = {
    "host": (_word, "a host name or address"),
    "port": _whole(1, 65_535),
    "password": (str, "text"),
    "database": _whole(0),
    "max_connections": _whole(2),
    "connect_timeout": _seconds(0.01),
    "command_timeout": _seconds(0.01),
}

# Beside ASYNCJOBS_<NAME>, which wins.
_OTHER_VARIABLES = {
    "host": "REDIS_HOST",
    "port": "REDIS_PORT",
    "password": "REDIS_PASSWORD",
    "worker_count": "WORKER_COUNT",
}


def load_settings(url: Any, given: Mapping[str, Any], environ: Mapping[str, str]) -> Settings:
    """Return the settings from ``url`` (or ``UNSET``), what the code has ``given``, and ``environ``.

    ``given`` holds a value or ``UNSET`` by the name of a setting. Raises ``ConfigurationError`` that names setting,
    value and what is allowed.
    """
    source = "the URL"
    if url is UNSET:
        url, source = environ.get("ASYNCJOBS_URL", UNSET), "ASYNCJOBS_URL"
    named: dict[str, Any] = {}
    if url is not UNSET:
        named = _from_url(url, source)
    # Host and port of the environment must not leak into a URL that names a server; a password may.
    from_environment = ["password", "max_connections", "connect_timeout", "command_timeout"]
    if not named:
        named["scheme"] = "redis"
        from_environment += ["host", "port", "database"]
    for name in from_environment:
        if name not in named:
            value = _from_environment(name, _SERVER_SETTINGS, environ)
            if value is not UNSET:
                named[name] = value
    values: dict[str, Any] = {}
    for name, (parse, allowed) in _APP_SETTINGS.items():
        value = given.get(name, UNSET)
        if value is not UNSET:
            values[name] = _parsed(name, value, parse, allowed, "")
        else:
            value = _from_environment(name, _APP_SETTINGS, environ)
            if value is not UNSET:
                values[name] = value
    if "nodes" not in named:
        named["nodes"] = ((named.pop("host", "localhost"), named.pop("port", 6379)),)
    settings = Settings(server=Server(**named), **values)
    if "blocked_limit" in values:
        return settings
    return msgspec.structs.replace(settings, blocked_limit=10 * settings.lease)


def _from_environment(
    name: str, table: Mapping[str, tuple[Callable[[Any], Any], str]], environ: Mapping[str, str]
) -> Any:
    for variable in (f"ASYNCJOBS_{name.upper()}", _OTHER_VARIABLES.get(name, "")):
        if environ.get(variable):
            parse, allowed = table[name]
            return _parsed(name, environ[variable], parse, allowed, variable)
    return UNSET


def _parsed(name: str, value: Any, parse: Callable[[Any], Any], allowed: str, variable: str) -> Any:
    try:
        return parse(value)
    except (TypeError, ValueError, KeyError, OverflowError):
        shown = "(hidden)" if name == "password" else repr(value)
        source = f" (from {variable})" if variable else ""
        raise ConfigurationError(f"{name}={shown}{source}: expected {allowed}") from None


def _from_url(url: Any, source: str) -> dict[str, Any]:
    if not isinstance(url, str):
        raise ConfigurationError(f"{source} is {url!r}: expected text such as {_SCHEMES}")
    shown = _hidden(url)
    scheme, _, rest = url.partition("://")
    scheme = scheme.lower()
    if scheme not in _KNOWN_SCHEMES:
        hint = closest(scheme, _KNOWN_SCHEMES)
        raise ConfigurationError(f"{source} {shown!r} has an unknown scheme: expected {_SCHEMES}.{hint}")
    named: dict[str, Any] = {"scheme": scheme}
    if scheme == "memory":
        return named
    # The rest as urlsplit knows it, but for the hosts, of which it takes one.
    parts = urllib.parse.urlsplit(f"//{rest}")
    user, at, hosts = parts.netloc.rpartition("@")
    name, _, password = user.partition(":")
    if at and name:
        named["username"] = urllib.parse.unquote(name)
    if at and password:
        named["password"] = urllib.parse.unquote(password)
    if scheme == "unix":
        if not parts.path:
            raise ConfigurationError(f"{source} {shown!r} names no socket: expected unix:///path/to/socket")
        named["path"] = parts.path
    else:
        _, _, mode = scheme.partition("+")
        named["nodes"] = tuple(_node(host, mode, source, shown) for host in hosts.split(","))
        if len(named["nodes"]) > 1 and not mode:
            raise ConfigurationError(f"{source} {shown!r} names several hosts: only sentinels and a Cluster have them")
        path = parts.path.strip("/")
        if mode == "sentinel":
            named["service"], _, path = path.partition("/")
            if not named["service"]:
                raise ConfigurationError(
                    f"{source} {shown!r} names no service: expected redis+sentinel://host:port,host:port/service"
                )
        if path:
            if not path.isdecimal():
                raise ConfigurationError(
                    f"{source} {shown!r} has {path!r} for the database: expected a number, as in redis://host/0"
                )
            named["database"] = int(path)
        if mode == "cluster" and named.get("database"):
            raise ConfigurationError(f"{source} {shown!r} names database {path}: a Cluster has only 0")
    for name, text in urllib.parse.parse_qsl(parts.query):
        if name not in ("database", "max_connections", "connect_timeout", "command_timeout"):
            raise ConfigurationError(
                f"{source} has the unknown option {name!r}: expected database, max_connections, connect_timeout or "
                "command_timeout"
            )
        parse, allowed = _SERVER_SETTINGS[name]
        named[name] = _parsed(name, text, parse, allowed, source)
    return named


def _node(text: str, mode: str, source: str, shown: str) -> tuple[str, int]:
    try:
        parts = urllib.parse.urlsplit(f"//{text}")
        port = parts.port
    except ValueError as error:
        raise ConfigurationError(f"{source} {shown!r} is malformed ({error}): expected {_SCHEMES}") from None
    if not parts.hostname:
        raise ConfigurationError(f"{source} {shown!r} names no host: expected {_SCHEMES}")
    return parts.hostname, _DEFAULT_PORTS.get(mode, 6379) if port is None else port


def _hidden(url: str) -> str:
    """The URL without its password."""
    head, at, tail = url.rpartition("@")
    if not at:
        return url
    before, _, _ = head.rpartition(":")
    return f"{before}:***@{tail}"
