"""A sign-in by a link, for a dashboard that a command shows to the one who has started it."""

from __future__ import annotations

import hmac
from collections.abc import Callable

from starlette.exceptions import HTTPException
from starlette.requests import Request

from asyncjobs.admin.access import Access
from asyncjobs.admin.problem import Problem

__all__ = ["link_auth"]

_COOKIE = "asyncjobs_token"


def link_auth(token: str, access: Access) -> Callable[[Request], Access]:
    """Return an ``authorize=`` for who has opened a link that ends in ``?token=…``.

    A cookie is kept, and the token leaves the address. That a request comes from this machine would not be enough:
    other users of the machine, and pages that a browser on it has open, send requests from there too.

    Args:
        token: What nobody can guess.
        access: What its holder may see and do.
    """

    def authorize(request: Request) -> Access:
        if _is_same(request.cookies.get(_COOKIE, ""), token):
            return access
        if _is_same(request.query_params.get("token", ""), token):
            home = request.scope.get("root_path", "") or "/"
            cookie = f"{_COOKIE}={token}; Path={home}; HttpOnly; SameSite=Lax"
            raise HTTPException(303, headers={"Location": home, "Set-Cookie": cookie})
        raise Problem(401, "open the link that the command has printed")

    return authorize


def _is_same(given: str, token: str) -> bool:
    return hmac.compare_digest(given.encode(), token.encode())
