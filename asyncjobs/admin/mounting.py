"""Tells an app where it is mounted, for web frameworks that don't."""

from __future__ import annotations

import re
from urllib.parse import unquote

from starlette.middleware import Middleware
from starlette.types import ASGIApp, Receive, Scope, Send

from asyncjobs.core.bounds import shown
from asyncjobs.errors import ConfigurationError

__all__ = ["mounting"]

_PATH = re.compile(r"(/[A-Za-z0-9._~-]+)+")


def mounting(mounted_at: str) -> list[Middleware]:
    """Return the middleware of an app that is mounted at ``mounted_at``; none if that is empty.

    Raises:
        ConfigurationError: It is no path.
    """
    if not mounted_at:
        return []
    if not _PATH.fullmatch(mounted_at):
        raise ConfigurationError(f"mounted_at={shown(mounted_at)}: expected a path, as in '/admin/jobs'")
    return [Middleware(_Mounted, mounted_at=mounted_at)]


class _Mounted:
    """Names the path of the mount as ASGI has it: in ``root_path``, and at the beginning of ``path``."""

    def __init__(self, app: ASGIApp, mounted_at: str) -> None:
        self._app = app
        self._mounted_at = mounted_at

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            path = unquote(scope.get("raw_path", b"").decode("latin-1"))
            if not f"{path}/".startswith(f"{self._mounted_at}/"):
                # A framework that takes the mount off the path may put a slash at its end.
                path = self._mounted_at + (scope["path"].rstrip("/") or "/")
            scope = {**scope, "root_path": self._mounted_at, "path": path}
        await self._app(scope, receive, send)
