"""The settings of an app and its workers, from code, URL and environment.

A setting is declared here alone. ``SettingOptions`` says what it means and what code may give, ``Settings`` what its
default is and how every value of it is checked, wherever it comes from.
"""

from __future__ import annotations

import math
import os
import re
import typing
from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from typing import Annotated, Any, NamedTuple, TypedDict

import msgspec
from msgspec import UNSET

from asyncjobs.core.bounds import MAX_COUNT, MAX_DURATION_MS, shown
from asyncjobs.core.duration import Duration, to_ms
from asyncjobs.core.encrypted import EncryptionKey, EncryptionMode
from asyncjobs.core.options import Durability
from asyncjobs.core.server import Server, parse_url
from asyncjobs.errors import ConfigurationError, UnknownSetting, closest

__all__ = ["Server", "SettingOptions", "Settings", "load_server", "load_settings", "shown", "to_ms"]


class SettingOptions(TypedDict, total=False):
    """The settings as keywords of ``App``; each may also come from the environment, as ``ASYNCJOBS_<NAME>``."""

    prefix: str
    """What the name of every key in Redis begins with."""

    lease: Duration
    """How long a job stays with a worker that gives no sign of life."""

    shutdown_timeout: Duration
    """How long handlers may go on after the first signal to stop."""

    poll_interval: Duration
    """The longest single wait for a job. It is no latency: a new job ends the wait."""

    result_ttl: Duration
    """How long the result of a job is kept. 0 keeps none. The id stays known for 60 s at least."""

    max_payload: int
    """The largest size of one encoded job, and of one result, in bytes."""

    scheduler: bool
    """Whether workers wake at the due time of scheduled jobs, and fire schedules."""

    scheduler_interval: Duration
    """How often a worker looks for new schedules, and one without a free slot for due jobs."""

    worker_count: int
    """The number of worker processes that ``asyncjobs worker`` starts."""

    concurrency: int
    """The number of jobs that one worker process runs at once."""

    queues: Sequence[str]
    """The queues that workers serve, in this order."""

    unknown_job_grace: Duration
    """How long a job waits for a worker that knows its name, before it goes to the dead letter queue."""

    max_deaths: int
    """After how many workers that died while they ran it a job goes to the dead letter queue."""

    send_timeout: Duration
    """How long a send goes on trying while the broker is away, before it fails."""

    durability: Durability
    """When a job counts as sent: once Redis has it (``local``), or once its replicas have it too (``replicated``)."""

    blocked_limit: Duration
    """How long a worker may keep its jobs while its event loop stands still."""

    dead_ttl: Duration
    """How long the dead letter queue keeps a job."""

    max_dead: int
    """The number of jobs that the dead letter queue of each queue keeps, the latest."""

    max_events: int
    """The number of events (progress, data, log lines) that are kept of a job, the latest."""

    event_ttl: Duration
    """How long the events of a job are kept after the latest of them."""

    handler_processes: int
    """The number of handlers with ``executor="process"`` that one worker process runs at once."""

    encryption_keys: Sequence[str]
    """The keys of encryption, each 32 bytes in Base64. The first one encrypts what is stored, all of them decrypt."""

    encryption: EncryptionMode
    """What a program with keys does: ``required`` encrypts, and takes nothing that isn't encrypted; ``preferred``
    encrypts, and takes both; ``decrypt`` sends without encryption, and takes both."""

    deploy: str
    """What the program is a version of, such as a release or a commit, up to 100 characters: shown with its workers."""


class _Rule(NamedTuple):
    """How a value is read, with an error if it is wrong, and what is expected in its place."""

    parse: Callable[[Any], Any]
    expected: str


def _seconds(
    at_least: float, at_most: int = MAX_DURATION_MS // 1_000, *, or_inf: str = "", inf_s: float = math.inf
) -> _Rule:
    def parse(value: Any) -> float:
        seconds = value.total_seconds() if isinstance(value, timedelta) else float(value)
        if or_inf and seconds == math.inf:
            return inf_s
        is_known = seconds <= at_most
        if isinstance(value, bool) or not is_known or seconds < at_least:
            raise ValueError
        return seconds

    bounds = f"seconds, at least {at_least:g}, or a timedelta, at most {at_most // 86_400:,} days"
    return _Rule(parse, bounds + (f", or inf to {or_inf}" if or_inf else ""))


def _whole(at_least: int, at_most: int = MAX_COUNT) -> _Rule:
    def parse(value: Any) -> int:
        number = int(value)
        if isinstance(value, bool | float) or not at_least <= number <= at_most:
            raise ValueError
        return number

    bounds = f", {at_least} or more" if at_most == MAX_COUNT else f" from {at_least} to {at_most}"
    return _Rule(parse, f"a whole number{bounds}")


def _one_of(*words: str) -> _Rule:
    def parse(value: Any) -> str:
        if not isinstance(value, str) or value not in words:
            raise ValueError
        return str(value)

    return _Rule(parse, " or ".join(words))


