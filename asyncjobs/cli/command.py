"""How commands are declared: their parsers, and the options that several of them share."""

from __future__ import annotations

import argparse
import re
from collections.abc import Callable
from typing import Any, NoReturn, TypeAlias

from asyncjobs.cli.output import print_error
from asyncjobs.core.bounds import MAX_COUNT, shown
from asyncjobs.core.duration import to_ms
from asyncjobs.errors import ArgumentsError, closest

__all__ = [
    "Commands",
    "Parser",
    "add_code_arguments",
    "add_command",
    "add_operator_command",
    "add_place",
    "add_short_app",
    "add_yes",
    "limit",
    "port",
    "seconds",
    "size",
]


_MAX_PORT = 65_535
_APP = re.compile(r"[\w.]+:\w+")
_SIZE = re.compile(r"([0-9]{1,12}(?:\.[0-9]{1,3})?)\s?(?:([kmg])i?)?b?", re.IGNORECASE)


class Parser(argparse.ArgumentParser):
    """A parser whose errors are one line, and of the command that was given."""

    def parse_known_args(self, *args: Any, **options: Any) -> Any:
        """Parse arguments, all of which must be known."""
        parsed, unknown = super().parse_known_args(*args, **options)
        if unknown:
            # Here, and not in the parser of all commands, which would name its own help.
            hint = closest(unknown[0], self._option_string_actions) or self._hint_of_app(unknown[0])
            self.error(f"unrecognized arguments: {' '.join(unknown)}.{hint}".removesuffix("."))
        return parsed, unknown

    def _hint_of_app(self, given: str) -> str:
        """Return how to name the app, where ``given`` looks like one that a command takes as an option alone."""
        is_app = "--app" in self._option_string_actions and _APP.fullmatch(given)
        return f" Did you mean '--app {given}'?" if is_app else ""

    def error(self, message: str) -> NoReturn:
        """End the process with an error about its arguments."""
        print_error(f"{message}; `{self.prog} --help` shows what is expected", self.prog)
        raise SystemExit(2)


#: Where commands are added: what ``Parser.add_subparsers`` returns.
Commands: TypeAlias = "argparse._SubParsersAction[Parser]"


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
    # Of the arguments that name no type.
    parser.register("type", None, _text)
    parser.set_defaults(run=run)
    return parser


def add_operator_command(
    commands: Commands, name: str, text: str, examples: str, run: Callable[[argparse.Namespace], int]
) -> argparse.ArgumentParser:
    """Add a command that needs a broker, but not the code of the jobs; arguments as of ``add_command``."""
    parser = add_command(commands, name, text, examples, run)
    add_place(parser)
    parser.add_argument("--json", action="store_true", help="print everything as JSON")
    return parser


def add_code_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of a command that needs the code of the jobs; ``loading.load_code`` reads them."""
    add_short_app(parser)
    add_place(parser)
    parser.add_argument(
        "--import", dest="imports", action="append", default=[], metavar="MODULE", help="a module that defines jobs"
    )


def add_short_app(parser: argparse.ArgumentParser) -> None:
    """Let the app stand also without ``--app``, in a command that has no other argument."""
    parser.add_argument("short_app", nargs="?", metavar="MODULE:APP", help="the same as --app")


def add_yes(parser: argparse.ArgumentParser) -> None:
    """Add the option of a command that asks before it destroys something; ``destroying`` reads it."""
    parser.add_argument("--yes", action="store_true", help="don't ask for confirmation")


def limit(text: str) -> int:
    """Return the value of a ``--limit``, as the type of the option."""
    return _whole_number(text, 1, MAX_COUNT, f"a whole number from 1 to {MAX_COUNT:,}")


def bounded_count(least: int, most: int) -> Callable[[str], int]:
    """Return the type of an option that takes a whole number from ``least`` to ``most``."""
    return lambda text: _whole_number(text, least, most, f"a whole number from {least} to {most:,}")


def size(text: str) -> int:
    """Return a number of bytes, as argparse takes a type: ``1000``, ``512K``, ``200MB`` or ``1.5GiB``."""
    match = _SIZE.fullmatch(text)
    if match is None:
        raise argparse.ArgumentTypeError(f"{shown(text)}: expected a size, as in 512MiB or 2GiB")
    return int(float(match[1]) * 1024 ** " kmg".index((match[2] or " ").lower()))


def port(text: str) -> int:
    """Return the value of an option for a port, as its type."""
    return _whole_number(text, 0, _MAX_PORT, f"a port from 0 to {_MAX_PORT}")


def _whole_number(text: str, least: int, most: int, expected: str) -> int:
    try:
        value = int(text)
    except ValueError:
        value = least - 1
    if not least <= value <= most:
        raise argparse.ArgumentTypeError(f"{shown(text)}: expected {expected}")
    return value


def add_place(parser: argparse.ArgumentParser) -> None:
    """Add the options that say where the broker is; ``loading`` reads them."""
    parser.add_argument("--app", metavar="MODULE:APP", help="where the App is")
    parser.add_argument(
        "--url", help="the broker's URL, by default that of the app, without one that of the environment"
    )


def _text(text: str) -> str:
    # Empty is what a shell makes of a variable that isn't set: to let all jobs pass would be the opposite of a filter.
    if not text:
        raise argparse.ArgumentTypeError("it is empty; expected a value")
    try:
        text.encode()
    except UnicodeEncodeError:
        # Python decodes the bytes of arguments that aren't UTF-8 as surrogates.
        raise argparse.ArgumentTypeError(f"{shown(text)} is no UTF-8") from None
    return text


def seconds(text: str) -> float:
    """Return a duration that an option gives."""
    try:
        to_ms("the duration", value := float(text))
    except (ValueError, ArgumentsError):
        raise argparse.ArgumentTypeError(f"{text!r}: expected seconds, 0 or more") from None
    return value
