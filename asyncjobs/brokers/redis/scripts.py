"""The Lua scripts: includes in place, arguments and replies by the names that the script declares."""

from __future__ import annotations

import collections
import functools
import hashlib
from collections.abc import Callable, Collection, Sequence
from typing import Any

from asyncjobs.brokers.redis.declaration import Field, read_declaration
from asyncjobs.brokers.redis.prelude import keys_of, prelude, with_rows
from asyncjobs.brokers.redis.source import read_script, without_unused

__all__ = ["Script", "Value", "load"]

#: What an argument may be; ``True`` and ``False`` where the script declares a flag.
Value = str | bytes | int


class Script:
    """One script.

    ``text`` and ``sha``: as a server gets it, and the SHA-1 under which a server that has seen it knows it. ``keys``:
    the names of the keys that it is to be given, of each queue. ``rows``: for each of its tables a function that takes
    the columns by name and returns a row. ``reply``: takes the parts of the reply in order and gives them their names.
    """

    __slots__ = ("_args", "_widths", "keys", "name", "reply", "rows", "sha", "text")

    def __init__(self, name: str) -> None:
        source = read_script(name)
        declared = read_declaration(source)
        body = without_unused(with_rows(source, declared.tables))
        self.name = name
        self.text = prelude(declared, body) + body
        self.sha = hashlib.sha1(self.text.encode(), usedforsecurity=False).hexdigest()
        self.keys = keys_of(body)
        self.rows = {table.name: _packer(table.columns) for table in declared.tables if not table.is_list}
        self.reply = _namer(declared.reply)
        self._args = _packer(declared.args)
        # All tables but the last stand behind their number of rows.
        self._widths = [len(table.columns) for table in declared.tables]
        self._widths[-1:] = [0] if declared.tables else []

    def values(self, /, *tables: Collection[Value], **args: Value) -> list[Value]:
        """Return the arguments as the script wants them: each of ``tables`` as one flat list of its rows.

        Raises ``TypeError`` for other ``args``, and ``ValueError`` for other ``tables``, than the script declares.
        """
        values = [*self._args(**args)]
        for width, table in zip(self._widths, tables, strict=True):
            if width:
                values.append(len(table) // width)
            values += table
        return values


def _packer(fields: Sequence[Field]) -> Callable[..., tuple[Value, ...]]:
    """Return a function that takes ``fields`` by name and returns them in order.

    Made from text, as ``collections.namedtuple`` makes its own: a generic one would cost each job half a microsecond.
    """
    names = ", ".join(field.name for field in fields)
    values = "".join(f"'1' if {one.name} else '0', " if one.kind == "flag" else f"{one.name}, " for one in fields)
    packer: Callable[..., tuple[Value, ...]] = eval(f"lambda {names}: ({values})")
    return packer


def _namer(fields: Sequence[Field]) -> Callable[..., Any]:
    """Return a function that takes the values of ``fields`` in order and returns them as a named tuple."""
    names = [field.name for field in fields]
    kind: Callable[..., Any] = collections.namedtuple("Reply", names)  # type: ignore[misc]  # names from the script
    return kind


@functools.cache
def load(name: str) -> Script:
    """Return the script ``lua/<name>.lua``."""
    return Script(name)