def _secret(value: Any) -> str:
    # Raises ``UnicodeEncodeError``, a ``ValueError``, for bytes of the environment that are no UTF-8.
    return str(value).encode().decode()


_SWITCH = {"1": True, "true": True, "on": True, "yes": True, "0": False, "false": False, "off": False, "no": False}


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError
    return value


def _path() -> _Rule:
    def parse(value: Any) -> str:
        path = _secret(_text(value))
        if not path or "\0" in path:
            raise ValueError
        return path

    return _Rule(parse, "the path of a file")


def _switch() -> _Rule:
    return _Rule(lambda value: value if isinstance(value, bool) else _SWITCH[_text(value).strip().lower()], "on or off")


def _names() -> _Rule:
    def parse(value: Any) -> tuple[str, ...]:
        names = value.split(",") if isinstance(value, str) else list(value)
        cleaned = tuple(stripped for name in names if (stripped := _text(name).strip()))
        if len(set(cleaned)) != len(cleaned):
            raise ValueError
        return cleaned

    return _Rule(parse, "names separated by commas, each once")


def _keys() -> _Rule:
    def parse(value: Any) -> tuple[EncryptionKey, ...]:
        given = value.split(",") if isinstance(value, str) else list(value)
        keys = tuple(one if isinstance(one, EncryptionKey) else EncryptionKey(_text(one)) for one in given)
        if len({key.id for key in keys}) != len(keys):
            raise ValueError
        return keys

    return _Rule(parse, "keys of 32 bytes in Base64 separated by commas, each once: openssl rand -base64 32")


def _label(most: int) -> _Rule:
    def parse(value: Any) -> str:
        label = _secret(_text(value))
        if len(label) > most:
            raise ValueError
        return label

    return _Rule(parse, f"text of at most {most} characters")


def _word(expected: str) -> _Rule:
    def parse(value: Any) -> str:
        if not isinstance(value, str) or not value or any(char.isspace() or char in "{}" for char in value):
            raise ValueError
        return value

    return _Rule(parse, expected)


def _time_to_live() -> _Rule:
    # For ever is no longer than Redis and the rest of the arithmetic allow: a hundred years.
    return _seconds(0, or_inf="keep it for ever", inf_s=MAX_DURATION_MS / 1_000)


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """The settings of an app and its workers, as ``SettingOptions`` describes them; times in seconds."""

    server: Server
    """Where the broker is."""
    prefix: Annotated[str, _word("text without white space or braces")] = "asyncjobs"
    lease: Annotated[float, _seconds(1)] = 30.0
    shutdown_timeout: Annotated[float, _seconds(0)] = 30.0
    poll_interval: Annotated[float, _seconds(0.01)] = 1.0
    result_ttl: Annotated[float, _time_to_live()] = 3600.0
    max_payload: Annotated[int, _whole(1_024, 512 << 20)] = 1_048_576
    scheduler: Annotated[bool, _switch()] = True
    scheduler_interval: Annotated[float, _seconds(0.1)] = 5.0
    worker_count: Annotated[int, _whole(1, 1_024)] = 1
    concurrency: Annotated[int, _whole(1, 100_000)] = 100
    queues: Annotated[tuple[str, ...], _names()] = ()
    unknown_job_grace: Annotated[float, _seconds(0)] = 3600.0
    max_deaths: Annotated[int, _whole(1)] = 3
    send_timeout: Annotated[float, _seconds(0.01, or_inf="wait for ever")] = 5.0
    durability: Annotated[Durability, _one_of("local", "replicated")] = "local"
    blocked_limit: Annotated[float, _seconds(1)] = 300.0
    dead_ttl: Annotated[float, _seconds(60)] = 180 * 86_400.0
    max_dead: Annotated[int, _whole(1)] = 100_000
    max_events: Annotated[int, _whole(1, 100_000)] = 1_000
    event_ttl: Annotated[float, _seconds(1)] = 86_400.0
    handler_processes: Annotated[int, _whole(1, 1_024)] = os.cpu_count() or 1
    encryption_keys: Annotated[tuple[EncryptionKey, ...], _keys()] = ()
    encryption: Annotated[EncryptionMode, _one_of("required", "preferred", "decrypt")] = "required"
    deploy: Annotated[str, _label(100)] = ""


_SETTINGS: dict[str, _Rule] = {
    name: hint.__metadata__[0]
    for name, hint in typing.get_type_hints(Settings, include_extras=True).items()
    if typing.get_origin(hint) is Annotated
}
_ADDRESS: dict[str, _Rule] = {
    "host": _word("a host name or address"),
    "port": _whole(1, 65_535),
    "database": _whole(0),
}
# Python waits for a socket at most 2**31 ms, some 24 days.
_MAX_SOCKET_TIMEOUT_S = 20 * 86_400

