"""Serves the dashboard by itself, with uvicorn, for who has no web app to mount it in: what a command runs."""

from __future__ import annotations

import logging
import socket

from starlette.applications import Starlette
from starlette.routing import Mount

from asyncjobs.admin.api.app import admin_api
from asyncjobs.admin.dashboard.app import dashboard
from asyncjobs.admin.door import Authorize
from asyncjobs.admin.stream import STREAM_S
from asyncjobs.app import App
from asyncjobs.core.package import install_command
from asyncjobs.errors import ConfigurationError

try:
    import uvicorn
except ImportError as error:
    raise ConfigurationError(
        f"to serve the dashboard by itself needs uvicorn, which is not installed: {install_command('dashboard')}"
    ) from error

__all__ = ["bound", "serve"]


def bound(host: str, port: int) -> socket.socket:
    """Return a socket that listens.

    Args:
        host: Its address, or the name of it.
        port: Its port, 0 for any that is free.

    Raises:
        ConfigurationError: It can't be had.
    """
    try:
        [(family, _, _, _, address), *_] = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        return socket.create_server(address[:2], family=family)
    except (OSError, OverflowError, UnicodeError) as error:
        raise ConfigurationError(f"--host {host} --port {port}: {error}; expected an address and a free port") from None


async def serve(app: App, listening: socket.socket, *, authorize: Authorize, title: str) -> None:
    """Serve the dashboard at ``/``, and the admin API at ``/api``, until the process is told to end.

    Args:
        app: The app, which is open.
        listening: A socket, as of ``bound``.
        authorize: As ``dashboard`` takes it.
        title: As ``dashboard`` takes it.
    """
    web = Starlette(
        routes=[
            Mount("/api", admin_api(app, authorize=authorize)),
            Mount("/", dashboard(app, authorize=authorize, title=title)),
        ]
    )
    config = uvicorn.Config(
        web,
        lifespan="off",
        log_config=None,
        log_level=logging.WARNING,
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=int(STREAM_S) + 1,
    )
    await uvicorn.Server(config).serve(sockets=[listening])
