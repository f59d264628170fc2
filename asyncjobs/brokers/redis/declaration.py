"""What the header of a script declares; ``prelude.py`` binds it to names in Lua, ``scripts.py`` in Python.

Lines that begin with ``--- @``::

    --- @args reason, limit: int, watch: flag    what the script is called with, in this order
    --- @list ids                                then any number of values
    --- @each job: id, record                    or any number of rows
    --- @reply now_ms, jobs                      the parts of the reply

A field is text; ``int`` is a number in Lua too, ``flag`` a boolean on both sides.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

__all__ = ["Declaration", "Field", "Table", "read_declaration"]

_LINE = re.compile(r"^--- @(\w+) (.+)$", re.MULTILINE)
_FIELD = re.compile(r"(\w+)(?:: (int|flag))?")


class Field(NamedTuple):
    """One value: its name, and its kind, ``""`` for text."""

    name: str
    kind: str


class Table(NamedTuple):
    """Values that repeat: rows of ``columns``, or where ``is_list``, one value each."""

    name: str
    columns: list[Field]
    is_list: bool


class Declaration(NamedTuple):
    """All that a script declares."""

    args: list[Field]
    tables: list[Table]
    reply: list[Field]


def read_declaration(text: str) -> Declaration:
    """Return what ``text`` declares; raise ``ValueError`` for what can't be read."""
    args: list[Field] = []
    tables: list[Table] = []
    reply: list[Field] = []
    for found in _LINE.finditer(text):
        word, rest = found.groups()
        if word == "args":
            args += _fields(rest)
        elif word == "list":
            tables.append(Table(rest, list(_fields(rest)), is_list=True))
        elif word == "each":
            name, _, columns = rest.partition(": ")
            tables.append(Table(name, list(_fields(columns)), is_list=False))
        elif word == "reply":
            reply += _fields(rest)
        else:
            raise ValueError(f"a script declares @{word}, which means nothing: {found[0]!r}")
    return Declaration(args, tables, reply)


def _fields(listed: str) -> Iterator[Field]:
    for one in listed.split(", "):
        found = _FIELD.fullmatch(one)
        if found is None:
            raise ValueError(f"a script declares {one!r}, which is no field: in {listed!r}")
        yield Field(found[1], found[2] or "")
