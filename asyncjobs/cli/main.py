"""Parses the command line, runs a command, and turns errors into messages and exit codes.

Exit codes: 0 done; 1 the command failed, or the broker can't be used; 2 the command line or a setting is wrong; 130
interrupted; 141 the reader of the output has closed the pipe.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Sequence

import asyncjobs
from asyncjobs.cli.command import Parser
from asyncjobs.cli.loading import ImportFailed
from asyncjobs.cli.output import OutputLost, flush, print_error, print_note
from asyncjobs.errors import ArgumentsError, AsyncJobsError, ConfigurationError, DefinitionError
from asyncjobs.jobs.logs import escape_last_resort

__all__ = ["main", "make_parser"]

# The commands by the modules that add them, in the order of the help. Only the module of the given command is imported,
# since a worker would hold the others for as long as it runs.
_MODULES = {
    "worker": ["worker"],
    "health": ["health"],
    "stats": ["stats"],
    "standing": ["queues", "workers"],
    "top": ["top"],
    "names": ["names"],
    "tenants": ["tenants"],
    "problems": ["problems"],
    "jobs": ["jobs"],
    "show": ["show"],
    "why": ["why"],
    "enqueue": ["enqueue"],
    "cancel": ["cancel"],
    "dead": ["failed", "retry", "delete", "undo"],
    "holds": ["pause", "resume"],
    "limits": ["limits", "limit"],
    "turns": ["turns"],
    "purge": ["purge"],
    "schedules": ["schedules"],
    "audit": ["audit"],
    "check": ["check"],
    "doctor": ["doctor"],
    "bench": ["bench"],
    "dashboard": ["dashboard"],
    "demo": ["demo"],
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command and return its exit code.

    Args:
        arguments: The command and its arguments, by default those of this process.

    Raises:
        SystemExit: The arguments are wrong, or ask for help.
    """
    try:
        try:
            return _run(arguments)
        finally:
            flush()
    except OutputLost as error:
        if error.code == 1:
            print_error(str(error))
        return error.code


def make_parser(command: str | None = None) -> Parser:
    """Return the parser of ``command``, or of all commands where there is no such command."""
    parser = Parser(
        prog="asyncjobs",
        description="Background jobs for Python's async world.",
        epilog="Try it without a server: asyncjobs demo",
    )
    parser.add_argument("--version", action="version", version=f"asyncjobs {asyncjobs.__version__}")
    commands = parser.add_subparsers(metavar="command", required=True)
    modules = [module for module, names in _MODULES.items() if command in names]
    for module in modules or _MODULES:
        importlib.import_module(f"asyncjobs.cli.{module}").add_commands(commands)
    return parser


def _run(arguments: Sequence[str] | None) -> int:
    arguments = sys.argv[1:] if arguments is None else arguments
    options = make_parser(arguments[0] if arguments else None).parse_args(arguments)
    escape_last_resort()
    try:
        code: int = options.run(options)
    except ImportFailed as error:
        print_error(str(error))
        print_note(*(f"  {place}" for place in error.places))
        return error.code
    except (ConfigurationError, DefinitionError, ArgumentsError) as error:
        print_error(str(error))
        return 2
    except AsyncJobsError as error:
        print_error(str(error))
        return 1
    except KeyboardInterrupt:
        return 130
    return code
