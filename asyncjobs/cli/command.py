"""How commands are declared: their parsers, and the options that several of them share."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import TypeAlias

__all__ = ["Commands", "add_code_arguments", "add_command", "add_operator_command"]

#: Where commands are added: what ``ArgumentParser.add_subparsers`` returns.
Commands: TypeAlias = "argparse._SubParsersAction[argparse.ArgumentParser]"


def add_command(
    commands: Commands, name: str, text: str, examples: str | None, run: Callable[[argparse.Namespace], int]
) -> argparse.ArgumentParser:
    """Add a command and return its parser.

    Args:
        commands: Where to add it.
        name: Its name.
        text: What it does, in one line that begins with a verb.
        examples: What stands at the end of its help.
        run: Does it, with the parsed options, and returns the exit code.
    """
    parser = commands.add_parser(
        name,
        help=text,
        description=f"{text[0].upper()}{text[1:]}.",
        epilog=examples,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.set_defaults(run=run)
    return parser


def add_operator_command(
    commands: Commands, name: str, text: str, examples: str, run: Callable[[argparse.Namespace], int]
) -> argparse.ArgumentParser:
    """Add a command that needs a broker, but not the code of the jobs; arguments as of ``add_command``."""
    parser = add_command(commands, name, text, examples, run)
    parser.add_argument("--app", metavar="MODULE:APP", help="where the App is")
    parser.add_argument("--url", help="the broker's URL, instead of an app; by default that of the environment")
    parser.add_argument("--json", action="store_true", help="print everything as JSON")
    return parser


def add_code_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of a command that needs the code of the jobs; ``loading.load_code`` reads them."""
    parser.add_argument("app", help="module:app, where the App is")
    parser.add_argument(
        "--import", dest="imports", action="append", default=[], metavar="MODULE", help="a module that defines jobs"
    )