_CONNECTING: dict[str, _Rule] = {
    "password": _Rule(_secret, "text that is UTF-8"),
    "max_connections": _whole(2),
    "connect_timeout": _seconds(0.01, _MAX_SOCKET_TIMEOUT_S),
    "command_timeout": _seconds(0.01, _MAX_SOCKET_TIMEOUT_S),
    "replicas": _whole(1),
    "ssl_ca_certs": _path(),
    "ssl_certfile": _path(),
    "ssl_keyfile": _path(),
}
_RULES = _SETTINGS | _ADDRESS | _CONNECTING

# What no error shows.
_UNSHOWN = ("password", "encryption_keys")

# Beside ASYNCJOBS_<NAME>, which wins.
_OTHER_VARIABLES = {
    "host": "REDIS_HOST",
    "port": "REDIS_PORT",
    "password": "REDIS_PASSWORD",
    "worker_count": "WORKER_COUNT",
}

# What Kubernetes puts into <NAME>_PORT for a service of that name: its address, as in tcp://10.0.0.1:6379.
_ADDRESS_OF_SERVICE = re.compile(r"(tcp|udp|sctp)://")

# The other keywords of App, for which a misspelt one may have been meant.
_NO_SETTINGS = ("url", "retry", "middleware", "broker")

# How many leases ``blocked_limit`` is where it isn't set.
_BLOCKED_LEASES = 10


class _Given(NamedTuple):
    """A value as it was given, and where, as an error names the place; empty for code."""

    value: Any
    source: str


def load_settings(url: Any, given: Mapping[str, Any], environ: Mapping[str, str]) -> Settings:
    """Return the settings: those of code win over the URL, and the URL over the environment.

    Args:
        url: The address of the broker, or ``UNSET`` to take it from the environment.
        given: What code says: values, or ``UNSET``, by the name of the setting.
        environ: The environment's variables.

    Raises:
        ConfigurationError: A value is wrong. The message names the setting, the value and what is expected.
        UnknownSetting: ``given`` has a name that no setting has.
    """
    for name in given:
        if name not in _SETTINGS:
            raise UnknownSetting(f"App has no keyword {name!r}.{closest(name, (*_SETTINGS, *_NO_SETTINGS))}")
    code = {name: _Given(value, "") for name, value in given.items() if value is not UNSET}
    # Merged first and checked then, so that a value that doesn't count needn't be right.
    values = {name: _checked(name, *one) for name, one in (_outside_code(url, environ) | code).items()}
    server = _server_of(values)
    settings = Settings(server=server, **{name: value for name, value in values.items() if name in _SETTINGS})
    if "encryption" in values and not settings.encryption_keys:
        raise ConfigurationError(
            f"encryption={settings.encryption!r} without a key, so nothing would be encrypted: set encryption_keys, "
            "ASYNCJOBS_ENCRYPTION_KEYS"
        )
    if "blocked_limit" in values:
        return settings
    return msgspec.structs.replace(settings, blocked_limit=_BLOCKED_LEASES * settings.lease)


def load_server(url: Any, environ: Mapping[str, str]) -> Server:
    """Return where the broker of ``url`` is; what the URL doesn't say of the connection is the environment's.

    Args:
        url: The address of the broker.
        environ: The environment's variables.

    Raises:
        ConfigurationError: The URL is wrong, or what the environment says of the connection.
    """
    given = _outside_code(url, environ)
    return _server_of({name: _checked(name, *one) for name, one in given.items() if name not in _SETTINGS})


def _outside_code(url: Any, environ: Mapping[str, str]) -> dict[str, _Given]:
    """Return what the environment gives, and the URL, which wins."""
    source = "the URL"
    if url is UNSET:
        url, source = environ.get("ASYNCJOBS_URL") or UNSET, "ASYNCJOBS_URL"
    address = {} if url is UNSET else {name: _Given(one, source) for name, one in parse_url(url, source).items()}
    # A URL names the whole address, so no part of it is taken from elsewhere; a password may be.
    return _from_environment(_RULES if url is UNSET else _SETTINGS | _CONNECTING, environ) | address


def _server_of(values: Mapping[str, Any]) -> Server:
    """Return the server that ``values`` describe, among other things."""
    nodes = ((values.get("host", "localhost"), values.get("port", 6379)),)
    return Server(**{"nodes": nodes} | {name: values[name] for name in Server.__struct_fields__ if name in values})


def _from_environment(names: Mapping[str, object], environ: Mapping[str, str]) -> dict[str, _Given]:
    found: dict[str, _Given] = {}
    for name in names:
        for variable in (f"ASYNCJOBS_{name.upper()}", _OTHER_VARIABLES.get(name, "")):
            value = environ.get(variable)
            if name not in found and value and not (name == "port" and _ADDRESS_OF_SERVICE.match(value)):
                found[name] = _Given(value, variable)
    return found


def _checked(name: str, value: Any, source: str) -> Any:
    rule = _RULES.get(name)
    if rule is None:
        return value
    try:
        return rule.parse(value)
    except (TypeError, ValueError, KeyError, OverflowError):
        where = f" (from {source})" if source else ""
        given = "***" if name in _UNSHOWN else shown(value)
        raise ConfigurationError(f"{name}={given}{where}: expected {rule.expected}") from None
