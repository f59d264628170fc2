"""``asyncjobs health``: asks a worker on this machine, for containers whose health is the exit code of a command."""

from __future__ import annotations

import argparse
import contextlib
from typing import Any

import msgspec

from asyncjobs.cli.command import Commands, add_command, port
from asyncjobs.cli.output import print_error, print_json, print_text

__all__ = ["add_commands"]

_TIMEOUT_S = 5.0

_EXAMPLES = """\
examples:
  asyncjobs health --health-port 8080             (does it work?)
  asyncjobs health --health-port 8080 --live      (does its event loop turn, whatever Redis does?)

It asks what `asyncjobs worker --health-port` answers. The exit code is 0 for yes, 1 for no, or for no answer.
"""


def add_commands(commands: Commands) -> None:
    """Add the command."""
    parser = add_command(commands, "health", "ask a worker for its health", _EXAMPLES, _health)
    parser.add_argument("--health-port", metavar="PORT", type=port, required=True, help="the health port of the worker")
    parser.add_argument("--health-host", metavar="HOST", default="127.0.0.1", help="its address (127.0.0.1)")
    parser.add_argument("--live", action="store_true", help="ask whether it is live, not whether it is ready")
    parser.add_argument("--json", action="store_true", help="print everything as JSON")


def _health(options: argparse.Namespace) -> int:
    what = "live" if options.live else "ready"
    where = f"{options.health_host}:{options.health_port}"
    # Each command is imported for each, and only this one needs it.
    import http.client

    try:
        with contextlib.closing(
            http.client.HTTPConnection(options.health_host, options.health_port, timeout=_TIMEOUT_S)
        ) as connection:
            connection.request("GET", "/livez" if options.live else "/readyz")
            answer = connection.getresponse()
            body = msgspec.json.decode(answer.read(), type=dict[str, Any])
    # A host that is none, or an answer that is no JSON, is a ValueError.
    except (OSError, ValueError, http.client.HTTPException) as error:
        print_error(f"no worker answers on {where}: {error or type(error).__name__}")
        return 1
    is_well = answer.status == http.client.OK
    if options.json:
        print_json(body)
    else:
        reasons = [one.get("reason", "") for one in body.get("processes", [body])]
        print_text(f"{what}" if is_well else f"not {what}: {'; '.join(filter(None, reasons)) or 'no process works'}")
    return 0 if is_well else 1
