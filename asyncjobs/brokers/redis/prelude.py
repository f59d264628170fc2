"""Writes the Lua before a script, which binds names, so that no script uses ``KEYS`` or ``ARGV``.

It binds the arguments that the script declares, and what the script uses of the numbers and messages in
``core/retention.py`` and of the keys in ``keys.py``.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from asyncjobs.brokers.redis import keys
from asyncjobs.brokers.redis.declaration import Declaration, Field, Table
from asyncjobs.brokers.redis.keys import FAMILIES, KEY_NAMES
from asyncjobs.brokers.redis.source import Part
from asyncjobs.core import retention
from asyncjobs.core.bounds import MAX_DURATION_MS
from asyncjobs.core.limits import QUANTUM_MS
from asyncjobs.core.record.version import VERSION
from asyncjobs.core.turns import MAX_LAG, MAX_LINED_CLAIM, MAX_STAYING, MAX_TRIED, PATIENCE

__all__ = ["keys_of", "prelude", "with_rows"]

_CONSTANTS: dict[str, int | str] = {
    **{name: getattr(retention, name) for name in retention.__all__},
    **{
        name: getattr(keys, name)
        for name in ("BY_NAME", "BY_TENANT", "BY_VERSION", "ENDED_CHANNEL", "HELD_QUEUE", "NO_LIMIT")
    },
    "MAX_DURATION_MS": MAX_DURATION_MS,
    "MAX_LAG": MAX_LAG,
    "MAX_LINED_CLAIM": MAX_LINED_CLAIM,
    "MAX_STAYING": MAX_STAYING,
    "MAX_TRIED": MAX_TRIED,
    "PATIENCE": PATIENCE,
    "QUANTUM_MS": QUANTUM_MS,
    "VERSION": VERSION,
}
_PRIORITIES = 4

# What scripts read numbers with, so that no command refuses one after the first write: whole and within bounds. Lua
# writes a number of 15 digits as 1e+14.
_READERS = {
    "whole_in": """\
local function whole_in(text)
  local number = tonumber(text)
  if not number or number ~= number then
    return 0
  elseif number > 99999999999998 then
    return 99999999999998
  elseif number < -99999999999998 then
    return -99999999999998
  end
  return number - number % 1
end""",
    "ms_in": f"""\
local function ms_in(text)
  local number = tonumber(text)
  if not number or not (number > 0) then
    return 0
  end
  return number < {MAX_DURATION_MS} and number - number % 1 or {MAX_DURATION_MS}
end""",
}

_WORD = re.compile(r"\w+")
# A field of ``q``, not of a name that ends so: what stands first is what the search skips to.
_KEY = re.compile(r"q\.(?<!\wq\.)(\w+)")
_ROW = re.compile(r"^( *)--- @row (\w+) (\w+): (.+)$", re.MULTILINE)


def with_rows(text: str, tables: Sequence[Table]) -> str:
    """Return ``text`` with local variables for lines like ``--- @row job n: id, record``, which ask for fields."""
    by_name = {table.name: table for table in tables}

    def bind(found: re.Match[str]) -> str:
        indent, name, row, wanted = found.groups()
        table = by_name[name]
        columns = {column.name: (at, column) for at, column in enumerate(table.columns, 1 - len(table.columns))}
        names = wanted.split(", ")
        sources = []
        for at, column in map(columns.__getitem__, names):
            sources.append(_bound(column, f"ARGV[{name}_at + {row} * {len(columns)} + {at}]"))
        return f"{indent}local {wanted} = {', '.join(sources)}"

    return _ROW.sub(bind, text)


def keys_of(parts: Sequence[Part]) -> tuple[str, ...]:
    """Return the names of the keys that ``parts`` use as ``q.<name>``, in the order in which the script takes them.

    There is always one, which tells what all keys of the queue begin with.
    """
    named = {name for part in parts if "q" in part.words for name in _KEY.findall(part.text)} or {"cfg"}
    return tuple(name for name in KEY_NAMES if name in named)


def prelude(declared: Declaration, parts: Sequence[Part]) -> str:
    """Return the Lua to put before ``parts``, a script with the header ``declared``."""
    named = set[str]().union(*(part.words for part in parts))
    args = [f"local {field.name} = {_bound(field, f'ARGV[{at}]')}" for at, field in enumerate(declared.args, 1)]
    args += _tables(declared.tables, str(len(declared.args)))
    named.update(_WORD.findall("\n".join(args)))
    lines = ["local KEYS, ARGV = KEYS, ARGV"]
    lines += [reader for name, reader in _READERS.items() if name in named]
    lines += [f"local {name} = {_literal(value)}" for name, value in _CONSTANTS.items() if name in named]
    for family, start in FAMILIES.items():
        if f"{family}_key" in named:
            lines += [f"local function {family}_key(q, part)", f"  return q.base .. '{start}' .. part", "end"]
    lines += _queue(keys_of(parts), is_one="QUEUES" not in named)
    lines += args
    return "\n".join(lines) + "\n"


def _literal(value: int | str) -> str:
    if isinstance(value, int):
        return str(value)
    escaped = value.replace("\\", "\\\\").replace("'", "\\'")
    return f"'{escaped}'"


def _bound(field: Field, source: str) -> str:
    if field.kind in ("int", "ms"):
        return f"{'whole_in' if field.kind == 'int' else 'ms_in'}({source})"
    return f"{source} == '1'" if field.kind == "flag" else source


def _queue(names: Sequence[str], is_one: bool) -> Iterator[str]:
    """Yield the lines that bind ``q``, the keys of the queue by name, with ``ready`` by priority.

    In a script of several queues (``QUEUES``), they define ``queue(block)``, which returns such keys for each.
    """
    at = "" if is_one else "at + "
    fields, count = [], 0
    for name in names:
        width = _PRIORITIES if name == "ready" else 1
        given = [f"KEYS[{at}{count + one}]" for one in range(1, width + 1)]
        fields.append(f"{name} = {{[0] = {', '.join(given)}}}" if name == "ready" else f"{name} = {given[0]}")
        count += width
    first = "ready:0" if names[0] == "ready" else names[0]
    table = f"{{base = string.sub(KEYS[{at}1], 1, -{len(first) + 1}), {', '.join(fields)}}}"
    if is_one:
        yield f"local q = {table}"
    else:
        yield f"local QUEUES = #KEYS / {count}"
        yield f"local function queue(block) local at = (block - 1) * {count} return {table} end"


def _tables(tables: Sequence[Table], at: str) -> Iterator[str]:
    """Yield the lines that bind the place and the number of rows of each table, and the values of a list.

    Args:
        tables: The tables.
        at: The index of the last argument before the tables, as Lua.
    """
    for table in tables:
        name, width = table.name, len(table.columns)
        if table is tables[-1]:
            yield f"local {name}_at = {at}"
            yield f"local {name}_rows = (#ARGV - {name}_at) / {width}"
        else:
            # Each table but the last stands behind its number of rows.
            yield f"local {name}_at = {at} + 1"
            yield f"local {name}_rows = math.max(0, math.min(whole_in(ARGV[{name}_at]), #ARGV))"
        if table.is_list:
            yield f"local {name} = {{}}"
            yield f"for n = 1, {name}_rows do"
            yield f"  {name}[n] = ARGV[{name}_at + n]"
            yield "end"
        at = f"{name}_at + {name}_rows * {width}"
