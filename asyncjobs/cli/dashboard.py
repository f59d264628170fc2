"""``asyncjobs dashboard``: serves the dashboard by itself."""

from __future__ import annotations

import argparse
import ipaddress
import os
import secrets
import socket

from asyncjobs.app import App
from asyncjobs.cli.command import Commands, add_command, add_place, add_short_app, port
from asyncjobs.cli.loading import app_of
from asyncjobs.cli.logs import set_up_log
from asyncjobs.cli.output import flush, print_note, print_text
from asyncjobs.cli.running import on_app

__all__ = ["DEFAULT_PORT", "add_commands", "address_of"]

DEFAULT_PORT = 9180
"""The port of a dashboard that is served by itself."""

_PASSWORD = "ASYNCJOBS_DASHBOARD_PASSWORD"
_USER = "admin"

_EXAMPLES = """\
examples:
  asyncjobs dashboard shop:app
  asyncjobs dashboard --url redis://localhost:6379/0
  ASYNCJOBS_DASHBOARD_PASSWORD=… asyncjobs dashboard shop:app --port 8080

The user is admin. Without ASYNCJOBS_DASHBOARD_PASSWORD, a new password is printed at each start. With the app,
arguments have their names. The admin API is at /api. In a web app of yours, mount asyncjobs.admin.dashboard instead,
with your own users and their roles.
"""


def add_commands(commands: Commands) -> None:
    """Add the command."""
    parser = add_command(commands, "dashboard", "serve the dashboard in a browser", _EXAMPLES, _dashboard)
    add_short_app(parser)
    add_place(parser)
    parser.add_argument("--host", default="127.0.0.1", help="the address to listen on (127.0.0.1)")
    parser.add_argument(
        "--port", type=port, default=DEFAULT_PORT, help=f"the port to listen on, 0 for any ({DEFAULT_PORT})"
    )


def address_of(listening: socket.socket) -> str:
    """Return the address of a server, as a browser takes it."""
    host, port = listening.getsockname()[:2]
    return f"http://{f'[{host}]' if ':' in host else host}:{port}/"


def _dashboard(options: argparse.Namespace) -> int:
    # Needs packages that no other command needs, so it is imported here.
    from asyncjobs.admin.basic import basic_auth
    from asyncjobs.admin.server import bound, serve

    set_up_log("warning")
    app = app_of(options)
    given = os.environ.get(_PASSWORD, "")
    password = given or secrets.token_urlsafe(15)

    async def show(app: App) -> int:
        with bound(options.host, options.port) as listening:
            print_text(f"The dashboard is at {address_of(listening)} until Ctrl-C.")
            print_text(
                f"User {_USER}, password " + (f"of {_PASSWORD}." if given else f"{password} (of this start alone).")
            )
            if not ipaddress.ip_address(listening.getsockname()[0]).is_loopback:
                print_note("asyncjobs: others can read the password on its way; put a proxy with TLS in front")
            flush()
            authorize = basic_auth({_USER: password})
            await serve(app, listening, authorize=authorize, title=options.short_app or options.app or "asyncjobs")
        return 0

    return on_app(app, show)
