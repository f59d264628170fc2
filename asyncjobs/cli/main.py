"""Parses the command line, runs a command, and turns errors into messages and exit codes.

Exit codes: 0 done; 1 the command failed, or the broker can't be used; 2 the command line or a setting is wrong; 130
interrupted.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

import asyncjobs
from asyncjobs.cli import cancel, check, dead, demo, holds, jobs, purge, schedules, show, stats, worker
from asyncjobs.errors import ArgumentsError, AsyncJobsError, ConfigurationError, DefinitionError

__all__ = ["main"]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command and return its exit code.

    Args:
        arguments: The command and its arguments, by default those of this process.
    """
    parser = argparse.ArgumentParser(
        prog="asyncjobs",
        description="Background jobs for Python's async world.",
        epilog="Try it without a server: asyncjobs demo",
    )
    parser.add_argument("--version", action="version", version=f"asyncjobs {asyncjobs.__version__}")
    commands = parser.add_subparsers(metavar="command", required=True)
    for module in (worker, stats, jobs, show, cancel, dead, holds, purge, schedules, check, demo):
        module.add_commands(commands)
    options = parser.parse_args(arguments)
    try:
        code: int = options.run(options)
    except (ConfigurationError, DefinitionError, ArgumentsError) as error:
        print(f"asyncjobs: {error}", file=sys.stderr)
        return 2
    except AsyncJobsError as error:
        print(f"asyncjobs: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    return code
