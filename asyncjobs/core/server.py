"""Where the broker is: the address of a server, and the URL that names it."""

from __future__ import annotations

import re
import urllib.parse
from typing import Any, Literal

import msgspec

from asyncjobs.errors import ConfigurationError, closest

__all__ = ["URL_OPTIONS", "Server", "parse_url"]

#: What the query of a URL may set.
_TLS_OPTIONS = ("ssl_ca_certs", "ssl_certfile", "ssl_keyfile")
URL_OPTIONS = ("database", "max_connections", "connect_timeout", "command_timeout", "replicas", *_TLS_OPTIONS)

_SCHEMES = ["redis", "rediss", "unix", "memory"]
_SCHEMES += ["redis+sentinel", "rediss+sentinel", "redis+cluster", "rediss+cluster"]
_FORMS = (
    "redis://host:port/database, rediss://… (TLS), unix:///path/to/socket, memory://, "
    "redis+sentinel://host:port,host:port/service/database or redis+cluster://host:port,host:port"
)
_ENCODED = "in a user name or password, write / ? # : @ and % as %2F %3F %23 %3A %40 and %25"
# What UTF-8 has no bytes for, and control characters.
_UNFIT = re.compile(r"[\x00-\x1f\x7f\ud800-\udfff]")
# A colon with what can't be a port behind it, or a #, and all that follows.
_NO_PORT = re.compile(r"(:(?!\d{0,5}(?:[/,:\]]|$))|#).*", re.DOTALL)
# Of the number of a database.
_MAX_DIGITS = 9
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

    ssl_ca_certs: str | None = None
    """The file with the certificates of the authorities that are trusted, with TLS. By default those of the system."""

    ssl_certfile: str | None = None
    """The file with the certificate by which the program shows who it is, with TLS."""

    ssl_keyfile: str | None = None
    """The file with the key of this certificate, where it isn't in the same file."""

    def __post_init__(self) -> None:
        if not self.tls and self.scheme.startswith("redis"):
            for name in _TLS_OPTIONS:
                if getattr(self, name) is not None:
                    raise ConfigurationError(f"{self} is without TLS, so it can't have {name}: expected rediss://…")
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
        ConfigurationError: ``url`` is malformed. The message shows it without its login, and without what may be
            part of one.
    """
    if not isinstance(url, str):
        # Not shown: bytes, and the URLs of other packages, would show the login.
        raise ConfigurationError(f"{source} is of type {type(url).__qualname__}: expected text such as {_FORMS}")
    url = url.strip()
    try:
        return _fields(url)
    except _Malformed as problem:
        raise ConfigurationError(f"{source} {_without_login(url)!r:.200} {problem}") from None


class _Malformed(Exception):
    """What is wrong with a URL, as the message goes on after it."""


def _fields(url: str) -> dict[str, Any]:
    scheme, _, rest = url.partition("://")
    scheme = scheme.lower()
    if scheme not in _SCHEMES:
        raise _Malformed(f"has an unknown scheme: expected {_FORMS}.{closest(scheme, _SCHEMES)}")
    if scheme == "memory":
        return {"scheme": scheme}
    login, rest = _split_login(scheme, rest)
    if _UNFIT.search(login + rest) or "#" in rest or any(char in login for char in "/?#"):
        raise _Malformed(f"is malformed: {_ENCODED}")
    place, _, query = rest.partition("?")
    where = {"path": _socket(place)} if scheme == "unix" else _place(scheme, place)
    return {"scheme": scheme, **_login(login), **where, **_options(query)}


def _split_login(scheme: str, rest: str) -> tuple[str, str]:
    """Return the login, empty where there is none, and the rest of the URL."""
    if scheme != "unix":
        login, _, rest = rest.rpartition("@")
        return login, rest
    # The path begins with a slash, and may have an @ of its own.
    login, at, path = ("", "", rest) if rest.startswith("/") else rest.rpartition("@/")
    return login, f"/{path}" if at else rest


def _login(text: str) -> dict[str, str]:
    username, _, password = map(_decoded, text.partition(":"))
    return {name: value for name, value in (("username", username), ("password", password)) if value}


def _decoded(text: str) -> str:
    try:
        return urllib.parse.unquote(text, errors="strict")
    except UnicodeDecodeError:
        raise _Malformed("is malformed: what is percent-encoded is no UTF-8") from None


def _socket(path: str) -> str:
    if not path.startswith("/") or path == "/":
        raise _Malformed("names no socket: expected unix:///path/to/socket")
    return _decoded(path)


def _place(scheme: str, place: str) -> dict[str, Any]:
    hosts, _, path = place.partition("/")
    _, _, mode = scheme.partition("+")
    default_port = _DEFAULT_SENTINEL_PORT if mode == "sentinel" else _DEFAULT_PORT
    where: dict[str, Any] = {"nodes": tuple(_node(host, default_port) for host in hosts.split(","))}
    if len(where["nodes"]) > 1 and not mode:
        raise _Malformed("names several hosts: only sentinels and a Cluster have them")
    path = path.strip("/")
    if mode == "sentinel":
        where["service"], _, path = path.partition("/")
        if not where["service"]:
            raise _Malformed("names no service: expected redis+sentinel://host:port,host:port/service")
    if path:
        if not path.isdecimal() or len(path) > _MAX_DIGITS:
            raise _Malformed(f"has {path!r:.80} for the database: expected a number, as in redis://host/0")
        where["database"] = int(path)
    return where


def _node(text: str, default_port: int) -> tuple[str, int]:
    try:
        parts = urllib.parse.urlsplit(f"//{text}")
        host, port = parts.hostname, parts.port
    except ValueError:
        # Its message would show what stands in the place of the port: without an @, that may be a password.
        raise _Malformed(
            f"is malformed: a port is a number up to 65535, and an IPv6 address stands in brackets; {_ENCODED}"
        ) from None
    if not host:
        raise _Malformed(f"names no host: expected {_FORMS}")
    return host, default_port if port is None else port


def _options(query: str) -> dict[str, str]:
    options = dict(urllib.parse.parse_qsl(query))
    for name in options:
        if name not in URL_OPTIONS:
            *names, last = URL_OPTIONS
            raise _Malformed(f"has the unknown option {name!r:.80}: expected {', '.join(names)} or {last}")
    return options


def _without_login(url: str) -> str:
    """Return ``url`` for a message: without its login, and without what may be part of one that is not closed by @."""
    scheme, slashes, rest = url.rpartition("://")
    _, at, place = rest.rpartition("@")
    place, question, query = place.partition("?")
    options = "&".join(f"{one.partition('=')[0]}=***" if "=" in one else "***" for one in query.split("&"))
    place = _NO_PORT.sub(r"\1***", place)
    return f"{scheme}{slashes}{'***@' if at else ''}{place}{question}{options if query else ''}"
