"""Reads what the header of a script declares; ``prelude.py`` binds the names in Lua, ``scripts.py`` in Python.

Lines that begin with ``--- @``::

    --- @args reason, limit: int, watch: flag    the arguments, in this order
    --- @list ids                                then any number of values
    --- @each job: id, record                    or any number of rows
    --- @reply now_ms, jobs                      the parts of the reply
    --- @rare leave, check_gone                  functions that few calls need: they are made where one is called
    --- @rarer set_gone                          functions that few of these calls need: they are made apart

A field is text, an ``int`` a whole number in Lua, ``ms`` a duration, and a ``flag`` a boolean in both languages. Lua
sees numbers within their bounds, whatever was passed.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

__all__ = ["Declaration", "Field", "Table", "read_declaration"]

_LINE = re.compile(r"^--- @(\w+) (.+)$", re.MULTILINE)
_FIELD = re.compile(r"(\w+)(?:: (int|ms|flag))?")


class Field(NamedTuple):
    """One value."""

    name: str
    """Its name."""
    kind: str
    """``int``, ``ms`` or ``flag``; empty for text."""


class Table(NamedTuple):
    """Values that repeat, as rows or as a list."""

    name: str
    """The name of a row, or of the list."""
    columns: list[Field]
    """The fields of a row; for a list, one."""
    is_list: bool
    """Whether it is a list."""


class Declaration(NamedTuple):
    """The header of a script."""

    args: list[Field]
    """The arguments."""
    tables: list[Table]
    """The rows and lists behind the arguments."""
    reply: list[Field]
    """The parts of the reply."""
    rare: list[str]
    """The functions that few calls need."""
    rarer: list[str]
    """Those that few of these calls need."""


def read_declaration(text: str) -> Declaration:
    """Return what ``text``, a script, declares.

    Raises:
        ValueError: A declaration can't be read.
    """
    args: list[Field] = []
    tables: list[Table] = []
    reply: list[Field] = []
    rare: list[str] = []
    rarer: list[str] = []
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
        elif word == "rare":
            rare += [field.name for field in _fields(rest)]
        elif word == "rarer":
            rarer += [field.name for field in _fields(rest)]
        else:
            raise ValueError(f"a script declares @{word}, which means nothing: {found[0]!r}")
    return Declaration(args, tables, reply, rare, rarer)


def _fields(listed: str) -> Iterator[Field]:
    for one in listed.split(", "):
        found = _FIELD.fullmatch(one)
        if found is None:
            raise ValueError(f"a script declares {one!r}, which is no field: in {listed!r}")
        yield Field(found[1], found[2] or "")
