"""Where the broker is: the address of a server, and the URL that names it."""

from __future__ import annotations

import urllib.parse
from typing import Any, Literal

import msgspec

from asyncjobs.core.bounds import shown
from asyncjobs.errors import ConfigurationError, closest

__all__ = ["URL_OPTIONS", "Server", "parse_url"]

#: What the query of a URL may set.
URL_OPTIONS = ("database", "max_connections", "connect_timeout", "command_timeout", "replicas")

_SCHEMES = ["redis", "rediss", "unix", "memory"]
_SCHEMES += ["redis+sentinel", "rediss+sentinel", "redis+cluster", "rediss+cluster"]
_FORMS = (
    "redis://host:port/database, rediss://… (TLS), unix:///path/to/socket, memory://, "
    "redis+sentinel://host:port,host:port/service/database or redis+cluster://host:port,host:port"
)
_DEFAULT_PORT = 6379
_DEFAULT_SENTINEL_PORT = 26379


class Server(msgspec.Struct, frozen=True, kw_only=True):
    """Where the broker is, and how to connect to it.

    Neither ``str`` nor ``repr`` shows the login.

    Raises:
        ConfigurationError: A Cluster is given a database other than 0.
    """

    scheme: str = "redis"
    """The scheme of its URL. ``rediss`` is Redis with TLS; ``+sentinel`` and ``+cluster`` say what ``nodes`` are."""

    nodes: tuple[tuple[str, int], ...] = (("localhost", _DEFAULT_PORT),)
    """Host and port: of the one server, of the sentinels, or of some members of the Cluster."""

    service: str = ""
    """The name by which the sentinels know the primary."""

    path: str = ""
    """The path of a Unix socket; empty for a connection over TCP."""

    username: str | None = None
    """The user to log in as; ``None`` for Redis's default user."""

    password: str | None = None
    """The password to log in with; no message shows it."""

    database: int = 0
    """The number of the database. A Cluster has only 0."""

    max_connections: int = 20
    """The largest number of connections in each pool of an app."""

    connect_timeout: float = 2.0
    """Seconds that making a connection may take."""

    command_timeout: float = 5.0
    """Seconds to wait for an answer of the server."""

    replicas: int | None = None
    """How many replicas must have a job before a send with ``durability="replicated"`` returns. By default all that
    are connected to the primary, at least one."""

    def __post_init__(self) -> None:
        if self.mode == "cluster" and self.database:
            raise ConfigurationError(f"{self} names database {self.database}: a Cluster has only 0")

    @property
    def mode(self) -> Literal["single", "sentinel", "cluster"]:
        """What ``nodes`` are: the server itself, its sentinels, or members of a Cluster."""
        if self.scheme.endswith("+sentinel"):
            return "sentinel"
        return "cluster" if self.scheme.endswith("+cluster") else "single"

    @property
    def tls(self) -> bool:
        """Whether connections are encrypted."""
        return self.scheme.startswith("rediss")

    @property
    def address(self) -> str:
        """The server as error messages name it."""
        if self.path:
            return self.path
        nodes = ", ".join(f"{host}:{port}" for host, port in self.nodes)
        return f"{self.service!r} of the sentinels {nodes}" if self.mode == "sentinel" else nodes

    def of_one_node(self, host: str, port: int) -> Server:
        """Return the address of one member of the Cluster, with the same login and limits.

        Args:
            host: Its host.
            port: Its port.
        """
        return msgspec.structs.replace(self, scheme="rediss" if self.tls else "redis", nodes=((host, port),))

    def __str__(self) -> str:
        if self.scheme == "memory":
            return "memory://"
        if self.scheme == "unix":
            return f"unix://{self.path}"
        nodes = ",".join(f"{host}:{port}" for host, port in self.nodes)
        service = f"/{self.service}" if self.service else ""
        return f"{self.scheme}://{nodes}{service}/{self.database}"

    # In place of the two methods that msgspec makes, which show all fields, with the password among them.
    def __repr__(self) -> str:
        return f"Server({str(self)!r})"

    def __rich_repr__(self) -> list[tuple[str, Any]]:
        return [("url", str(self))]


