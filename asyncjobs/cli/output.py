"""What commands print: tables and lines for people, JSON for programs.

This is the only module of the command line that prints, and what it prints is escaped; ruff allows ``print`` nowhere.
Results go to standard output. Errors, questions, and what else is said about the work go to standard error.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import sys
from collections.abc import Collection, Iterator, Mapping
from typing import TextIO

import msgspec

from asyncjobs.cli.escaping import escaped_json
from asyncjobs.cli.tables import Table, block_lines, drawn, fits, rich_console, table_lines
from asyncjobs.core.text import escaped

__all__ = [
    "OutputLost",
    "ask",
    "flush",
    "print_changes",
    "print_error",
    "print_json",
    "print_lines",
    "print_note",
    "print_table",
    "print_tables",
    "print_text",
    "writing",
]

# An error may quote an argument of any length. No id is as long.
_MAX_NOTE_CHARS = 2_000

# 128 and the number of SIGPIPE, with which a program ends that doesn't handle a closed pipe.
_PIPE_CLOSED = 141


class OutputLost(Exception):
    """Standard output can't be written: its reader has gone, or the disk is full.

    Args:
        error: What writing raised.
    """

    code: int
    """The exit code for it."""

    def __init__(self, error: OSError) -> None:
        super().__init__(f"the output can't be written: {error.strerror}")
        self.code = _PIPE_CLOSED if isinstance(error, BrokenPipeError) else 1


def print_tables(options: argparse.Namespace, data: object, *tables: Table) -> None:
    """Print ``tables``, or with ``--json`` their ``data``."""
    if options.json:
        print_json(data)
        return
    for table in tables:
        print_table(table)


def print_lines(options: argparse.Namespace, data: object, *lines: str) -> None:
    """Print ``lines``, or with ``--json`` their ``data`` on one line."""
    if options.json:
        _write_out(escaped_json(msgspec.json.encode(data).decode()))
    else:
        print_text(*lines)


def print_changes(options: argparse.Namespace, data: object, texts: Mapping[str, str], failed: Collection[str]) -> int:
    """Print what became of each of several jobs; return the exit code, which is 1 if one has failed.

    Args:
        options: The parsed options, with ``json``.
        data: What is printed with ``--json``.
        texts: What became of each job, by its id.
        failed: The ids of those with which it failed; they are told on standard error.
    """
    if options.json:
        print_lines(options, data)
    else:
        for job_id, text in texts.items():
            (print_note if job_id in failed else print_text)(f"{job_id}: {text}")
    return 1 if failed else 0


def print_json(data: object) -> None:
    """Print ``data`` as indented JSON."""
    _write_out(escaped_json(msgspec.json.format(msgspec.json.encode(data)).decode()))


def print_table(table: Table) -> None:
    """Print ``table``; where a terminal is too narrow for it, as one block for each row, so that nothing is cut."""
    table = table.escaped()
    console = rich_console()
    if not fits(table, console):
        print_text(*block_lines(table))
    elif console is None or not table.rows:
        print_text(*table_lines(table))
    else:
        with writing():
            console.print(drawn(table))


def print_text(*lines: str) -> None:
    """Print ``lines``; none of them can become two."""
    _write_out("\n".join(map(escaped, lines)))


def print_error(text: str, command: str = "asyncjobs") -> None:
    """Print why ``command`` failed, as one line on standard error."""
    print_note(f"{command}: {text}")


def print_note(*lines: str) -> None:
    """Print ``lines`` on standard error, each cut where it is endless."""
    _write_error("".join(f"{_bounded(escaped(line))}\n" for line in lines))


def ask(question: str) -> bool:
    """Return whether the user on the terminal agrees."""
    # Not to standard output, which may be a file.
    _write_error(f"{escaped(question)} [y/N] ")
    return sys.stdin.readline().strip().lower() in ("y", "yes")


def flush() -> None:
    """Write out what standard output still holds.

    Raises:
        OutputLost: It can't be written.
    """
    with writing():
        if sys.stdout is not None:
            sys.stdout.flush()


def _write_out(text: str) -> None:
    # Python has no such stream where the command was started with it closed.
    if sys.stdout is not None:
        with writing():
            # Line by line, since with PYTHONUNBUFFERED a large write may write a part of it without an error.
            sys.stdout.writelines(f"{line}\n" for line in _encodable(text, sys.stdout).split("\n"))
            sys.stdout.flush()


def _write_error(text: str) -> None:
    if sys.stderr is not None:
        try:
            sys.stderr.write(_encodable(text, sys.stderr))
            sys.stderr.flush()
        except OSError:
            # There is nowhere left to say so; the exit code remains.
            _abandon(sys.stderr)


def _bounded(line: str) -> str:
    return line if len(line) <= _MAX_NOTE_CHARS else f"{line[: _MAX_NOTE_CHARS - 1]}…"


def _encodable(text: str, stream: TextIO) -> str:
    encoding = stream.encoding or "utf-8"
    return text.encode(encoding, "backslashreplace").decode(encoding)


@contextlib.contextmanager
def writing() -> Iterator[None]:
    """Raise ``OutputLost`` where standard output can't be written inside the block."""
    try:
        yield
    except OSError as error:
        _abandon(sys.stdout)
        raise OutputLost(error) from None


def _abandon(stream: TextIO) -> None:
    """Let what ``stream`` still holds go nowhere; at its exit, Python would fail to write it again."""
    with contextlib.suppress(OSError, ValueError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, stream.fileno())
        os.close(nowhere)
