"""``asyncjobs enqueue``: sends a job by its name."""

from __future__ import annotations

import argparse
from typing import Any

import msgspec

from asyncjobs.cli.command import Commands, add_operator_command, seconds
from asyncjobs.cli.loading import app_of
from asyncjobs.cli.output import print_lines, print_note
from asyncjobs.cli.running import on_app
from asyncjobs.core.bounds import shown
from asyncjobs.errors import ConfigurationError, closest

__all__ = ["add_commands"]

_EXAMPLES = """\
examples:
  asyncjobs enqueue send_email --args '["user@example.com", "News"]' --app shop:app
  asyncjobs enqueue send_email --args '{"to": "user@example.com"}' --queue emails --url redis://localhost:6379/0

With --app, the arguments are checked as the job's handler reads them. Without, they are checked by the names of its
parameters if a worker has made them known.
"""

_OPTIONS = ("queue", "priority", "tenant", "delay", "job_id")


def add_commands(commands: Commands) -> None:
    """Add the command."""
    parser = add_operator_command(commands, "enqueue", "send a job by its name", _EXAMPLES, _enqueue)
    parser.add_argument("name", help="the job name")
    parser.add_argument(
        "--args", metavar="JSON", help="the arguments: an array in the order of the parameters, or an object by name"
    )
    parser.add_argument("--queue", help="the queue; by default that of the job's definition")
    parser.add_argument("--priority", choices=("critical", "high", "normal", "low"), help="the priority")
    parser.add_argument("--tenant", help="the id of the job's tenant")
    parser.add_argument("--delay", type=seconds, metavar="SECONDS", help="how long after it is sent the job is due")
    parser.add_argument("--id", dest="job_id", help="an id of your own; the same id sent twice is one job")


def _enqueue(options: argparse.Namespace) -> int:
    arguments = _arguments(options.args)
    given: Any = {name: value for name in _OPTIONS if (value := getattr(options, name)) is not None}
    app = app_of(options)
    handle = on_app(app, lambda opened: opened.send(options.name, arguments, **given))
    data = {"id": handle.id, "queue": handle.queue, "new": handle.is_new}
    told = f"job {handle.id} is in queue {handle.queue}"
    print_lines(options, data, told if handle.is_new else f"{told} already: nothing was sent")
    known = app.registry.names()
    if options.app is not None and options.name not in known:
        print_note(
            f"asyncjobs: {options.app} has no job {options.name!r}.{closest(options.name, known)} What was sent waits "
            f"for a worker that has it; `asyncjobs cancel {handle.id} --app {options.app}` takes it back"
        )
    return 0


def _arguments(text: str | None) -> list[Any] | dict[str, Any]:
    if text is None:
        return []
    try:
        arguments: list[Any] | dict[str, Any] = msgspec.json.decode(text, type=list[Any] | dict[str, Any])
    except (msgspec.MsgspecError, RecursionError) as error:
        raise ConfigurationError(
            f"--args {shown(text)}: {error}; expected a JSON array in the order of the parameters, or an object"
        ) from None
    return arguments