def parse_url(url: Any, source: str) -> dict[str, Any]:
    """Return the fields of ``Server`` that ``url`` sets, by name.

    Args:
        url: The URL, in one of the forms that the error message lists.
        source: Where the URL comes from, for the error message.

    Returns:
        The fields. Fields of the query (``URL_OPTIONS``) are text that isn't checked yet.

    Raises:
        ConfigurationError: ``url`` is malformed. The message shows it without its login.
    """
    if not isinstance(url, str):
        raise ConfigurationError(f"{source} is {shown(url)}: expected text such as {_FORMS}")
    try:
        return _fields(url)
    except _Malformed as problem:
        raise ConfigurationError(f"{source} {_without_login(url)!r} {problem}") from None


class _Malformed(Exception):
    """What is wrong with a URL, as the message goes on after it."""


def _fields(url: str) -> dict[str, Any]:
    scheme, _, rest = url.partition("://")
    scheme = scheme.lower()
    if scheme not in _SCHEMES:
        raise _Malformed(f"has an unknown scheme: expected {_FORMS}.{closest(scheme, _SCHEMES)}")
    if scheme == "memory":
        return {"scheme": scheme}
    try:
        # With several hosts, ``netloc`` is the text as it stands; only ``hostname`` and ``port`` would be wrong.
        parts = urllib.parse.urlsplit(f"//{rest}")
    except ValueError:
        raise _Malformed(f"is malformed: expected {_FORMS}") from None
    login, _, hosts = parts.netloc.rpartition("@")
    place = {"path": _socket(parts.path)} if scheme == "unix" else _place(scheme, hosts, parts)
    return {"scheme": scheme, **_login(login), **place, **_options(parts.query)}


def _login(text: str) -> dict[str, str]:
    username, _, password = map(urllib.parse.unquote, text.partition(":"))
    return {name: value for name, value in (("username", username), ("password", password)) if value}


def _socket(path: str) -> str:
    if not path:
        raise _Malformed("names no socket: expected unix:///path/to/socket")
    return path


def _place(scheme: str, hosts: str, parts: urllib.parse.SplitResult) -> dict[str, Any]:
    if any("@" in part for part in parts[2:]):
        # The rest of the password stands in the place of host, port or database, which messages show.
        raise _Malformed("is malformed: in a user name or password, write / ? and # as %2F %3F and %23")
    _, _, mode = scheme.partition("+")
    default_port = _DEFAULT_SENTINEL_PORT if mode == "sentinel" else _DEFAULT_PORT
    place: dict[str, Any] = {"nodes": tuple(_node(host, default_port) for host in hosts.split(","))}
    if len(place["nodes"]) > 1 and not mode:
        raise _Malformed("names several hosts: only sentinels and a Cluster have them")
    path = parts.path.strip("/")
    if mode == "sentinel":
        place["service"], _, path = path.partition("/")
        if not place["service"]:
            raise _Malformed("names no service: expected redis+sentinel://host:port,host:port/service")
    if path:
        if not path.isdecimal():
            raise _Malformed(f"has {path!r} for the database: expected a number, as in redis://host/0")
        place["database"] = int(path)
    return place


def _node(text: str, default_port: int) -> tuple[str, int]:
    try:
        parts = urllib.parse.urlsplit(f"//{text}")
        host, port = parts.hostname, parts.port
    except ValueError as error:
        raise _Malformed(f"is malformed ({error}): expected {_FORMS}") from None
    if not host:
        raise _Malformed(f"names no host: expected {_FORMS}")
    return host, default_port if port is None else port


def _options(query: str) -> dict[str, str]:
    options = dict(urllib.parse.parse_qsl(query))
    for name in options:
        if name not in URL_OPTIONS:
            *names, last = URL_OPTIONS
            raise _Malformed(f"has the unknown option {name!r}: expected {', '.join(names)} or {last}")
    return options


def _without_login(url: str) -> str:
    head, at, tail = url.rpartition("@")
    if not at:
        return url
    scheme, slashes, _ = head.partition("://")
    return f"{scheme}://***@{tail}" if slashes else f"***@{tail}"
