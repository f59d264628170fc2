"""Names and passwords for the admin API, by HTTP's basic authentication."""

from __future__ import annotations

import base64
import binascii
import hmac
from collections.abc import Callable, Mapping

from starlette.requests import Request

from asyncjobs.admin.access import Access, Role
from asyncjobs.admin.problem import Problem
from asyncjobs.errors import ConfigurationError

__all__ = ["basic_auth"]


def basic_auth(passwords: Mapping[str, str], role: Role = "admin") -> Callable[[Request], Access]:
    """Return an ``authorize=`` that asks for a name and a password.

    Passwords are readable on their way: use it behind TLS alone.

    Args:
        passwords: The password of each name; not empty, and no password is.
        role: What they may do.

    Raises:
        ConfigurationError: There is no name, a password is empty, or there is no such role.

    Example:
        ``admin_api(app, authorize=basic_auth({"ops": os.environ["ADMIN_PASSWORD"]}))``
    """
    if not passwords or not all(passwords.values()):
        raise ConfigurationError("passwords: expected a password for each name, as in {'ops': 'secret'}")
    granted = {name: Access(name, role) for name in passwords}

    def authorize(request: Request) -> Access:
        name, password = _credentials(request.headers.get("authorization", ""))
        expected = passwords.get(name, "")
        # Compared even where there is no such name, so that the time says nothing about names.
        is_right = hmac.compare_digest(password.encode(), expected.encode())
        if not (is_right and expected):
            raise Problem(
                401,
                "a name and a password are needed",
                headers={"WWW-Authenticate": 'Basic realm="asyncjobs", charset="UTF-8"'},
            )
        return granted[name]

    return authorize


def _credentials(header: str) -> tuple[str, str]:
    kind, _, encoded = header.partition(" ")
    if kind.lower() != "basic":
        return "", ""
    try:
        name, _, password = base64.b64decode(encoded, validate=True).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError, ValueError):
        return "", ""
    return name, password
