"""The Lua scripts, with their includes, and with arguments and replies by the names that they declare."""

from __future__ import annotations

import collections
import functools
import hashlib
from collections.abc import Callable, Collection, Sequence
from typing import TYPE_CHECKING, Any

from asyncjobs.brokers.redis.declaration import Field, read_declaration
from asyncjobs.brokers.redis.prelude import keys_of, prelude, with_rows
from asyncjobs.brokers.redis.source import parts_of, read_script, with_literals, with_rare, without_unused

__all__ = ["Script", "Value", "load"]

#: What an argument may be; ``True`` and ``False`` where the script declares a flag.
Value = str | bytes | int


class Script:
    """One script, put together when it is used first: a program calls few of them.

    Args:
        name: Its file, ``lua/<name>.lua``.
    """

    __slots__ = ("_args", "_widths", "keys", "name", "reply", "rows", "sha", "text")

    def __init__(self, name: str) -> None:
        self.name = name

    if not TYPE_CHECKING:  # It would allow any name.

        def __getattr__(self, name: str) -> Any:
            # Called for what is not set yet.
            if name not in self.__slots__:
                raise AttributeError(name)
            self._read()
            return getattr(self, name)

    def _read(self) -> None:
        source = read_script(self.name)
        declared = read_declaration(source)
        body = without_unused(parts_of(with_rows(source, declared.tables)))
        self.text = with_literals(with_rare([*parts_of(prelude(declared, body)), *body], declared.rare, declared.rarer))
        """The text, as a server takes it."""
        self.sha = hashlib.sha1(self.text.encode(), usedforsecurity=False).hexdigest()
        """The SHA-1 by which a server knows a text that it has run before."""
        self.keys = keys_of(body)
        """The names of the keys that the script takes of each queue."""
        self.rows = {table.name: _packer(table.columns) for table in declared.tables if not table.is_list}
        """By the name of a row, a function that takes the columns by name and returns the row."""
        self.reply = _namer(declared.reply)
        """Takes the parts of a reply in order, and returns them by name."""
        self._args = _packer(declared.args)
        # Each table but the last stands behind its number of rows. What is set is whole, since several threads may read
        # a script at the same time.
        widths = [len(table.columns) for table in declared.tables]
        self._widths = [*widths[:-1], 0] if widths else []

    def values(self, /, *tables: Collection[Value], **args: Value) -> list[Value]:
        """Return the arguments in the form that the script takes.

        Args:
            *tables: The values of each table, as one flat list of its rows.
            **args: The arguments, by name.

        Raises:
            TypeError: The script declares other arguments.
            ValueError: The script declares another number of tables.
        """
        values = [*self._args(**args)]
        for width, table in zip(self._widths, tables, strict=True):
            if width:
                values.append(len(table) // width)
            values += table
        return values


def _packer(fields: Sequence[Field]) -> Callable[..., tuple[Value, ...]]:
    """Return a function that takes ``fields`` by name and returns them in order.

    It is compiled from text, as ``collections.namedtuple`` does it: a generic function would cost half a microsecond a
    job.
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
