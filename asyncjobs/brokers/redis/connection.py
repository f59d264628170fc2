"""Turns redis-py's errors into ours, and checks whether a server is fit for jobs."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import redis.exceptions

from asyncjobs.brokers.redis.blocked import LoopBlocked
from asyncjobs.brokers.redis.roles import roles_with
from asyncjobs.core.server import Server
from asyncjobs.errors import BrokerRefused, BrokerUnavailable, QueueUnavailable

__all__ = ["MINIMUM_VERSION", "check_server", "translated"]

MINIMUM_VERSION = (6, 2)


# The errors of a server that can't serve for a moment: it loads, runs a script, fails over, or moves a slot elsewhere.
_PASSING = (
    "ASK",
    # A script of another program runs; BUSYKEY and BUSYGROUP are refusals.
    "BUSY ",
    "CLUSTERDOWN",
    "LOADING",
    "MASTERDOWN",
    "MOVED",
    "NOREPLICAS",
    "READONLY",
    "TRYAGAIN",
    "UNBLOCKED",
)


# What stands in the error of a script that called what the user may not: of Redis 7 and Valkey, and of Redis 6.2.
_REFUSED_IN_SCRIPT = ("ACL failure in script", "The user executing the script")


@contextlib.contextmanager
def translated(server: Server, call: str = "") -> Iterator[None]:
    """Turn redis-py's errors into ours: ``BrokerUnavailable`` where trying again may help, else ``BrokerRefused``.

    In a Cluster it is ``QueueUnavailable``, since another key may have another primary.

    Args:
        server: The server.
        call: The name of the script or the command that is called, for the advice where the user may not.
    """
    try:
        yield
    # A slot that no member of a Cluster serves is an error of another family.
    except (redis.exceptions.RedisError, redis.exceptions.RedisClusterException, OSError) as error:
        translation = _translation(server, error, call)
        if server.mode == "cluster" and isinstance(translation, BrokerUnavailable):
            translation = QueueUnavailable(*translation.args)
        # A traceback would show its text.
        raise translation from (None if _has_password(server, str(error)) else error)


def _translation(server: Server, error: Exception, call: str) -> BrokerRefused | BrokerUnavailable:
    text = str(error).rstrip(".") or "no answer in time"
    if _has_password(server, text):
        text = text.replace(str(server.password), "***")
    where = f"Redis at {server.address}"
    if server.tls and (problem := _tls_problem(text)):
        return BrokerRefused(f"{where} can't be trusted, or doesn't trust this program: {text}. {problem}")
    if isinstance(error, redis.exceptions.AuthenticationError) or any(word in text for word in ("NOAUTH", "WRONGPASS")):
        return BrokerRefused(
            f"{where} refused the login: {text}. Check user and password in the URL, or REDIS_PASSWORD."
        )
    if isinstance(error, redis.exceptions.NoPermissionError) or any(one in text for one in _REFUSED_IN_SCRIPT):
        return BrokerRefused(f"{where} refused the user {server.username or 'default'!r}: {text}. {_role_advice(call)}")
    if "OOM" in text or "maxmemory" in text:
        return BrokerRefused(
            f"{where} is out of memory and took nothing: {text}. Raise maxmemory or let workers drain the queues."
        )
    is_refusal = isinstance(error, redis.exceptions.ResponseError | redis.exceptions.DataError)
    if is_refusal and not isinstance(error, redis.exceptions.ClusterError) and not _is_passing(text):
        return BrokerRefused(f"{where} refused: {text}")
    if is_refusal or isinstance(error, redis.exceptions.BusyLoadingError | redis.exceptions.ReadOnlyError):
        return BrokerUnavailable(f"{where} can't serve at the moment: {text}")
    if isinstance(error, LoopBlocked):
        return BrokerUnavailable(
            f"no reply of {where} was read in time, since {text}. Move what blocks it to a plain function or a thread."
        )
    advice = "Check that it runs, and host and port in the URL or in REDIS_HOST and REDIS_PORT."
    if server.tls and server.ssl_certfile is None and ("closed" in text or "reset by peer" in text):
        # With TLS 1.3 a client has connected before the server looks at its certificate.
        advice += f" It may want to know its clients. {_SHOW_CERTIFICATE}"
    return BrokerUnavailable(f"{where} can't be reached: {text}. {advice}")


def _role_advice(call: str) -> str:
    """Return which role may do what was refused, and how to give a user its rights."""
    roles = roles_with(call)
    one = roles[0] if roles else "ROLE"
    has = ""
    if roles:
        has = (
            f"The role {roles[0]} may" if len(roles) == 1 else f"The roles {', '.join(roles[:-1])} and {roles[-1]} may"
        )
        has += " do that. "
    return (
        f"{has}`asyncjobs doctor --acl {one}` prints the rules of a role: its commands, keys and channels; "
        f"`asyncjobs doctor --role {one}` says which of the commands the user may not call."
    )


_SHOW_CERTIFICATE = "Name a certificate that it knows in the URL: ?ssl_certfile=…&ssl_keyfile=…."


def _tls_problem(text: str) -> str:
    """Return what to do about an error of TLS, empty for another error."""
    if "Hostname mismatch" in text or "IP address mismatch" in text:
        return "Connect by a name that stands in the server's certificate."
    if "CERTIFICATE_VERIFY_FAILED" in text:
        return "Name the file of its authority in the URL: ?ssl_ca_certs=/path/to/ca.pem."
    if "No such file" in text or "Permission denied" in text:
        return "Check the files of ssl_ca_certs, ssl_certfile and ssl_keyfile."
    if "CERTIFICATE_REQUIRED" in text or "certificate required" in text or "HANDSHAKE_FAILURE" in text:
        return _SHOW_CERTIFICATE
    return ""


def _has_password(server: Server, text: str) -> bool:
    """Return whether ``text`` shows the password, as that of a server does that knows no ``AUTH``."""
    return bool(server.password) and str(server.password) in text


def _is_passing(text: str) -> bool:
    return text.startswith(_PASSING) or "-READONLY" in text or "force unblock" in text or "read only replica" in text


def check_server(server: Server, info: dict[str, Any]) -> None:
    """Raise ``BrokerRefused`` if a server can't keep a broker's promises; ``info`` is its reply to ``INFO``."""
    version = str(info.get("redis_version", "0"))
    if tuple(int(part) for part in version.split(".")[:2]) < MINIMUM_VERSION:
        raise BrokerRefused(
            f"Redis at {server.address} is version {version}; asyncjobs needs "
            f"{'.'.join(map(str, MINIMUM_VERSION))} or newer (or any Valkey)."
        )
    policy = str(info.get("maxmemory_policy", "noeviction"))
    if policy != "noeviction" and int(info.get("maxmemory", 0)):
        dropped = "jobs" if policy.startswith("allkeys") else "results, known ids and claims"
        raise BrokerRefused(
            f"Redis at {server.address} has maxmemory-policy {policy}, which drops {dropped} when memory is short. "
            "Set it to noeviction (CONFIG SET maxmemory-policy noeviction), or use a server of its own."
        )
