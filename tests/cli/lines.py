"""Command lines for every command, made from the parser, so that a new command is covered by itself."""

from __future__ import annotations

import argparse
import io
import unicodedata

from asyncjobs.cli.main import make_parser

__all__ = ["COMMANDS", "HOSTILE", "Terminal", "assert_safe", "commands_of", "options_of", "sample"]

#: Text that harms a terminal or its reader, by what it is.
HOSTILE = {
    "title": "\x1b]0;owned\x07",
    "clipboard": "\x1b]52;c;cm0gLXJmIC8=\x1b\\",
    "link": "\x1b]8;;https://evil.example\x1b\\click\x1b]8;;\x1b\\",
    "color and cursor": "\x1b[31m\x1b[2J\x1b[1;1H",
    "C1 controls": "\x9b31m\x90q\x9c\x85",
    "DEL and backspace": "safe\x7f\x08\x08\x08\x08evil",
    "overwritten line": "evil\rsafe",
    "forged line": "x\n2026-01-01 00:00:00,000 INFO asyncjobs.worker: all is well\r\n\x0b\x0c",
    "other newlines": "a\u2028b\u2029c\x1c\x1d\x1e",
    "bidi": "\u202egnp.exe\u202c\u2066x\u2069\u200f\u061c",
    "invisible": "a\u200bd\ufeffm\u00adin\U000e0041",
    "markup": "[red]text[/red][link=https://evil.example]x[/link][/]:smile:",
    "long": "x" * 100_000,
    "wide": "漢字テスト　名前" * 5,
    "format": "%s %d {0} {name} %(message)s",
}


def commands_of(parser: argparse.ArgumentParser) -> dict[str, argparse.ArgumentParser]:
    """Return the parsers of the commands of ``parser``, by their names."""
    return next(action.choices for action in parser._actions if isinstance(action, argparse._SubParsersAction))


COMMANDS = commands_of(make_parser())

# What a command needs beyond what its parser requires.
_NEEDED = {
    "bench": ["--jobs", "1"],
    "health": ["--health-port", "1"],
    "worker": ["--app", "shop:app", "--burst", "--start-timeout", "0", "--log-level", "error"],
    "check": ["--app", "shop:app"],
    "top": ["--once"],
    "cancel": ["x"],
    "purge": ["--queue", "default"],
    "retry": ["x"],
    "delete": ["x"],
    "pause": ["--queue", "default"],
    "limit": ["default", "--reset"],
    "resume": ["--queue", "default"],
}


def sample(command: str) -> list[str]:
    """Return a command line that is right, with as few arguments as there can be."""
    line = [command, *_NEEDED.get(command, [])]
    if command not in _NEEDED:
        for action in options_of(command):
            if action.required:
                line += [*action.option_strings[:1], *(list(action.choices)[:1] if action.choices else ["x"])]
    return line


def options_of(command: str) -> list[argparse.Action]:
    """Return the options and arguments of a command that take a value and that its help names."""
    return [
        action for action in COMMANDS[command]._actions if action.nargs != 0 and action.help is not argparse.SUPPRESS
    ]


class Terminal(io.StringIO):
    """A stream that says of itself whether it is a terminal."""

    encoding = "utf-8"  # type: ignore[assignment]

    def __init__(self, *, is_terminal: bool) -> None:
        super().__init__()
        self._is_terminal = is_terminal

    def isatty(self) -> bool:
        return self._is_terminal


def assert_safe(text: str) -> None:
    """Check that the only control characters in ``text`` are newlines, and that it shows as it is read."""
    harmful = {one for one in text if not one.isprintable() and one != "\n" and unicodedata.category(one) != "Zs"}
    assert harmful == set()
